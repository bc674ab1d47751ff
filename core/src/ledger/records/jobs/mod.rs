//! Jobs. An array is one record, however many tasks it has, until its tasks come to differ.
//!
//! The tasks of a job are numbered consecutively, array by array. A *segment* is a range of tasks of one array that
//! are alike and have one specification. Tasks from [`Segment::fresh`] on have no state of their own. The exception
//! is a single array, whose tasks wait for single tasks: each of these gets a state when its turn comes.

mod deaths;
mod replicas;
mod tasks;

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::Arc,
};

use serde_tuple::{Deserialize_tuple, Serialize_tuple};

pub(in crate::ledger) use deaths::{Deaths, Standing};
pub use replicas::Comparison;
pub(in crate::ledger) use replicas::{Commitment, Replica, Replicas, Reply, Step};
pub use tasks::{ATTEMPTS_KEPT, Checkpoint, Gone, PastAttempt, TaskCounts};
pub(in crate::ledger) use tasks::{Allocation, Done, Lease, Live, Phase, Preemption, Speculation, TaskState};

use crate::{
    digest::Digest,
    identity::PublicKey,
    invariant::known,
    ledger::{
        index::{Ending, Graph, JobIndex, SegmentSummary},
        records::usage::Account,
    },
    schedule::{
        order::Fair,
        ready::{JobNumber, Kind, Needs, QueueEntry},
        recovery::Avoidance,
    },
    types::{
        After, AfterJob, AttemptId, AttemptNumber, BlobRef, BlockTime, Claim, Height, JobId, Occurrence, OutputOf,
        Part, Producer, Redundancy, Source, TaskId, TaskSpec, Tasks, Terms, Times,
    },
};

/// A task, named by its job's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::ledger) struct TaskRef {
    pub(in crate::ledger) job: JobNumber,
    pub(in crate::ledger) index: u32,
}

/// An attempt, named by its job's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::ledger) struct AttemptRef {
    job: JobNumber,
    index: u32,
    pub(in crate::ledger) number: AttemptNumber,
}

impl AttemptRef {
    pub(in crate::ledger) const fn of(TaskRef { job, index }: TaskRef, number: AttemptNumber) -> Self {
        Self { job, index, number }
    }

    pub(in crate::ledger) const fn task(&self) -> TaskRef {
        TaskRef { job: self.job, index: self.index }
    }
}

/// What is known of a job and cannot be computed.
#[derive(Clone, Debug, Serialize_tuple, Deserialize_tuple)]
pub(in crate::ledger) struct JobRecord {
    pub(in crate::ledger) number: JobNumber,
    pub(in crate::ledger) submitter: PublicKey,
    pub(in crate::ledger) name: String,
    /// The bytes in which it was submitted; 0 once it has ended.
    pub(in crate::ledger) definition_bytes: u64,
    /// The block that admitted it.
    pub(in crate::ledger) height: Height,
    pub(in crate::ledger) time: BlockTime,
    pub(in crate::ledger) times: Times,
    /// The jobs that it still waits for.
    pub(in crate::ledger) after: Vec<AfterJob>,
    /// Until when arrays may be added, if the job is open.
    pub(in crate::ledger) open_until: Option<BlockTime>,
    /// Whether its submitter holds it. Arrays that are added are then held too.
    pub(in crate::ledger) held: bool,
    pub(in crate::ledger) arrays: Vec<ArrayRecord>,
    pub(in crate::ledger) segments: Vec<Segment>,
    pub(in crate::ledger) states: BTreeMap<u32, TaskState>,
    /// When its first task was leased.
    pub(in crate::ledger) began: Option<BlockTime>,
    pub(in crate::ledger) ended: Option<BlockTime>,
    /// What it has used and lost.
    pub(in crate::ledger) usage: Account,
    /// Which occurrence of which recurring job it is, if it is one.
    pub(in crate::ledger) occurrence_of: Option<Occurrence>,
    /// How many tasks its tasks may spawn.
    pub(in crate::ledger) spawns_max: u32,
    /// How many tasks its tasks have spawned.
    pub(in crate::ledger) spawned: u32,
    /// The workers that died while they ran its programs, by program; empty once it has ended.
    pub(in crate::ledger) deaths: BTreeMap<Digest, Deaths>,
}

/// An array, except for what its segments record.
#[derive(Clone, Debug, Serialize_tuple, Deserialize_tuple)]
pub(in crate::ledger) struct ArrayRecord {
    pub(in crate::ledger) name: String,
    pub(in crate::ledger) tasks: Arc<Tasks>,
    pub(in crate::ledger) after: Vec<After>,
    pub(in crate::ledger) feeds: bool,
    pub(in crate::ledger) admission: Admission,
}

