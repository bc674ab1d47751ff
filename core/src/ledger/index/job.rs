//! What is computed from a job.

use std::{collections::BTreeMap, sync::Arc};

use super::Graph;
use crate::{
    ledger::records::jobs::{FreshState, TaskCounts},
    schedule::{order::Rank, ready::Needs},
    types::BlockTime,
};

/// What is computed from a job's record. It is stored beside the record, so one lookup finds both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::ledger) struct JobIndex {
    /// How many tasks it has.
    pub(super) count: u32,
    /// The summary of each segment. They are unused once the job has ended.
    pub(super) summaries: Vec<SegmentSummary>,
    /// The dependencies of its tasks; empty once it has ended.
    pub(super) graph: Graph,
    pub(super) counts: TaskCounts,
    /// How many attempts of its tasks live.
    pub(super) leased: u64,
    /// How many of its tasks have a live speculative attempt.
    pub(super) speculative: u64,
    /// By array: how many leases are at each value of the label over which the array is spread.
    pub(super) spread: BTreeMap<u16, BTreeMap<String, u32>>,
    /// When it next changes by time alone.
    pub(super) due: Option<BlockTime>,
}

/// What is computed from a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::ledger) struct SegmentSummary {
    pub(super) needs: Arc<Needs>,
    pub(super) rank: Rank,
    /// How many tasks have no state of their own.
    pub(super) stateless: u32,
    /// The state and number under which these were last counted. Ready ones are in the queue.
    pub(super) counted: Option<(FreshState, u32)>,
}

impl JobIndex {
    /// The index of a job whose arrays have not been taken up.
    pub(super) fn empty() -> Self {
        Self {
            count: 0,
            summaries: Vec::new(),
            graph: Graph::empty(),
            counts: TaskCounts::default(),
            leased: 0,
            speculative: 0,
            spread: BTreeMap::new(),
            due: None,
        }
    }

    pub(in crate::ledger) const fn count(&self) -> u32 {
        self.count
    }

    /// What is computed from a segment.
    pub(in crate::ledger) fn summary(&self, at: usize) -> Option<&SegmentSummary> {
        self.summaries.get(at)
    }

    pub(in crate::ledger) const fn graph(&self) -> &Graph {
        &self.graph
    }

    pub(in crate::ledger) const fn counts(&self) -> &TaskCounts {
        &self.counts
    }

    /// How many attempts of its tasks live.
    pub(in crate::ledger) const fn leased(&self) -> u64 {
        self.leased
    }

    pub(in crate::ledger) const fn speculative(&self) -> u64 {
        self.speculative
    }

    /// How many leases of an array are at each value of the label over which it is spread.
    pub(in crate::ledger) fn spread(&self, array: u16) -> Option<&BTreeMap<String, u32>> {
        self.spread.get(&array)
    }
}

impl SegmentSummary {
    pub(in crate::ledger) const fn needs(&self) -> &Arc<Needs> {
        &self.needs
    }

    pub(in crate::ledger) const fn rank(&self) -> Rank {
        self.rank
    }

    pub(in crate::ledger) const fn stateless(&self) -> u32 {
        self.stateless
    }
}
