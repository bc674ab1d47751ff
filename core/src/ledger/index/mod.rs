//! How what is so is found: queues, deadlines, counts and quotas. All of it can be computed from the records.

mod follow;
mod leases;
mod quotas;
mod segments;

use std::collections::BTreeSet;

pub(in crate::ledger) use leases::Others;
pub(in crate::ledger) use segments::{SEGMENT_BYTES, SEGMENTS_MAX};

use crate::{
    fault::{Fault, is_planted},
    identity::PublicKey,
    ledger::records::{
        jobs::{AttemptRef, TaskRef},
        lease_time::LeaseTime,
    },
    schedule::ready::JobNumber,
    types::BlockTime,
};

/// What the genesis bounds for each submitter and in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::ledger) struct Owed {
    /// Unfinished tasks.
    pub(in crate::ledger) tasks: u64,
    /// Bytes of output that they may leave.
    pub(in crate::ledger) output_bytes: u64,
    /// Bytes in which their jobs were submitted.
    pub(in crate::ledger) definition_bytes: u64,
}

/// Deadlines, each with what it is for. Computed from the ledger's records.
#[derive(Clone, Debug, Default)]
pub(in crate::ledger) struct Due {
    pub(in crate::ledger) claims: BTreeSet<(LeaseTime, PublicKey)>,
    /// When attempts run out, or are looked at for being slow.
    pub(in crate::ledger) attempts: BTreeSet<(LeaseTime, AttemptRef)>,
    pub(in crate::ledger) back_offs: BTreeSet<(BlockTime, TaskRef)>,
    /// When slices end.
    pub(in crate::ledger) slices: BTreeSet<(LeaseTime, TaskRef)>,
    /// When somebody who asked an attempt to make room may ask another.
    pub(in crate::ledger) asked: BTreeSet<(LeaseTime, TaskRef)>,
    /// When time alone changes something about a job.
    pub(in crate::ledger) jobs: BTreeSet<(BlockTime, JobNumber)>,
    /// When ended jobs are dropped.
    pub(in crate::ledger) retention: BTreeSet<(BlockTime, JobNumber)>,
    /// When workers without a claim may be forgotten.
    pub(in crate::ledger) workers: BTreeSet<(BlockTime, PublicKey)>,
}

/// Takes what is due at `now` out of a set.
pub(in crate::ledger) fn take_due<T: Copy + Ord, D: Copy + Ord>(set: &mut BTreeSet<(T, D)>, now: T) -> Vec<D> {
    let mut due = Vec::new();
    while let Some((at, what)) = set.first().copied()
        && at <= now
        && !(at == now && is_planted(Fault::ExpiryOffByOne))
    {
        set.pop_first();
        due.push(what);
    }
    due
}
