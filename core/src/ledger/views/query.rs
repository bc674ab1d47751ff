//! Queries on jobs, tasks, workers and receipts.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    digest::Digest,
    fault::{Fault, is_planted},
    identity::{NetworkId, PublicKey},
    ledger::{
        Account, Counters, Ledger, ProducedInput, ReplicasView,
        records::{
            jobs::{
                AttemptRef, Checkpoint, Done, FreshState, Gone, Job, Lease, PastAttempt, Phase, TaskCounts, TaskState,
            },
            lease_time::LeaseTime,
            tracks::{Track, TrackOf},
            workers::Worker,
        },
    },
    merkle::Frontier,
    types::{
        After, AfterJob, AttemptId, AttemptNumber, BlockTime, Claim, Genesis, Height, Incarnation, JobId, Occurrence,
        Part, Resources, TaskId, TaskSpec, Tasks, Terms, Times, TransactionId, VoidReason,
    },
};

/// A job.
#[derive(Clone, Copy, Debug)]
pub struct JobView<'a> {
    /// Its id.
    pub id: JobId,
    /// Its name.
    pub name: &'a str,
    /// Its submitter.
    pub submitter: PublicKey,
    /// The height of the block that admitted it.
    pub height: Height,
    /// The time of that block.
    pub submitted: BlockTime,
    /// How many tasks it has.
    pub count: u32,
    /// When it may begin, and when it has to be over.
    pub times: Times,
    /// The jobs that it still waits for.
    pub after: &'a [AfterJob],
    /// Until when arrays may be added, if the job is open.
    pub open_until: Option<BlockTime>,
    /// The number of its tasks in each state.
    pub counts: TaskCounts,
    /// How many of its running tasks have a speculative attempt.
    pub speculative: u64,
    /// When its first task was leased, if one was.
    pub began: Option<BlockTime>,
    /// When its last task ended, if all have.
    pub ended: Option<BlockTime>,
    /// What it has used and lost.
    pub usage: &'a Account,
    /// Which occurrence of which recurring job it is, if it is one.
    pub occurrence_of: Option<Occurrence>,
}

/// An array of a job's tasks.
#[derive(Clone, Copy, Debug)]
pub struct ArrayView<'a> {
    /// Its name within its job.
    pub name: &'a str,
    /// The index of its first task in the job.
    pub first: u32,
    /// What its tasks have in common, as admitted.
    pub spec: &'a Arc<TaskSpec>,
    /// How many tasks it has, and how they differ.
    pub tasks: &'a Arc<Tasks>,
    /// The arrays that it waits for.
    pub after: &'a [After],
    /// Whether other tasks of its job may take its tasks' outputs.
    pub feeds: bool,
    /// The number of its tasks in each state.
    pub counts: TaskCounts,
}

/// A task.
#[derive(Clone, Debug)]
pub struct TaskView<'a> {
    /// Its id.
    pub id: TaskId,
    /// Its state.
    pub state: TaskStateView,
    /// How many attempts there have been, live ones included. For a done task, those up to the one with the outcome.
    pub attempts: u32,
    /// How many failures of the program are counted; 0 once it is done.
    pub failures: u32,
    /// How many losses are counted; 0 once it is done.
    pub losses: u32,
    /// The ended attempts in the order in which they ended; at most [`ATTEMPTS_KEPT`](crate::ledger::ATTEMPTS_KEPT).
    pub past: &'a [PastAttempt],
    /// The live attempts and their workers, oldest first.
    pub live: Vec<(AttemptNumber, PublicKey)>,
    /// The live speculative attempt and its worker, if there is one.
    pub speculative: Option<(AttemptNumber, PublicKey)>,
    /// The last checkpoint that its program saved; none once it is done.
    pub checkpoint: Option<Checkpoint>,
    /// How its replicas stand, if it is computed by several workers and has no outcome.
    pub replicas: Option<ReplicasView>,
    /// What its array's tasks have in common.
    pub spec: &'a Arc<TaskSpec>,
    /// Its present terms.
    pub terms: Terms,
    /// The resources that its running attempt holds. If none runs, those that its terms request.
    pub resources: Resources,
    /// The part of its definition that is its own.
    pub part: Option<&'a Part>,
    /// Its array's place in the job.
    pub array: u16,
    /// Its place in that array.
    pub array_index: u32,
    /// Its array's place in the order of admission, which jobs and arrays added later share.
    pub admission: u64,
    /// When its array was admitted.
    pub admitted: BlockTime,
    /// How long an attempt was expected to run, in milliseconds, when its array was admitted.
    pub expected_ms: u64,
    /// Whether other tasks may take its output, which then has to be stored, however small.
    pub feeds: bool,
}