/// When an array was admitted. An array that is added to a job later, or spawned, goes behind everything that was
/// admitted before it: otherwise a job that goes on growing would keep all later jobs waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub(in crate::ledger) struct Admission {
    /// The place in the order of admission, which jobs and later arrays share.
    pub(in crate::ledger) number: JobNumber,
    pub(in crate::ledger) time: BlockTime,
}

/// Consecutive tasks of one array that are alike.
#[derive(Clone, Debug, Serialize_tuple, Deserialize_tuple)]
pub(in crate::ledger) struct Segment {
    pub(in crate::ledger) array: u16,
    /// Its first task.
    pub(in crate::ledger) start: u32,
    /// The task after its last.
    pub(in crate::ledger) end: u32,
    pub(in crate::ledger) spec: Arc<TaskSpec>,
    /// Their present terms.
    pub(in crate::ledger) terms: Terms,
    /// How long an attempt was expected to run, in milliseconds, when the array was admitted.
    pub(in crate::ledger) expected_ms: u64,
    /// The tasks before this one have states of their own.
    pub(in crate::ledger) fresh: u32,
    /// Whether its submitter holds the tasks that are not leased.
    pub(in crate::ledger) held: bool,
    /// Why its tasks without states of their own are gone, if they are.
    pub(in crate::ledger) gone: Option<Gone>,
}

/// The state of a segment's tasks that have no states of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::ledger) enum FreshState {
    Ready,
    Blocked,
    Held,
    Gone(Gone),
}

/// A job, with what is computed from its record.
#[derive(Clone, Debug)]
pub(in crate::ledger) struct Job {
    pub(in crate::ledger) id: JobId,
    pub(in crate::ledger) record: JobRecord,
    /// What is computed from the record. Only the index writes it.
    pub(in crate::ledger) index: JobIndex,
}

/// An input that a task takes from another task's output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducedInput {
    /// The other task's index in the job.
    pub producer: u32,
    /// Where the task finds it, as [`Input::path`](crate::types::Input::path) says: a file if `file` is given, otherwise a folder.
    pub path: String,
    /// The manifest of the other task's output.
    pub manifest: BlobRef,
    /// Which file of that output.
    pub file: Option<String>,
}

impl JobRecord {
    /// Which segment a task is in.
    pub(in crate::ledger) fn segment_at(&self, index: u32) -> Option<usize> {
        let at = self.segments.partition_point(|segment| segment.start <= index).checked_sub(1)?;
        (index < self.segments[at].end).then_some(at)
    }

    /// How a task ended, if it has.
    pub(in crate::ledger) fn ending_of(&self, index: u32) -> Option<Ending> {
        match self.states.get(&index) {
            Some(TaskState::Done(done)) => Some(if done.succeeded { Ending::Well } else { Ending::Failed }),
            Some(TaskState::Gone(_)) => Some(Ending::Gone),
            Some(TaskState::Live(_)) => None,
            None => self.segments[self.segment_at(index)?].gone.map(|_| Ending::Gone),
        }
    }
}

impl Job {
    /// How many tasks it has.
    pub(in crate::ledger) const fn count(&self) -> u32 {
        self.index.count()
    }

    /// The number of its tasks in each state.
    pub(in crate::ledger) const fn counts(&self) -> &TaskCounts {
        self.index.counts()
    }

    /// The dependencies of its tasks.
    pub(in crate::ledger) const fn graph(&self) -> &Graph {
        self.index.graph()
    }

    pub(in crate::ledger) fn task_id(&self, index: u32) -> TaskId {
        TaskId { job: self.id, index }
    }

    pub(in crate::ledger) fn attempt_id(&self, index: u32, number: AttemptNumber) -> AttemptId {
        AttemptId { task: self.task_id(index), number }
    }

    /// Which segment a task is in.
    pub(in crate::ledger) fn segment_at(&self, index: u32) -> Option<usize> {
        self.record.segment_at(index)
    }

    pub(in crate::ledger) fn segment(&self, index: u32) -> Option<&Segment> {
        self.record.segments.get(self.segment_at(index)?)
    }

    pub(in crate::ledger) fn spec(&self, index: u32) -> Option<&Arc<TaskSpec>> {
        self.segment(index).map(|segment| &segment.spec)
    }

    pub(in crate::ledger) fn needs(&self, index: u32) -> Option<&Arc<Needs>> {
        self.index.summary(self.segment_at(index)?).map(SegmentSummary::needs)
    }

