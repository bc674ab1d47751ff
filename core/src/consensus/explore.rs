//! What of a node decides what it does next, for an explorer that must know when it has been somewhere before.
//!
//! Time is left out: it decides when a timer fires, an ask or gossip goes out, or an ask is answered, and whoever explores
//! lets all of these happen at any moment. So are signatures (who of a quorum it was changes nothing), the counts of
//! silence (the explorer's genesis has nobody count as silent) and evidence (which changes nothing but for its subject).

use super::{
    Consensus, Standing,
    state::{Judged, Kind, Round},
};
use crate::{
    digest::Digest,
    types::{Certificate, Statement, View},
};

/// How closely to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Detail {
    /// Promises, certificates, what is final, and the blocks that are voted for or notarized here.
    Effective,
    /// All blocks besides.
    Blocks,
    /// All votes of others besides, too few for a certificate as they may be.
    Votes,
}

impl Consensus {
    /// A digest of all that decides what this node does next about the views up to one.
    #[must_use]
    pub fn memory(&self, up_to: View, detail: Detail) -> Digest {
        let mut memory = Memory(blake3::Hasher::new());
        memory.number(self.view.0.min(up_to.next().0));
        memory.number(match self.standing() {
            Standing::Voting => 0,
            Standing::Follower => 1,
            Standing::JournalLost => 2,
            Standing::VoteUnknown => 3,
        });
        memory.number(u64::from(self.reason) << 2 | u64::from(self.started) << 1);
        memory.number(u64::from(self.pace.quiet && self.view <= up_to));
        memory.number(self.tip.epoch.0);
        memory.digest(&self.tip.top);
        memory.number(self.executed.0);
        if let Some(finalization) = &self.finalization {
            memory.statement(&finalization.statement);
        }
        for (view, round) in self.rounds.range(..=up_to) {
            // The tip's own round answers to nothing any more.
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
                    // Why a block waits is found anew whenever anything comes.
                    Judged::Held(_) => 0,
                    Judged::Valid => 1,
                    Judged::Invalid(_) => 2,
                });
            }
        }
    }

    /// The certificates that are here, of the final tip's view and those above.
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