/// The state of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskStateView {
    /// It waits for other tasks or jobs, or for its job's time.
    Blocked,
    /// Its submitter holds it.
    Held,
    /// It waits to be placed.
    Ready,
    /// It waits until a back-off after a setback is over.
    BackingOff {
        /// The block time at which it is ready again.
        until: BlockTime,
    },
    /// A worker holds it. Others may hold a speculative attempt, or replicas.
    Leased {
        /// The oldest live attempt.
        attempt: AttemptNumber,
        /// Who holds it.
        worker: PublicKey,
        /// The incarnation that may run it.
        incarnation: Incarnation,
        /// When the attempt times out, if it has resources. Without resources, it waits at the worker.
        ends: Option<LeaseTime>,
    },
    /// It has its outcome. The receipt is `Applied::receipts[receipt]` of this height.
    Done {
        /// Whether the outcome is a success.
        succeeded: bool,
        /// The attempt whose outcome it is.
        attempt: AttemptNumber,
        /// At which height it was accepted.
        height: Height,
        /// Which of that height's receipts it is, from 0.
        receipt: u32,
    },
    /// It will have no outcome.
    Gone(Gone),
}

/// A worker whose claim stands.
#[derive(Clone, Copy, Debug)]
pub struct WorkerView<'a> {
    /// Who.
    pub key: PublicKey,
    /// Its last claim.
    pub claim: &'a Claim,
    /// The time of the block since which claims of this key have stood without a break.
    pub since: BlockTime,
    /// Until when it stands.
    pub until: LeaseTime,
    /// How many attempts run there.
    pub running: u32,
    /// How many wait there.
    pub waiting: u32,
    /// To how many answers it has committed itself that it has not revealed.
    pub committed: u32,
    /// Whether it is on trial: it holds one attempt at a time until it delivers.
    pub on_trial: bool,
    /// Whether it lost the attempt of its trial, and gets none for now.
    pub waits_out: bool,
    /// What became of what it computed, in all.
    pub track: Track,
    /// Its track records, by submitter and program.
    pub tracks: &'a BTreeMap<TrackOf, Track>,
    /// How many more could run there, counting slots only.
    pub slots_free: u32,
    /// The offered resources that are free.
    pub resources_free: Resources,
}

/// A lease that a worker holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseView {
    /// The attempt.
    pub attempt: AttemptId,
    /// The incarnation that may run it.
    pub incarnation: Incarnation,
    /// How far it has come.
    pub stage: Stage,
    /// The resources that it holds; none unless it runs.
    pub resources: Resources,
}

/// How far an attempt has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It waits for resources, and must not be begun.
    Waiting,
    /// It has resources.
    Running,
    /// Its worker has committed itself to its answer.
    Committed {
        /// Whether it is asked to reveal it.
        asked: bool,
    },
}

/// Totals over the whole ledger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Jobs that are not forgotten.
    pub jobs: u64,
    /// Their tasks, by state.
    pub tasks: TaskCounts,
    /// Workers whose claim stands.
    pub workers: u64,
    /// Totals since the genesis.
    pub ever: Counters,
}

impl Ledger {
    /// The network's genesis.
    #[must_use]
    pub const fn genesis(&self) -> &Arc<Genesis> {
        &self.genesis
    }

    /// The network's id.
    #[must_use]
    pub const fn network(&self) -> NetworkId {
        self.network
    }

    /// The last block that was executed; 0 if there was none.
    #[must_use]
    pub const fn height(&self) -> Height {
        self.records.height()
    }

    /// That block's time; the genesis' if there was none.
    #[must_use]
    pub const fn time(&self) -> BlockTime {
        self.records.time()
    }

    /// Lease time at that block.
    #[must_use]
    pub const fn lease_time(&self) -> LeaseTime {
        self.records.lease_time()
    }

    /// The root over all receipts so far: the root of the history tree, whose leaves are the roots of each height's
    /// receipts, from height 1 on.
    #[must_use]
    pub fn receipts_root(&self) -> Digest {
        self.records.history().root()
    }

    /// The history tree over all heights' receipts, reduced to what is needed to extend it.
    #[must_use]
    pub const fn history(&self) -> &Frontier {
        self.records.history()
    }

    /// The lowest height that admitted a job which is still known; the next height if no job is. No known task has a
    /// receipt below it.
    #[must_use]
    pub fn oldest_admission(&self) -> Height {
        self.records.jobs().values().next().map_or(self.height().next(), |job| job.record.height)
    }

    /// Whether a transaction was executed or void and has not expired, so that it must not be executed again.
    #[must_use]
    pub fn was_executed(&self, id: TransactionId) -> bool {
        self.records.replay().contains(id)
    }

    /// The result of a transaction that was executed or void, and has not expired.
    ///
    /// # Errors
    ///
    /// Within: why it was void.
    #[must_use]
    pub fn result_of(&self, id: TransactionId) -> Option<Result<(), VoidReason>> {
        self.records.replay().result_of(id)
    }