    /// A task's array, and its place in that array.
    pub(in crate::ledger) fn array_index(&self, index: u32) -> Option<(u16, u32)> {
        let array = self.segment(index)?.array;
        let first = self.record.segments.partition_point(|segment| segment.array < array);
        Some((array, index - self.record.segments.get(first)?.start))
    }

    /// When an array was admitted.
    pub(in crate::ledger) fn admission(&self, array: u16) -> Admission {
        let record = self.record.arrays.get(usize::from(array));
        known(record).map_or(Admission { number: self.record.number, time: self.record.time }, |array| array.admission)
    }

    /// The part of a task's definition that is its own.
    pub(in crate::ledger) fn part(&self, index: u32) -> Option<&Part> {
        let (array, place) = self.array_index(index)?;
        self.record.arrays.get(usize::from(array))?.tasks.part(place)
    }

    /// Whether none of its tasks may begin yet, whatever its arrays wait for.
    pub(in crate::ledger) fn is_shut(&self, now: BlockTime) -> bool {
        !self.record.after.is_empty() || self.record.times.not_before.is_some_and(|time| now < time)
    }

    /// The state of a segment's tasks that have no states of their own.
    pub(in crate::ledger) fn fresh_state(&self, at: usize, now: BlockTime) -> FreshState {
        let Some(segment) = known(self.record.segments.get(at)) else { return FreshState::Blocked };
        if let Some(gone) = segment.gone {
            return FreshState::Gone(gone);
        }
        if self.is_shut(now)
            || !self.index.graph().is_open(segment.array)
            || self.index.graph().is_single(segment.array)
        {
            return FreshState::Blocked;
        }
        if segment.held { FreshState::Held } else { FreshState::Ready }
    }

    /// The number of an array's tasks in each state.
    pub(in crate::ledger) fn counts_of(&self, array: u16, now: BlockTime) -> TaskCounts {
        let mut counts = TaskCounts::default();
        for (at, segment) in self.record.segments.iter().enumerate().filter(|(_, segment)| segment.array == array) {
            let mut stateless = u64::from(segment.end - segment.start);
            for (_, state) in self.record.states.range(segment.start..segment.end) {
                *counts.of_state(state) += 1;
                stateless -= 1;
            }
            *counts.of_fresh(self.fresh_state(at, now)) += stateless;
        }
        counts
    }

    /// The queue entry of a ready task that has a state of its own.
    pub(in crate::ledger) fn entry(&self, index: u32, live: &Live) -> Option<QueueEntry> {
        let summary = self.index.summary(self.segment_at(index)?)?;
        Some(QueueEntry {
            submitter: self.record.submitter,
            kind: Kind { needs: Arc::clone(summary.needs()), avoidance: live.avoidance() },
            rank: summary.rank(),
            admission: self.admission(self.segment(index)?.array).number,
            job: self.record.number,
            is_fresh: live.attempts == 0,
            index,
        })
    }

    /// The queue entry of a segment's ready tasks that have no states of their own.
    pub(in crate::ledger) fn run(&self, at: usize) -> Option<QueueEntry> {
        let (segment, summary) = (self.record.segments.get(at)?, self.index.summary(at)?);
        Some(QueueEntry {
            submitter: self.record.submitter,
            kind: Kind { needs: Arc::clone(summary.needs()), avoidance: Avoidance::default() },
            rank: summary.rank(),
            admission: self.admission(segment.array).number,
            job: self.record.number,
            is_fresh: true,
            index: segment.start,
        })
    }

    /// The ready tasks with any of these needs, of arrays that were admitted by `then`.
    pub(in crate::ledger) fn ready_with(
        &self,
        needs: &BTreeSet<Needs>,
        then: BlockTime,
        now: BlockTime,
    ) -> Vec<Range<u32>> {
        let mut ready = Vec::new();
        for (at, segment) in self.record.segments.iter().enumerate() {
            let is_meant = self.index.summary(at).is_some_and(|summary| needs.contains(&**summary.needs()));
            if !is_meant || self.admission(segment.array).time > then {
                continue;
            }
            let own = self.record.states.range(segment.start..segment.end);
            let waits =
                own.filter(|(_, state)| matches!(state, TaskState::Live(live) if matches!(live.phase, Phase::Ready)));
            ready.extend(waits.map(|(index, _)| *index..*index + 1));
            if self.fresh_state(at, now) == FreshState::Ready && segment.fresh < segment.end {
                ready.push(segment.fresh..segment.end);
            }
        }
        ready
    }

