//! One node of the network: the round with a trivial application, a journal that survives crashes, and a chain.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{super::*, config};
use crate::{
    digest::Digest,
    identity::SecretKey,
    types::{AuthoritySet, Block, Certificate, Epoch, Genesis, Header, Height, SignedTransaction, TransactionId, View},
};

/// A pool, and a "ledger" whose result is a hash over the blocks executed.
#[derive(Default)]
pub(super) struct App {
    pub pool: BTreeMap<TransactionId, Arc<SignedTransaction>>,
    pub done: BTreeSet<TransactionId>,
    /// By height; the first is that of the genesis.
    pub results: Vec<Digest>,
    /// The height from which on results hold an approved change, and the authorities that the change leaves.
    pub approved: Option<(Height, Arc<AuthoritySet>)>,
}

impl App {
    pub(super) fn result(&self, height: Height) -> Option<Digest> {
        if height.0 == 0 { Some(Digest::ZERO) } else { self.results.get(height.0 as usize - 1).copied() }
    }

    pub(super) fn execute(&mut self, block: &Block) {
        for transaction in &block.transactions {
            assert!(self.done.insert(transaction.id()), "a transaction is ordered once");
            self.pool.remove(&transaction.id());
        }
        let last = self.result(block.header.height.previous()).expect("heights are executed in order");
        self.results.push(Digest::of_parts("test result", &[&last.0, &block.header.digest().0]));
    }

    fn fresh<'a>(&'a self, ancestors: &'a [Arc<Block>]) -> impl Iterator<Item = &'a Arc<SignedTransaction>> {
        let above: BTreeSet<_> =
            ancestors.iter().flat_map(|block| &block.transactions).map(|transaction| transaction.id()).collect();
        self.pool.values().filter(move |transaction| !above.contains(&transaction.id()))
    }
}

impl Application for App {
    fn build(&mut self, request: &BuildRequest<'_>) -> Option<Content> {
        let result = self.result(request.result_height)?;
        let transactions = self.fresh(request.ancestors).take(request.transactions_max.min(5)).cloned().collect();
        Some(Content { transactions, result, snapshots: Vec::new() })
    }

    fn check(&mut self, block: &Block, ancestors: &[Arc<Block>]) -> Check {
        assert!(ancestors.iter().zip(ancestors.iter().skip(1)).all(|(a, b)| a.header.digest() == b.header.parent));
        assert!(ancestors.last().is_none_or(|parent| parent.header.digest() == block.header.parent));
        let mut seen: BTreeSet<TransactionId> =
            ancestors.iter().flat_map(|block| &block.transactions).map(|transaction| transaction.id()).collect();
        match self.result(block.header.result_height) {
            None => return Check::Later,
            Some(result) if result != block.header.result => return Check::Invalid("another result"),
            Some(_) => {}
        }
        let repeats = block.transactions.iter().any(|t| !seen.insert(t.id()) || self.done.contains(&t.id()));
        if repeats { Check::Invalid("a repeat") } else { Check::Valid }
    }

    fn has_change(&mut self, _: Epoch, result_height: Height) -> bool {
        self.approved.as_ref().is_some_and(|(height, _)| *height <= result_height)
    }

    fn close(&mut self, last: Height) -> Option<Close> {
        let result = self.result(last).filter(|_| self.results.len() as u64 == last.0)?;
        self.approved.clone().map(|(_, next)| Close { result, next })
    }

    fn has_pending(&mut self, ancestors: &[Arc<Block>]) -> bool {
        self.fresh(ancestors).next().is_some()
    }
}

/// What the disk of a node keeps.
#[derive(Default)]
pub(super) struct Disk {
    pub journal: Vec<Record>,
    pub blocks: Vec<Arc<Block>>,
    /// Finalizations, by the height of their block.
    pub finalizations: BTreeMap<Height, Certificate>,
}

impl Disk {
    pub(super) fn tip(&self, genesis: &Genesis) -> FinalTip {
        self.blocks.last().map_or_else(
            || FinalTip::genesis(genesis),
            |block| FinalTip::of(&block.header, self.finalizations[&block.header.height].clone()),
        )
    }

    /// The blocks from a height on, up to one whose finalization is stored.
    pub(super) fn range(&self, from: Height) -> Option<(Vec<Arc<Block>>, Certificate)> {
        let (height, certificate) = self.finalizations.range(from..).take(8).last()?;
        let blocks = self.blocks[from.0 as usize - 1..height.0 as usize].to_vec();
        Some((blocks, certificate.clone()))
    }
}

pub(super) struct Node {
    pub key: Option<SecretKey>,
    pub round: Option<Consensus>,
    pub app: App,
    pub disk: Disk,
    /// How many microseconds the node's clock is ahead of the true time; negative if it is behind.
    pub skew_us: i64,
    pub evidence: Vec<Evidence>,
    /// Whether this node is a liar that runs twice. Nothing stops it.
    pub twin: bool,
}

impl Node {
    pub(super) fn new(genesis: &Arc<Genesis>, key: Option<SecretKey>) -> Self {
        let mut node = Self {
            key,
            round: None,
            app: App::default(),
            disk: Disk::default(),
            skew_us: 0,
            evidence: Vec::new(),
            twin: false,
        };
        node.start(genesis, VotingStatus::Voting);
        node
    }

    /// Starts from the disk. The pool keeps its transactions that are not final yet.
    pub(super) fn start(&mut self, genesis: &Arc<Genesis>, voting_status: VotingStatus) {
        let pool = std::mem::take(&mut self.app.pool);
        self.app = App { pool, ..App::default() };
        for block in &self.disk.blocks {
            self.app.execute(block);
        }
        let done = &self.app.done;
        self.app.pool.retain(|id, _| !done.contains(id));
        let (tip, journal) = (self.disk.tip(genesis), self.disk.journal.clone());
        let round = Consensus::new(config(genesis, self.key.clone()), tip, None, journal, Vec::new(), voting_status);
        self.round = Some(round);
    }

    pub(super) fn height(&self) -> Height {
        Height(self.disk.blocks.len() as u64)
    }

    pub(super) fn view(&self) -> View {
        self.round.as_ref().map_or(View(0), Consensus::view)
    }

    pub(super) fn headers(&self) -> impl Iterator<Item = &Header> {
        self.disk.blocks.iter().map(|block| &block.header)
    }
}
