//! Unclaimed tasks: those that no claim could ever hold end after a long time, so that they do not take room for ever.
//!
//! Whether a claim could hold them is looked at only now and then, because it takes a walk through all claims. A claim
//! that could hold them begins the time anew, whether or not it takes one.

use std::{collections::BTreeSet, ops::Range};

use crate::{
    fault::{Fault, is_planted},
    ledger::{Applied, Gone, LeaseTime, Ledger, records::jobs::Job},
    schedule::ready::{JobNumber, Needs},
    types::BlockTime,
};

/// How many times the ledger looks before a task ends.
const LOOKS: u64 = 100;
/// The shortest time between two looks, in milliseconds.
const LOOK_MS_MIN: u64 = 1_000;

impl Ledger {
    /// Looks, if it is time to, which ready tasks no claim could ever hold, and ends those of which that has been so for
    /// too long.
    pub(super) fn end_unclaimed(&mut self, applied: &mut Applied) {
        let (now, most_ms) = (self.lease_time(), self.genesis.ledger.unclaimed_ms_max);
        let next = self.records.unclaimed().looked.plus_ms((most_ms / LOOKS).max(LOOK_MS_MIN));
        if most_ms == 0 || now < next {
            return;
        }
        let is_unclaimed = |needs: &&Needs| self.records.able(needs).next().is_none();
        let unclaimed: Vec<Needs> = self.index.ready().needs().filter(is_unclaimed).map(Needs::clone).collect();
        self.records.unclaimed_mut().look(now, unclaimed.into_iter());
        let Some(then) = now.0.checked_sub(most_ms.saturating_mul(1000)) else { return };
        let expired = self.records.unclaimed().until(LeaseTime(then));
        if !expired.is_empty() && !is_planted(Fault::UnclaimedWaitForEver) {
            self.end_tasks_with(&expired, applied);
        }
    }

    /// Ends the ready tasks with any of these needs that were admitted long enough ago.
    fn end_tasks_with(&mut self, needs: &BTreeSet<Needs>, applied: &mut Applied) {
        let most_us = self.genesis.ledger.unclaimed_ms_max.saturating_mul(1000);
        let Some(then) = self.time().0.checked_sub(most_us).map(BlockTime) else { return };
        let ready = |job: &Job| job.record.ended.is_none() && job.counts().ready > 0;
        let jobs = self.records.jobs().iter().filter(|(_, job)| ready(job));
        let jobs: Vec<(JobNumber, Vec<Range<u32>>)> =
            jobs.map(|(number, job)| (*number, job.ready_with(needs, then, self.time()))).collect();
        for (number, tasks) in jobs.into_iter().filter(|(_, tasks)| !tasks.is_empty()) {
            self.stop_tasks(number, &tasks, Gone::Unclaimed, applied);
            self.end_job_if_over(number, applied);
        }
    }

    /// When a ready task with these needs, which no claim could hold now, ends at the earliest if none comes and nothing
    /// stalls.
    pub(in crate::ledger) fn unclaimed_until(&self, needs: &Needs, admitted: BlockTime) -> Option<BlockTime> {
        let most_ms = self.genesis.ledger.unclaimed_ms_max;
        let since = self.records.unclaimed().since(needs).unwrap_or(self.lease_time());
        let until = since.plus_ms(most_ms).as_block_time(self.lease_time(), self.time());
        (most_ms > 0).then(|| until.max(admitted.plus_ms(most_ms)))
    }
}
