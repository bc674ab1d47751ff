//! The index: queues, deadlines, counts and quotas, all of which can be computed from the [`Records`].
//!
//! `restore` computes the index when a ledger takes up a snapshot. Afterwards, methods of the ledger in these modules
//! change records and index together. No other module can write the index, because its fields are private to this
//! one.
//!
//! - `attach`: adds a task's state to the index and removes it; tracks what a worker holds.
//! - `leases`: gives leases and starts them. `ends`: ends leases, and tasks with them.
//! - `follow`: carries out the consequences for dependents. `graph`: the dependencies among a job's tasks.
//! - `jobs`: takes up, ends and forgets jobs. `segments`: splits and joins their segments. `recurring`: recurring
//!   jobs.
//! - `claims`: begins, changes and ends workers' claims. `slices`: running and spent time slices, and preemption
//!   requests.
//! - `trial`: workers on trial. `trust`: follows a key whose trust changes.
//! - `quotas`: what submitters have outstanding, what workers hold for them, and whether more may be placed.
//! - `check`: in debug builds, checks after a block that the index matches the records.

mod attach;
#[cfg(debug_assertions)]
mod check;
mod claims;
mod deadlines;
mod ends;
mod follow;
mod graph;
mod job;
mod jobs;
mod leases;
mod quotas;
mod recurring;
mod restore;
mod segments;
mod slices;
mod tracks;
mod trial;
mod trust;
mod worker;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

pub(in crate::ledger) use deadlines::Deadlines;
pub(in crate::ledger) use ends::Others;
pub(in crate::ledger) use graph::{Awaited, Consequences, Ending, Graph, Judged, edges, judge};
pub(in crate::ledger) use job::{JobIndex, SegmentSummary};
pub(in crate::ledger) use quotas::Outstanding;
pub(in crate::ledger) use recurring::RecurringIndex;
pub(in crate::ledger) use segments::{SEGMENT_BYTES, SEGMENTS_MAX};
pub(in crate::ledger) use worker::{HeldLeases, WorkerIndex};

#[cfg(doc)]
use crate::ledger::records::Records;
use crate::{
    identity::PublicKey,
    ledger::records::{
        jobs::{TaskCounts, TaskRef},
        recurring::RecurringNumber,
        trust::ByTrust,
    },
    schedule::{
        placement::{OpenClaims, Opening},
        ready::{JobNumber, KindId, Needs, OffersVersion, ReadyQueue},
    },
    types::{BlockTime, JobId},
};
use quotas::Quotas;

/// What is computed from all records together. [`JobIndex`] and [`WorkerIndex`] hold what is computed from one job or
/// worker, beside its record.
#[derive(Clone, Debug)]
pub(in crate::ledger) struct Index {
    job_numbers: BTreeMap<JobId, JobNumber>,
    /// How many workers' claims stand.
    claims_standing: usize,
    /// How many workers' claims stand and offer slots, by the trust of the workers.
    places: ByTrust<u64>,
    /// How many workers are known, likewise.
    workers_known: ByTrust<u64>,
    quotas: Quotas,
    counts: TaskCounts,
    due: Deadlines,
    recurring: RecurringIndex,
    /// For each job, the jobs that wait for it.
    waiters: BTreeMap<JobId, BTreeSet<JobNumber>>,
    /// The slow attempts that may get a speculative one, by lease number.
    slow: BTreeMap<u64, TaskRef>,
    /// The attempts that can be preempted.
    preemptible: BTreeSet<TaskRef>,
    /// The submitters for whom an attempt is to be preempted.
    preemptors: BTreeSet<PublicKey>,
    /// Its numbering of kinds, and which of them are parked, are memos: neither decides anything.
    ready: ReadyQueue,
    open: OpenClaims,
    /// How often the claims' offers have changed. A memo for parked kinds, which only compare it for equality.
    offers: OffersVersion,
    /// Ended jobs whose waiters have not been told yet. Empty between blocks.
    just_ended: Vec<JobNumber>,
    /// The workers whose waiting attempts may move up or have to go. The flag says whether their claim changed. Empty
    /// between blocks.
    unsettled: BTreeMap<PublicKey, bool>,
    /// The workers that may have gained capacity since the last matching. Empty between blocks.
    changed: BTreeSet<PublicKey>,
}