    /// The jobs that are not forgotten, in order of admission.
    pub fn jobs(&self) -> impl DoubleEndedIterator<Item = JobView<'_>> {
        self.records.jobs().values().map(view_of_job)
    }

    /// A job, if it is not forgotten.
    #[must_use]
    pub fn job(&self, id: JobId) -> Option<JobView<'_>> {
        self.records.job(self.index.number_of(&id)?).map(view_of_job)
    }

    /// A task, if its job is not forgotten.
    #[must_use]
    pub fn task(&self, id: TaskId) -> Option<TaskView<'_>> {
        let job = self.records.job(self.index.number_of(&id.job)?)?;
        view_of_task(job, id, self.time())
    }

    /// A job's arrays in their order, if it is not forgotten.
    #[must_use]
    pub fn arrays(&self, id: JobId) -> Vec<ArrayView<'_>> {
        let Some(job) = self.index.number_of(&id).and_then(|number| self.records.job(number)) else {
            return Vec::new();
        };
        let mut arrays = Vec::with_capacity(job.record.arrays.len());
        for (place, array) in (0u16..).zip(&job.record.arrays) {
            let segments = &job.record.segments;
            let Some(first) = segments.get(segments.partition_point(|segment| segment.array < place)) else { break };
            let (name, tasks, after) = (array.name.as_str(), &array.tasks, array.after.as_slice());
            let (feeds, counts) = (array.feeds, job.counts_of(place, self.time()));
            arrays.push(ArrayView { name, first: first.start, spec: &first.spec, tasks, after, feeds, counts });
        }
        arrays
    }

    /// The inputs that a task which may begin takes from other tasks' outputs.
    #[must_use]
    pub fn produced_inputs(&self, id: TaskId) -> Vec<ProducedInput> {
        let Some(job) = self.index.number_of(&id.job).and_then(|number| self.records.job(number)) else {
            return Vec::new();
        };
        job.produced_inputs(id.index)
    }

    /// The workers whose claims stand, by key.
    pub fn workers(&self) -> impl Iterator<Item = WorkerView<'_>> {
        self.records.workers().iter().filter_map(|(key, worker)| view_of_worker(*key, worker))
    }

    /// A worker, if its claim stands.
    #[must_use]
    pub fn worker(&self, key: &PublicKey) -> Option<WorkerView<'_>> {
        view_of_worker(*key, self.records.worker(key)?)
    }

    /// A worker's leases, in the order in which they were given.
    #[must_use]
    pub fn leases_of(&self, key: &PublicKey) -> Vec<LeaseView> {
        let held = self.records.worker(key).map(|worker| worker.leases().attempts()).unwrap_or_default();
        held.into_iter().filter_map(|attempt| self.view_of_lease(attempt)).collect()
    }

    fn view_of_lease(&self, attempt: AttemptRef) -> Option<LeaseView> {
        let (job, lease) = (self.records.jobs().get(&attempt.task().job)?, self.lease_of(attempt)?);
        Some(LeaseView {
            attempt: job.attempt_id(attempt.task().index, attempt.number),
            incarnation: lease.incarnation,
            stage: match (lease.commitment(), lease.holds()) {
                (Some(commitment), _) => Stage::Committed { asked: commitment.reveal_until.is_some() },
                (None, Some(_)) => Stage::Running,
                (None, None) => Stage::Waiting,
            },
            resources: lease.holds().unwrap_or_default(),
        })
    }

    /// The lease of an attempt, if it lives.
    pub(in crate::ledger) fn lease_of(&self, attempt: AttemptRef) -> Option<&Lease> {
        let task = attempt.task();
        self.records.job(task.job)?.live(task.index)?.lease_of(attempt.number)
    }

    /// The newest sequence number and incarnation that were executed for a worker's key, if they are remembered. The
    /// worker's next claim needs a higher sequence number, and an incarnation that is not lower.
    #[must_use]
    pub fn last_sequence(&self, key: &PublicKey) -> Option<(u64, Incarnation)> {
        let forgets = is_planted(Fault::SequenceRestarts);
        let sequence = |worker: &Worker| if forgets { 0 } else { worker.record.sequence };
        self.records.worker(key).map(|worker| (sequence(worker), worker.record.incarnation))
    }

    /// Whether a worker's claim stood after the block at `height`, which has been executed. The last
    /// [`STANDINGS_KEPT`](crate::ledger::STANDINGS_KEPT) standings are remembered, as long as the worker is.
    #[must_use]
    pub fn claim_stood_at(&self, worker: &PublicKey, height: Height) -> bool {
        height <= self.height() && self.records.worker(worker).is_some_and(|worker| worker.stood_at(height))
    }

    /// Totals over the whole ledger.
    #[must_use]
    pub fn totals(&self) -> Totals {
        Totals {
            jobs: self.records.jobs().len() as u64,
            tasks: *self.index.counts(),
            workers: self.index.claims_standing() as u64,
            ever: *self.records.counters(),
        }
    }
}

