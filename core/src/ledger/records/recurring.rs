//! Recurring jobs, and what becomes of each occurrence when it comes.
//!
//! The job's [`Cron`](crate::types::Cron) gives the occurrences, from the job's `from` to its `until`. In the block
//! in which an occurrence comes it is run or skipped. To run it is to admit its job, as if its submitter had just
//! submitted it. If it is skipped, the record says why. None is left out:
//!
//! 1. *Missed*: occurrences during a pause are missed. So are those that a block reaches more than a minute late, or
//!    later than the stall threshold if that is longer. Catch-up keeps none of these, the last one, or the last
//!    [`CATCH_UP_MAX`](bounds::CATCH_UP_MAX). The others are skipped.
//! 2. *Overlap* decides on the remaining occurrences and on those in time, one after the other, by the state of the
//!    earlier occurrences' jobs.
//! 3. *Bounds*: a job to run has to keep the bounds of a submit. Otherwise it is skipped with that reason.
//!
//! Many occurrences can come at once, for example at midnight. A block handles at most
//! [`OCCURRENCES_MAX`](bounds::OCCURRENCES_MAX) of one recurring job and
//! [`BLOCK_OCCURRENCES_MAX`](bounds::BLOCK_OCCURRENCES_MAX) in total, the earliest first. It stops when their
//! definitions take as many bytes as a block's transactions may. The next block follows at once and goes on.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};
use serde_tuple::{Deserialize_tuple, Serialize_tuple};

use crate::{
    identity::PublicKey,
    ledger::bounds,
    types::{BlockTime, Height, JobId, Recurring, RecurringId, SkipReason},
};

/// How many entries on past occurrences a recurring job keeps.
pub const PAST_KEPT: usize = 16;

/// The number of a recurring job, in order of admission.
pub(in crate::ledger) type RecurringNumber = u64;

/// What became of an occurrence, or of several consecutive ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct PastOccurrences {
    /// The first occurrence.
    pub first: BlockTime,
    /// The last occurrence.
    pub last: BlockTime,
    /// How many there are.
    pub occurrences: u64,
    /// The job of an occurrence that was run, or why they were skipped.
    pub became: Result<JobId, SkipReason>,
}

/// What is known of a recurring job and cannot be computed.
#[derive(Clone, Debug, Serialize_tuple, Deserialize_tuple)]
pub(in crate::ledger) struct RecurringRecord {
    pub(in crate::ledger) number: RecurringNumber,
    pub(in crate::ledger) submitter: PublicKey,
    /// The block that admitted it.
    pub(in crate::ledger) height: Height,
    pub(in crate::ledger) time: BlockTime,
    /// The bytes in which it was submitted; 0 once it has ended.
    pub(in crate::ledger) definition_bytes: u64,
    /// The submitted definition; without its job's arrays once it has ended.
    pub(in crate::ledger) recurring: Recurring,
    /// The first occurrence that is neither run nor skipped, if there is one.
    pub(in crate::ledger) next: Option<BlockTime>,
    pub(in crate::ledger) is_paused: bool,
    /// When it was last resumed. The occurrences up to then were missed.
    pub(in crate::ledger) resumed: Option<BlockTime>,
    /// How many occurrences were run, and how many were skipped.
    pub(in crate::ledger) ran: u64,
    pub(in crate::ledger) skipped: u64,
    /// What became of the latest occurrences, oldest first.
    pub(in crate::ledger) past: VecDeque<PastOccurrences>,
    pub(in crate::ledger) ended: Option<RecurringEnd>,
}

/// When and why a recurring job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub(in crate::ledger) struct RecurringEnd {
    pub(in crate::ledger) at: BlockTime,
    pub(in crate::ledger) why: RecurringEndReason,
}

/// Why a recurring job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RecurringEndReason {
    /// It has no more occurrences.
    Over,
    /// Its submitter deleted it.
    Deleted,
    /// Its submitter was barred from submitting.
    Barred,
}

/// A recurring job.
#[derive(Clone, Debug)]
pub(in crate::ledger) struct RecurringJob {
    pub(in crate::ledger) id: RecurringId,
    pub(in crate::ledger) record: RecurringRecord,
}

/// All recurring jobs that are not forgotten, by number.
#[derive(Clone, Debug)]
pub(in crate::ledger) struct RecurringJobs {
    jobs: BTreeMap<RecurringNumber, RecurringJob>,
    next: RecurringNumber,
}

impl RecurringJobs {
    /// No recurring jobs; the first gets this number.
    pub(in crate::ledger) const fn from(next: RecurringNumber) -> Self {
        Self { jobs: BTreeMap::new(), next }
    }

    /// The number of the next recurring job.
    pub(in crate::ledger) const fn next(&self) -> RecurringNumber {
        self.next
    }

    /// Takes the next number.
    pub(in crate::ledger) const fn number(&mut self) -> RecurringNumber {
        let number = self.next;
        self.next += 1;
        number
    }

    /// All recurring jobs, in order of admission.
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
    /// Its first occurrence after this time.
    pub(in crate::ledger) fn next_after(&self, time: BlockTime) -> Option<BlockTime> {
        let is_done = self.recurring.runs_max.is_some_and(|most| self.ran >= most);
        if is_done { None } else { next_occurrence(&self.recurring, time) }
    }

    /// Remembers what became of occurrences. They follow the ones before.
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

/// A recurring job's first occurrence after a time; none beyond the latest time that the ledger can name.
pub(in crate::ledger) fn next_occurrence(recurring: &Recurring, time: BlockTime) -> Option<BlockTime> {
    recurring.next_after(time).filter(|occurrence| *occurrence <= bounds::TIME_MAX)
}
