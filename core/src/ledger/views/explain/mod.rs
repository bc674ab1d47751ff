//! Why a task waits, or why it went where it did: computed from the ledger alone, so that every peer says the same at
//! the same height. [`reasons`] is what can be said; there is one file for each state about which there is more to say
//! than its record.
//!
//! Nothing is changed, and no explanation walks through all that waits: what is not bounded by the number of claims, or
//! by what one task waits for, is looked at up to [`LOOKS_MAX`] and said to be so.

mod ahead;
mod blocked;
mod leased;
mod ready;
pub mod reasons;

use reasons::{Attempt, BackingOff, Done, Explanation, Why};

use crate::{
    ledger::{
        Ledger, TaskStateView,
        records::{
            jobs::{AttemptRef, TaskRef},
            lease_time::LeaseTime,
        },
    },
    types::{BlockTime, TaskId},
};

/// How many single things of one kind an explanation names; of more it says how many there are.
pub const NAMED_MAX: usize = 10;
/// How many entries of a queue, or leases, an explanation looks at.
pub const LOOKS_MAX: usize = 65_536;

impl Ledger {
    /// Why a task waits, or why it went where it did; nothing if there is no such task, or its job is forgotten.
    #[must_use]
    pub fn explain(&self, id: TaskId) -> Option<Explanation> {
        let number = self.index.number_of(&id.job)?;
        let job = self.records.job(number)?;
        let task = TaskRef { job: number, index: id.index };
        let view = self.task(id)?;
        let why = match view.state {
            TaskStateView::Blocked => Why::Blocked(self.why_blocked(job, id.index)),
            TaskStateView::Held => Why::Held,
            TaskStateView::BackingOff { until } => {
                let live = job.live(id.index)?;
                Why::BackingOff(BackingOff {
                    until,
                    after: view.past.last().map(Attempt::from),
                    failures: live.history().failures,
                    losses: live.history().losses,
                    returns: live.history().returns,
                    setbacks: live.history().setbacks.clone(),
                })
            }
            TaskStateView::Ready => Why::Ready(Box::new(self.why_ready(job, id.index)?)),
            TaskStateView::Leased { .. } => Why::Leased(Box::new(self.why_leased(job, task)?)),
            TaskStateView::Done { succeeded, attempt, height, receipt } => {
                let accepted = view.past.iter().find(|past| past.number == attempt);
                Why::Done(Done {
                    succeeded,
                    attempt: attempt.0,
                    worker: accepted.map(|past| past.worker),
                    height,
                    receipt,
                    ended: view.past.iter().map(|past| past.ended).max(),
                })
            }
            TaskStateView::Gone(how) => Why::Gone(self.why_gone(job, id.index, how)),
        };
        let (height, time) = (self.height(), self.time());
        Some(Explanation { job: id.job, index: id.index, height, time, attempts: view.attempts, why })
    }

    /// When the first of these attempts has to end, if it is among the first of all.
    pub(in crate::ledger) fn first_to_end(&self, is_meant: impl Fn(&AttemptRef) -> bool) -> Option<BlockTime> {
        let mut first: Option<LeaseTime> = None;
        for (due, attempt) in self.index.due().attempts().take(LOOKS_MAX) {
            // None ends before it is due.
            if first.is_some_and(|first| first <= due) {
                break;
            }
            if is_meant(&attempt) {
                let ends = self.lease_of(attempt)?.ends();
                first = Some(first.map_or(ends, |first| first.min(ends)));
            }
        }
        first.map(|ends| self.at(ends))
    }

    /// The block time at which it is this lease time, if nothing stalls until then.
    fn at(&self, time: LeaseTime) -> BlockTime {
        time.as_block_time(self.lease_time(), self.time())
    }
}
