//! Jobs and their tasks. An array is one record: a task has a state of its own only once it came to differ from the rest.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};
use serde_tuple::{Deserialize_tuple, Serialize_tuple};

use super::{event::EndReason, lease_time::LeaseTime};
use crate::{
    digest::Digest,
    fault::{Fault, is_planted},
    identity::PublicKey,
    schedule::{
        order::{Fair, Rank},
        ready::{Entry, JobNumber, Kind, Needs},
        recovery::Avoidance,
    },
    types::{AttemptId, AttemptNumber, BlockTime, Claim, Height, Incarnation, JobId, TaskId, TaskSpec, Tasks},
};

/// How many ended attempts of one unfinished task are remembered. A success of an attempt that was forgotten is too late.
pub const ATTEMPTS_KEPT: usize = 32;

/// A task, by its job's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TaskRef {
    pub(super) job: JobNumber,
    pub(super) index: u32,
}

/// What is known of a job and cannot be computed from anything else.
#[derive(Clone, Debug, Serialize_tuple, Deserialize_tuple)]
pub(super) struct JobRecord {
    pub(super) number: JobNumber,
    pub(super) submitter: PublicKey,
    pub(super) name: String,
    pub(super) spec: Arc<TaskSpec>,
    pub(super) tasks: Arc<Tasks>,
    /// When it should have ended.
    pub(super) deadline: Option<BlockTime>,
    /// How long an attempt was expected to run when it was admitted, in milliseconds.
    pub(super) expected_ms: u64,
    /// The bytes in which it was submitted; none any more once it has ended.
    pub(super) definition_bytes: u64,
    /// The block that admitted it.
    pub(super) height: Height,
    pub(super) time: BlockTime,
    /// The tasks from this index on have never been leased and have no state of their own.
    pub(super) fresh: u32,
    /// The states of the tasks below `fresh`; of a cancelled job, only of those that were done.
    pub(super) states: BTreeMap<u32, TaskState>,
    pub(super) cancelled: bool,
    pub(super) ended: Option<BlockTime>,
}

/// A job with what is computed from its record.
#[derive(Clone, Debug)]
pub(super) struct Job {
    pub(super) id: JobId,
    pub(super) record: JobRecord,
    pub(super) count: u32,
    pub(super) needs: Arc<Needs>,
    pub(super) rank: Rank,
    pub(super) counts: TaskCounts,
    /// How many of its leases are at each value of the label that it is spread over.
    pub(super) spread: BTreeMap<String, u32>,
}

/// A task that came to differ from the rest of its job.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum TaskState {
    Live(Box<Live>),
    Done(Done),
}

/// A task that was leased at least once and has no outcome.
#[derive(Clone, Debug, Default, Serialize_tuple, Deserialize_tuple)]
pub(super) struct Live {
    /// How many attempts there were, the present one included.
    pub(super) attempts: u32,
    /// How many of them ended by the program's failure.
    pub(super) failures: u32,
    /// How many were lost or drained after they had taken resources.
    pub(super) losses: u32,
    /// How many were returned by their workers.
    pub(super) returns: u32,
    /// The attempts that ended, oldest first, at most [`ATTEMPTS_KEPT`].
    pub(super) past: Vec<PastAttempt>,
    pub(super) phase: Phase,
}

/// Where a live task is.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Phase {
    #[default]
    Ready,
    BackingOff(BlockTime),
    Leased(Lease),
}

/// A lease: the present attempt of a task.
#[derive(Clone, Copy, Debug, Serialize_tuple, Deserialize_tuple)]
pub(super) struct Lease {
    /// Its place in the order of leases.
    pub(super) number: u64,
    pub(super) worker: PublicKey,
    pub(super) incarnation: Incarnation,
    /// When it has waited too long for resources.
    pub(super) waits_until: LeaseTime,
    /// Since when it has resources, and until when, if it has.
    pub(super) run: Option<Run>,
    /// What it was charged of its submitter's share.
    pub(super) cost: u64,
}

/// An attempt's time with resources.
#[derive(Clone, Copy, Debug, Serialize_tuple, Deserialize_tuple)]
pub(super) struct Run {
    pub(super) since: LeaseTime,
    /// When it times out.
    pub(super) ends: LeaseTime,
}

impl Lease {
    /// When it runs out, as things stand.
    pub(super) fn due(&self) -> LeaseTime {
        self.run.map_or(self.waits_until, |run| run.ends)
    }

    /// For how long it has had resources, in milliseconds of lease time.
    pub(super) fn ran_ms(&self, now: LeaseTime) -> u64 {
        self.run.map_or(0, |run| now.0.saturating_sub(run.since.0) / 1000)
    }
}

/// An attempt that ended without an outcome of its task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct PastAttempt {
    /// Which attempt.
    pub number: AttemptNumber,
    /// Who held it.
    pub worker: PublicKey,
    /// Whether it had taken resources.
    pub began: bool,
    /// How it ended.
    pub why: EndReason,
}

impl PastAttempt {
    /// Whether it counts towards the bound on losses.
    pub(super) fn is_counted_loss(&self) -> bool {
        self.began && self.why.is_loss() || is_planted(Fault::ReturnsCount) && matches!(self.why, EndReason::Returned)
    }
}

