//! Runs or skips each occurrence in the block in which it comes.

use crate::{
    fault::{Fault, is_planted},
    invariant::known,
    ledger::{
        Applied, Gone, Ledger, LedgerEvent, RecurringEndReason, bounds,
        records::recurring::{PastOccurrences, RecurringJob, RecurringNumber},
    },
    types::{
        AfterJob, BlockTime, CatchUp, JobId, Occurrence, Overlap, Recurring, SkipReason, Submit, Times, VoidReason,
        When,
    },
};

impl Ledger {
    /// How late a block may reach an occurrence before it counts as missed, in milliseconds: a minute, or the stall
    /// threshold if that is longer.
    fn late_ms(&self) -> u64 {
        self.stall_threshold_ms.max(60_000)
    }

    /// Runs or skips the occurrences that have come.
    pub(in crate::ledger) fn run_occurrences(&mut self, applied: &mut Applied) {
        let (mut left, mut bytes_left) = (bounds::BLOCK_OCCURRENCES_MAX, self.genesis.consensus.block_bytes_max as u64);
        let mut again = Vec::new();
        while left > 0
            && bytes_left > 0
            && let Some(number) = self.index.take_recurring(self.records.time())
        {
            self.skip_missed(number, applied);
            let recurring = self.records.recurring().numbered(number);
            let (mut tried, bytes) = (0, recurring.map_or(0, |recurring| recurring.record.definition_bytes));
            while tried < left.min(bounds::OCCURRENCES_MAX)
                && bytes_left > 0
                && let Some(occurrence) = self.occurrence_that_came(number)
            {
                self.reach(number, occurrence, applied);
                tried += 1;
                bytes_left = bytes_left.saturating_sub(bytes);
            }
            left -= tried.max(1);
            again.push(number);
        }
        for number in again {
            self.await_occurrence(number);
        }
    }

    /// The next occurrence of a recurring job, if it has come.
    fn occurrence_that_came(&self, number: RecurringNumber) -> Option<BlockTime> {
        let occurrence = self.records.recurring().numbered(number)?.record.next?;
        (occurrence <= self.time()).then_some(occurrence)
    }

    /// Skips the missed occurrences that are not caught up on.
    fn skip_missed(&mut self, number: RecurringNumber, applied: &mut Applied) {
        let late_us = self.late_ms().saturating_mul(1000);
        let Some(RecurringJob { record, .. }) = known(self.records.recurring().numbered(number)) else { return };
        let Recurring { cron, catch_up, until, .. } = &record.recurring;
        let Some(next) = known(record.next) else { return };
        // An occurrence at this time or earlier is missed.
        let late = BlockTime(self.time().0.saturating_sub(late_us.saturating_add(1)));
        let missed = record.resumed.map_or(late, |resumed| late.max(resumed)).min(until.unwrap_or(bounds::TIME_MAX));
        if missed < next {
            return;
        }
        let count = cron.count(BlockTime(next.0 - 1), missed);
        let keep = match catch_up {
            CatchUp::Skip => 0,
            CatchUp::Once => 1,
            CatchUp::All => bounds::CATCH_UP_MAX,
        };
        if count <= keep || is_planted(Fault::MissedAreRun) {
            return;
        }
        // Step back over the occurrences that are caught up on. The one before them is the last to be skipped.
        let mut last = cron.last_until(missed);
        for _ in 0..keep {
            last = last.and_then(|occurrence| cron.last_until(BlockTime(occurrence.0.saturating_sub(1))));
        }
        let Some(last) = last.filter(|last| *last >= next) else { return };
        self.skip(number, (next, last, count - keep), SkipReason::Missed, applied);
    }

