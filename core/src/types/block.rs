//! Blocks and proposals.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_tuple::{Deserialize_tuple, Serialize_tuple};

use super::{BlockTime, Certificate, Epoch, Height, SignedTransaction, View};
use crate::{digest::Digest, identity::Signature};

/// A block's header, which authorities vote on. Its digest names the block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Header {
    /// The epoch, which says whose block it is.
    pub epoch: Epoch,
    /// The view, which says which authority led.
    pub view: View,
    /// The block's role in its epoch.
    pub role: Role,
    /// The block's place: the parent's height and one. A closing block has the height of its epoch's last
    /// block.
    pub height: Height,
    /// The parent's digest; [`Digest::ZERO`] below the first block.
    pub parent: Digest,
    /// The block's time, later than the parent's. A closing block has the time of its epoch's last block.
    pub time: BlockTime,
    /// The digest of the transactions; see [`Block::transactions_digest`].
    pub transactions: Digest,
    /// F: the newest height that the proposer knows to be final, never below the parent's F. A closing block
    /// that names the next authorities has the last block's height; any other has its parent's F.
    pub final_height: Height,
    /// R: the height whose result this header carries, which is the parent's F. A closing block that names the
    /// next authorities carries the last block's result; any other carries none, which is 0 and
    /// [`Digest::ZERO`].
    pub result_height: Height,
    /// The root over all receipts up to R.
    pub result: Digest,
    /// The digests of the ledger's state at the snapshot heights that are due, in rising order.
    pub snapshots: Vec<SnapshotDigest>,
}

/// A block's role in its epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// A block that orders transactions.
    Inner,
    /// The epoch's last block, at a gate: the result of its R holds a change that was approved in this epoch.
    Last,
    /// A closing block, above the last block. It orders nothing and has no height of its own. If its proposer
    /// knows the last block's result, it carries that result and, here, the digest of the next epoch's
    /// [`AuthoritySet`](super::AuthoritySet).
    Closing(Option<Digest>),
}

impl Role {
    /// Whether only closing blocks may stand on a block of this role in its epoch.
    #[must_use]
    pub const fn ends_epoch(self) -> bool {
        !matches!(self, Self::Inner)
    }

    /// Whether this is a closing block.
    #[must_use]
    pub const fn is_closing(self) -> bool {
        matches!(self, Self::Closing(_))
    }

    /// The digest of the next epoch's authorities, if the block names them.
    #[must_use]
    pub const fn next_authorities(self) -> Option<Digest> {
        match self {
            Self::Closing(next) => next,
            Self::Inner | Self::Last => None,
        }
    }
}

/// The state at a snapshot height.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct SnapshotDigest {
    /// The height.
    pub height: Height,
    /// The digest of the ledger's state after that height's block.
    pub state: Digest,
}

impl Header {
    /// The digest that names the block.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of_value("meshwork 1 block header", self)
    }

    /// Whether a block with this header may stand on a block of height `parent`, judged by its own height.
    #[must_use]
    pub fn stands_at(&self, parent: Height) -> bool {
        self.height == if self.role.is_closing() { parent } else { parent.next() }
    }
}

/// A block: its header and the transactions that it orders.
#[derive(Clone, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Block {
    /// The header, which authorities vote on.
    pub header: Header,
    /// The transactions, in the order of execution.
    pub transactions: Vec<Arc<SignedTransaction>>,
}

impl Block {
    /// The digest of a list of transactions, signatures included.
    #[must_use]
    pub fn transactions_digest(transactions: &[Arc<SignedTransaction>]) -> Digest {
        Digest::of_value("meshwork 1 block transactions", transactions)
    }

    /// Whether the header names these transactions.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        Self::transactions_digest(&self.transactions) == self.header.transactions
    }

    /// How many bytes the transactions take, at most.
    #[must_use]
    pub fn transaction_bytes(&self) -> usize {
        self.transactions.iter().map(|transaction| transaction.wire_bytes()).sum()
    }
}

/// The closing blocks of an epoch that are final so far.
#[derive(Clone, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Closing {
    /// Oldest first; the first stands on the epoch's last block. At least one.
    pub blocks: Vec<Arc<Block>>,
    /// The finalization of the last of them.
    pub finalization: Certificate,
}

impl Closing {
    /// The header that names the next authorities, if there is one. Then the epoch is over.
    #[must_use]
    pub fn handover(&self) -> Option<&Header> {
        self.blocks.last().map(|block| &block.header).filter(|header| header.role.next_authorities().is_some())
    }
}

/// A leader's block for its view.
#[derive(Clone, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Proposal {
    /// The block.
    pub block: Arc<Block>,
    /// The leader's own signature on `notarize(view, digest)`: its vote.
    pub signature: Signature,
    /// The finalization that shows the header's F, where that is above the parent's.
    pub finalization: Option<Certificate>,
}
