//! Ends attempts and tasks. A task ends with an outcome or without one, or waits again.
//!
//! [`Ledger::release`] leaves the task *detached* (`attach`). So does [`Ledger::end_attempt`] when no other attempt
//! lives; a task with replicas is left detached but for the leases of its other replicas. The caller then puts the task
//! where it belongs, by [`Ledger::wait`], [`Ledger::finish`] or [`Ledger::give_up`], or by [`Ledger::go_on`] if it has
//! replicas.

use super::{Ending, quotas::EndedTasks};
use crate::{
    fault::{Fault, is_planted},
    invariant::known,
    ledger::{
        Applied, Day, EndReason, Gone, Ledger, LedgerEvent,
        records::{
            jobs::{AttemptRef, Comparison, Done, PastAttempt, Phase, TaskRef, TaskState},
            stored,
            usage::UsageEntry,
        },
    },
    schedule::{
        order::Fair,
        recovery::{Next, Party},
    },
    types::{OutcomeReceipt, Output, Receipt, Verdict},
};

/// Whether another attempt of a task lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::ledger) enum Others {
    None,
    Live,
}

impl Ledger {
    /// Ends a live attempt, with the worker's verdict if a verdict ends it. If no other attempt of the task lives,
    /// the task is left detached.
    pub(in crate::ledger) fn end_attempt(
        &mut self,
        attempt: AttemptRef,
        why: EndReason,
        said: Option<&Verdict>,
        applied: &mut Applied,
    ) -> Option<(PastAttempt, Others)> {
        let task = attempt.task();
        let live = known(self.records.job(task.job)?.live(task.index))?;
        known(live.lease_of(attempt.number))?;
        let others = if live.leases().nth(1).is_some() { Others::Live } else { Others::None };
        let is_replica = live.replicas().is_some();
        match others {
            _ if is_replica => {
                self.detach_phase(task);
                self.unindex_lease(attempt);
            }
            Others::None => self.detach(task),
            Others::Live => {
                self.watch(task, false);
                self.unindex_lease(attempt);
            }
        }
        let lease = known(self.live_lease(attempt))?.clone();
        let on_trial = self.judge_worker(&lease, why);
        let (now, lease_time) = (self.time(), self.lease_time());
        let (job, days) = known(self.records.job_and_days(task.job))?;
        let live = known(job.live_mut(task.index))?;
        let is_compared = live.replicas().is_some_and(|replicas| replicas.comparison == Comparison::Quorum);
        let lease = known(live.end_lease(attempt.number))?;
        let past = PastAttempt {
            number: lease.attempt,
            worker: lease.worker,
            leased: lease.leased,
            started: lease.allocation.map(|allocation| allocation.started),
            ended: now,
            why,
            failure: match said {
                Some(Verdict::Failed(failure, ..)) if why == EndReason::Failed => Some(failure.into()),
                _ => None,
            },
            avoided: why.is_avoided() || on_trial && why == EndReason::Failed,
            on_trial,
        };
        live.remember(past);
        let was_asked = lease.commitment().is_some_and(|commitment| commitment.reveal_until.is_some());
        if was_asked
            && why != EndReason::Answered
            && let Some(replicas) = live.replicas_mut()
        {
            let operator = lease.replica.as_ref().and_then(|replica| replica.operator.clone());
            replicas.fell_silent(Party { worker: lease.worker, operator });
        }
        let slot_ms = lease.ran_ms(lease_time);
        let resources = lease.allocation.map(|allocation| allocation.resources).unwrap_or_default();
        let end = UsageEntry::end(why, resources, slot_ms, said);
        days.book(Day::of(now), &mut job.record, Some(lease.worker), &end);
        let (id, submitter) = (job.attempt_id(task.index, lease.attempt), job.record.submitter);
        if self.sequence.is_fair() {
            let used = if lease.allocation.is_some() { Fair::cost(resources.millicores, slot_ms) } else { 0 };
            self.records.shares_mut().settle(&submitter, lease.cost, used);
            self.index.ready.share_changed(&submitter, &self.sequence, self.records.shares());
        }
        if others == Others::Live && !is_replica {
            self.watch(task, true);
        }
        let is_adaptive = self.redundancy(task).is_some_and(|redundancy| redundancy.adaptive);
        self.book_end(task, &lease, is_adaptive && is_compared, why, end.cpu_us());
        applied.events.push(LedgerEvent::Ended {
            attempt: id,
            worker: lease.worker,
            why,
            goes_on: others == Others::Live,
        });
        Some((past, others))
    }