    /// Runs an occurrence that has come, or skips it with a reason.
    fn reach(&mut self, number: RecurringNumber, occurrence: BlockTime, applied: &mut Applied) {
        match self.try_run(number, occurrence, applied) {
            Ok(job) => {
                let Some(RecurringJob { id, .. }) = known(self.records.recurring().numbered(number)) else { return };
                applied.events.push(LedgerEvent::RecurringRun { recurring: *id, occurrence, job });
                let became = Ok(job);
                self.pass_occurrences(
                    number,
                    PastOccurrences { first: occurrence, last: occurrence, occurrences: 1, became },
                    applied,
                );
            }
            Err(why) => self.skip(number, (occurrence, occurrence, 1), why, applied),
        }
    }

    fn try_run(
        &mut self,
        number: RecurringNumber,
        occurrence: BlockTime,
        applied: &mut Applied,
    ) -> Result<JobId, SkipReason> {
        let Some(RecurringJob { id, record }) = known(self.records.recurring().numbered(number)) else {
            return Err(SkipReason::Void(VoidReason::UnknownRecurring));
        };
        let run = Occurrence { recurring: *id, time: occurrence };
        let Recurring { job, overlap, deadline_ms, .. } = &record.recurring;
        let mut submit = Submit {
            times: Times { deadline: deadline_ms.map(|ms| occurrence.plus_ms(ms)), ..job.times },
            ..job.clone()
        };
        let (submitter, bytes) = (record.submitter, record.definition_bytes);
        let last = self.index.recurring().live_jobs(number).next_back();
        if let Some(before) = last.filter(|_| !is_planted(Fault::OverlapIgnored)) {
            match overlap {
                Overlap::Skip => return Err(SkipReason::Overlap),
                Overlap::Queue => submit.after.push(AfterJob { job: before, when: When::Any }),
                Overlap::Alongside => {}
                Overlap::Cancel => {
                    let live_jobs: Vec<JobId> = self.index.recurring().live_jobs(number).collect();
                    for job in live_jobs {
                        self.stop_occurrence(job, applied);
                    }
                }
            }
        }
        let live = self.index.recurring().live_jobs(number).count();
        if live >= bounds::LIVE_OCCURRENCES_MAX {
            return Err(SkipReason::TooManyOccurrences);
        }
        if submit.times.deadline.is_some_and(|deadline| deadline <= self.time()) {
            return Err(SkipReason::Void(VoidReason::DeadlinePassed));
        }
        self.check_quotas(&submitter, &submit.arrays, bytes).map_err(SkipReason::Void)?;
        let stored = self.check_daily_stored(&submitter, &submit.arrays, u64::from(submit.spawns_max), 0);
        stored.map_err(SkipReason::Void)?;
        let job = run.job();
        self.take_up_occurrence(run, job);
        self.admit(job, submitter, &submit, bytes, Some(run), applied);
        Ok(job)
    }

    fn stop_occurrence(&mut self, job: JobId, applied: &mut Applied) {
        if let Some(number) = known(self.index.number_of(&job)) {
            self.stop_job(number, Gone::Cancelled, applied);
        }
    }

    fn skip(
        &mut self,
        number: RecurringNumber,
        (first, last, occurrences): (BlockTime, BlockTime, u64),
        why: SkipReason,
        applied: &mut Applied,
    ) {
        let Some(RecurringJob { id, .. }) = known(self.records.recurring().numbered(number)) else { return };
        applied.events.push(LedgerEvent::RecurringSkipped { recurring: *id, first, last, occurrences, why });
        self.pass_occurrences(number, PastOccurrences { first, last, occurrences, became: Err(why) }, applied);
    }

    /// Records what became of these occurrences, and schedules the next one.
    fn pass_occurrences(&mut self, number: RecurringNumber, past: PastOccurrences, applied: &mut Applied) {
        let Some(RecurringJob { record, .. }) = known(self.records.recurring_mut().numbered_mut(number)) else {
            return;
        };
        record.remember(past);
        let next = record.next_after(past.last);
        if next.is_none() {
            self.end_recurring(number, RecurringEndReason::Over, applied);
        } else {
            record.next = next;
        }
    }
}
