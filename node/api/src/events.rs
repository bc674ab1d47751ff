//! Events, sent as they happen.

use meshwork_core::{
    identity::PublicKey,
    types::{Height, JobId, RecurringId, TransactionId},
};
use serde::{Deserialize, Serialize};

use crate::{ChangeView, OccurrencesView, TaskCounts, TaskState};

/// `GET /v1/events[?job=JOB]`: server-sent events, each the JSON of one of these.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum EventView {
    /// A block became final here. Not sent if one job was asked for.
    Block {
        /// Its height.
        height: Height,
        /// Its time, in microseconds since the Unix epoch.
        time_us: u64,
        /// How many transactions it orders.
        transactions: usize,
        /// Time from the block's own time until it was final here, in milliseconds.
        finality_ms: f64,
    },
    /// A job was admitted.
    JobAdmitted {
        /// The job.
        job: JobId,
        /// The number of its tasks.
        tasks: u32,
    },
    /// All of a job's tasks have ended.
    JobEnded {
        /// The job.
        job: JobId,
        /// How its tasks ended.
        counts: TaskCounts,
    },
    /// An occurrence of a recurring job was run. Not sent if one job was asked for.
    RecurringRun {
        /// The recurring job.
        recurring: RecurringId,
        /// The occurrence, in microseconds since the Unix epoch.
        occurrence_us: u64,
        /// The job that was made for it.
        job: JobId,
    },
    /// Occurrences of a recurring job were not run. Not sent if one job was asked for.
    RecurringSkipped {
        /// The recurring job.
        recurring: RecurringId,
        /// The occurrences, and why they were not run.
        #[serde(flatten)]
        occurrences: OccurrencesView,
    },
    /// A quorum of the authorities approved a change. Not sent if one job was asked for.
    ChangeApproved {
        /// The proposal.
        proposal: TransactionId,
        /// The change. A change of the authorities takes effect with the next epoch, any other at once.
        change: ChangeView,
    },
    /// A task was given to a worker, moved, came back or ended.
    Task {
        /// Its job.
        job: JobId,
        /// The task's index in the job.
        index: u32,
        /// The attempt's number.
        attempt: u32,
        /// Its state now.
        state: TaskState,
        /// The worker that holds or held it, or whose outcome was accepted.
        worker: PublicKey,
        /// Why the task came back to `ready` or failed, in words.
        why: Option<String>,
    },
    /// The listener was too slow and missed events. It should ask for the state again.
    Missed {
        /// The number of missed events.
        events: u64,
    },
}
