//! Why a task waits, or why it went where it did. The explanation is computed from the ledger alone, so every peer
//! gives the same one at the same height. [`reasons`] holds the possible reasons. Each state that needs more than its
//! record has a file of its own.
//!
//! Explaining changes nothing, and never walks through everything that waits. Work that is not bounded by the number
//! of claims, or by one task's dependencies, stops after [`LOOKS_MAX`] entries, and the explanation says that it
//! stopped.

mod ahead;
mod blocked;
mod leased;
mod ready;
pub mod reasons;

use std::collections::BTreeSet;

use reasons::{Attempt, BackingOff, Done, Explanation, Why};

use crate::{
    ledger::{
        Ledger, TaskStateView,
        records::{
            jobs::{AttemptRef, Job, Live, TaskRef},
            lease_time::LeaseTime,
        },
    },
    types::{BlockTime, TaskId},
};

/// How many items of one kind an explanation names. Beyond these it gives only their number.
pub const NAMED_MAX: usize = 10;
/// How many queue entries or leases an explanation looks at.
pub const LOOKS_MAX: usize = 65_536;

impl Ledger {
    /// Explains a task's state; none if there is no such task or its job is forgotten.
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
                    status: None,
                    failure: None,
                    height,
                    receipt,
                    ended: view.past.iter().map(|past| past.ended).max(),
                })
            }
            TaskStateView::Gone(how) => Why::Gone(self.why_gone(job, id.index, how)),
        };
        let (height, time) = (self.height(), self.time());
        let (attempts, replicas) = (view.attempts, view.replicas);
        let could_join =
            if replicas.is_some_and(|replicas| replicas.missing() > 0) { self.could_join(job, id.index) } else { None };
        Some(Explanation { job: id.job, index: id.index, height, time, attempts, replicas, could_join, why })
    }

    /// How many workers of different operators claim that could ever hold a replica of a task, and have no part in its
    /// answer.
    fn could_join(&self, job: &Job, index: u32) -> Option<u32> {
        let avoidance = job.live(index).map(Live::avoidance).unwrap_or_default();
        let mut operators = BTreeSet::new();
        let able = self.records.able(job.needs(index)?).filter(|(key, _)| !self.is_party(&avoidance, key));
        let apart =
            able.filter(|(key, _)| self.operator_of(key).is_none_or(|operator| operators.insert(operator.to_owned())));
        u32::try_from(apart.count()).ok()
    }

    /// When the first of the matching attempts has to end, if it is among the first of all attempts.
    pub(in crate::ledger) fn first_to_end(&self, is_meant: impl Fn(&AttemptRef) -> bool) -> Option<BlockTime> {
        let mut first: Option<LeaseTime> = None;
        for (due, attempt) in self.index.due().attempts().take(LOOKS_MAX) {
            // No attempt ends before it is due.
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

    /// The block time to which this lease time corresponds, if nothing stalls until then.
    fn at(&self, time: LeaseTime) -> BlockTime {
        time.as_block_time(self.lease_time(), self.time())
    }
}
