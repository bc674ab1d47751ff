//! What time alone changes: claims and attempts run out by lease time, back-offs and memories end by block time.

use std::collections::BTreeSet;

use super::{
    Applied, Day, EndReason, Ledger, LedgerEvent,
    jobs::{AttemptRef, TaskRef},
    lease_time::LeaseTime,
};
use crate::{
    fault::{Fault, is_planted},
    identity::PublicKey,
    schedule::{ready::JobNumber, recovery::Next},
    types::{AttemptId, BlockTime, Height},
};

/// Deadlines, each with what it is for. Computed from the ledger's records.
#[derive(Clone, Debug, Default)]
pub(super) struct Due {
    pub(super) claims: BTreeSet<(LeaseTime, PublicKey)>,
    /// When attempts run out, or are looked at for being slow.
    pub(super) attempts: BTreeSet<(LeaseTime, AttemptRef)>,
    pub(super) back_offs: BTreeSet<(BlockTime, TaskRef)>,
    /// When slices end.
    pub(super) slices: BTreeSet<(LeaseTime, TaskRef)>,
    /// When somebody who asked an attempt to make room may ask another.
    pub(super) asked: BTreeSet<(LeaseTime, TaskRef)>,
    /// When time alone changes something about a job.
    pub(super) jobs: BTreeSet<(BlockTime, JobNumber)>,
    /// When ended jobs are dropped.
    pub(super) retention: BTreeSet<(BlockTime, JobNumber)>,
    /// When workers without a claim may be forgotten.
    pub(super) workers: BTreeSet<(BlockTime, PublicKey)>,
}

/// Takes what is due at `now` out of a set.
fn take_due<T: Copy + Ord, D: Copy + Ord>(set: &mut BTreeSet<(T, D)>, now: T) -> Vec<D> {
    let mut due = Vec::new();
    while let Some((at, what)) = set.first().copied()
        && at <= now
        && !(at == now && is_planted(Fault::ExpiryOffByOne))
    {
        set.pop_first();
        due.push(what);
    }
    due
}

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
    pub(super) fn pass_time(&mut self, height: Height, time: BlockTime, applied: &mut Applied) {
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
            let forgotten = |worker: &super::Worker| {
                worker.record.standing.is_none() && self.forgets_worker_at(worker.record.last) <= self.time
            };
            if self.workers.get(&key).is_some_and(forgotten) {
                self.workers.remove(&key);
            }
        }
    }

    /// When a worker whose claim ended, or whose last claim or drain was executed, at this time may be forgotten. A claim
    /// that was signed with an honest expiry before then has expired by then, so its sequence number needs no memory.
    pub(super) fn forgets_worker_at(&self, last: BlockTime) -> BlockTime {
        last.plus_ms(self.genesis.ledger.transaction_life_ms_max).plus_ms(1)
    }

    pub(super) fn forget_worker_later(&mut self, key: PublicKey) {
        if let Some(worker) = self.workers.get(&key) {
            self.due.workers.insert((self.forgets_worker_at(worker.record.last), key));
        }
    }

    /// The third step of a block. Claims end before attempts, so an attempt that ran out with its claim is lost once.
    pub(super) fn end_what_has_run_out(&mut self, applied: &mut Applied) {
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
    pub(super) fn end_slices(&mut self) {
        for task in take_due(&mut self.due.slices, self.lease_time) {
            self.slice_is_over(task);
        }
    }
}
