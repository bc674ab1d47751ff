//! Jobs, their arrays and their tasks.

use meshwork_core::{
    digest::Digest,
    identity::PublicKey,
    ledger::{self, EndReason},
    types::{FailureKind, Height, JobId, Setback, Verdict},
};
use serde::{Deserialize, Serialize};

use crate::OccurrenceView;

/// Tasks by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskCounts {
    /// Waiting for other tasks or jobs, or for their time.
    pub blocked: u64,
    /// Held by their submitter.
    pub held: u64,
    /// Waiting for a claim, or for a back-off to end.
    pub ready: u64,
    /// Held by a worker, with resources.
    pub running: u64,
    /// Held by a worker, in a waiting place.
    pub waiting: u64,
    /// Ended with success.
    pub succeeded: u64,
    /// Ended with a failure.
    pub failed: u64,
    /// Stopped by their submitter, or because their job's time ran out.
    pub cancelled: u64,
    /// Never begun, because what they waited for can no longer happen.
    pub skipped: u64,
}

impl From<ledger::TaskCounts> for TaskCounts {
    fn from(counts: ledger::TaskCounts) -> Self {
        let ledger::TaskCounts {
            blocked,
            held,
            ready,
            backing_off,
            running,
            waiting,
            succeeded,
            failed,
            cancelled,
            skipped,
        } = counts;
        Self { blocked, held, ready: ready + backing_off, running, waiting, succeeded, failed, cancelled, skipped }
    }
}

/// `GET /v1/jobs` (an array, newest first) and `GET /v1/jobs/{job}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct JobView {
    /// Its id.
    pub id: JobId,
    /// The name that its submitter gave it.
    pub name: String,
    /// The key that submitted it.
    pub submitter: PublicKey,
    /// The height that admitted it.
    pub height: Height,
    /// The time of that block, in microseconds since the Unix epoch.
    pub submitted_us: u64,
    /// The time when its last task ended, in microseconds since the Unix epoch; nothing while it runs.
    pub ended_us: Option<u64>,
    /// The number of its tasks.
    pub tasks: u32,
    /// Its tasks by state.
    pub counts: TaskCounts,
    /// The time until which arrays may be added, in microseconds since the Unix epoch; nothing if the job is closed.
    pub open_until_us: Option<u64>,
    /// The recurring job and occurrence that it was made for; nothing if it does not come from one.
    pub occurrence_of: Option<OccurrenceView>,
}

/// `GET /v1/jobs/{job}/arrays` (an array in the job's order; empty for a job that the ledger has forgotten).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ArrayView {
    /// The name that its submitter gave it within the job; may be empty.
    pub name: String,
    /// The index of its first task in the job.
    pub first: u32,
    /// The number of its tasks.
    pub tasks: u32,
    /// The digest of its program.
    pub program: Digest,
    /// Whether other tasks of the job may take its tasks' outputs.
    pub feeds: bool,
    /// Its tasks by state.
    pub counts: TaskCounts,
}

/// `GET /v1/jobs/{job}/tasks?from=0&limit=1000[&state=…]` (an array by index) and `GET /v1/tasks/{job}/{index}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TaskView {
    /// Its job.
    pub job: JobId,
    /// Its index in the job.
    pub index: u32,
    /// Its state.
    pub state: TaskState,
    /// The worker that holds it, or whose outcome was accepted.
    pub worker: Option<PublicKey>,
    /// Its attempts so far, oldest first.
    pub attempts: Vec<AttemptView>,
    /// How its replicas stand, if it is computed by several workers and has no outcome.
    pub replicas: Option<ReplicasView>,
    /// The last checkpoint, while the task has no outcome.
    pub checkpoint: Option<CheckpointView>,
    /// Where the receipt of its outcome is, once there is one.
    pub receipt: Option<ReceiptPosition>,
}

/// `GET /v1/tasks/{job}/{index}/explanation`: why a task waits, or why it was placed where it is.
#[doc(inline)]
pub use meshwork_core::ledger::Explanation as ExplanationView;
/// `GET /v1/jobs/{job}/timeline?from=0&limit=1000`: when a job's tasks waited, where they ran and how that ended, by
/// index. There is none for a job that the ledger has forgotten.
#[doc(inline)]
pub use meshwork_core::ledger::Timeline as TimelineView;

/// How the replicas of a task stand that is computed by several workers.
#[doc(inline)]
pub use meshwork_core::ledger::{Comparison, ReplicasView};

/// A checkpoint of a task.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct CheckpointView {
    /// The manifest of its files.
    pub manifest: Digest,
    /// The attempt that saved it.
    pub attempt: u32,
    /// The time of the block that took it, in microseconds since the Unix epoch.
    pub time_us: u64,
}

