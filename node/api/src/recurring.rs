//! What the API says of recurring jobs.

use meshwork_core::{
    identity::PublicKey,
    types::{CatchUp, Height, JobId, Overlap, RecurringId, RunOf},
};
use serde::{Deserialize, Serialize};

/// Which run of which recurring job a job is.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct RunView {
    /// The recurring job.
    pub recurring: RecurringId,
    /// The moment that it was run for, in microseconds since the Unix epoch.
    pub moment_us: u64,
}

impl From<RunOf> for RunView {
    fn from(RunOf { recurring, moment }: RunOf) -> Self {
        Self { recurring, moment_us: moment.0 }
    }
}

/// `GET /v1/recurring` (an array, newest first) and `GET /v1/recurring/{recurring}`. Times are in microseconds since
/// the Unix epoch.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RecurringView {
    /// Its id.
    pub id: RecurringId,
    /// What its submitter calls it, and each of its runs.
    pub name: String,
    /// Who submitted it.
    pub submitter: PublicKey,
    /// The height that admitted it.
    pub height: Height,
    /// The time of that block.
    pub submitted_us: u64,
    /// How it stands.
    pub state: RecurringState,
    /// Its moments, as a cron expression in UTC.
    pub cron: String,
    /// What becomes of moments that were missed.
    pub catch_up: CatchUp,
    /// What becomes of a moment while an earlier run has not ended.
    pub overlap: Overlap,
    /// There is no moment before.
    pub from_us: Option<u64>,
    /// There is no moment after.
    pub until_us: Option<u64>,
    /// How often it runs at most.
    pub runs_max: Option<u64>,
    /// How long after its moment a run should have ended, in milliseconds.
    pub deadline_ms: Option<u64>,
    /// How many tasks a run has; 0 once it has ended.
    pub tasks: u32,
    /// Its next moments that are still to come, at most five, if it is not paused or deleted before.
    pub upcoming_us: Vec<u64>,
    /// How many moments were run.
    pub ran: u64,
    /// How many were not.
    pub skipped: u64,
    /// Its runs that have not ended, by their moments.
    pub live: Vec<JobId>,
    /// What became of its last moments, oldest first.
    pub past: Vec<MomentsView>,
    /// When it ended, or was deleted; nothing while it goes on.
    pub ended_us: Option<u64>,
}

/// How a recurring job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RecurringState {
    /// Its next moment is awaited.
    Active,
    /// Its submitter has paused it.
    Paused,
    /// It has no more moments.
    Ended,
    /// Its submitter has deleted it.
    Deleted,
}

/// What became of a moment, or of several in a row.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MomentsView {
    /// The first of them.
    pub first_us: u64,
    /// The last of them.
    pub last_us: u64,
    /// How many there are.
    pub moments: u64,
    /// The job of the one that was run.
    pub job: Option<JobId>,
    /// Why they were not run, in words.
    pub skipped: Option<String>,
}
