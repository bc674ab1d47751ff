//! Jobs, their arrays and their tasks.

use meshwork_core::{
    digest::Digest,
    identity::PublicKey,
    ledger::{self, EndReason},
    types::{Height, JobId},
};
use serde::{Deserialize, Serialize};

use crate::RunView;

/// Tasks by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskCounts {
    /// Waiting for other tasks or jobs, or for their time.
    pub blocked: u64,
    /// Held by their submitter.
    pub held: u64,
    /// Waiting for a claim, or for a back-off to end.
    pub ready: u64,
    /// Held by a worker and running there, as the ledger sees it.
    pub running: u64,
    /// Held by a worker in a waiting place.
    pub waiting: u64,
    /// Ended well.
    pub succeeded: u64,
    /// Ended badly, for good.
    pub failed: u64,
    /// Stopped by their submitter, or since their job's time ran out.
    pub cancelled: u64,
    /// Never begun, since what they waited for cannot be any more.
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
    /// What its submitter calls it.
    pub name: String,
    /// Who submitted it.
    pub submitter: PublicKey,
    /// The height that admitted it.
    pub height: Height,
    /// The time of that block, in microseconds since the Unix epoch.
    pub submitted_us: u64,
    /// When its last task ended, likewise; nothing while it goes on.
    pub ended_us: Option<u64>,
    /// How many tasks it has.
    pub tasks: u32,
    /// Its tasks by state.
    pub counts: TaskCounts,
    /// Until when arrays may be added to it, in microseconds since the Unix epoch; nothing if it is closed.
    pub open_until_us: Option<u64>,
    /// Which run of which recurring job it is; nothing if it is none.
    pub run_of: Option<RunView>,
}

/// `GET /v1/jobs/{job}/arrays` (an array in the job's order; of a job that the ledger has forgotten, an empty one).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ArrayView {
    /// What its submitter calls it within the job; may be empty.
    pub name: String,
    /// The index of its first task in the job.
    pub first: u32,
    /// How many tasks it has.
    pub tasks: u32,
    /// The digest of its program.
    pub program: Digest,
    /// Whether other tasks of the job may take what its tasks leave.
    pub feeds: bool,
    /// Its tasks by state.
    pub counts: TaskCounts,
}

/// `GET /v1/jobs/{job}/tasks?from=0&limit=1000[&state=…]` (an array by index) and `GET /v1/tasks/{job}/{index}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TaskView {
    /// Its job.
    pub job: JobId,
    /// Its place in the job.
    pub index: u32,
    /// Its state.
    pub state: TaskState,
    /// Who holds it, or whose outcome was accepted.
    pub worker: Option<PublicKey>,
    /// Its attempts so far, oldest first.
    pub attempts: Vec<AttemptView>,
    /// What its program saved last, while it has no outcome.
    pub checkpoint: Option<CheckpointView>,
    /// Where its outcome's receipt stands, once it has one.
    pub receipt: Option<ReceiptPlace>,
}

/// `GET /v1/tasks/{job}/{index}/explanation`: why a task waits, or why it went where it did.
#[doc(inline)]
pub use meshwork_core::ledger::Explanation as ExplanationView;
/// `GET /v1/jobs/{job}/timeline?from=0&limit=1000`: when a job's tasks waited, where they ran and how that ended, by
/// index. Nobody knows that of a job that the ledger has forgotten.
#[doc(inline)]
pub use meshwork_core::ledger::Timeline as TimelineView;

/// What a task's program saved.
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
    /// Its program failed and it waits to be tried again.
    BackingOff,
    /// A worker holds it in a waiting place.
    Waiting,
    /// A worker holds it and has resources for it.
    Running,
    /// It ended well.
    Succeeded,
    /// It ended badly, for good.
    Failed,
    /// Its submitter stopped it.
    Cancelled,
    /// What it waited for cannot be any more.
    Skipped,
    /// Its job's time ran out.
    Expired,
}

/// One attempt of a task.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AttemptView {
    /// Which one, from 0.
    pub number: u32,
    /// Who was given it.
    pub worker: PublicKey,
    /// How it ended, in words; nothing while it lives.
    pub ended: Option<String>,
}

/// Where a receipt stands.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct ReceiptPlace {
    /// At which height.
    pub height: Height,
    /// Its place among that block's receipts.
    pub index: u32,
}

/// How an attempt ended in words, as people see it.
#[must_use]
pub const fn ended_in_words(why: EndReason) -> &'static str {
    match why {
        EndReason::Succeeded => "succeeded",
        EndReason::Failed => "its program failed",
        EndReason::Returned => "given back before it began",
        EndReason::Yielded => "made room for others, at its last checkpoint",
        EndReason::ClaimEnded => "lost: its worker's claim ran out",
        EndReason::NewIncarnation => "lost: its worker was started anew",
        EndReason::TimedOut => "lost: nothing was heard of it in time",
        EndReason::Drained => "given back: its worker left",
        EndReason::TakenBack => "taken back: its worker offers less",
        EndReason::Superseded => "superseded by another attempt",
        EndReason::Cancelled => "cancelled",
    }
}
