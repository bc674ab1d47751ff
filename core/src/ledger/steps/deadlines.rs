//! What changes by time alone: claims and attempts run out by lease time, back-offs and memories end by block time.

use crate::{
    fault::{Fault, is_planted},
    invariant::known,
    ledger::{
        Applied, Day, EndReason, Ledger, LedgerEvent,
        records::{jobs::AttemptRef, lease_time::LeaseTime},
    },
    types::{AttemptId, BlockTime, Height},
};

impl Ledger {
    /// The earliest block time at which time alone would change who holds what, if nothing stalls until then. Always
    /// later than the last block's time. It is the first time at which a claim or an attempt runs out, an attempt may
    /// be found to be slow, a back-off is over, a job is due, an occurrence of a recurring job comes, or it is drawn whether
    /// an answer is compared.
    #[must_use]
    pub fn next_due(&self) -> Option<BlockTime> {
        // The end of a slice matters only if a task is waiting.
        let lease = self.index.due().first_by_lease_time(self.index.counts().ready > 0);
        let lease = lease.map(|at| at.as_block_time(self.lease_time(), self.time()));
        // A block may leave some of the occurrences that have come to the block after it.
        let next = BlockTime(self.time().0.saturating_add(1));
        let moment = self.index.recurring().next_due();
        let moment = moment.map(|at| at.max(next));
        let draw = self.index.due().first_draw().map(|_| next);
        lease.into_iter().chain(self.index.due().first_by_block_time()).chain(moment).chain(draw).min()
    }

    /// The first step of a block.
    pub(in crate::ledger) fn pass_time(&mut self, height: Height, time: BlockTime, applied: &mut Applied) {
        let before = Day::of(self.time());
        self.records.pass_time(height, time, self.stall_threshold_ms);
        if Day::of(self.time()) != before {
            self.forget_merits();
        }
        for number in self.index.due_mut().take_retention(self.records.time()) {
            if let Some(job) = self.forget_job(number) {
                applied.events.push(LedgerEvent::JobForgotten { job });
            }
        }
        self.forget_recurring(applied);
        self.forget_workers();
    }

    /// The third step of a block. Claims end before attempts, so an attempt that ran out with its claim is lost once.
    pub(in crate::ledger) fn end_what_has_run_out(&mut self, applied: &mut Applied) {
        let mut claims = self.index.due_mut().take_claims(self.records.lease_time());
        claims.sort_unstable();
        for key in claims {
            self.end_claim(key, EndReason::ClaimEnded, applied);
        }
        self.end_attempts(applied);
        self.end_slices();
        for task in self.index.due_mut().take_asked(self.records.lease_time()) {
            self.preemption_lapsed(task);
        }
        let now = self.time();
        while let Some(task) = self.index.due().back_off_over(now)
            && !is_planted(Fault::BackOffNeverEnds)
        {
            self.end_back_off(task);
        }
        for number in self.index.due_mut().take_jobs(now) {
            self.job_is_due(number, applied);
        }
        self.end_unclaimed(applied);
        self.follow_ended_jobs(applied);
        self.run_occurrences(applied);
        self.follow_ended_jobs(applied);
    }

    /// Gives back the attempts that have run out, in the order of their ids, and checks those that may be slow.
    fn end_attempts(&mut self, applied: &mut Applied) {
        let now = if is_planted(Fault::NeverTimesOut) { LeaseTime::default() } else { self.lease_time() };
        let mut ended: Vec<(AttemptId, AttemptRef)> = Vec::new();
        for attempt in self.index.due_mut().take_attempts(now) {
            let task = attempt.task();
            let Some(job) = known(self.records.job(task.job)) else { continue };
            let lease = job.live(task.index).and_then(|live| live.lease_of(attempt.number));
            let Some(lease) = known(lease) else { continue };
            if lease.ends() <= self.lease_time() {
                ended.push((job.attempt_id(task.index, attempt.number), attempt));
            } else {
                self.look_for_straggler(attempt);
            }
        }
        ended.sort_unstable();
        for (_, attempt) in ended {
            // The end of another replica may have ended the task.
            let Some(lease) = self.lease_of(attempt) else { continue };
            let why = if lease.commitment().is_some() { EndReason::Unrevealed } else { EndReason::TimedOut };
            self.give_back(attempt, why, applied);
        }
    }

    /// Ends the slices that are over by now, and begins the next ones.
    pub(super) fn end_slices(&mut self) {
        for task in self.index.due_mut().take_slices(self.records.lease_time()) {
            self.begin_slice(task);
        }
    }
}
