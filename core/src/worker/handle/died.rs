//! Deaths: the process before this one died while it compiled or ran attempts. The worker says so before it claims
//! anything, because a claim ends those attempts as merely lost.

use crate::{
    consensus::Now,
    fault::{Fault, is_planted},
    types::Verdict,
    worker::{Died, Effect, Worker},
};

/// How long the first claim waits for the ledger to hear of the deaths, in microseconds. It takes them later too.
const HEARD_WITHIN_US: u64 = 5_000_000;

impl Worker {
    /// Reports what the process before this one died of. Tells whether there was something to report.
    pub(super) fn tell_deaths(&mut self, now: Now, effects: &mut Vec<Effect>) -> bool {
        if self.told_deaths.is_some() || self.died_of.is_empty() {
            return false;
        }
        self.told_deaths = Some(now.monotonic);
        if is_planted(Fault::DeathUntold) {
            self.died_of.clear();
            return false;
        }
        for Died { attempt, alone } in &self.died_of {
            self.outbox.push(*attempt, Verdict::HostDied { alone: *alone });
        }
        self.report(now, effects);
        true
    }

    /// Whether to wait with a claim until the ledger has heard of the deaths.
    pub(super) fn waits_to_be_heard(&self, now: Now) -> bool {
        !self.died_of.is_empty() && self.told_deaths.is_some_and(|at| now.monotonic < at.plus_us(HEARD_WITHIN_US))
    }

    /// Lets the driver forget the deaths that the ledger has judged.
    pub(super) fn forget_heard_deaths(&mut self, effects: &mut Vec<Effect>) {
        if self.told_deaths.is_none() {
            return;
        }
        let outbox = &self.outbox;
        let heard = |died: &mut Died| !outbox.has(&died.attempt);
        effects.extend(self.died_of.extract_if(.., heard).map(|died| Effect::Forget(died.attempt)));
    }
}
