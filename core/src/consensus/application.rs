//! What the round asks of the transaction pool and the ledger, synchronously.

use std::sync::Arc;

use crate::{
    digest::Digest,
    types::{AuthoritySet, Block, BlockTime, Epoch, Height, SignedTransaction, SnapshotDigest, View},
};

/// The pool and the ledger, as the round sees them.
pub trait Application {
    /// Returns the content of a block to propose. `None` if the result at `result_height` is not executed here
    /// yet; the round asks again after the next [`super::Input::Executed`].
    fn build(&mut self, request: &BuildRequest<'_>) -> Option<Content>;

    /// Judges a block's content: signatures, expiry, no repeat in `ancestors`, result and snapshot digests. The
    /// round has checked links, times, heights and sizes. `ancestors` are as in [`BuildRequest::ancestors`].
    fn check(&mut self, block: &Block, ancestors: &[Arc<Block>]) -> Check;

    /// Whether the result at `result_height`, which is executed here, holds a change that was approved in this
    /// epoch. A block at a gate that carries such a result is the epoch's last.
    fn has_change(&mut self, epoch: Epoch, result_height: Height) -> bool {
        let _ = (epoch, result_height);
        false
    }

    /// Returns the outcome of the epoch whose last block is at this height. `None` if that block is not
    /// executed here yet, or is not the newest executed block.
    fn close(&mut self, last: Height) -> Option<Close> {
        let _ = last;
        None
    }

    /// Whether something is left to order above `ancestors`. Asked only after [`super::Input::Pending`]`(true)`.
    /// It keeps a leader from spending its turn on an empty block while the pooled transactions already wait in
    /// a block that is not final.
    fn has_pending(&mut self, ancestors: &[Arc<Block>]) -> bool {
        let _ = ancestors;
        true
    }
}

/// A block to fill.
#[derive(Clone, Copy, Debug)]
pub struct BuildRequest<'a> {
    /// The view that the block is for.
    pub view: View,
    /// Its height.
    pub height: Height,
    /// Its parent; [`Digest::ZERO`] for the first.
    pub parent: Digest,
    /// Its time.
    pub time: BlockTime,
    /// R: the height whose result its header is to carry.
    pub result_height: Height,
    /// R of its parent: snapshot heights that were due by then are not due again. 0 for the first.
    pub parent_result_height: Height,
    /// The blocks above the last executed one up to the parent, oldest first. Their transactions are not
    /// included again.
    pub ancestors: &'a [Arc<Block>],
    /// The most transactions.
    pub transactions_max: usize,
    /// The most bytes, as [`Block::transaction_bytes`] counts them.
    pub bytes_max: usize,
}

/// The outcome of an epoch.
#[derive(Clone, Debug)]
pub struct Close {
    /// The root over all receipts up to the epoch's last height.
    pub result: Digest,
    /// The authorities of the next epoch.
    pub next: Arc<AuthoritySet>,
}

/// The content that a proposer fills a block with.
#[derive(Clone, Debug)]
pub struct Content {
    /// In the order of execution.
    pub transactions: Vec<Arc<SignedTransaction>>,
    /// The root over all receipts up to `result_height`.
    pub result: Digest,
    /// The snapshot digests that are due.
    pub snapshots: Vec<SnapshotDigest>,
}

/// The application's verdict on a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// It may be voted for.
    Valid,
    /// It may not be voted for, and why.
    Invalid(&'static str),
    /// Its R is not executed here yet: ask again after the next [`super::Input::Executed`].
    Later,
}
