//! How what is so is found: queues, deadlines, counts and quotas. All of it can be computed from the [`Records`], and
//! is, when a ledger takes up a snapshot (`restore`). What changes records so that the index has to follow is done
//! here, by methods of the ledger that keep the two in step; nobody else can write the index: its fields are this
//! module's own.
//!
//! * `attach`: a task's state made known, or forgotten; what a worker holds.
//! * `leases`: leases are given and begin; `ends`: they end, and tasks with them.
//! * `follow`: what follows for those that waited; `graph`: what the tasks of a job wait for.
//! * `jobs`: jobs are taken up, end and are forgotten; `segments`: their tasks come to stand apart; `recurring` jobs.
//! * `claims`: workers' claims begin, change and end. `slices`: whose time slice runs, is spent, and is asked for.
//! * `quotas`: what is outstanding to submitters, what they have at workers, and whether more may be placed.
//! * `check`: in debug builds, whether after a block the index is what the records give.

mod attach;
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
    },
    schedule::{
        placement::{OpenClaims, Opening},
        ready::{JobNumber, KindId, Needs, OffersVersion, ReadyQueue},
    },
    types::{BlockTime, JobId},
};
use quotas::Quotas;

/// What is computed from all records together. What is computed of one job or worker stands beside its record:
/// [`JobIndex`], [`WorkerIndex`].
#[derive(Clone, Debug)]
pub(in crate::ledger) struct Index {
    job_numbers: BTreeMap<JobId, JobNumber>,
    /// How many workers' claims stand.
    claims_standing: usize,
    quotas: Quotas,
    counts: TaskCounts,
    due: Deadlines,
    recurring: RecurringIndex,
    /// The jobs that wait for each job.
    waiters: BTreeMap<JobId, BTreeSet<JobNumber>>,
    /// The slow attempts that may have a speculative one, by the numbers of their leases.
    slow: BTreeMap<u64, TaskRef>,
    /// The attempts that can be preempted.
    preemptible: BTreeSet<TaskRef>,
    /// The submitters for whom an attempt is to be preempted.
    preemptors: BTreeSet<PublicKey>,
    /// Which kinds are parked in it is a memo, and so is how it numbers them: neither decides anything.
    ready: ReadyQueue,
    open: OpenClaims,
    /// Counts how often what claims offer has changed. A memo for what is parked: only whether it is the same matters.
    offers: OffersVersion,
    /// Jobs that have ended, and whose waiters are yet to be told; none between blocks.
    just_ended: Vec<JobNumber>,
    /// The workers whose waiting attempts may move up or have to go, and whether because their claim changed; none
    /// between blocks.
    unsettled: BTreeMap<PublicKey, bool>,
    /// The workers that may have room since the last matching which they did not have then; none between blocks.
    changed: BTreeSet<PublicKey>,
}

impl Index {
    /// That of a ledger without jobs and workers.
    pub(in crate::ledger) fn empty() -> Self {
        Self {
            job_numbers: BTreeMap::new(),
            claims_standing: 0,
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

    pub(in crate::ledger) const fn quotas(&self) -> &Quotas {
        &self.quotas
    }

    /// How many tasks of all jobs are in which state.
    pub(in crate::ledger) const fn counts(&self) -> &TaskCounts {
        &self.counts
    }

    pub(in crate::ledger) const fn due(&self) -> &Deadlines {
        &self.due
    }

    /// Takes out what is due, to be done now.
    pub(in crate::ledger) const fn due_mut(&mut self) -> &mut Deadlines {
        &mut self.due
    }

    pub(in crate::ledger) const fn recurring(&self) -> &RecurringIndex {
        &self.recurring
    }

    /// Takes out the recurring job whose moment has come first, if one's has.
    pub(in crate::ledger) fn take_recurring(&mut self, now: BlockTime) -> Option<RecurringNumber> {
        self.recurring.take_due(now)
    }

    /// The slow attempts that may have a copy, the oldest first.
    pub(in crate::ledger) fn slow(&self) -> impl Iterator<Item = TaskRef> {
        self.slow.values().copied()
    }

    /// The attempts that can be preempted.
    pub(in crate::ledger) const fn preemptible(&self) -> &BTreeSet<TaskRef> {
        &self.preemptible
    }

    /// Whether an attempt is to be preempted for this submitter.
    pub(in crate::ledger) fn is_asking(&self, submitter: &PublicKey) -> bool {
        self.preemptors.contains(submitter)
    }

    pub(in crate::ledger) const fn ready(&self) -> &ReadyQueue {
        &self.ready
    }

    pub(in crate::ledger) const fn open(&self) -> &OpenClaims {
        &self.open
    }

    /// Remembers that no claim has such a place for a kind.
    pub(in crate::ledger) fn park(&mut self, kind: KindId, opening: Opening) {
        self.ready.park(kind, opening, self.offers);
    }

    /// Whether no claim that has not changed since has such a place for a kind.
    pub(in crate::ledger) fn is_parked(&self, kind: KindId, opening: Opening) -> bool {
        self.ready.is_parked(kind, opening, self.offers)
    }

    /// A worker whose waiting attempts may move up or have to go, and whether because its claim changed.
    pub(in crate::ledger) fn take_unsettled(&mut self) -> Option<(PublicKey, bool)> {
        self.unsettled.pop_first()
    }

    /// The workers that may have room since the last matching which they did not have then.
    pub(in crate::ledger) const fn changed(&self) -> &BTreeSet<PublicKey> {
        &self.changed
    }

    /// All that is ready has been held against all that has room.
    pub(in crate::ledger) fn matched(&mut self) {
        self.changed.clear();
    }

    /// What tasks need, in the one copy that there is of it.
    fn one_copy(&self, needs: Needs) -> Arc<Needs> {
        self.quotas.known_needs(&needs).map_or_else(|| Arc::new(needs), Arc::clone)
    }
}
