//! All that can come in.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_tuple::{Deserialize_tuple, Serialize_tuple};

use super::Evidence;
use crate::{
    digest::Digest,
    identity::{NetworkId, SecretKey},
    types::{
        AuthorityIndex, AuthoritySet, Block, BlockTime, Certificate, Epoch, Genesis, Height, Proposal, View, Vote,
    },
};

/// Microseconds of a monotonic local clock, from any start. For timers only; it never travels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Monotonic(pub u64);

impl Monotonic {
    /// So many microseconds later, at most the end of time.
    #[must_use]
    pub const fn plus_us(self, us: u64) -> Self {
        Self(self.0.saturating_add(us))
    }
}

/// The moment at which an input is handled.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// For timers. Never earlier than at the call before.
    pub monotonic: Monotonic,
    /// The wall clock, for block times. It may jump.
    pub clock: BlockTime,
}

/// Who runs the round, and on which network.
#[derive(Clone, Debug)]
pub struct Config {
    /// What the network is founded on.
    pub genesis: Arc<Genesis>,
    /// Its digest, which signatures are bound to.
    pub network: NetworkId,
    /// This node's key. Whoever's key is not an authority's follows without voting, as does one without a key.
    pub key: Option<SecretKey>,
    /// The authorities of the epoch that the final tip is in.
    pub authorities: Arc<AuthoritySet>,
}

/// What the round is told.
#[derive(Clone, Debug)]
pub enum Input {
    /// Time has passed: [`super::Consensus::next_wake`] is due.
    Tick,
    /// A proposal, by gossip.
    Proposal(Proposal),
    /// Votes, directly from an authority.
    Votes(Vec<Vote>),
    /// A finalization, by gossip.
    Certificate(Certificate),
    /// An authority asks, over a stream that shows who it is.
    Ask {
        /// Who asks, and will be answered.
        from: AuthorityIndex,
        /// What it has and lacks.
        ask: Ask,
    },
    /// An authority tells, asked or not.
    Tell(Tell),
    /// Blocks fetched by range, closing blocks among them. They are consecutive, the first is at most one above the final
    /// tip, and the finalization is of the last.
    Blocks {
        /// The blocks, oldest first.
        blocks: Vec<Arc<Block>>,
        /// The finalization of the last one.
        finalization: Certificate,
    },
    /// Proof against an authority: by gossip, or kept from before a restart.
    Evidence(Evidence),
    /// There is, or no longer is, something to order: a pooled transaction, a lease falling due.
    Reason(bool),
    /// The application has executed the final block at this height and all below.
    Executed(Height),
}

/// What an authority has, so that another can tell it what it lacks. Answered at most once per half a Δ and peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Ask {
    /// Under which set of authorities.
    pub epoch: Epoch,
    /// The view that the asker is in.
    pub view: View,
    /// The view of the newest finalization that it knows.
    pub final_view: View,
    /// The height up to which it has final blocks.
    pub final_height: Height,
    /// Whether it lacks the proposal of its view.
    pub proposal: bool,
    /// Views whose notarization or nullification it lacks; at most 32.
    pub views: Vec<View>,
    /// Blocks that it lacks, with their ancestors above its final height; at most 32.
    pub blocks: Vec<Digest>,
}

/// Votes, certificates and proposals for one who may lack them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Tell {
    /// At most 64.
    pub certificates: Vec<Certificate>,
    /// At most 16, oldest first.
    pub proposals: Vec<Arc<Proposal>>,
    /// The teller's own; at most 192.
    pub votes: Vec<Vote>,
}

/// What goes between two authorities besides votes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Message {
    /// What one has, and lacks.
    Ask(Ask),
    /// What the other may lack.
    Tell(Tell),
}

/// What became of an input: whether gossip should forward it, and what to think of its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// It was good, and news.
    Accept,
    /// It cannot be judged yet and is kept until it can be; its sender did no wrong. What a leader signed may be forwarded.
    Held(&'static str),
    /// Late, known or of no use here. Nobody's fault.
    Ignore(&'static str),
    /// No honest peer sends this.
    Reject(&'static str),
}

impl Judgement {
    /// The worse of two, for inputs of several parts: a reason to refuse outweighs all, news outweighs what is old.
    pub(super) fn and(self, other: Self) -> Self {
        let rank = |judgement: &Self| match judgement {
            Self::Reject(_) => 3,
            Self::Accept => 2,
            Self::Held(_) => 1,
            Self::Ignore(_) => 0,
        };
        if rank(&other) > rank(&self) { other } else { self }
    }
}
