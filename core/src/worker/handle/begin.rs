//! Has attempts prepared, and begins the prepared ones as slots and memory come free.

use std::{collections::BTreeSet, sync::Arc};

use crate::{
    digest::Digest,
    fault::{Fault, is_planted},
    invariant::cannot_be,
    replica::Assignment,
    types::{AttemptId, JobId},
    worker::{Effect, Phase, Worker},
};

/// The job and program of an attempt, and whether it is to run alone.
fn what_runs(assignment: &Assignment) -> (JobId, Digest, bool) {
    (assignment.attempt.task.job, assignment.spec.program_blob().digest, assignment.alone)
}

impl Worker {
    /// Has the attempts prepared that wait for it, in the order of leases. One that is to run alone waits until nothing
    /// else is prepared or runs but its program for its job, and those after it wait until it has ended.
    pub(super) fn prepare(&mut self, effects: &mut Vec<Effect>) {
        let is_queued = |attempt: &&AttemptId| self.held.get(attempt).is_some_and(|held| held.phase == Phase::Queued);
        let queued: Vec<AttemptId> = self.queue.values().filter(is_queued).copied().collect();
        if queued.is_empty() {
            return;
        }
        let on = self.held.values().filter(|held| held.phase.is_on());
        let mut on: BTreeSet<(JobId, Digest, bool)> = on.map(|held| what_runs(&held.assignment)).collect();
        for attempt in queued {
            let Some(held) = self.held.get_mut(&attempt) else { continue };
            let own @ (job, program, alone) = what_runs(&held.assignment);
            let is_kept_apart = on.iter().any(|other| (alone || other.2) && (other.0, other.1) != (job, program));
            if is_kept_apart && !is_planted(Fault::AloneBesideOthers) {
                return;
            }
            on.insert(own);
            held.phase = Phase::Preparing;
            effects.push(Effect::Prepare(Arc::clone(&held.assignment)));
        }
    }

    /// Begins the attempts that are ready and fit, in the order of leases.
    pub(super) fn begin(&mut self, effects: &mut Vec<Effect>) {
        let mut begun = Vec::new();
        for (order, attempt) in &self.queue {
            if self.running >= self.config.slots {
                break;
            }
            let Some(held) = self.held.get_mut(attempt) else {
                cannot_be("what stands in the line is held");
                continue;
            };
            let memory = self.memory_used + held.assignment.resources.memory_bytes;
            let fits = memory <= self.config.resources.memory_bytes || is_planted(Fault::MemoryNotCounted);
            if !fits || held.phase != Phase::Ready {
                continue;
            }
            held.phase = Phase::Running;
            self.running += 1;
            self.memory_used = memory;
            begun.push(*order);
            effects.push(Effect::Run(Arc::clone(&held.assignment)));
        }
        for order in begun {
            self.queue.remove(&order);
        }
    }
}
