//! Has attempts prepared, and begins the prepared ones as slots and memory come free.

use std::{collections::BTreeSet, sync::Arc};

use crate::{
    consensus::Now,
    digest::Digest,
    fault::{Fault, is_planted},
    invariant::cannot_be,
    replica::Assignment,
    types::{AttemptId, JobId},
    worker::{Effect, Held, Phase, Worker},
};

/// How long an attempt that is to run alone keeps others from beginning, in microseconds. What ends its hosts mostly does
/// so soon, and a task that takes a day must not have a whole machine for it.
const ALONE_US: u64 = 60_000_000;

/// The job and program of an attempt.
fn what_runs(assignment: &Assignment) -> (JobId, Digest) {
    (assignment.attempt.task.job, assignment.spec.program_blob().digest)
}

impl Worker {
    /// Has the attempts prepared that wait for it, in the order of leases. One that is to run alone waits until nothing
    /// else is prepared or runs but its program for its job, and those after it wait until it has ended, or for a minute.
    pub(super) fn prepare(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let is_queued = |attempt: &&AttemptId| self.held.get(attempt).is_some_and(|held| held.phase == Phase::Queued);
        let queued: Vec<AttemptId> = self.queue.values().filter(is_queued).copied().collect();
        if queued.is_empty() {
            return;
        }
        let on = self.held.values().filter(|held| held.phase.is_on());
        let keeps_apart = |held: &Held| {
            let prepared = held.prepared.unwrap_or(now.monotonic);
            held.assignment.alone && now.monotonic < prepared.plus_us(ALONE_US)
        };
        let mut on: BTreeSet<((JobId, Digest), bool)> =
            on.map(|held| (what_runs(&held.assignment), keeps_apart(held))).collect();
        for attempt in queued {
            let Some(held) = self.held.get_mut(&attempt) else { continue };
            let (own, alone) = (what_runs(&held.assignment), held.assignment.alone);
            let is_kept_apart = on.iter().any(|(other, keeps_apart)| (alone || *keeps_apart) && *other != own);
            if is_kept_apart && !is_planted(Fault::AloneBesideOthers) {
                return;
            }
            on.insert((own, alone));
            held.phase = Phase::Preparing;
            held.prepared = Some(now.monotonic);
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