    /// Ends all attempts of a live task and leaves the task detached.
    pub(in crate::ledger) fn release(&mut self, task: TaskRef, why: EndReason, applied: &mut Applied) {
        let Some(job) = known(self.records.job(task.job)) else { return };
        let (attempts, are_replicas) = (job.attempts(task.index), job.redundancy(task.index).is_some());
        if attempts.is_empty() {
            self.detach(task);
        }
        for attempt in attempts.iter().rev() {
            if known(self.end_attempt(*attempt, why, None, applied)).is_none() {
                return;
            }
            if are_replicas {
                self.attach_phase(task);
            }
        }
        if are_replicas && !attempts.is_empty() {
            self.detach_phase(task);
        }
    }

    /// Puts a detached task into its next waiting state. If other replicas of it live, their leases remain as they are.
    pub(in crate::ledger) fn wait(&mut self, task: TaskRef, next: Next) {
        let time = self.time();
        let Some(job) = known(self.records.job_mut(task.job)) else { return };
        let held = job.segment(task.index).is_some_and(|segment| segment.held) && !is_planted(Fault::HeldGoesOn);
        let Some(live) = known(job.live_mut(task.index)) else { return };
        // Another replica may have begun a back-off.
        let waits_until = if let Phase::BackingOff(until) = live.phase { until } else { time };
        let until = match next {
            Next::BackOff { wait_ms } => waits_until.max(time.plus_ms(wait_ms)),
            Next::Ready | Next::Fail => waits_until,
        };
        live.phase = match until {
            until if until > time => Phase::BackingOff(until),
            _ if held => Phase::Held,
            _ => Phase::Ready,
        };
        self.attach_phase(task);
    }

    /// Gives a detached task its outcome.
    pub(in crate::ledger) fn finish(&mut self, task: TaskRef, outcome: OutcomeReceipt, applied: &mut Applied) {
        let succeeded = matches!(outcome.verdict, Verdict::Succeeded(..));
        let receipt = u32::try_from(applied.receipts.len()).unwrap_or(u32::MAX);
        let (now, height) = (self.time(), self.height());
        let Some((job, days)) = known(self.records.job_and_days(task.job)) else { return };
        let Some((array, _)) = known(job.array_index(task.index)) else { return };
        let feeds = job.record.arrays.get(usize::from(array)).is_some_and(|array| array.feeds);
        let manifest = match &outcome.verdict {
            Verdict::Succeeded(_, Output::Stored { manifest, .. }, ..) if feeds => Some(Box::new(*manifest)),
            _ => None,
        };
        let past = job.live_mut(task.index).map(|live| std::mem::take(&mut live.history_mut().past).into_boxed_slice());
        let is_own = |past: &PastAttempt| past.number == outcome.attempt.number && past.why == EndReason::Succeeded;
        let is_late = outcome.agreement.is_none() && !past.iter().flatten().any(is_own);
        let done = Done {
            attempt: outcome.attempt.number,
            succeeded,
            height,
            receipt,
            manifest,
            past: past.unwrap_or_default(),
        };
        let id = job.task_id(task.index);
        job.record.states.insert(task.index, TaskState::Done(Box::new(done)));
        let Some(segment) = known(job.segment(task.index)) else { return };
        let ended = EndedTasks::of(job, segment, 1).leaving(stored::outcome_bytes(&outcome));
        let submitter = job.record.submitter;
        if let Some(entry) = UsageEntry::outcome(&outcome, is_late) {
            days.book(Day::of(now), &mut job.record, Some(outcome.worker), &entry);
        }
        let worker = outcome.worker;
        applied.receipts.push(Receipt::Outcome(outcome));
        applied.events.push(LedgerEvent::TaskDone { task: id, succeeded });
        let counters = self.records.counters_mut();
        *if succeeded { &mut counters.succeeded } else { &mut counters.failed } += 1;
        self.attach(task);
        if succeeded {
            self.prove(submitter, worker);
        }
        self.settle_tasks(&ended);
        self.follow_task(task, if succeeded { Ending::Well } else { Ending::Failed }, applied);
    }

    /// Ends a live task without an outcome, and all its attempts. The caller handles the consequences for dependents.
    pub(in crate::ledger) fn give_up(&mut self, task: TaskRef, why: Gone, applied: &mut Applied) {
        self.release(task, EndReason::Cancelled, applied);
        let Some(job) = known(self.records.job_mut(task.job)) else { return };
        let Some(segment) = known(job.segment(task.index)) else { return };
        let ended = EndedTasks::of(job, segment, 1);
        job.record.states.insert(task.index, TaskState::Gone(why));
        self.attach(task);
        self.records.counters_mut().cancelled += 1;
        self.settle_tasks(&ended);
    }

    /// Makes a task ready again when its back-off is over.
    pub(in crate::ledger) fn end_back_off(&mut self, task: TaskRef) {
        self.detach_phase(task);
        self.wait(task, Next::Ready);
    }
}