pub(in crate::ledger) fn view_of_job(job: &Job) -> JobView<'_> {
    let record = &job.record;
    JobView {
        id: job.id,
        name: &record.name,
        submitter: record.submitter,
        height: record.height,
        submitted: record.time,
        count: job.count(),
        times: record.times,
        after: &record.after,
        open_until: record.open_until,
        counts: *job.counts(),
        speculative: job.index.speculative(),
        began: record.began,
        ended: record.ended,
        usage: &record.usage,
        occurrence_of: record.occurrence_of,
    }
}

fn view_of_task(job: &Job, id: TaskId, now: BlockTime) -> Option<TaskView<'_>> {
    let record = &job.record;
    let at = job.segment_at(id.index)?;
    let segment = record.segments.get(at)?;
    let (array, array_index) = job.array_index(id.index)?;
    let admission = job.admission(array);
    let mut view = TaskView {
        id,
        state: TaskStateView::Ready,
        attempts: 0,
        failures: 0,
        losses: 0,
        past: &[],
        live: Vec::new(),
        speculative: None,
        checkpoint: None,
        replicas: segment.spec.redundancy.as_ref().map(|redundancy| ReplicasView::of(redundancy, None)),
        spec: &segment.spec,
        terms: segment.terms,
        resources: segment.terms.resources,
        part: job.part(id.index),
        array,
        array_index,
        admission: admission.number,
        admitted: admission.time,
        expected_ms: segment.expected_ms,
        feeds: record.arrays.get(usize::from(array)).is_some_and(|array| array.feeds),
    };
    match record.states.get(&id.index) {
        Some(TaskState::Done(done)) => {
            let Done { attempt, succeeded, height, receipt, .. } = **done;
            view.state = TaskStateView::Done { succeeded, attempt, height, receipt };
            view.attempts = attempt.0.saturating_add(1);
            view.past = &done.past;
            view.replicas = None;
        }
        Some(TaskState::Gone(gone)) => {
            view.state = TaskStateView::Gone(*gone);
            view.replicas = None;
        }
        Some(TaskState::Live(live)) => {
            view.replicas = segment.spec.redundancy.as_ref().map(|redundancy| ReplicasView::of(redundancy, Some(live)));
            view.state = match (&live.phase, live.lease()) {
                (Phase::Leased(_) | Phase::Replicated, Some(lease)) => TaskStateView::Leased {
                    attempt: lease.attempt,
                    worker: lease.worker,
                    incarnation: lease.incarnation,
                    ends: lease.allocation.map(|allocation| allocation.ends),
                },
                (Phase::BackingOff(until), _) => TaskStateView::BackingOff { until: *until },
                (Phase::Held, _) => TaskStateView::Held,
                _ => TaskStateView::Ready,
            };
            view.live = live.leases().map(|lease| (lease.attempt, lease.worker)).collect();
            let history = live.history();
            (view.attempts, view.failures, view.losses) = (live.attempts, history.failures, history.losses);
            if let Some(Lease { allocation: Some(allocation), speculative, .. }) = live.lease() {
                view.resources = allocation.resources;
                view.speculative = speculative.as_ref().map(|speculative| (speculative.attempt, speculative.worker));
            }
            view.past = &history.past;
            view.checkpoint = live.checkpoint.as_deref().copied();
        }
        None => {
            view.state = match job.fresh_state(at, now) {
                FreshState::Ready => TaskStateView::Ready,
                FreshState::Blocked => TaskStateView::Blocked,
                FreshState::Held => TaskStateView::Held,
                FreshState::Gone(gone) => TaskStateView::Gone(gone),
            };
        }
    }
    Some(view)
}

fn view_of_worker(key: PublicKey, worker: &Worker) -> Option<WorkerView<'_>> {
    let standing = worker.record.standing.as_ref()?;
    let (claim, leases) = (&standing.claim, worker.leases());
    let running = leases.running().len() as u32;
    let offer = claim.resources;
    let millicores = u64::from(offer.millicores).saturating_sub(leases.millicores());
    Some(WorkerView {
        key,
        claim,
        since: standing.since,
        until: standing.until,
        running,
        waiting: leases.waiting().len() as u32,
        committed: leases.committed().len() as u32,
        slots_free: claim.slots.saturating_sub(running),
        on_trial: worker.record.trial.is_some(),
        waits_out: worker.record.waits_out(),
        track: worker.record.tracks.sum(),
        tracks: worker.record.tracks.kept(),
        resources_free: Resources {
            millicores: u32::try_from(millicores).unwrap_or(u32::MAX),
            memory_bytes: offer.memory_bytes.saturating_sub(leases.memory_bytes()),
        },
    })
}
