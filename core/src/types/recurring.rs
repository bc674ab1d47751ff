//! Recurring jobs: a job, the times at which it occurs, and what happens when an occurrence cannot be on time.

use serde::{Deserialize, Serialize};
use serde_tuple::{Deserialize_tuple, Serialize_tuple};

use super::{BlockTime, Cron, JobId, RecurringId, Submit};
use crate::digest::Digest;

/// A submitter's directive about a recurring job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Recur {
    /// Admits a recurring job. Its id is the transaction's.
    Submit(Box<Recurring>),
    /// Stops further occurrences until the recurring job is resumed. Jobs that run go on.
    Pause(RecurringId),
    /// Resumes a recurring job. Its own rule says what happens to the occurrences that it missed.
    Resume(RecurringId),
    /// Ends a recurring job. Jobs that run go on.
    Delete(RecurringId),
}

/// A job that occurs again and again. Each occurrence is a job of its own, as if its submitter had submitted it
/// at that time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Recurring {
    /// The job. It depends on no other job, is not open, and has no absolute times, only spans.
    pub job: Submit,
    /// When it occurs: whole minutes of UTC.
    pub cron: Cron,
    /// What happens to occurrences that were missed.
    pub catch_up: CatchUp,
    /// What happens to an occurrence while an earlier one has not ended.
    pub overlap: Overlap,
    /// There is no occurrence before this time.
    pub from: Option<BlockTime>,
    /// There is no occurrence after this time.
    pub until: Option<BlockTime>,
    /// The most jobs that are run.
    pub runs_max: Option<u64>,
    /// How long after its time an occurrence should have ended, in milliseconds: the deadline of its job.
    /// `None`: no deadline.
    pub deadline_ms: Option<u64>,
}

impl Recurring {
    /// The first occurrence after a time, however often the job has run.
    #[must_use]
    pub fn next_after(&self, time: BlockTime) -> Option<BlockTime> {
        let before = self.from.map_or(time, |from| time.max(BlockTime(from.0.saturating_sub(1))));
        self.cron.next_after(before).filter(|occurrence| self.until.is_none_or(|until| *occurrence <= until))
    }

    /// The occurrences after a time, at most `most`.
    #[must_use]
    pub fn occurrences_after(&self, time: BlockTime, most: usize) -> Vec<BlockTime> {
        std::iter::successors(self.next_after(time), |occurrence| self.next_after(*occurrence)).take(most).collect()
    }
}

/// What happens to occurrences that were missed: those during a pause, and those that the network came to more
/// than a minute late because it had stalled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CatchUp {
    /// None of them runs.
    Skip,
    /// The last of them runs, late.
    #[default]
    Once,
    /// All of them run, up to a bound: then the last ones.
    All,
}

/// What happens to an occurrence while an earlier one has not ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Overlap {
    /// It does not run.
    #[default]
    Skip,
    /// It runs once the one before it has ended, in whatever way.
    Queue,
    /// It runs all the same.
    Alongside,
    /// The earlier one is cancelled, and this one runs. The earlier one stays cancelled even if this one then
    /// exceeds a bound.
    Cancel,
}

/// The recurring job and the occurrence that a job is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize_tuple, Deserialize_tuple)]
pub struct Occurrence {
    /// The recurring job.
    pub recurring: RecurringId,
    /// The time of the occurrence, which may be before the job was submitted.
    pub time: BlockTime,
}

impl Occurrence {
    /// The id of the occurrence's job. No transaction and no other occurrence has it, and nobody knows it
    /// before the recurring job is signed.
    #[must_use]
    pub fn job(&self) -> JobId {
        const CONTEXT: &str = "meshwork 1 occurrence of a recurring job";
        JobId(Digest::of_parts(CONTEXT, &[&self.recurring.0.0, &self.time.0.to_le_bytes()]))
    }
}

/// Why an occurrence did not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SkipReason {
    /// An earlier one had not ended.
    Overlap,
    /// The network stood still, or the recurring job was paused.
    Missed,
    /// As many of its jobs were unfinished as is allowed at once.
    TooManyOccurrences,
    /// The ledger would have found its job void.
    Void(super::VoidReason),
}
