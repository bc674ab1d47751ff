//! Queries on recurring jobs.

use crate::{
    identity::PublicKey,
    ledger::{
        Ledger,
        records::recurring::{PastOccurrences, RecurringEnd, RecurringEndReason, RecurringJob},
    },
    types::{BlockTime, Height, JobId, Recurring, RecurringId},
};

/// A recurring job.
#[derive(Clone, Debug)]
pub struct RecurringView<'a> {
    /// Its id.
    pub id: RecurringId,
    /// Its submitter.
    pub submitter: PublicKey,
    /// The height of the block that admitted it.
    pub height: Height,
    /// The time of that block.
    pub submitted: BlockTime,
    /// The submitted definition; without its job's arrays once it has ended.
    pub recurring: &'a Recurring,
    /// Its state.
    pub state: RecurringState,
    /// The first occurrence that is neither run nor skipped, if there is one. While it is paused this may lie far in
    /// the past.
    pub next: Option<BlockTime>,
    /// How many occurrences were run.
    pub ran: u64,
    /// How many occurrences were skipped.
    pub skipped: u64,
    /// What became of the latest occurrences, oldest first; at most [`PAST_KEPT`](crate::ledger::PAST_KEPT).
    pub past: Vec<PastOccurrences>,
    /// When it ended, if it has.
    pub ended: Option<BlockTime>,
    /// The unfinished jobs of its occurrences, in order of occurrence.
    pub live_jobs: Vec<JobId>,
}

impl RecurringView<'_> {
    /// Its next occurrences after `now`, at most `most`, provided that it is not paused or deleted before.
    #[must_use]
    pub fn upcoming(&self, now: BlockTime, most: usize) -> Vec<BlockTime> {
        let left = self.recurring.runs_max.map_or(u64::MAX, |runs| runs.saturating_sub(self.ran));
        let most = most.min(usize::try_from(left).unwrap_or(usize::MAX));
        if self.ended.is_some() { Vec::new() } else { self.recurring.occurrences_after(now, most) }
    }
}

/// The state of a recurring job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecurringState {
    /// It waits for its next occurrence.
    Active,
    /// Its submitter has paused it.
    Paused,
    /// It has no more occurrences.
    Ended,
    /// Its submitter has deleted it.
    Deleted,
    /// Its submitter was barred.
    Barred,
}

impl Ledger {
    /// The recurring jobs that are not forgotten, in order of admission.
    pub fn recurring(&self) -> impl DoubleEndedIterator<Item = RecurringView<'_>> {
        self.records.recurring().all().map(|recurring| self.view_of_recurring(recurring))
    }

    /// A recurring job, if it is not forgotten.
    #[must_use]
    pub fn recurring_job(&self, id: RecurringId) -> Option<RecurringView<'_>> {
        let number = self.index.recurring().number_of(&id)?;
        self.records.recurring().numbered(number).map(|recurring| self.view_of_recurring(recurring))
    }

    fn view_of_recurring<'a>(&'a self, recurring: &'a RecurringJob) -> RecurringView<'a> {
        let RecurringJob { id, record } = recurring;
        RecurringView {
            id: *id,
            submitter: record.submitter,
            height: record.height,
            submitted: record.time,
            recurring: &record.recurring,
            state: match record.ended {
                Some(RecurringEnd { why: RecurringEndReason::Over, .. }) => RecurringState::Ended,
                Some(RecurringEnd { why: RecurringEndReason::Deleted, .. }) => RecurringState::Deleted,
                Some(RecurringEnd { why: RecurringEndReason::Barred, .. }) => RecurringState::Barred,
                None if record.is_paused => RecurringState::Paused,
                None => RecurringState::Active,
            },
            next: record.next,
            ran: record.ran,
            skipped: record.skipped,
            past: record.past.iter().copied().collect(),
            ended: record.ended.map(|ended| ended.at),
            live_jobs: self.index.recurring().live_jobs(record.number).collect(),
        }
    }
}
