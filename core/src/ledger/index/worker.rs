//! What is computed from a worker.

use std::collections::BTreeMap;

use crate::{
    ledger::records::jobs::AttemptRef,
    schedule::placement::{Opening, Score},
    types::BlockTime,
};

/// What is computed from a worker. It is stored beside the record, so one lookup finds both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::ledger) struct WorkerIndex {
    pub(super) leases: HeldLeases,
    /// The worker's scores among the open claims, by [`Opening`].
    pub(super) indexed: [Option<Score>; 2],
    /// When it is forgotten, if its claim does not stand.
    pub(super) forgotten: Option<BlockTime>,
}

/// A worker's leases by number, computed from the tasks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::ledger) struct HeldLeases {
    pub(super) running: BTreeMap<u64, AttemptRef>,
    pub(super) waiting: BTreeMap<u64, AttemptRef>,
    pub(super) committed: BTreeMap<u64, AttemptRef>,
    /// What its running attempts take.
    pub(super) millicores: u64,
    pub(super) memory_bytes: u64,
}

impl WorkerIndex {
    /// The index of a worker that holds nothing and whose claim does not stand.
    pub(super) const fn empty() -> Self {
        const NONE: BTreeMap<u64, AttemptRef> = BTreeMap::new();
        let leases = HeldLeases { running: NONE, waiting: NONE, committed: NONE, millicores: 0, memory_bytes: 0 };
        Self { leases, indexed: [None; 2], forgotten: None }
    }

    pub(in crate::ledger) const fn leases(&self) -> &HeldLeases {
        &self.leases
    }

    /// The worker's score among the open claims, if it has this opening.
    pub(in crate::ledger) const fn score(&self, opening: Opening) -> Option<Score> {
        self.indexed[opening as usize]
    }
}

impl HeldLeases {
    /// Attempts that have resources.
    pub(in crate::ledger) const fn running(&self) -> &BTreeMap<u64, AttemptRef> {
        &self.running
    }

    /// Attempts that wait for resources.
    pub(in crate::ledger) const fn waiting(&self) -> &BTreeMap<u64, AttemptRef> {
        &self.waiting
    }

    /// Replicas to whose answers the worker has committed itself. They hold no resources.
    pub(in crate::ledger) const fn committed(&self) -> &BTreeMap<u64, AttemptRef> {
        &self.committed
    }

    /// Thousandths of a core that running attempts take.
    pub(in crate::ledger) const fn millicores(&self) -> u64 {
        self.millicores
    }

    /// Bytes of memory that running attempts take.
    pub(in crate::ledger) const fn memory_bytes(&self) -> u64 {
        self.memory_bytes
    }

    /// All of its attempts, in the order in which they were leased.
    pub(in crate::ledger) fn attempts(&self) -> Vec<AttemptRef> {
        let mut leases: Vec<(u64, AttemptRef)> = self
            .running
            .iter()
            .chain(&self.waiting)
            .chain(&self.committed)
            .map(|(number, attempt)| (*number, *attempt))
            .collect();
        leases.sort_unstable();
        leases.into_iter().map(|(_, attempt)| attempt).collect()
    }
}