impl Index {
    /// The index of a ledger without jobs and workers.
    pub(in crate::ledger) fn empty() -> Self {
        Self {
            job_numbers: BTreeMap::new(),
            claims_standing: 0,
            places: ByTrust::new(0, 0, 0),
            workers_known: ByTrust::new(0, 0, 0),
            quotas: Quotas::empty(),
            counts: TaskCounts::default(),
            due: Deadlines::empty(),
            recurring: RecurringIndex::empty(),
            waiters: BTreeMap::new(),
            slow: BTreeMap::new(),
            preemptible: BTreeSet::new(),
            preemptors: BTreeSet::new(),
            ready: ReadyQueue::default(),
            open: OpenClaims::default(),
            offers: OffersVersion::default(),
            just_ended: Vec::new(),
            unsettled: BTreeMap::new(),
            changed: BTreeSet::new(),
        }
    }

    /// The number of a job that is not forgotten.
    pub(in crate::ledger) fn number_of(&self, job: &JobId) -> Option<JobNumber> {
        self.job_numbers.get(job).copied()
    }

    /// How many workers' claims stand.
    pub(in crate::ledger) const fn claims_standing(&self) -> usize {
        self.claims_standing
    }

    /// How many workers' claims stand and offer slots.
    pub(in crate::ledger) const fn places(&self) -> &ByTrust<u64> {
        &self.places
    }

    /// How many workers are known.
    pub(in crate::ledger) const fn workers_known(&self) -> &ByTrust<u64> {
        &self.workers_known
    }

    pub(in crate::ledger) const fn quotas(&self) -> &Quotas {
        &self.quotas
    }

    /// The number of tasks of all jobs in each state.
    pub(in crate::ledger) const fn counts(&self) -> &TaskCounts {
        &self.counts
    }

    pub(in crate::ledger) const fn due(&self) -> &Deadlines {
        &self.due
    }

    /// The deadlines, to take out those that are due.
    pub(in crate::ledger) const fn due_mut(&mut self) -> &mut Deadlines {
        &mut self.due
    }

    pub(in crate::ledger) const fn recurring(&self) -> &RecurringIndex {
        &self.recurring
    }

    /// Takes out the recurring job whose occurrence comes first, if it is due.
    pub(in crate::ledger) fn take_recurring(&mut self, now: BlockTime) -> Option<RecurringNumber> {
        self.recurring.take_due(now)
    }

    /// The slow attempts that may get a speculative one, the oldest first.
    pub(in crate::ledger) fn slow(&self) -> impl Iterator<Item = TaskRef> {
        self.slow.values().copied()
    }

    /// The attempts that can be preempted.
    pub(in crate::ledger) const fn preemptible(&self) -> &BTreeSet<TaskRef> {
        &self.preemptible
    }

    /// Whether an attempt has been asked to stop for this submitter.
    pub(in crate::ledger) fn is_asking(&self, submitter: &PublicKey) -> bool {
        self.preemptors.contains(submitter)
    }

    pub(in crate::ledger) const fn ready(&self) -> &ReadyQueue {
        &self.ready
    }

    pub(in crate::ledger) const fn open(&self) -> &OpenClaims {
        &self.open
    }

    /// Records that no claim has this opening for a kind.
    pub(in crate::ledger) fn park(&mut self, kind: KindId, opening: Opening) {
        self.ready.park(kind, opening, self.offers);
    }

    /// Whether no claim has this opening for a kind, unless the claim has changed since the kind was parked.
    pub(in crate::ledger) fn is_parked(&self, kind: KindId, opening: Opening) -> bool {
        self.ready.is_parked(kind, opening, self.offers)
    }

    /// Takes a worker whose waiting attempts may move up or have to go. The flag says whether its claim changed.
    pub(in crate::ledger) fn take_unsettled(&mut self) -> Option<(PublicKey, bool)> {
        self.unsettled.pop_first()
    }

    /// The workers that may have gained capacity since the last matching.
    pub(in crate::ledger) const fn changed(&self) -> &BTreeSet<PublicKey> {
        &self.changed
    }

    /// Records that matching has compared all ready tasks with all free capacity.
    pub(in crate::ledger) fn matched(&mut self) {
        self.changed.clear();
    }

    /// The shared copy of these needs, so that each is stored once.
    fn one_copy(&self, needs: Needs) -> Arc<Needs> {
        self.quotas.known_needs(&needs).map_or_else(|| Arc::new(needs), Arc::clone)
    }
}
