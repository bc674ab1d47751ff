//! Recurring jobs in the API.

use meshwork_core::{
    identity::PublicKey,
    types::{CatchUp, Height, JobId, Occurrence, Overlap, RecurringId},
};
use serde::{Deserialize, Serialize};

/// The recurring job and occurrence that a job was made for.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct OccurrenceView {
    /// The recurring job.
    pub recurring: RecurringId,
    /// The occurrence, in microseconds since the Unix epoch.
    pub occurrence_us: u64,
}

impl From<Occurrence> for OccurrenceView {
    fn from(Occurrence { recurring, time: occurrence }: Occurrence) -> Self {
        Self { recurring, occurrence_us: occurrence.0 }
    }
}

/// `GET /v1/recurring` (an array, newest first) and `GET /v1/recurring/{recurring}`. Times are in microseconds since
/// the Unix epoch.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RecurringView {
    /// Its id.
    pub id: RecurringId,
    /// The name that its submitter gave it. The job of each occurrence has the same name.
    pub name: String,
    /// The key that submitted it.
    pub submitter: PublicKey,
    /// The height that admitted it.
    pub height: Height,
    /// The time of that block.
    pub submitted_us: u64,
    /// Its state.
    pub state: RecurringState,
    /// Its occurrences, as a cron expression in UTC.
    pub cron: String,
    /// What happens to missed occurrences.
    pub catch_up: CatchUp,
    /// What happens to an occurrence while the job of an earlier one has not ended.
    pub overlap: Overlap,
    /// No occurrence is before this.
    pub from_us: Option<u64>,
    /// No occurrence is after this.
    pub until_us: Option<u64>,
    /// The most occurrences that run.
    pub runs_max: Option<u64>,
    /// How long after its occurrence a job should have ended, in milliseconds.
    pub deadline_ms: Option<u64>,
    /// The number of tasks of each job; 0 once the recurring job has ended.
    pub tasks: u32,
    /// The next occurrences, at most five, unless it is paused or deleted before.
    pub upcoming_us: Vec<u64>,
    /// How many occurrences were run.
    pub ran: u64,
    /// How many occurrences were skipped.
    pub skipped: u64,
    /// Its jobs that have not ended, by their occurrences.
    pub live: Vec<JobId>,
    /// What happened to its last occurrences, oldest first.
    pub past: Vec<OccurrencesView>,
    /// When it ended or was deleted; nothing before.
    pub ended_us: Option<u64>,
}

/// The state of a recurring job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RecurringState {
    /// It waits for its next occurrence.
    Active,
    /// Its submitter has paused it.
    Paused,
    /// It has no more occurrences.
    Ended,
    /// Its submitter has deleted it.
    Deleted,
    /// Its submitter was barred from submitting.
    Barred,
}

/// What happened to one occurrence, or to several in a row.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OccurrencesView {
    /// The first occurrence.
    pub first_us: u64,
    /// The last occurrence.
    pub last_us: u64,
    /// The number of occurrences.
    pub occurrences: u64,
    /// The job of the one that was run.
    pub job: Option<JobId>,
    /// Why they were skipped, in words.
    pub skipped: Option<String>,
}
