//! Begins prepared attempts as slots and memory come free.

use std::sync::Arc;

use crate::{
    fault::{Fault, is_planted},
    invariant::cannot_be,
    worker::{Effect, Phase, Worker},
};

impl Worker {
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
