//! What time alone changes: claims and attempts run out by lease time, back-offs and memories end by block time.

use crate::{
    fault::{Fault, is_planted},
    identity::PublicKey,
    ledger::{
        Applied, Day, EndReason, Ledger, LedgerEvent,
        index::take_due,
        records::{jobs::AttemptRef, lease_time::LeaseTime, workers::Worker},
    },
    schedule::recovery::Next,
    types::{AttemptId, BlockTime, Height},
};

impl Ledger {
    /// The earliest block time at which time alone would change who holds what: a claim or an attempt runs out, or an attempt may be
    /// found to be slow (if nothing stalls until then), a back-off is over, a job's time has come, or a recurring job's moment. Always later than the last block.
    #[must_use]
    pub fn next_due(&self) -> Option<BlockTime> {
        let claim = self.due.claims.first().map(|(at, _)| *at);
        let attempt = self.due.attempts.first().map(|(at, _)| *at);
        // A slice that ends changes something only if somebody waits.
        let slice = self.due.slices.first().map(|(at, _)| *at).filter(|_| self.counts.ready > 0);
        let lease = claim.into_iter().chain(attempt).chain(slice).min();
        let lease = lease.map(|at| at.as_block_time(self.lease_time, self.time));
        let back_off = self.due.back_offs.first().map(|(at, _)| *at);
        let job = self.due.jobs.first().map(|(at, _)| *at);
        // Of moments that came, a block may have left some to the next one.
        let moment = self.recurring.next_due().map(|at| at.max(BlockTime(self.time.0.saturating_add(1))));
        lease.into_iter().chain(back_off).chain(job).chain(moment).min()
    }

    /// The first step of a block.
    pub(in crate::ledger) fn pass_time(&mut self, height: Height, time: BlockTime, applied: &mut Applied) {
        self.lease_time = self.lease_time.after(self.time, time, self.stall_threshold_ms);
        self.height = height;
        self.time = self.time.max(time);
        self.replay.forget_before(self.time);
        self.usage.pass(Day::of(self.time));
        self.end_proposals();
        for number in take_due(&mut self.due.retention, self.time) {
            let Some(job) = self.jobs.remove(&number) else { continue };
            self.job_numbers.remove(&job.id);
            self.counts.succeeded -= job.counts.succeeded;
            self.counts.failed -= job.counts.failed;
            self.counts.cancelled -= job.counts.cancelled;
            self.counts.skipped -= job.counts.skipped;
            applied.events.push(LedgerEvent::JobForgotten { job: job.id });
        }
        self.forget_recurring(applied);
        for key in take_due(&mut self.due.workers, self.time) {
            let forgotten = |worker: &Worker| {
                worker.record.standing.is_none() && self.forgets_worker_at(worker.record.last) <= self.time
            };
            if self.workers.get(&key).is_some_and(forgotten) {
                self.workers.remove(&key);
            }
        }
    }

    /// When a worker whose claim ended, or whose last claim or drain was executed, at this time may be forgotten. A claim
    /// that was signed with an honest expiry before then has expired by then, so its sequence number needs no memory.
    pub(in crate::ledger) fn forgets_worker_at(&self, last: BlockTime) -> BlockTime {
        last.plus_ms(self.genesis.ledger.transaction_life_ms_max).plus_ms(1)
    }

    pub(in crate::ledger) fn forget_worker_later(&mut self, key: PublicKey) {
        if let Some(worker) = self.workers.get(&key) {
            self.due.workers.insert((self.forgets_worker_at(worker.record.last), key));
        }
    }

    /// The third step of a block. Claims end before attempts, so an attempt that ran out with its claim is lost once.
    pub(in crate::ledger) fn end_what_has_run_out(&mut self, applied: &mut Applied) {
        let mut claims = take_due(&mut self.due.claims, self.lease_time);
        claims.sort_unstable();
        for key in claims {
            self.end_claim(key, EndReason::ClaimEnded, applied);
        }
        let now = if is_planted(Fault::NeverTimesOut) { LeaseTime::default() } else { self.lease_time };
        let mut ended: Vec<(AttemptId, AttemptRef)> = Vec::new();
        for attempt in take_due(&mut self.due.attempts, now) {
            let task = attempt.task();
            let Some(job) = self.jobs.get(&task.job) else { continue };
            let Some(lease) = job.live(task.index).and_then(|live| live.lease_of(attempt.number)) else { continue };
            if lease.ends() <= self.lease_time {
                ended.push((job.attempt_id(task.index, attempt.number), attempt));
            } else {
                self.look_at_pace(attempt);
            }
        }
        ended.sort_unstable();
        for (_, attempt) in ended {
            self.give_back(attempt, EndReason::TimedOut, applied);
        }
        self.end_slices();
        for task in take_due(&mut self.due.asked, self.lease_time) {
            self.gives_no_room(task);
        }
        let now = self.time;
        while let Some((until, task)) = self.due.back_offs.first().copied()
            && until <= now
            && !is_planted(Fault::BackOffNeverEnds)
        {
            self.detach(task);
            self.wait(task, Next::Ready);
        }
        for number in take_due(&mut self.due.jobs, now) {
            self.job_is_due(number, applied);
        }
        self.follow_ended_jobs(applied);
        self.run_what_recurs(applied);
        self.follow_ended_jobs(applied);
    }

    /// Goes on with the slices that are over by now.
    pub(in crate::ledger) fn end_slices(&mut self) {
        for task in take_due(&mut self.due.slices, self.lease_time) {
            self.slice_is_over(task);
        }
    }
}