    /// What an attempt under the present terms costs its submitter's share if it runs for `runs_ms`.
    pub(in crate::ledger) fn cost_of(&self, index: u32, runs_ms: u64) -> u64 {
        Fair::cost(self.needs(index).map_or(0, |needs| needs.millicores), runs_ms)
    }

    /// The task's largest input, if it is large enough for the task to be placed near it.
    pub(in crate::ledger) fn largest_input(&self, index: u32) -> Option<Digest> {
        let spec = self.spec(index)?;
        let own = self.part(index).into_iter().flat_map(|part| &part.inputs);
        let inputs = spec.inputs.iter().chain(own).filter_map(|input| match &input.source {
            Source::Blob(blob) => Some(*blob),
            // How large a folder is, only its manifest says.
            Source::Folder(_) | Source::Output(_) => None,
        });
        let largest = inputs.chain(spec.stdin).max_by_key(|blob| (blob.bytes, blob.digest))?;
        (largest.bytes >= Claim::BLOB_BYTES_MIN).then_some(largest.digest)
    }

    /// The inputs that a task takes from other tasks' outputs.
    pub(in crate::ledger) fn produced_inputs(&self, index: u32) -> Vec<ProducedInput> {
        let (Some(spec), Some((_, place))) = (self.spec(index), self.array_index(index)) else { return Vec::new() };
        let own = self.part(index).into_iter().flat_map(|part| &part.inputs);
        let mut taken = Vec::new();
        for input in spec.inputs.iter().chain(own) {
            let Source::Output(OutputOf { of, file }) = &input.source else { continue };
            let mut take = |producer: u32, path: String| {
                if let Some(TaskState::Done(done)) = self.record.states.get(&producer)
                    && let Some(manifest) = &done.manifest
                {
                    taken.push(ProducedInput { producer, path, manifest: **manifest, file: file.clone() });
                }
            };
            match of {
                Producer::Task(task) => take(*task, input.path.clone()),
                Producer::Same(array) => take(self.index.graph().first(*array) + place, input.path.clone()),
                Producer::All(array) => {
                    for (place, task) in self.index.graph().tasks_of(*array).enumerate() {
                        let path = match file {
                            Some(file) => format!("{}/{place}/{file}", input.path),
                            None => format!("{}/{place}", input.path),
                        };
                        take(task, path);
                    }
                }
            }
        }
        taken
    }

    pub(in crate::ledger) fn live(&self, index: u32) -> Option<&Live> {
        match self.record.states.get(&index)? {
            TaskState::Live(live) => Some(live),
            TaskState::Done(_) | TaskState::Gone(_) => None,
        }
    }

    /// The lease of a task's oldest live attempt.
    pub(in crate::ledger) fn lease(&self, index: u32) -> Option<&Lease> {
        self.live(index)?.lease()
    }

    /// A task's live attempts, oldest first.
    pub(in crate::ledger) fn attempts(&self, index: u32) -> Vec<AttemptRef> {
        let task = TaskRef { job: self.record.number, index };
        let leases = self.live(index).into_iter().flat_map(Live::leases);
        leases.map(|lease| AttemptRef::of(task, lease.attempt)).collect()
    }

    /// A task's redundancy, if it has any.
    pub(in crate::ledger) fn redundancy(&self, index: u32) -> Option<Redundancy> {
        self.spec(index)?.redundancy
    }

    pub(in crate::ledger) fn live_mut(&mut self, index: u32) -> Option<&mut Live> {
        match self.record.states.get_mut(&index)? {
            TaskState::Live(live) => Some(live),
            TaskState::Done(_) | TaskState::Gone(_) => None,
        }
    }

    /// When it next changes by time alone: it may begin, its time runs out, or it is closed.
    pub(in crate::ledger) fn next_due(&self, now: BlockTime) -> Option<BlockTime> {
        let record = &self.record;
        if record.ended.is_some() {
            return None;
        }
        let opens = record.times.not_before.filter(|time| now < *time);
        let lives_until = record.times.live_ms_max.map(|ms| record.time.plus_ms(ms));
        let runs_until = record.began.zip(record.times.run_ms_max).map(|(began, ms)| began.plus_ms(ms));
        [opens, lives_until, runs_until, record.open_until].into_iter().flatten().min()
    }

    /// Whether all its tasks have ended and none can be added.
    pub(in crate::ledger) fn is_over(&self) -> bool {
        self.index.counts().unfinished() == 0 && self.record.open_until.is_none()
    }
}
