//! What must survive a crash, and how a restart takes it up again.
//!
//! A vote is durable before it is sent, and a notarize vote together with its proposal. So after a restart a
//! node knows all its promises and can show every block that it voted for. Certificates are durable before the
//! votes that follow from them. So a restarted node is in the view that it had reached, and has what its next
//! proposal must show.
//!
//! Records are bound to their epoch. The records of a past epoch may be dropped in the step that stores its
//! handover. No record of the next epoch is durable before that step. So a restarted node is in the newest
//! epoch in which it has promised anything.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    Consensus, VotingStatus,
    evidence::conflict,
    state::{Candidate, Judged, Kind},
};
use crate::{
    fault::{Fault, is_planted},
    types::{Certificate, Epoch, Proposal, Statement, View, Vote},
};

/// One entry of the journal. Entries may be read back in any order, and more than once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Record {
    /// This node's own notarize vote, with the proposal that it is for.
    Notarized(Vote, Arc<Proposal>),
    /// This node's own nullify or finalize vote.
    Voted(Vote),
    /// A certificate above the last final block, or that block's own.
    Certified(Certificate),
    /// This key does not vote again: the node was shown a vote of its own that the journal lacks.
    Stopped,
}

impl Record {
    /// The epoch and view that the record is about. `None`: it is never pruned.
    #[must_use]
    pub fn place(&self) -> Option<(Epoch, View)> {
        match self {
            Self::Notarized(vote, _) | Self::Voted(vote) => Some((vote.epoch, vote.statement.view())),
            Self::Certified(certificate) => Some((certificate.epoch, certificate.statement.view())),
            Self::Stopped => None,
        }
    }
}

impl Consensus {
    /// Takes up a journal. Nothing goes out yet: the consequences come at the first input.
    pub(super) fn restore(&mut self, journal: Vec<Record>) {
        for record in journal {
            let tip = (self.tip.epoch, self.tip.view);
            if record.place().is_some_and(|place| place <= tip && !is_planted(Fault::JournalOfAnyEpoch)) {
                continue;
            }
            if record.place().is_some_and(|(epoch, _)| epoch > tip.0) {
                // A record of a later epoch is stored only with the handover before it. These records do not
                // belong to this store.
                self.stop_voting(VotingStatus::JournalLost);
                continue;
            }
            match record {
                Record::Notarized(vote, proposal) => {
                    self.restore_proposal(proposal);
                    self.restore_vote(vote);
                }
                Record::Voted(vote) => self.restore_vote(vote),
                Record::Certified(certificate) => self.restore_certificate(certificate),
                Record::Stopped => self.trust = VotingStatus::VoteUnknown,
            }
        }
    }

    fn restore_proposal(&mut self, proposal: Arc<Proposal>) {
        let (view, digest) = (proposal.block.header.view, proposal.block.header.digest());
        if self.candidate(&digest).is_none() {
            // The proposal was checked before the vote, and the proposal's signature is its leader's vote.
            let vote = (Statement::Notarize(view, digest), proposal.signature);
            let leader = self.rules.leader(view);
            self.round_mut(view).votes.insert((Kind::Notarize, leader), vote);
            self.insert_candidate(Candidate::new(proposal, digest, Judged::Valid));
        }
    }

    fn restore_vote(&mut self, vote: Vote) {
        // A journal that belongs to another key says nothing about this one's promises.
        if Some(vote.voter) != self.me {
            self.stop_voting(VotingStatus::JournalLost);
            return;
        }
        let view = vote.statement.view();
        self.view = self.view.max(view);
        let votes = &mut self.round_mut(view).votes;
        debug_assert!(
            !votes.values().any(|(other, _)| conflict(other, &vote.statement)),
            "the journal breaks a promise"
        );
        votes.insert((Kind::of(&vote.statement), vote.voter), (vote.statement, vote.signature));
    }

    fn restore_certificate(&mut self, certificate: Certificate) {
        let (view, kind) = (certificate.statement.view(), Kind::of(&certificate.statement));
        self.view = self.view.max(view.next());
        if kind == Kind::Finalize && self.finalization.as_ref().is_none_or(|newest| newest.statement.view() < view) {
            self.finalization = Some(certificate.clone());
        }
        self.round_mut(view).certificates.entry(kind).or_insert(certificate);
    }

    /// Has this node's key vote no more, in whatever epoch, unless it does not vote anyway.
    pub(super) fn stop_voting(&mut self, voting_status: VotingStatus) {
        if self.trust == VotingStatus::Voting {
            self.trust = voting_status;
        }
    }
}
