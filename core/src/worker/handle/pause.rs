//! A pause: the worker begins nothing more, and what runs goes on.

use crate::{
    types::{AttemptId, Verdict},
    worker::{Effect, Phase, Worker},
};

impl Worker {
    pub(super) fn on_pause(&mut self, effects: &mut Vec<Effect>) {
        self.offer.pause(true);
        self.return_what_waits(effects);
    }

    /// Returns every attempt that has not begun.
    pub(super) fn return_what_waits(&mut self, effects: &mut Vec<Effect>) {
        let waits: Vec<AttemptId> = self.queue.values().copied().collect();
        waits.into_iter().for_each(|attempt| self.return_unbegun(attempt, effects));
    }

    /// Returns an attempt that has not begun.
    pub(super) fn return_unbegun(&mut self, attempt: AttemptId, effects: &mut Vec<Effect>) {
        self.free(&attempt, Phase::Said);
        effects.push(Effect::Stop(attempt));
        self.outbox.push(attempt, Verdict::Returned);
    }
}
