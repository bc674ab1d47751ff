//! Blocks and proposals.

use std::sync::Arc;

use serde_tuple::{Deserialize_tuple, Serialize_tuple};

use super::{BlockTime, Certificate, Epoch, Height, SignedTransaction, View};
use crate::{digest::Digest, identity::Signature};

/// What authorities vote on. Its digest names the block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Header {
    /// Under which set of authorities.
    pub epoch: Epoch,
    /// In which view, and so by which leader.
    pub view: View,
    /// Its place: the parent's and one.
    pub height: Height,
    /// The parent's digest; [`Digest::ZERO`] below the first block.
    pub parent: Digest,
    /// When: later than the parent.
    pub time: BlockTime,
    /// The digest of the transactions, see [`Block::transactions_digest`].
    pub transactions: Digest,
    /// F: the newest height that the proposer knows to be final. Never below the parent's.
    pub final_height: Height,
    /// R: the height whose result this header carries: the parent's F.
    pub result_height: Height,
    /// The root over all receipts up to R.
    pub result: Digest,
    /// The digests of the ledger's state at the snapshot heights that are due, in rising order.
    pub snapshots: Vec<SnapshotDigest>,
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
    /// The block's name.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of_value("meshwork 1 block header", self)
    }
}

/// A block: its header and the transactions that it orders.
#[derive(Clone, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Block {
    /// What is voted on.
    pub header: Header,
    /// In the order in which they are executed.
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

    /// How many bytes its transactions take, at most.
    #[must_use]
    pub fn transaction_bytes(&self) -> usize {
        self.transactions.iter().map(|transaction| transaction.wire_bytes()).sum()
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
