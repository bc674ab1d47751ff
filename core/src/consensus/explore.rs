//! A digest of the state that decides what a node does next, for an explorer that must recognize states it has
//! visited.
//!
//! The digest leaves out:
//!
//! * time, which decides when a timer fires, when an ask or gossip goes out, and when an ask is answered: the
//!   explorer lets all of these happen at any moment;
//! * signatures: it changes nothing which authorities made up a quorum;
//! * the counts of silence: under the explorer's genesis nobody counts as silent;
//! * evidence, which affects nobody but its culprit.

use super::{
    Consensus, VotingStatus,
    state::{Judged, Kind, Round},
};
use crate::{
    digest::Digest,
    types::{Certificate, Statement, View},
};

/// How much of a node's state to tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Detail {
    /// Promises, certificates, what is final, and the blocks that this node voted for or knows as notarized.
    Effective,
    /// All other blocks as well.
    Blocks,
    /// All votes of others as well, though they are too few for a certificate.
    Votes,
}

impl Consensus {
    /// A digest of everything that decides what this node does next in the views up to `up_to`.
    #[must_use]
    pub fn memory(&self, up_to: View, detail: Detail) -> Digest {
        let mut memory = Memory(blake3::Hasher::new());
        memory.number(self.view.0.min(up_to.next().0));
        memory.number(match self.voting_status() {
            VotingStatus::Voting => 0,
            VotingStatus::Follower => 1,
            VotingStatus::JournalLost => 2,
            VotingStatus::VoteUnknown => 3,
        });
        memory.number(u64::from(self.pending) << 2 | u64::from(self.started) << 1);
        memory.number(u64::from(self.view_state.quiet && self.view <= up_to));
        memory.number(self.tip.epoch.0);
        memory.digest(&self.tip.top);
        memory.number(self.executed.0);
        if let Some(finalization) = &self.finalization {
            memory.statement(&finalization.statement);
        }
        for (view, round) in self.rounds.range(..=up_to) {
            // Nothing depends on the tip's own round any more.
            if *view > self.tip.view {
                self.remember_round(&mut memory, round, detail);
            }
        }
        Digest(*memory.0.finalize().as_bytes())
    }

    fn remember_round(&self, memory: &mut Memory, round: &Round, detail: Detail) {
        for ((_, voter), (statement, _)) in &round.votes {
            if Some(*voter) == self.me || detail >= Detail::Votes {
                memory.number(u64::from(voter.0));
                memory.statement(statement);
            }
        }
        for certificate in round.certificates.values() {
            memory.number(u64::MAX);
            memory.statement(&certificate.statement);
        }
        let own = self.me.and_then(|me| round.vote(Kind::Notarize, me)).and_then(|(statement, _)| statement.block());
        for candidate in &round.candidates {
            let effective = [own, round.notarized()].contains(&Some(candidate.digest));
            if effective || detail >= Detail::Blocks {
                memory.number(u64::MAX - 1);
                memory.digest(&candidate.digest);
                memory.number(match candidate.judged {
                    // The reason why a block waits is found anew at every input.
                    Judged::Deferred(_) => 0,
                    Judged::Valid => 1,
                    Judged::Invalid(_) => 2,
                });
            }
        }
    }

    /// The certificates known here, of the final tip's view and of those above.
    pub fn certificates(&self) -> impl Iterator<Item = &Certificate> {
        self.rounds.values().flat_map(|round| round.certificates.values()).chain(&self.finalization)
    }

    /// Whether a block is here, or final.
    #[must_use]
    pub fn has_block(&self, digest: &Digest) -> bool {
        [self.tip.digest, self.tip.top].contains(digest) || self.candidate(digest).is_some()
    }
}

struct Memory(blake3::Hasher);

impl Memory {
    fn number(&mut self, number: u64) {
        self.0.update(&number.to_le_bytes());
    }

    fn digest(&mut self, digest: &Digest) {
        self.0.update(&digest.0);
    }

    fn statement(&mut self, statement: &Statement) {
        self.number(Kind::of(statement) as u64);
        self.number(statement.view().0);
        self.digest(&statement.block().unwrap_or(Digest::ZERO));
    }
}
