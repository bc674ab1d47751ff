//! Recurring jobs: what is known of them, and what becomes of each moment when it comes.
//!
//! A moment is one that the job's [`Cron`](crate::types::Cron) gives, from the job's `from` to its `until`. In the block in
//! which it comes it is run (its job is admitted, like one that its submitter had just submitted) or it is not and the record
//! says why. None is left out:
//!
//! 1. *Missed* are the moments during a pause, and those that a block comes to more than [`Ledger::late_ms`] late. Of these
//!    catch-up leaves none, the last, or the last [`CATCH_UP_MAX`](bounds::CATCH_UP_MAX); the others are skipped.
//! 2. *Overlap* settles what is left, and what comes in time, moment by moment in their order, as the runs before stand then.
//! 3. What is to be run has to keep the bounds that a submit has to keep; otherwise it is skipped with that reason.
//!
//! Many can fall due at once, at midnight say. A block looks at [`RUNS_MAX`](bounds::RUNS_MAX) moments of one recurring job and
//! at [`BLOCK_RUNS_MAX`](bounds::BLOCK_RUNS_MAX) in all, the earliest first, until their definitions take as many bytes as a
//! block's transactions may; the next block follows at once and goes on.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_tuple::{Deserialize_tuple, Serialize_tuple};

use crate::{
    identity::PublicKey,
    ledger::{Applied, Ledger, LedgerEvent, Owed, bounds},
    types::{BlockTime, Height, JobId, Recurring, RecurringId, RunOf, SkipReason},
};

/// How much of what became of its moments is remembered of a recurring job.
pub const PAST_KEPT: usize = 16;

/// Recurring jobs, numbered in the order of their admission.
pub(in crate::ledger) type RecurringNumber = u64;

/// What became of a moment, or of several in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct PastMoments {
    /// The first of them.
    pub first: BlockTime,
    /// The last of them.
    pub last: BlockTime,
    /// How many there are.
    pub moments: u64,
    /// The job of the one that was run, or why they were not.
    pub became: Result<JobId, SkipReason>,
}

/// What is known of a recurring job and cannot be computed from anything else.
#[derive(Clone, Debug, Serialize_tuple, Deserialize_tuple)]
pub(in crate::ledger) struct RecurringRecord {
    pub(in crate::ledger) number: RecurringNumber,
    pub(in crate::ledger) submitter: PublicKey,
    /// The block that admitted it.
    pub(in crate::ledger) height: Height,
    pub(in crate::ledger) time: BlockTime,
    /// The bytes in which it was submitted; none any more once it has ended.
    pub(in crate::ledger) definition_bytes: u64,
    /// As it was submitted; without its job's arrays once it has ended.
    pub(in crate::ledger) recurring: Recurring,
    /// The first moment that nothing has become of, if one is still to come.
    pub(in crate::ledger) next: Option<BlockTime>,
    pub(in crate::ledger) is_paused: bool,
    /// When it was last resumed: the moments up to then were missed.
    pub(in crate::ledger) resumed: Option<BlockTime>,
    /// How many moments were run, and how many were not.
    pub(in crate::ledger) ran: u64,
    pub(in crate::ledger) skipped: u64,
    /// What became of the last ones, oldest first.
    pub(in crate::ledger) past: VecDeque<PastMoments>,
    pub(in crate::ledger) ended: Option<BlockTime>,
    pub(in crate::ledger) is_deleted: bool,
}

/// A recurring job with what is computed from its record.
#[derive(Clone, Debug)]
pub(in crate::ledger) struct Entry {
    pub(in crate::ledger) id: RecurringId,
    pub(in crate::ledger) record: RecurringRecord,
    /// Its runs that may not have ended, by their moments.
    pub(in crate::ledger) runs: BTreeMap<BlockTime, JobId>,
}

/// All recurring jobs that are not forgotten, and what is computed from them.
#[derive(Clone, Debug)]
pub(in crate::ledger) struct RecurringJobs {
    pub(in crate::ledger) entries: BTreeMap<RecurringNumber, Entry>,
    pub(in crate::ledger) numbers: BTreeMap<RecurringId, RecurringNumber>,
    pub(in crate::ledger) next: RecurringNumber,
    /// How many of each submitter have not ended.
    pub(in crate::ledger) by_key: BTreeMap<PublicKey, u64>,
    /// How many have not ended.
    live: u64,
    /// When the next moment of each comes that is not paused.
    pub(in crate::ledger) due: BTreeSet<(BlockTime, RecurringNumber)>,
    /// When ended ones are dropped.
    pub(in crate::ledger) retention: BTreeSet<(BlockTime, RecurringNumber)>,
}

impl Default for RecurringJobs {
    fn default() -> Self {
        Self {
            entries: BTreeMap::new(),
            numbers: BTreeMap::new(),
            next: 1,
            by_key: BTreeMap::new(),
            live: 0,
            due: BTreeSet::new(),
            retention: BTreeSet::new(),
        }
    }
}

impl RecurringJobs {
    pub(in crate::ledger) fn get(&self, id: RecurringId) -> Option<&Entry> {
        self.entries.get(self.numbers.get(&id)?)
    }

    /// How many have not ended: of this submitter, and in all.
    pub(in crate::ledger) fn live(&self, submitter: &PublicKey) -> (u64, u64) {
        (self.by_key.get(submitter).copied().unwrap_or(0), self.live)
    }

