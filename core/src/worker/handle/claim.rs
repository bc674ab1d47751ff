//! A claim: due, looked up, signed above all that its key signed before.

use crate::{
    consensus::Now,
    fault::{Fault, is_planted},
    types::{Action, Claim, Incarnation},
    worker::{Effect, LookedUp, Stage, Worker},
};

impl Worker {
    /// Has looked up what a claim needs, if one is due.
    pub(super) fn look_up(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let waiting = self.throughput.waiting_places(self.config.slots);
        if !self.looks_up && self.offer.is_due(waiting, now.monotonic) {
            self.looks_up = true;
            effects.push(Effect::LookUp { blobs: self.offer.wants_holds(now.monotonic) });
        }
    }

    pub(super) fn on_looked_up(&mut self, now: Now, looked_up: LookedUp, effects: &mut Vec<Effect>) {
        self.looks_up = false;
        let LookedUp { lacks_blocks, network_time, last, blobs } = looked_up;
        let waiting = self.throughput.waiting_places(self.config.slots);
        // It would be given what it does not hear of. Another may have that once this one's claim has run out.
        if lacks_blocks || self.stage != Stage::Working || !self.offer.is_due(waiting, now.monotonic) {
            return;
        }
        self.network_time = network_time;
        self.exceed(last);
        if let Some(blobs) = blobs {
            self.offer.hold(blobs, now.monotonic);
        }
        let signs_as = (self.next_sequence(now), self.incarnation);
        let ticket = self.next_ticket();
        let claim = self.offer.claim(&self.config, signs_as, (waiting, now.monotonic), ticket);
        effects.push(self.hand_in(now, ticket, Action::Claim(claim)));
    }

    /// A process whose clock was set back must still sign above what its key signed before. Its incarnation is that of
    /// its first claim that stood.
    fn exceed(&mut self, last: Option<(u64, Incarnation)>) {
        let Some((sequence, incarnation)) = last.filter(|_| !is_planted(Fault::LastSequenceIgnored)) else { return };
        self.sequence = self.sequence.max(sequence);
        // What is equal was executed just now, and is this process' own.
        if !self.offer.has_stood() && incarnation > self.incarnation {
            self.incarnation = incarnation.next();
        }
    }

    pub(super) fn next_sequence(&mut self, now: Now) -> u64 {
        self.sequence = Claim::next_sequence(self.sequence, now.clock);
        self.sequence
    }
}
