//! Has attempts prepared, and begins the prepared ones as slots and memory come free.

use std::sync::Arc;

use crate::{
    fault::{Fault, is_planted},
    invariant::cannot_be,
    types::AttemptId,
    worker::{Effect, Held, Phase, Worker},
};

impl Worker {
    /// Has the attempts prepared that wait for it, in the order of leases. One that is to run alone waits until nothing
    /// else is prepared or runs, and those after it wait until it has ended.
    pub(super) fn prepare(&mut self, effects: &mut Vec<Effect>) {
        let is_queued = |attempt: &&AttemptId| self.held.get(attempt).is_some_and(|held| held.phase == Phase::Queued);
        let queued: Vec<AttemptId> = self.queue.values().filter(is_queued).copied().collect();
        if queued.is_empty() {
            return;
        }
        let is_on = |held: &&Held| held.phase.is_on();
        let mut on = self.held.values().filter(is_on).count();
        let mut has_alone = self.held.values().filter(is_on).any(|held| held.assignment.alone);
        for attempt in queued {
            let Some(held) = self.held.get_mut(&attempt) else { continue };
            if (has_alone || held.assignment.alone && on > 0) && !is_planted(Fault::AloneBesideOthers) {
                return;
            }
            (on, has_alone) = (on + 1, held.assignment.alone);
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
