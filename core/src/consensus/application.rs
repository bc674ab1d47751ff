//! What the round asks of the transaction pool and the ledger, synchronously.

use std::sync::Arc;

use crate::{
    digest::Digest,
    types::{AuthoritySet, Block, BlockTime, Epoch, Height, SignedTransaction, SnapshotDigest, View},
};

/// The pool and the ledger, as the round sees them.
pub trait Application {
    /// The content of a block to propose. `None` if the result at `result_height` is not executed here yet; the round
    /// asks again after the next [`super::Input::Executed`].
    fn build(&mut self, request: &BuildRequest<'_>) -> Option<Content>;

    /// Whether a block's content is good: signatures, expiry, no repeat in `ancestors`, result and snapshot digests.
    /// Links, times, heights and sizes are checked already. `ancestors` are as in [`BuildRequest::ancestors`].
    fn check(&mut self, block: &Block, ancestors: &[Arc<Block>]) -> Check;

    /// Whether the result at `result_height`, which is executed here, holds a change that was approved in this epoch: then
    /// a block at a gate that carries this result is the epoch's last.
    fn has_change(&mut self, epoch: Epoch, result_height: Height) -> bool {
        let _ = (epoch, result_height);
        false
    }

    /// What an epoch came to whose last block is at this height. `None` if that is not executed here yet, or not the
    /// newest block that is.
    fn close(&mut self, last: Height) -> Option<Close> {
        let _ = last;
        None
    }

    /// Asked only after [`super::Input::Reason`]`(true)`: whether something is left to order above `ancestors`, so that
    /// no turn is spent on an empty block while what was pooled already waits in a block that is not final.
    fn has_reason(&mut self, ancestors: &[Arc<Block>]) -> bool {
        let _ = ancestors;
        true
    }
}

/// A block that is to be filled.
#[derive(Clone, Copy, Debug)]
pub struct BuildRequest<'a> {
    /// The view that it is for.
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
    /// The blocks above the last executed one up to the parent, oldest first: what they hold is not included again.
    pub ancestors: &'a [Arc<Block>],
    /// The most transactions.
    pub transactions_max: usize,
    /// The most bytes, as [`Block::transaction_bytes`] counts them.
    pub bytes_max: usize,
}

/// What an epoch came to.
#[derive(Clone, Debug)]
pub struct Close {
    /// The root over all receipts up to its last height.
    pub result: Digest,
    /// The authorities of the next epoch.
    pub next: Arc<AuthoritySet>,
}

/// What a proposer fills a block with.
#[derive(Clone, Debug)]
pub struct Content {
    /// In the order in which they are to be executed.
    pub transactions: Vec<Arc<SignedTransaction>>,
    /// The root over all receipts up to `result_height`.
    pub result: Digest,
    /// The snapshot digests that are due.
    pub snapshots: Vec<SnapshotDigest>,
}

/// What the application thinks of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// It may be voted for.
    Valid,
    /// It may not, and why.
    Invalid(&'static str),
    /// Its R is not executed here yet: ask again after the next [`super::Input::Executed`].
    Later,
}
