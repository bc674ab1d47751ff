//! The answers of the pool and the ledger to consensus: the content of a block, and whether a block's content
//! is valid.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    consensus::{Application, BuildRequest, Check, Close, Content},
    digest::Digest,
    fault::{Fault, is_planted},
    identity::NetworkId,
    ledger::Ledger,
    pool::Pool,
    types::{Block, BlockTime, Epoch, Genesis, Height, SignedTransaction, SnapshotDigest, TransactionId},
};

/// The results that headers carry, from this replica's own execution.
#[derive(Debug, Default)]
pub(super) struct Results {
    /// The root over all receipts up to each height that a future header may name.
    roots: BTreeMap<Height, Digest>,
    /// The state digests of snapshot heights that no final header has carried yet.
    snapshots: BTreeMap<Height, Digest>,
    /// The R of the newest final block.
    tip_result: Height,
}

impl Results {
    pub(super) const fn new(
        roots: BTreeMap<Height, Digest>,
        snapshots: BTreeMap<Height, Digest>,
        tip_result: Height,
    ) -> Self {
        Self { roots, snapshots, tip_result }
    }

    pub(super) fn executed(&mut self, height: Height, root: Digest) {
        self.roots.insert(height, root);
    }

    pub(super) fn snapshot_taken(&mut self, height: Height, state: Digest) {
        self.snapshots.insert(height, state);
    }

    /// Forgets what no child of this final block can name.
    pub(super) fn prune(&mut self, tip: &Block, lag: u64) {
        self.tip_result = tip.header.result_height;
        self.roots = self.roots.split_off(&tip.header.final_height);
        self.snapshots.retain(|height, _| height.0 + lag > tip.header.result_height.0);
    }

    fn root(&self, height: Height) -> Option<Digest> {
        self.roots.get(&height).copied()
    }

    /// The digests that are due in a header with R `result` whose parent has R `parent_result`. `at`, the
    /// header's height, matters to a planted fault only.
    fn due(&self, at: Height, parent_result: Height, result: Height, lag: u64) -> Vec<SnapshotDigest> {
        let due = self.snapshots.iter().filter(|(height, _)| {
            let due_from = height.0 + lag;
            if is_planted(Fault::DigestAtFixedHeight) {
                return due_from == at.0;
            }
            parent_result.0 < due_from && due_from <= result.0
        });
        due.map(|(height, state)| SnapshotDigest { height: *height, state: *state }).collect()
    }
}

/// The parts of the replica that consensus asks, for one call.
pub(super) struct Parts<'a> {
    pub(super) genesis: &'a Genesis,
    pub(super) network: &'a NetworkId,
    pub(super) pool: &'a mut Pool,
    pub(super) ledger: &'a Ledger,
    pub(super) results: &'a Results,
    /// This peer's clock.
    pub(super) clock: BlockTime,
}

fn ids(blocks: &[Arc<Block>]) -> BTreeSet<TransactionId> {
    blocks.iter().flat_map(|block| &block.transactions).map(|transaction| transaction.id()).collect()
}

impl Application for Parts<'_> {
    fn build(&mut self, request: &BuildRequest<'_>) -> Option<Content> {
        let round = &self.genesis.consensus;
        let result = self.results.root(request.result_height)?;
        let (from, to) = (request.parent_result_height, request.result_height);
        let snapshots = self.results.due(request.height, from, to, round.snapshot_lag);
        let taken = ids(request.ancestors);
        let timely = request.time..=request.time.plus_ms(self.genesis.ledger.transaction_life_ms_max);
        let transactions = self.pool.select(&taken, &timely, request.bytes_max, request.transactions_max);
        Some(Content { transactions, result, snapshots })
    }

    fn check(&mut self, block: &Block, ancestors: &[Arc<Block>]) -> Check {
        let header = &block.header;
        let parent_result = ancestors.last().map_or(self.results.tip_result, |parent| parent.header.result_height);
        if self.ledger.height() < header.result_height {
            return Check::Later;
        }
        if self.results.root(header.result_height) != Some(header.result) && !is_planted(Fault::ResultOnTrust) {
            return Check::Invalid("its result is not that of this replica's execution");
        }
        let lag = self.genesis.consensus.snapshot_lag;
        if self.results.due(header.height, parent_result, header.result_height, lag) != header.snapshots {
            return Check::Invalid("its snapshot digests are not those that are due");
        }
        let mut seen = ids(ancestors);
        for transaction in &block.transactions {
            if !seen.insert(transaction.id()) || self.ledger.was_executed(transaction.id()) {
                return Check::Invalid("it repeats a transaction");
            }
            if !self.is_timely(transaction, block) {
                return Check::Invalid("a transaction is too large or outside its time");
            }
        }
        // The pool checked its transactions when they came in, by the stricter rule.
        let unknown = block.transactions.iter().filter(|transaction| !self.pool.holds(transaction));
        if !SignedTransaction::verify_all(unknown.map(AsRef::as_ref), self.network) {
            return Check::Invalid("a transaction's signature is not good");
        }
        self.pool.mark_in_flight(block);
        Check::Valid
    }

    fn has_change(&mut self, epoch: Epoch, result_height: Height) -> bool {
        let since = self.ledger.change_approved_since(epoch);
        since.is_some_and(|height| height <= result_height || is_planted(Fault::EndsWhateverR))
    }

    fn close(&mut self, last: Height) -> Option<Close> {
        let is_newest = self.ledger.height() == last;
        let result = self.results.root(last).filter(|_| is_newest)?;
        Some(Close { result, next: Arc::clone(self.ledger.next_authorities()) })
    }

    fn has_pending(&mut self, ancestors: &[Arc<Block>]) -> bool {
        let newest = ancestors.last().map_or_else(|| self.ledger.time(), |block| block.header.time);
        // The first block after a deadline does what falls due then, even a block that is not final yet.
        let due = self.ledger.next_due().is_some_and(|due| newest < due && due <= self.clock);
        due || self.ledger.change_waits() || self.pool.has_more_than(&ids(ancestors))
    }
}

impl Parts<'_> {
    fn is_timely(&self, transaction: &SignedTransaction, block: &Block) -> bool {
        let limits = &self.genesis.ledger;
        let (time, expires) = (block.header.time, transaction.transaction().expires);
        transaction.envelope().payload.len() <= limits.transaction_bytes_max
            && time <= expires
            && expires <= time.plus_ms(limits.transaction_life_ms_max)
    }
}