/// A task's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TaskState {
    /// It waits for other tasks or jobs, or for its job's time.
    Blocked,
    /// Its submitter holds it.
    Held,
    /// It waits for a claim that can take it.
    Ready,
    /// Its program failed, and the task waits to be tried again.
    BackingOff,
    /// A worker holds it in a waiting place.
    Waiting,
    /// A worker holds it, with resources.
    Running,
    /// It ended with success.
    Succeeded,
    /// It ended with a failure.
    Failed,
    /// Its submitter stopped it.
    Cancelled,
    /// What it waited for can no longer happen.
    Skipped,
    /// Its job's time ran out.
    Expired,
    /// Its submitter was barred from submitting.
    Barred,
    /// Too many workers died while they ran its program for its job.
    EndedHosts,
    /// For too long, no claim that stood could ever hold it.
    Unclaimed,
}

/// One attempt of a task.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AttemptView {
    /// Its number, from 0.
    pub number: u32,
    /// The worker that was given it.
    pub worker: PublicKey,
    /// How it ended, in words; nothing while it is leased.
    pub ended: Option<String>,
}

/// The place of a receipt.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct ReceiptPosition {
    /// The height of its block.
    pub height: Height,
    /// Its index among that block's receipts.
    pub index: u32,
}

/// How an attempt ended, in words for people, and how its program failed if that ended it.
#[must_use]
pub fn attempt_in_words(why: EndReason, failure: Option<FailureKind>) -> String {
    match failure {
        Some(FailureKind::Exited(status)) => format!("exited with status {status}"),
        Some(FailureKind::Exceeded(limit)) => limit.to_string(),
        Some(FailureKind::Other(setback)) => setback_in_words(setback).to_owned(),
        None => ended_in_words(why).to_owned(),
    }
}

/// A kind of setback, in words for people.
#[must_use]
pub const fn setback_in_words(setback: Setback) -> &'static str {
    match setback {
        Setback::Lost => "lost",
        Setback::Drained => "drained",
        Setback::HostDied => "its worker died while it ran",
        Setback::Exited => "exited with a status that is no success",
        Setback::Trapped => "trapped",
        Setback::TimedOut => "ran out of time",
        Setback::OutOfMemory => "ran out of memory",
        Setback::OutOfFuel => "ran out of fuel",
        Setback::OutputTooLarge => "wrote too much",
        Setback::InputUnavailable => "program or input not to be had",
        Setback::BadModule => "no program that can run",
        Setback::TooLargeToCompile => "too large to compile",
        Setback::SpawnRefused => "asked for tasks that there may not be",
    }
}

/// An outcome, in words for people.
#[must_use]
pub fn outcome_in_words(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Succeeded(0, ..) => "succeeded".into(),
        Verdict::Succeeded(status, ..) => format!("succeeded with status {status}"),
        Verdict::Failed(failure, ..) => format!("failed: {failure}"),
        Verdict::Returned => "returned".into(),
        Verdict::Undelivered => "was not delivered".into(),
        Verdict::Checkpointed { .. } => "saved a checkpoint".into(),
        Verdict::Preempted => "was preempted".into(),
        Verdict::HostDied { .. } => "ended its worker".into(),
        Verdict::Committed(_) => "has an answer".into(),
        Verdict::Revealed(..) => "gave an answer".into(),
    }
}

/// How an attempt ended, in words for people.
#[must_use]
pub const fn ended_in_words(why: EndReason) -> &'static str {
    match why {
        EndReason::Succeeded => "succeeded",
        EndReason::Failed => "its program failed, or nobody has an input of it",
        EndReason::Answered => "gave its answer",
        EndReason::Unrevealed => "lost: its worker kept back the answer to which it had committed itself",
        EndReason::Mismatched => "lost: its worker gave another answer than it had committed itself to",
        EndReason::Returned => "given back before it began",
        EndReason::Undelivered => "lost: its worker ran it, and could not keep or deliver what it left",
        EndReason::Preempted => "was preempted for others, at its last checkpoint",
        EndReason::ClaimEnded => "lost: its worker's claim ran out",
        EndReason::NewIncarnation => "lost: its worker was started anew",
        EndReason::TimedOut => "lost: nothing was heard of it in time",
        EndReason::HostDied { alone: true } => "lost: its worker died while it ran this",
        EndReason::HostDied { alone: false } => "lost: its worker died while it ran this and other things",
        EndReason::Drained => "given back: its worker left",
        EndReason::TakenBack => "taken back: its worker offers less",
        EndReason::Superseded => "superseded by another attempt",
        EndReason::Cancelled => "cancelled",
    }
}
