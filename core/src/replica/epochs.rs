//! Messages of other epochs, the beginning of the next epoch, and fetching the blocks in between.

use std::sync::Arc;

use super::{Action, Message, Replica};
use crate::{
    consensus::{Input, Judgement, Now, Tell},
    fault::{Fault, is_planted},
    identity::PublicKey,
    proof::Handover,
    types::{AuthoritySet, Epoch, Vote},
};

impl Replica {
    /// Takes votes of an authority of this epoch, or, as this epoch ends, of the next.
    pub(super) fn votes(
        &mut self,
        now: Now,
        from: &PublicKey,
        votes: Vec<Vote>,
        actions: &mut Vec<Action>,
    ) -> Judgement {
        let epoch = self.consensus.epoch();
        votes.iter().for_each(|vote| self.suspect(vote.epoch));
        let is_own =
            |set: &AuthoritySet| set.index_of(from).is_some_and(|index| votes.iter().all(|vote| vote.voter == index));
        let judgement = match votes.iter().map(|vote| vote.epoch).min() {
            Some(of) if of == epoch && !is_own(self.consensus.authorities()) => {
                Judgement::Reject("votes from someone who did not cast them")
            }
            Some(of) if of == epoch || (of == epoch.next() && is_own(self.ledger.next_authorities())) => {
                self.step(now, Input::Votes(votes), actions)
            }
            _ => Judgement::Ignore("votes of another epoch"),
        };
        self.catch_up(now, actions);
        judgement
    }

    /// Answers a peer that asks from another epoch.
    pub(super) fn hand_over(&mut self, now: Now, to: PublicKey, actions: &mut Vec<Action>) -> Judgement {
        let Some(handover) = self.consensus.handover().cloned() else {
            return Judgement::Ignore("asked from another epoch");
        };
        if !self.sync.may_serve(to, now.monotonic) {
            return Judgement::Ignore("asked too soon");
        }
        let tell = Tell { certificates: vec![handover], ..Tell::default() };
        actions.push(Action::Send { to, message: Message::Tell(Box::new(tell)) });
        Judgement::Accept
    }

    /// Notes a message of this epoch. If the epoch has not begun here, this peer cannot judge the message, and
    /// asks a peer for the blocks in between.
    pub(super) fn suspect(&mut self, epoch: Epoch) {
        self.heard_of = self.heard_of.max(epoch);
        self.suspects |= epoch > self.consensus.epoch() && !is_planted(Fault::LaterEpochsIgnored);
    }

    pub(super) fn epoch_begins(&mut self, epoch: Epoch, authorities: &Arc<AuthoritySet>) -> Option<Action> {
        self.suspects = false;
        let closing = self.closing.as_ref()?;
        let handover = Handover {
            header: closing.handover()?.clone(),
            authorities: AuthoritySet::clone(authorities),
            finalization: closing.finalization.clone(),
        };
        Some(Action::Epoch { epoch, handover: Box::new(handover) })
    }

    pub(super) fn catch_up(&mut self, now: Now, actions: &mut Vec<Action>) {
        if (self.behind.is_none() && !self.suspects) || is_planted(Fault::NeverCatchesUp) {
            return;
        }
        if self.behind.is_none() && !self.sync.may_suspect(now.monotonic) {
            return;
        }
        if let Some(to) = self.sync.ask(now.monotonic) {
            self.suspects = false;
            let message = Message::BlocksFrom(self.consensus.epoch(), self.ledger.height().next());
            actions.push(Action::Send { to, message });
        }
    }
}
