//! Passing time: the worker repeats lost reports and returns what has waited too long.

use crate::{
    consensus::Now,
    fault::{Fault, is_planted},
    types::AttemptId,
    worker::{Effect, Phase, Worker},
};

impl Worker {
    pub(super) fn on_tick(&mut self, now: Now, load: u16, has_disk_space: bool, effects: &mut Vec<Effect>) {
        self.offer.measured(load, has_disk_space);
        self.offer.forget_if_gone(now.monotonic);
        self.outbox.give_up_on_lost(now.monotonic);
        self.return_what_waits_too_long(now, effects);
    }

    /// Returns attempts that have waited too long behind others, so that the worker never hoards long tasks. While it
    /// has a slot, only those wait behind others that are not prepared, because of one that is to run alone.
    fn return_what_waits_too_long(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if is_planted(Fault::PatienceIgnored) {
            return;
        }
        let is_full = self.running >= self.config.slots;
        let patience_us = u64::try_from(self.throughput.patience().as_micros()).unwrap_or(u64::MAX);
        let is_late = |attempt: &AttemptId| {
            self.held.get(attempt).is_some_and(|held| {
                (is_full || held.phase == Phase::Queued) && now.monotonic > held.since.plus_us(patience_us)
            })
        };
        let late: Vec<AttemptId> = self.queue.values().copied().filter(is_late).collect();
        late.into_iter().for_each(|attempt| self.return_unbegun(attempt, effects));
    }
}
