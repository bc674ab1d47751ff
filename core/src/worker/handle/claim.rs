//! Claims: looks up what a claim needs, and signs it above everything that its key signed before.

use crate::{
    consensus::Now,
    fault::{Fault, is_planted},
    types::{Action, Claim, Incarnation},
    worker::{Effect, LookedUp, Stage, Worker},
};

impl Worker {
    /// Asks for a look-up if a claim is due.
    pub(super) fn look_up(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let waiting = self.throughput.waiting_places(self.config.slots);
        if !self.looks_up && self.offer.is_due(waiting, now.monotonic) && !self.waits_to_be_heard(now) {
            self.looks_up = true;
            effects.push(Effect::LookUp { blobs: self.offer.wants_holds(now.monotonic) });
        }
    }

    pub(super) fn on_looked_up(&mut self, now: Now, looked_up: LookedUp, effects: &mut Vec<Effect>) {
        self.looks_up = false;
        let LookedUp { lacks_blocks, network_time, last, blobs } = looked_up;
        let waiting = self.throughput.waiting_places(self.config.slots);
        // A peer that lacks blocks would not hear what it is given. When this claim runs out, others can have the
        // tasks.
        if lacks_blocks || self.stage != Stage::Working || !self.offer.is_due(waiting, now.monotonic) {
            return;
        }
        self.network_time = network_time;
        if self.tell_deaths(now, effects) {
            return;
        }
        self.exceed(last);
        if let Some(blobs) = blobs {
            self.offer.hold(blobs, now.monotonic);
        }
        let signs_as = (self.next_sequence(now), self.incarnation);
        let ticket = self.next_ticket();
        let claim = self.offer.claim(&self.config, signs_as, (waiting, now.monotonic), ticket);
        effects.push(self.hand_in(now, ticket, Action::Claim(claim)));
    }

    /// A process whose clock was set back must still sign above what its key signed before. The incarnation of its
    /// first standing claim remains its incarnation.
    fn exceed(&mut self, last: Option<(u64, Incarnation)>) {
        let Some((sequence, incarnation)) = last.filter(|_| !is_planted(Fault::LastSequenceIgnored)) else { return };
        self.sequence = self.sequence.max(sequence);
        // An equal incarnation is this process' own claim, executed just now.
        if !self.offer.has_stood() && incarnation > self.incarnation {
            self.incarnation = incarnation.next();
        }
    }

    pub(super) fn next_sequence(&mut self, now: Now) -> u64 {
        self.sequence = Claim::next_sequence(self.sequence, now.clock);
        self.sequence
    }
}
