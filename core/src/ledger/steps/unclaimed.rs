//! Unclaimed tasks: those that no claim could ever hold end after a long time, so that they do not take room for ever.
//!
//! Whether a claim could hold them is looked at only now and then, because it takes a walk through all claims. What is
//! leased between two looks was of course not unclaimed.

use std::ops::Range;

use crate::{
    fault::{Fault, is_planted},
    ledger::{Applied, Gone, Ledger, records::jobs::Job},
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
        let (now, most_ms) = (self.time(), self.genesis.ledger.unclaimed_ms_max);
        let next = self.records.unclaimed().looked.plus_ms((most_ms / LOOKS).max(LOOK_MS_MIN));
        if most_ms == 0 || now < next {
            return;
        }
        let could_hold = |needs: &Needs| {
            let mut standing = self.records.workers().values().filter_map(|worker| worker.record.standing.as_ref());
            standing.any(|standing| standing.could_ever_hold(needs))
        };
        let unclaimed: Vec<Needs> =
            self.index.ready().needs().filter(|needs| !could_hold(needs)).map(Needs::clone).collect();
        self.records.unclaimed_mut().look(now, unclaimed.into_iter());
        let Some(then) = now.0.checked_sub(most_ms.saturating_mul(1000)) else { return };
        if is_planted(Fault::UnclaimedWaitForEver) {
            return;
        }
        for needs in self.records.unclaimed().until(BlockTime(then)) {
            self.end_tasks_with(&needs, applied);
        }
    }

    /// Ends all ready tasks with these needs.
    fn end_tasks_with(&mut self, needs: &Needs, applied: &mut Applied) {
        let ready = |job: &Job| job.record.ended.is_none() && job.counts().ready > 0;
        let jobs = self.records.jobs().iter().filter(|(_, job)| ready(job));
        let jobs: Vec<(JobNumber, Vec<Range<u32>>)> =
            jobs.map(|(number, job)| (*number, job.ready_with(needs, self.time()))).collect();
        for (number, tasks) in jobs.into_iter().filter(|(_, tasks)| !tasks.is_empty()) {
            self.stop_tasks(number, &tasks, Gone::Unclaimed, applied);
            self.end_job_if_over(number, applied);
        }
    }

    /// When a ready task with these needs, which no claim could hold now, ends at the earliest if none comes.
    pub(in crate::ledger) fn unclaimed_until(&self, needs: &Needs) -> Option<BlockTime> {
        let most_ms = self.genesis.ledger.unclaimed_ms_max;
        let since = self.records.unclaimed().since(needs).unwrap_or(self.time());
        (most_ms > 0).then(|| since.plus_ms(most_ms))
    }
}
