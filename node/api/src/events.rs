//! What happens, as it happens.

use meshwork_core::{
    identity::PublicKey,
    types::{Height, JobId, RecurringId, TransactionId},
};
use serde::{Deserialize, Serialize};

use crate::{ChangeView, MomentsView, TaskCounts, TaskState};

/// `GET /v1/events[?job=JOB]`: server-sent events, each the JSON of one of these.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum EventView {
    /// A block became final here. (Not sent when one job is asked for.)
    Block {
        /// Its height.
        height: Height,
        /// Its time, in microseconds since the Unix epoch.
        time_us: u64,
        /// How many transactions it orders.
        transactions: usize,
        /// From its own time to its being final here, in milliseconds.
        finality_ms: f64,
    },
    /// A job was admitted.
    JobAdmitted {
        /// Which.
        job: JobId,
        /// How many tasks it has.
        tasks: u32,
    },
    /// All of a job's tasks have ended.
    JobEnded {
        /// Which.
        job: JobId,
        /// How its tasks ended.
        counts: TaskCounts,
    },
    /// A moment of a recurring job was run. (Not sent when one job is asked for.)
    RecurringRun {
        /// Which.
        recurring: RecurringId,
        /// Which moment of it, in microseconds since the Unix epoch.
        moment_us: u64,
        /// As which job.
        job: JobId,
    },
    /// Moments of a recurring job were not run. (Not sent when one job is asked for.)
    RecurringSkipped {
        /// Which.
        recurring: RecurringId,
        /// Which moments, and why.
        #[serde(flatten)]
        moments: MomentsView,
    },
    /// A quorum of the authorities approved a change. (Not sent when one job is asked for.)
    ChangeApproved {
        /// The proposal.
        proposal: TransactionId,
        /// What changes: who the authorities are with the next epoch, all else at once.
        change: ChangeView,
    },
    /// A task was given to a worker, moved, came back or ended.
    Task {
        /// Its job.
        job: JobId,
        /// Its place in the job.
        index: u32,
        /// Which attempt.
        attempt: u32,
        /// Its state now.
        state: TaskState,
        /// Who holds it, held it, or whose outcome was accepted.
        worker: PublicKey,
        /// Why it came back to `ready` or failed, in words.
        why: Option<String>,
    },
    /// The listener was too slow, and so many events are missing here: ask for the state again.
    Missed {
        /// How many.
        events: u64,
    },
}
