//! Handles inputs: one file for each kind, and here what follows from any of them.

mod begin;
mod claim;
mod died;
mod drain;
mod executed;
mod handed_in;
mod pause;
mod progress;
mod resynchronized;
mod tick;

use super::{Effect, Input, Stage, Worker};
use crate::{consensus::Now, types::Action};

impl Worker {
    /// Handles one input and everything that follows from it. Appends to `effects`.
    pub fn handle(&mut self, now: Now, input: Input, effects: &mut Vec<Effect>) {
        // A mere answer to an effect does not change what can begin, be reported or be claimed.
        let is_answer = matches!(input, Input::LookedUp(_) | Input::Signed { .. } | Input::Refused(_));
        match input {
            Input::Executed(news) => self.on_executed(now, news, effects),
            Input::Resynchronized(standing) => self.on_resynchronized(now, standing, effects),
            Input::Progress(progress) => progress.into_iter().for_each(|progress| self.on_progress(progress)),
            Input::Tick { load, has_disk_space } => self.on_tick(now, load, has_disk_space, effects),
            Input::LookedUp(looked_up) => self.on_looked_up(now, looked_up, effects),
            Input::Signed { ticket, id } => self.on_signed(ticket, id),
            Input::Refused(ticket) => self.on_refused(now, ticket, effects),
            Input::Pause => self.on_pause(effects),
            Input::Resume => self.offer.pause(false),
            Input::Drain => self.on_drain(now, effects),
        }
        self.forget_heard_deaths(effects);
        if is_answer {
            return;
        }
        match self.stage {
            Stage::Working => {
                self.prepare(now, effects);
                self.begin(effects);
                self.report(now, effects);
                self.look_up(now, effects);
            }
            Stage::Finishing { .. } | Stage::Draining { .. } => {
                self.report(now, effects);
                self.go_on_leaving(now, effects);
            }
            Stage::Left => {}
        }
    }

    /// Hands in the reports that are due.
    fn report(&mut self, now: Now, effects: &mut Vec<Effect>) {
        loop {
            let ticket = self.next_ticket();
            let Some(report) = self.outbox.next(now.monotonic, ticket) else { return };
            effects.push(self.hand_in(now, ticket, Action::Report(report)));
        }
    }
}
