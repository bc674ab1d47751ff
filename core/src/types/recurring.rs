//! What a submitter asks for again and again: a job, the moments at which it runs, and what is to happen where a moment
//! cannot be kept.

use serde::{Deserialize, Serialize};
use serde_tuple::{Deserialize_tuple, Serialize_tuple};

use super::{BlockTime, Cron, JobId, RecurringId, Submit};
use crate::digest::Digest;

/// A submitter's wish about a recurring job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Recur {
    /// Admits one. Its id is the transaction's.
    Submit(Box<Recurring>),
    /// Has it run no more until it is resumed. What runs goes on.
    Pause(RecurringId),
    /// Has it run again; what it missed meanwhile is caught up with as it says itself.
    Resume(RecurringId),
    /// Ends it. What runs goes on.
    Delete(RecurringId),
}

/// A job that runs again and again. Each run is a job of its own, as if its submitter had submitted it at that moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Recurring {
    /// What runs. It waits for no other job, is not open, and says no moment: its times can only be spans.
    pub job: Submit,
    /// When: whole minutes of UTC.
    pub cron: Cron,
    /// What becomes of moments that were missed.
    pub catch_up: CatchUp,
    /// What becomes of a moment while an earlier run has not ended.
    pub overlap: Overlap,
    /// There is no moment before.
    pub from: Option<BlockTime>,
    /// There is no moment after.
    pub until: Option<BlockTime>,
    /// How often it runs at most.
    pub runs_max: Option<u64>,
    /// How long after its moment a run should have ended, in milliseconds, if that matters: the deadline of its job.
    pub deadline_ms: Option<u64>,
}

impl Recurring {
    /// Its first moment after a time, however often it has run.
    #[must_use]
    pub fn next_after(&self, time: BlockTime) -> Option<BlockTime> {
        let before = self.from.map_or(time, |from| time.max(BlockTime(from.0.saturating_sub(1))));
        self.cron.next_after(before).filter(|moment| self.until.is_none_or(|until| *moment <= until))
    }

    /// Its moments after a time, so many at most.
    #[must_use]
    pub fn moments_after(&self, time: BlockTime, most: usize) -> Vec<BlockTime> {
        std::iter::successors(self.next_after(time), |moment| self.next_after(*moment)).take(most).collect()
    }
}

/// What becomes of moments that were missed: those during a pause, and those that the network came to more than a minute
/// late, since it stood still.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CatchUp {
    /// None of them is run.
    Skip,
    /// The last of them is run, late.
    #[default]
    Once,
    /// All of them are run, up to a bound: the last ones.
    All,
}

/// What becomes of a moment while an earlier run has not ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Overlap {
    /// It is not run.
    #[default]
    Skip,
    /// It is run once the run before it has ended, in whatever way.
    Queue,
    /// It is run all the same.
    Alongside,
    /// What runs is cancelled, and it is run. What was cancelled stays so if the new run then exceeds a bound.
    Cancel,
}

/// Which run of which recurring job a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize_tuple, Deserialize_tuple)]
pub struct RunOf {
    /// The recurring job.
    pub recurring: RecurringId,
    /// The moment that it was run for, which may be before it was submitted.
    pub moment: BlockTime,
}

impl RunOf {
    /// The id of the run's job. No transaction and no other run has it, and nobody knows it before the recurring job is
    /// signed.
    #[must_use]
    pub fn job(&self) -> JobId {
        const CONTEXT: &str = "meshwork 1 run of a recurring job";
        JobId(Digest::of_parts(CONTEXT, &[&self.recurring.0.0, &self.moment.0.to_le_bytes()]))
    }
}

/// Why a moment was not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SkipReason {
    /// An earlier run had not ended.
    Overlap,
    /// The network stood still then, or it was paused.
    Missed,
    /// As many of its runs had not ended as may be there at once.
    TooManyRuns,
    /// The ledger would have found its job void.
    Void(super::VoidReason),
}
