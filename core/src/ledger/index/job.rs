//! What is computed of a job.

use std::{collections::BTreeMap, sync::Arc};

use super::Graph;
use crate::{
    ledger::records::jobs::{FreshState, TaskCounts},
    schedule::{order::Rank, ready::Needs},
    types::BlockTime,
};

/// What is computed from a job's record. It stands beside that, so that whoever found the one has the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::ledger) struct JobIndex {
    /// How many tasks it has.
    pub(super) count: u32,
    /// Of each segment. Of a job that has ended nothing looks at them any more.
    pub(super) summaries: Vec<SegmentSummary>,
    /// What its tasks wait for; nothing any more once it has ended.
    pub(super) graph: Graph,
    pub(super) counts: TaskCounts,
    /// How many of its tasks have a speculative attempt that lives.
    pub(super) speculative: u64,
    /// How many of its leases are at each value of the labels that its arrays are spread over.
    pub(super) spread: BTreeMap<u16, BTreeMap<String, u32>>,
    /// When time alone changes something about it next.
    pub(super) due: Option<BlockTime>,
}

/// What is computed from a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::ledger) struct SegmentSummary {
    pub(super) needs: Arc<Needs>,
    pub(super) rank: Rank,
    /// How many tasks have no state of their own.
    pub(super) stateless: u32,
    /// How these were last counted; ready ones are in the queue.
    pub(super) counted: Option<(FreshState, u32)>,
}

impl JobIndex {
    /// That of a job none of whose arrays has been taken up.
    pub(super) fn empty() -> Self {
        Self {
            count: 0,
            summaries: Vec::new(),
            graph: Graph::empty(),
            counts: TaskCounts::default(),
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

    pub(in crate::ledger) const fn speculative(&self) -> u64 {
        self.speculative
    }

    /// How many leases of an array are at each value of the label that it is spread over.
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
