//! Checks agreement, and what headers say: times, results, state digests. Nothing is ordered twice or outside
//! its time.

use std::collections::{BTreeMap, BTreeSet};

use meshwork_core::{
    digest::Digest,
    replica::Executed,
    types::{Block, BlockTime, Height, SnapshotDigest, TransactionId},
};

use super::{Checked, rule};
use crate::scenario::{Fault, START_US, Scenario};

/// The one result of a height, on every peer that executes it.
struct FinalizedBlock {
    block: Digest,
    root: Digest,
    state: Option<Digest>,
    time: BlockTime,
}

/// The final chain.
pub(super) struct Chain {
    chain: Vec<FinalizedBlock>,
    /// The root before the first block.
    genesis_root: Digest,
    /// R of the newest block.
    result_height: Height,
    transactions: BTreeSet<TransactionId>,
    interval: u64,
    lag: u64,
    /// How far ahead of true time a block may be if voters take it, in microseconds.
    ahead_us: u64,
}

impl Chain {
    pub(super) fn new(scenario: &Scenario, genesis_root: Digest) -> Self {
        Self {
            chain: Vec::new(),
            genesis_root,
            result_height: Height(0),
            transactions: BTreeSet::new(),
            interval: scenario.founding.snapshot_interval,
            lag: scenario.founding.snapshot_lag,
            ahead_us: ahead_us(scenario),
        }
    }

    pub(super) const fn height(&self) -> u64 {
        self.chain.len() as u64
    }

    /// The newest block's time.
    pub(super) fn newest(&self) -> BlockTime {
        self.chain.last().map_or(BlockTime(START_US), |newest| newest.time)
    }

    /// All transactions that were ordered.
    pub(super) fn transactions(&self) -> impl Iterator<Item = TransactionId> + '_ {
        self.transactions.iter().copied()
    }

    /// The number of blocks between these times, and the microseconds from the first to the last of them.
    pub(super) fn between(&self, from: BlockTime, to: BlockTime) -> (usize, u64) {
        let times: Vec<BlockTime> =
            self.chain.iter().map(|block| block.time).filter(|at| (from..=to).contains(at)).collect();
        let us = times.last().zip(times.first()).map_or(0, |(last, first)| last.micros_since(*first));
        (times.len(), us)
    }

    /// Another peer executes a known height.
    pub(super) fn again(&self, executed: &Executed, state: Option<Digest>) -> Checked {
        let Height(height) = executed.block.header.height;
        let Some(known) = self.chain.get(height as usize - 1) else { return Err("height 0 is executed".into()) };
        rule(known.block == executed.digest, || format!("two blocks are final at height {height}"))?;
        rule(known.root == executed.root, || format!("the receipts up to height {height} differ"))?;
        rule(known.state == state, || format!("the states at height {height} differ"))
    }

    fn root(&self, height: Height) -> Option<Digest> {
        match height.0.checked_sub(1) {
            None => Some(self.genesis_root),
            Some(place) => self.chain.get(place as usize).map(|known| known.root),
        }
    }

    /// Checks a new block before it is executed.
    pub(super) fn check_block(&mut self, block: &Block, now_us: u64) -> Checked {
        let header = &block.header;
        let Height(height) = header.height;
        rule(height == self.height() + 1, || format!("height {height} is executed before those below it"))?;
        let parent = self.newest();
        rule(header.time > parent, || format!("height {height} is not later than the one below it"))?;
        let latest = BlockTime((START_US + now_us + self.ahead_us).max(parent.0 + 1));
        rule(header.time <= latest, || format!("height {height} is from the future"))?;
        rule(self.root(header.result_height) == Some(header.result), || {
            format!("height {height} has another result of height {} than execution", header.result_height)
        })?;
        self.check_snapshots(&header.snapshots, header.result_height, height)?;
        self.result_height = header.result_height;
        for transaction in &block.transactions {
            let expires = transaction.transaction().expires;
            rule(header.time <= expires, || format!("height {height} has a transaction that has expired"))?;
            rule(self.transactions.insert(transaction.id()), || {
                format!("height {height} has a transaction that was ordered before")
            })?;
        }
        Ok(())
    }

    /// Each snapshot's digest is in the first header whose R is the lag past it.
    fn check_snapshots(&self, carried: &[SnapshotDigest], result: Height, height: u64) -> Checked {
        let from = self.result_height.0.saturating_sub(self.lag);
        let to = result.0.saturating_sub(self.lag);
        let first = from / self.interval + 1;
        let due = (first..).map(|number| number * self.interval).take_while(|due| *due <= to);
        let due: BTreeMap<u64, Option<Digest>> =
            due.map(|due| (due, self.chain.get(due as usize - 1).and_then(|known| known.state))).collect();
        let carried: BTreeMap<u64, Option<Digest>> =
            carried.iter().map(|digest| (digest.height.0, Some(digest.state))).collect();
        rule(due == carried, || format!("height {height} carries other state digests than those that are due"))
    }

    /// A height is executed for the first time.
    pub(super) fn extend(&mut self, executed: &Executed, root: Digest, state: Option<Digest>) -> Checked {
        let (block, time) = (executed.digest, executed.block.header.time);
        self.chain.push(FinalizedBlock { block, root, state, time });
        rule(executed.root == root, || {
            format!("the receipts up to height {} are not those of execution", self.height())
        })
    }
}

/// How far ahead of true time a block may be. A quorum takes it, so at least f + 1 authorities whose clocks are
/// not worse than the f worst.
fn ahead_us(scenario: &Scenario) -> u64 {
    let mut ahead: Vec<i64> = scenario
        .authorities_ever()
        .into_iter()
        .map(|authority| {
            let jumps = scenario.faults.iter().filter_map(|(_, fault)| match fault {
                Fault::ClockJump(peer, us) if *peer == authority => Some((*us).max(0)),
                _ => None,
            });
            let drift_us =
                2 * (scenario.whole_at_us + scenario.patience_us) as i64 * scenario.clocks[authority].drift_ppm.max(0)
                    / 1_000_000;
            scenario.clocks[authority].ahead_us + jumps.sum::<i64>() + drift_us
        })
        .collect();
    ahead.sort_unstable_by(|one, other| other.cmp(one));
    let worst = ahead.get(scenario.faulty_max()).copied().unwrap_or(0);
    scenario.clock_bound_ms() * 1000 + worst.max(0) as u64 + 1
}
