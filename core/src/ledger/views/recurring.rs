//! What others may ask about recurring jobs, and what a snapshot may say of them.

use crate::{
    identity::PublicKey,
    ledger::{
        Ledger, RestoreError, bounds,
        records::recurring::{Entry, PAST_KEPT, PastMoments, RecurringRecord},
        snapshot::COUNT_MAX,
    },
    types::{BlockTime, Height, JobId, Recurring, RecurringId},
};

/// A recurring job.
#[derive(Clone, Debug)]
pub struct RecurringView<'a> {
    /// Its id.
    pub id: RecurringId,
    /// Whose it is.
    pub submitter: PublicKey,
    /// The height of the block that admitted it.
    pub height: Height,
    /// The time of that block.
    pub submitted: BlockTime,
    /// As it was submitted; without its job's arrays once it has ended.
    pub recurring: &'a Recurring,
    /// How it stands.
    pub state: RecurringState,
    /// The first moment that nothing has become of, if one is still to come; of one that is paused it may be long ago.
    pub next: Option<BlockTime>,
    /// How many moments were run.
    pub ran: u64,
    /// How many were not.
    pub skipped: u64,
    /// What became of the last ones, oldest first; at most [`PAST_KEPT`](crate::ledger::PAST_KEPT).
    pub past: Vec<PastMoments>,
    /// When it ended, if it has.
    pub ended: Option<BlockTime>,
    /// Its runs that have not ended, by their moments.
    pub runs: Vec<JobId>,
}

impl RecurringView<'_> {
    /// Its next moments that are still to come, so many at most, if it is not paused or deleted before.
    #[must_use]
    pub fn upcoming(&self, now: BlockTime, most: usize) -> Vec<BlockTime> {
        let left = self.recurring.runs_max.map_or(u64::MAX, |runs| runs.saturating_sub(self.ran));
        let most = most.min(usize::try_from(left).unwrap_or(usize::MAX));
        if self.ended.is_some() { Vec::new() } else { self.recurring.moments_after(now, most) }
    }
}

/// How a recurring job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

impl Ledger {
    /// The recurring jobs that are not forgotten, in the order of admission.
    pub fn recurring(&self) -> impl DoubleEndedIterator<Item = RecurringView<'_>> {
        self.recurring.entries.values().map(|entry| self.view_of_recurring(entry))
    }

    /// A recurring job, if it is not forgotten.
    #[must_use]
    pub fn recurring_job(&self, id: RecurringId) -> Option<RecurringView<'_>> {
        self.recurring.get(id).map(|entry| self.view_of_recurring(entry))
    }

    fn view_of_recurring<'a>(&'a self, entry: &'a Entry) -> RecurringView<'a> {
        let record = &entry.record;
        let is_live = |job: &JobId| self.job(*job).is_some_and(|job| job.ended.is_none());
        RecurringView {
            id: entry.id,
            submitter: record.submitter,
            height: record.height,
            submitted: record.time,
            recurring: &record.recurring,
            state: match record.ended {
                Some(_) if record.is_deleted => RecurringState::Deleted,
                Some(_) => RecurringState::Ended,
                None if record.is_paused => RecurringState::Paused,
                None => RecurringState::Active,
            },
            next: record.next,
            ran: record.ran,
            skipped: record.skipped,
            past: record.past.iter().copied().collect(),
            ended: record.ended,
            runs: entry.runs.values().copied().filter(is_live).collect(),
        }
    }

    pub(in crate::ledger) fn restore_recurring(
        &mut self,
        id: RecurringId,
        record: RecurringRecord,
    ) -> Result<(), RestoreError> {
        let rule = |holds: bool, what| if holds { Ok(()) } else { Err(RestoreError::Inconsistent(what)) };
        let RecurringRecord { number, recurring, next, past, ended, .. } = &record;
        let is_new = *number < self.recurring.next && self.recurring.get(id).is_none();
        rule(is_new, "a recurring job's number or id is not its own")?;
        let now = self.time;
        let moments = [Some(record.time), record.resumed, *ended, past.back().map(|past| past.last)];
        rule(moments.iter().flatten().all(|time| *time <= now), "a recurring job is of a later time")?;
        rule(record.height <= self.height, "a recurring job is of a later height")?;
        rule(past.len() <= PAST_KEPT, "more is remembered of a recurring job than may be")?;
        rule(record.ran < COUNT_MAX && record.skipped < COUNT_MAX, "a recurring job ran more often than could be")?;
        let is_good = match ended {
            None => bounds::check_recurring(&self.genesis.ledger, recurring).is_ok() && !record.is_deleted,
            Some(_) => recurring.job.arrays.is_empty() && record.definition_bytes == 0 && !record.is_paused,
        };
        rule(is_good, "a recurring job exceeds a bound")?;
        let comes = |next: &BlockTime| record.next_after(BlockTime(next.0.saturating_sub(1))) == Some(*next);
        let last = past.back().map_or(record.time, |past| past.last);
        rule(next.as_ref().is_none_or(|next| comes(next) && *next > last), "a recurring job's next moment is none")?;
        rule(next.is_some() != ended.is_some(), "a recurring job ended before its moments, or did not end with them")?;
        self.take_up_recurring(id, record);
        Ok(())
    }
}