    /// The first moment that something has to become of.
    pub(in crate::ledger) fn next_due(&self) -> Option<BlockTime> {
        self.due.first().map(|(at, _)| *at)
    }
}

impl RecurringRecord {
    /// The first moment after this time that is its own.
    pub(in crate::ledger) fn next_after(&self, time: BlockTime) -> Option<BlockTime> {
        let is_done = self.recurring.runs_max.is_some_and(|most| self.ran >= most);
        if is_done { None } else { next_moment(&self.recurring, time) }
    }

    /// Remembers what became of moments that follow those before.
    pub(in crate::ledger) fn remember(&mut self, more: PastMoments) {
        match more.became {
            Ok(_) => self.ran += 1,
            Err(_) => self.skipped = self.skipped.saturating_add(more.moments),
        }
        if let Some(last) = self.past.back_mut()
            && more.became.is_err()
            && last.became == more.became
        {
            last.last = more.last;
            last.moments = last.moments.saturating_add(more.moments);
            return;
        }
        if self.past.len() >= PAST_KEPT {
            self.past.pop_front();
        }
        self.past.push_back(more);
    }
}

/// The first moment of a recurring job after a time; none beyond what the ledger can name.
pub(in crate::ledger) fn next_moment(recurring: &Recurring, time: BlockTime) -> Option<BlockTime> {
    recurring.next_after(time).filter(|moment| *moment <= bounds::MOMENT_MAX)
}

impl Ledger {
    /// How late a moment may be come to before it counts as missed, in milliseconds: a minute, or as long as the network may
    /// be silent without having stood still, if that is longer.
    pub(in crate::ledger) fn late_ms(&self) -> u64 {
        self.stall_threshold_ms.max(60_000)
    }

    /// Takes up a recurring job from its record.
    pub(in crate::ledger) fn take_up_recurring(&mut self, id: RecurringId, record: RecurringRecord) {
        let (number, submitter, definition_bytes) = (record.number, record.submitter, record.definition_bytes);
        let ended = record.ended;
        self.recurring.numbers.insert(id, number);
        self.recurring.entries.insert(number, Entry { id, record, runs: BTreeMap::new() });
        self.owe(submitter, Owed { definition_bytes, ..Owed::default() });
        match ended {
            Some(ended) => self.forget_recurring_later(ended, number),
            None => {
                self.recurring.live += 1;
                *self.recurring.by_key.entry(submitter).or_default() += 1;
            }
        }
        self.await_moment(number);
    }

    /// A job that has not ended is a run of a recurring one.
    pub(in crate::ledger) fn take_up_run(&mut self, run: RunOf, job: JobId) {
        if let Some(number) = self.recurring.numbers.get(&run.recurring)
            && let Some(entry) = self.recurring.entries.get_mut(number)
        {
            entry.runs.insert(run.moment, job);
        }
    }

    /// Notes when something has to become of a moment next, of a recurring job that is not among those that are due.
    pub(in crate::ledger) fn await_moment(&mut self, number: RecurringNumber) {
        let Some(Entry { record, .. }) = self.recurring.entries.get(&number) else { return };
        if let Some(next) = record.next.filter(|_| !record.is_paused && record.ended.is_none()) {
            self.recurring.due.insert((next, number));
        }
    }

    /// Takes a recurring job out of those that are due.
    pub(in crate::ledger) fn await_nothing(&mut self, number: RecurringNumber) {
        if let Some(next) = self.recurring.entries.get(&number).and_then(|entry| entry.record.next) {
            self.recurring.due.remove(&(next, number));
        }
    }

    fn forget_recurring_later(&mut self, ended: BlockTime, number: RecurringNumber) {
        let at = ended.plus_ms(self.genesis.ledger.retention_ms);
        self.recurring.retention.insert((at, number));
    }

    /// Drops what has ended long enough ago.
    pub(in crate::ledger) fn forget_recurring(&mut self, applied: &mut Applied) {
        while let Some((at, number)) = self.recurring.retention.first().copied()
            && at <= self.time
        {
            self.recurring.retention.pop_first();
            if let Some(Entry { id, .. }) = self.recurring.entries.remove(&number) {
                self.recurring.numbers.remove(&id);
                applied.events.push(LedgerEvent::RecurringForgotten { recurring: id });
            }
        }
    }

    /// Ends a recurring job: no moment of it is run any more.
    pub(in crate::ledger) fn end_recurring(
        &mut self,
        number: RecurringNumber,
        is_deleted: bool,
        applied: &mut Applied,
    ) {
        self.await_nothing(number);
        let now = self.time;
        let Some(Entry { id, record, .. }) = self.recurring.entries.get_mut(&number) else { return };
        if record.ended.is_some() {
            return;
        }
        (record.ended, record.is_deleted, record.is_paused, record.next) = (Some(now), is_deleted, false, None);
        record.recurring.job.arrays.clear();
        let (submitter, definition_bytes) = (record.submitter, std::mem::take(&mut record.definition_bytes));
        applied.events.push(LedgerEvent::RecurringEnded { recurring: *id, deleted: is_deleted });
        self.owe_less(submitter, Owed { definition_bytes, ..Owed::default() });
        self.recurring.live -= 1;
        if let Some(count) = self.recurring.by_key.get_mut(&submitter) {
            *count -= 1;
            if *count == 0 {
                self.recurring.by_key.remove(&submitter);
            }
        }
        self.forget_recurring_later(now, number);
    }
}
