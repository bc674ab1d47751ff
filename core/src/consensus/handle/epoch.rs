//! How one epoch ends and the next begins. The rules are in [`consensus`](crate::consensus), under *Epochs*.
//!
//! The epoch changes in one place, [`Consensus::change_epoch`], between two steps of the loop that follows
//! every input. So no handler ends in another epoch than the one in which it began, and none enters a view of
//! an epoch that is over.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    consensus::{
        Application, Consensus, Effect, Input, Judgement, Step,
        chain::MissingSince,
        rules::{EARLY_PROPOSALS_MAX, EARLY_VOTES_MAX, PROPOSALS_AHEAD_MAX},
        state::{Early, Round},
    },
    fault::{Fault, is_planted},
    types::{Certificate, Epoch, View},
};

impl Consensus {
    /// Whether a block that ends the epoch is certified here. From then on views serve to close the epoch.
    pub(super) fn is_closing(&self) -> bool {
        let certified = |round: &Round| {
            let notarized = round.notarized().and_then(|digest| self.candidate(&digest));
            notarized.is_some_and(|candidate| candidate.header().role.ends_epoch())
        };
        self.tip.role.ends_epoch() || self.rounds.values().any(certified)
    }

    /// Whether the handover is final. Then nothing is left to do in this epoch.
    pub(super) fn is_over(&self) -> bool {
        self.tip.role.next_authorities().is_some() || (self.tip.role.is_closing() && is_planted(Fault::EndsUnnamed))
    }

    /// Begins the next epoch, if this one is over and its last block is executed here. Returns whether it did.
    pub(super) fn change_epoch<A: Application>(&mut self, step: &mut Step<'_>, app: &mut A) -> bool {
        let next = self.tip.role.next_authorities();
        if self.executed < self.tip.height {
            return false;
        }
        let Some(close) = app.close(self.tip.height) else { return false };
        if Some(close.next.digest()) != next && !is_planted(Fault::EndsUnnamed) {
            debug_assert!(false, "a quorum executes otherwise than this node");
            return false;
        }
        self.send_votes(step);
        let handover = self.tip.finalization.take();
        self.tip = self.tip.in_next_epoch();
        self.rules = self.rules.under(close.next);
        let left = self.me.filter(|_| is_planted(Fault::LeaverVotes));
        self.me = self.key.as_ref().and_then(|key| self.rules.set.index_of(&key.public())).or(left);
        self.forget_epoch();
        self.handover = handover;
        let (epoch, authorities) = (self.tip.epoch, Arc::clone(&self.rules.set));
        step.effects.push(Effect::Epoch { epoch, authorities });
        if !is_planted(Fault::JournalOfAnyEpoch) {
            step.effects.push(Effect::Prune { epoch, below: View(0) });
        }
        self.view = View(1);
        self.begin(step, View(1));
        let Early { proposals, votes } = std::mem::take(&mut self.early);
        for proposal in proposals {
            let digest = proposal.block.header.digest();
            self.on_proposal(step, proposal, digest);
        }
        for vote in votes {
            self.on_vote(step, vote);
        }
        true
    }

    /// Forgets everything known of views, and of peers by their index.
    fn forget_epoch(&mut self) {
        self.finalization = None;
        self.closing.clear();
        self.rounds.clear();
        self.index.clear();
        self.uncovered.clear();
        self.finalize_sent.clear();
        self.missing_since = MissingSince::default();
        self.asked = None;
        self.ask_turn = self.me.map_or(0, |me| usize::from(me.0));
        self.answered.clear();
        self.gossiped = View(0);
        self.silence = vec![0; self.rules.authorities()];
        self.evidence = BTreeMap::new();
        self.proposed = None;
    }

    /// Keeps messages of the next epoch until that begins, if this one is ending: authorities that began it
    /// earlier do not repeat them. Gossip must not forward them, because this node cannot check their
    /// signatures.
    pub(super) fn hold_early(&mut self, input: &Input) -> Option<Judgement> {
        let next = self.tip.epoch.next();
        let is_next = |epoch: Epoch| epoch == next;
        let held = Judgement::Ignore("of an epoch that has not begun here");
        match input {
            Input::Proposal(proposal) if is_next(proposal.block.header.epoch) && self.is_closing() => {
                let near = proposal.block.header.view.0 <= PROPOSALS_AHEAD_MAX;
                let proposals = &mut self.early.proposals;
                if near && proposals.len() < EARLY_PROPOSALS_MAX && !proposals.iter().any(|known| **known == *proposal)
                {
                    proposals.push(Arc::new(proposal.clone()));
                }
                Some(held)
            }
            Input::Votes(votes) if votes.iter().any(|vote| is_next(vote.epoch)) && self.is_closing() => {
                let left = EARLY_VOTES_MAX.saturating_sub(self.early.votes.len());
                let early = votes.iter().filter(|vote| is_next(vote.epoch)).take(left);
                self.early.votes.extend(early.cloned());
                Some(held)
            }
            _ => None,
        }
    }

    /// The finalization that ended the previous epoch, for peers that have not seen it. Without one, the newest
    /// finalization, which at least shows those peers that they are behind.
    #[must_use]
    pub fn handover(&self) -> Option<&Certificate> {
        self.handover.as_ref().or(self.finalization.as_ref())
    }
}