/// A task's outcome: where it stands, not what it is.
#[derive(Clone, Copy, Debug, Serialize_tuple, Deserialize_tuple)]
pub(super) struct Done {
    pub(super) attempt: AttemptNumber,
    pub(super) succeeded: bool,
    pub(super) height: Height,
    pub(super) receipt: u32,
}

/// How many tasks are in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TaskCounts {
    /// Ready to be placed.
    pub ready: u64,
    /// Waiting out the time after a failure.
    pub backing_off: u64,
    /// Leased, with resources.
    pub running: u64,
    /// Leased, in a waiting place.
    pub waiting: u64,
    /// Ended with a success.
    pub succeeded: u64,
    /// Ended with a failure.
    pub failed: u64,
    /// Cancelled before they had an outcome.
    pub cancelled: u64,
}

impl TaskCounts {
    /// Those without an outcome.
    #[must_use]
    pub const fn unfinished(&self) -> u64 {
        self.ready + self.backing_off + self.running + self.waiting
    }

    /// All of them.
    #[must_use]
    pub const fn all(&self) -> u64 {
        self.unfinished() + self.succeeded + self.failed + self.cancelled
    }

    pub(super) fn of_state(&mut self, state: &TaskState) -> &mut u64 {
        match state {
            TaskState::Done(Done { succeeded: true, .. }) => &mut self.succeeded,
            TaskState::Done(_) => &mut self.failed,
            TaskState::Live(live) => match &live.phase {
                Phase::Ready => &mut self.ready,
                Phase::BackingOff(_) => &mut self.backing_off,
                Phase::Leased(Lease { run: Some(_), .. }) => &mut self.running,
                Phase::Leased(_) => &mut self.waiting,
            },
        }
    }
}

impl Live {
    /// Remembers an ended attempt; past the bound, what matters least is forgotten first: what says nothing about a worker,
    /// then returns, then losses.
    pub(super) fn remember(&mut self, attempt: PastAttempt) {
        if self.past.len() >= ATTEMPTS_KEPT {
            let position = |matters: fn(&PastAttempt) -> bool| self.past.iter().position(|past| !matters(past));
            let least = position(|past| past.why.is_avoided()).or_else(|| position(PastAttempt::is_counted_loss));
            self.past.remove(least.unwrap_or(0));
        }
        self.past.push(attempt);
    }

    /// Where the task would rather not go again.
    pub(super) fn avoidance(&self) -> Avoidance {
        let avoided = self.past.iter().filter(|past| past.why.is_avoided());
        Avoidance::of(avoided.map(|past| past.worker))
    }

    /// The present lease, if any, and the number of its attempt.
    pub(super) const fn lease(&self) -> Option<(AttemptNumber, &Lease)> {
        match &self.phase {
            Phase::Leased(lease) => Some((AttemptNumber(self.attempts.saturating_sub(1)), lease)),
            _ => None,
        }
    }
}

impl Job {
    pub(super) fn task_id(&self, index: u32) -> TaskId {
        TaskId { job: self.id, index }
    }

    pub(super) fn attempt_id(&self, index: u32, number: AttemptNumber) -> AttemptId {
        AttemptId { task: self.task_id(index), number }
    }

    /// A ready task that was leased before, for the queue.
    pub(super) fn entry(&self, index: u32, avoidance: Avoidance) -> Entry {
        Entry {
            submitter: self.record.submitter,
            kind: Kind { needs: Arc::clone(&self.needs), avoidance },
            rank: self.rank,
            job: self.record.number,
            is_run: false,
            index,
        }
    }

    /// All tasks that were never leased, for the queue.
    pub(super) fn run(&self) -> Entry {
        Entry { is_run: true, ..self.entry(0, Avoidance::default()) }
    }

    /// What an attempt that holds resources for so long takes of its submitter's share.
    pub(super) fn cost_of(&self, ran_ms: u64) -> u64 {
        Fair::cost(self.needs.millicores, ran_ms)
    }

    /// What a task prefers to be near to: its largest input, if that is large.
    pub(super) fn largest_input(&self, index: u32) -> Option<Digest> {
        let spec = &self.record.spec;
        let own = self.record.tasks.part(index).into_iter().flat_map(|part| &part.inputs);
        let inputs = spec.inputs.iter().chain(own).map(|input| input.blob).chain(spec.stdin);
        let largest = inputs.max_by_key(|blob| (blob.bytes, blob.digest))?;
        (largest.bytes >= Claim::HELD_BYTES_MIN).then_some(largest.digest)
    }

    pub(super) fn live(&self, index: u32) -> Option<&Live> {
        match self.record.states.get(&index)? {
            TaskState::Live(live) => Some(live),
            TaskState::Done(_) => None,
        }
    }

    pub(super) fn live_mut(&mut self, index: u32) -> Option<&mut Live> {
        match self.record.states.get_mut(&index)? {
            TaskState::Live(live) => Some(live),
            TaskState::Done(_) => None,
        }
    }
}
