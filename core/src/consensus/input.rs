//! Everything that can come in.

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

/// Microseconds of a monotonic local clock, counted from any start. It is for timers only and never travels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Monotonic(pub u64);

impl Monotonic {
    /// The instant this many microseconds later, at most the end of time.
    #[must_use]
    pub const fn plus_us(self, us: u64) -> Self {
        Self(self.0.saturating_add(us))
    }
}

/// The instant at which an input is handled.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// For timers. Never earlier than at the previous call.
    pub monotonic: Monotonic,
    /// The wall clock, for block times. It may jump.
    pub clock: BlockTime,
}

/// The node that runs the round, and its network.
#[derive(Clone, Debug)]
pub struct Config {
    /// The network's genesis.
    pub genesis: Arc<Genesis>,
    /// The genesis' digest, which signatures are bound to.
    pub network: NetworkId,
    /// This node's key. A node without a key, or whose key is no authority's, follows without voting.
    pub key: Option<SecretKey>,
    /// The authorities of the epoch that the final tip is in.
    pub authorities: Arc<AuthoritySet>,
}

/// Everything that the round is told.
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
    /// An authority asks, over a stream that shows which one it is.
    Ask {
        /// The authority that asks, and gets the answer.
        from: AuthorityIndex,
        /// What it has and what it lacks.
        ask: Ask,
    },
    /// An authority tells, asked or not.
    Tell(Tell),
    /// Blocks fetched by range, closing blocks among them. They are consecutive, the first is at most one
    /// height above the final tip, and the finalization is that of the last.
    Blocks {
        /// The blocks, oldest first.
        blocks: Vec<Arc<Block>>,
        /// The finalization of the last one.
        finalization: Certificate,
    },
    /// Proof against an authority: by gossip, or kept from before a restart.
    Evidence(Evidence),
    /// Whether there is something to order: a pooled transaction, or a lease that falls due.
    Pending(bool),
    /// The application has executed the final block at this height and all blocks below.
    Executed(Height),
}

/// What an authority has, so that another can tell it what it lacks. Each peer is answered at most once per
/// half a Δ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Ask {
    /// The epoch that the asker is in.
    pub epoch: Epoch,
    /// The view that the asker is in.
    pub view: View,
    /// The view of the newest finalization that the asker knows.
    pub final_view: View,
    /// The height up to which the asker has final blocks.
    pub final_height: Height,
    /// Whether the asker lacks the proposal of its view.
    pub proposal: bool,
    /// Views whose notarization or nullification the asker lacks; at most 32.
    pub views: Vec<View>,
    /// Blocks that the asker lacks, with their ancestors above its final height; at most 32.
    pub blocks: Vec<Digest>,
}

/// Votes, certificates and proposals for an authority that may lack them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Tell {
    /// At most 64.
    pub certificates: Vec<Certificate>,
    /// At most 16, oldest first.
    pub proposals: Vec<Arc<Proposal>>,
    /// The sender's own; at most 192.
    pub votes: Vec<Vote>,
}

/// A message between two authorities, besides votes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Message {
    /// What the sender has and lacks.
    Ask(Ask),
    /// What the receiver may lack.
    Tell(Tell),
}

/// The verdict on an input: whether gossip should forward it, and how to treat its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// It was good and new.
    Accept,
    /// It cannot be judged yet, and is kept until it can be. Its sender did no wrong. Gossip may forward what a
    /// leader signed.
    Deferred(&'static str),
    /// Late, known or of no use here. Nobody is at fault.
    Ignore(&'static str),
    /// No honest peer sends this.
    Reject(&'static str),
}

impl Judgement {
    /// The worse of two, for inputs of several parts: a rejection outweighs everything, and news outweighs what
    /// is old.
    pub(super) fn and(self, other: Self) -> Self {
        let rank = |judgement: &Self| match judgement {
            Self::Reject(_) => 3,
            Self::Accept => 2,
            Self::Deferred(_) => 1,
            Self::Ignore(_) => 0,
        };
        if rank(&other) > rank(&self) { other } else { self }
    }
}
