//! Recurring jobs: what is known of them, and what becomes of each occurrence when it comes.
//!
//! An occurrence is one that the job's [`Cron`](crate::types::Cron) gives, from the job's `from` to its `until`. In the
//! block in which it comes it is run (its job is admitted, like one that its submitter had just submitted) or it is not
//! and the record says why. None is left out:
//!
//! 1. *Missed* are the occurrences during a pause, and those that a block comes to more than a minute late, or more
//!    than the network may be silent without having stood still. Of these catch-up leaves none, the last, or the last
//!    [`CATCH_UP_MAX`](bounds::CATCH_UP_MAX); the others are skipped.
//! 2. *Overlap* settles what is left, and what comes in time, occurrence by occurrence in their order, as the jobs of
//!    those before stand then.
//! 3. What is to be run has to keep the bounds that a submit has to keep; otherwise it is skipped with that reason.
//!
//! Many can fall due at once, at midnight say. A block looks at [`OCCURRENCES_MAX`](bounds::OCCURRENCES_MAX)
//! occurrences of one recurring job and at [`BLOCK_OCCURRENCES_MAX`](bounds::BLOCK_OCCURRENCES_MAX) in all, the
//! earliest first, until their definitions take as many bytes as a block's transactions may; the next block follows at
//! once and goes on.

use std::collections::{BTreeMap, VecDeque};

use serde_tuple::{Deserialize_tuple, Serialize_tuple};

use crate::{
    identity::PublicKey,
    ledger::bounds,
    types::{BlockTime, Height, JobId, Recurring, RecurringId, SkipReason},
};

/// How much of what became of its occurrences is remembered of a recurring job.
pub const PAST_KEPT: usize = 16;

/// Recurring jobs, numbered in the order of their admission.
pub(in crate::ledger) type RecurringNumber = u64;

/// What became of an occurrence, or of several in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct PastOccurrences {
    /// The first of them.
    pub first: BlockTime,
    /// The last of them.
    pub last: BlockTime,
    /// How many there are.
    pub occurrences: u64,
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
    /// The first occurrence that nothing has become of, if one is still to come.
    pub(in crate::ledger) next: Option<BlockTime>,
    pub(in crate::ledger) is_paused: bool,
    /// When it was last resumed: the occurrences up to then were missed.
    pub(in crate::ledger) resumed: Option<BlockTime>,
    /// How many occurrences were run, and how many were not.
    pub(in crate::ledger) ran: u64,
    pub(in crate::ledger) skipped: u64,
    /// What became of the last ones, oldest first.
    pub(in crate::ledger) past: VecDeque<PastOccurrences>,
    pub(in crate::ledger) ended: Option<BlockTime>,
    pub(in crate::ledger) is_deleted: bool,
}

/// A recurring job.
#[derive(Clone, Debug)]
pub(in crate::ledger) struct RecurringJob {
    pub(in crate::ledger) id: RecurringId,
    pub(in crate::ledger) record: RecurringRecord,
}

/// All recurring jobs that are not forgotten, each by the number that it was given.
#[derive(Clone, Debug)]
pub(in crate::ledger) struct RecurringJobs {
    jobs: BTreeMap<RecurringNumber, RecurringJob>,
    next: RecurringNumber,
}

impl RecurringJobs {
    /// None yet; the next one is given this number.
    pub(in crate::ledger) const fn from(next: RecurringNumber) -> Self {
        Self { jobs: BTreeMap::new(), next }
    }

    /// The number that the next one is given.
    pub(in crate::ledger) const fn next(&self) -> RecurringNumber {
        self.next
    }

    /// Gives a number to another one.
    pub(in crate::ledger) const fn number(&mut self) -> RecurringNumber {
        let number = self.next;
        self.next += 1;
        number
    }

    /// In the order of admission.
    pub(in crate::ledger) fn all(&self) -> impl DoubleEndedIterator<Item = &RecurringJob> {
        self.jobs.values()
    }

    pub(in crate::ledger) fn numbered(&self, number: RecurringNumber) -> Option<&RecurringJob> {
        self.jobs.get(&number)
    }

    pub(in crate::ledger) fn numbered_mut(&mut self, number: RecurringNumber) -> Option<&mut RecurringJob> {
        self.jobs.get_mut(&number)
    }

    pub(in crate::ledger) fn add(&mut self, job: RecurringJob) {
        self.jobs.insert(job.record.number, job);
    }

    pub(in crate::ledger) fn remove(&mut self, number: RecurringNumber) -> Option<RecurringJob> {
        self.jobs.remove(&number)
    }
}

impl RecurringRecord {
    /// The first occurrence after this time that is its own.
    pub(in crate::ledger) fn next_after(&self, time: BlockTime) -> Option<BlockTime> {
        let is_done = self.recurring.runs_max.is_some_and(|most| self.ran >= most);
        if is_done { None } else { next_occurrence(&self.recurring, time) }
    }

    /// Remembers what became of occurrences that follow those before.
    pub(in crate::ledger) fn remember(&mut self, more: PastOccurrences) {
        match more.became {
            Ok(_) => self.ran += 1,
            Err(_) => self.skipped = self.skipped.saturating_add(more.occurrences),
        }
        if let Some(last) = self.past.back_mut()
            && more.became.is_err()
            && last.became == more.became
        {
            last.last = more.last;
            last.occurrences = last.occurrences.saturating_add(more.occurrences);
            return;
        }
        if self.past.len() >= PAST_KEPT {
            self.past.pop_front();
        }
        self.past.push_back(more);
    }
}

/// The first occurrence of a recurring job after a time; none beyond what the ledger can name.
pub(in crate::ledger) fn next_occurrence(recurring: &Recurring, time: BlockTime) -> Option<BlockTime> {
    recurring.next_after(time).filter(|occurrence| *occurrence <= bounds::TIME_MAX)
}
