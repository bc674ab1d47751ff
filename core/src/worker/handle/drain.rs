//! Leaving: the worker hands in what is done, gives the rest back, and tells the ledger.

use crate::{
    consensus::Now,
    fault::{Fault, is_planted},
    types::{Action, AttemptId, Drain},
    worker::{Effect, Held, Phase, Stage, Worker},
};

/// How long a leaving worker waits for the ledger to take what is done, in microseconds. It waits as long again for its
/// drain to be executed.
const DRAIN_US: u64 = 5_000_000;

impl Worker {
    pub(super) fn on_drain(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if self.stage != Stage::Working {
            return;
        }
        self.stage = Stage::Finishing { until: now.monotonic.plus_us(DRAIN_US) };
        self.return_what_waits(effects);
        let runs = self.held.iter().filter(|(_, held)| held.phase == Phase::Running);
        let runs: Vec<AttemptId> = runs.map(|(attempt, _)| *attempt).collect();
        for attempt in runs {
            // The drain gives it back.
            self.free(&attempt, Phase::Over);
            effects.push(Effect::Stop(attempt));
        }
    }

    /// Drains once everything done is taken, and leaves once the drain is executed. Does both at the latest when the
    /// time is up.
    pub(super) fn go_on_leaving(&mut self, now: Now, effects: &mut Vec<Effect>) {
        match self.stage {
            Stage::Finishing { .. } if self.offer.newer().is_some() => {
                // The standing claim is another process's, so a drain would end the wrong one.
                self.leave(false, effects);
            }
            Stage::Finishing { until } if now.monotonic >= until || self.has_finished() => {
                let (ticket, sequence) = (self.next_ticket(), self.next_sequence(now));
                let until = now.monotonic.plus_us(DRAIN_US);
                self.stage = Stage::Draining { until, ticket, id: None };
                effects.push(self.hand_in(now, ticket, Action::Drain(Drain { sequence })));
            }
            Stage::Draining { until, .. } if now.monotonic >= until => self.leave(false, effects),
            _ => {}
        }
    }

    /// Whether everything that has run is delivered, reported and taken.
    fn has_finished(&self) -> bool {
        if !self.outbox.is_empty() || is_planted(Fault::DrainForgetsDeliveries) {
            return self.outbox.is_empty();
        }
        let is_open = |held: &Held| matches!(held.phase, Phase::Delivering | Phase::Said);
        self.redelivered.is_empty() && !self.held.values().any(is_open)
    }

    pub(super) fn leave(&mut self, is_known: bool, effects: &mut Vec<Effect>) {
        self.stage = Stage::Left;
        effects.push(Effect::Left { is_known });
    }
}
