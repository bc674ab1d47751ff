//! Report: a worker's words on attempts that it was given, judged one by one.
//!
//! The outcome of a live attempt is always taken. Of an attempt that was lost before, a success is taken while the task is
//! owed; anything else changes nothing. A large output is taken only with a second holder's word that it has it.

use std::collections::BTreeSet;

use crate::{
    fault::{Fault, is_planted},
    identity::PublicKey,
    ledger::{
        Applied, EndReason, IgnoredReason, Ledger, LedgerEvent, bounds,
        jobs::{TaskRef, TaskState},
    },
    schedule::recovery::{self, Next},
    types::{AttemptId, DeliveryStatement, OutcomeReceipt, Output, Report, ReportItem, Verdict, VoidReason},
};

/// Whether an attempt that a worker was given is still its task's present one.
enum Given {
    Live,
    Late,
}

impl Ledger {
    pub(in crate::ledger) fn check_report(&self, signer: &PublicKey, report: &Report) -> Result<(), VoidReason> {
        if !(1..=self.genesis.ledger.report_items_max).contains(&report.items.len()) {
            return Err(VoidReason::Malformed);
        }
        if self.workers.contains_key(signer) { Ok(()) } else { Err(VoidReason::UnknownWorker) }
    }

    pub(in crate::ledger) fn report(&mut self, signer: PublicKey, report: &Report, applied: &mut Applied) {
        // A second word on one attempt is not looked at, so a report costs at most one signature check for each attempt.
        let mut seen = BTreeSet::new();
        for item in &report.items {
            let judged =
                if seen.insert(item.attempt) { self.judge(&signer, item) } else { Err(IgnoredReason::Repeated) };
            match judged {
                Ok((task, given)) => self.take(signer, task, &given, item, applied),
                Err(IgnoredReason::TaskEnded) if is_planted(Fault::EndedTaskReported) => {
                    applied.receipts.push(crate::types::Receipt::Outcome(self.outcome(signer, item)));
                }
                Err(why) => {
                    self.counters.ignored += 1;
                    let attempt = item.attempt;
                    applied.events.push(LedgerEvent::ReportIgnored { attempt, worker: signer, why });
                }
            }
        }
    }

    fn judge(&self, signer: &PublicKey, item: &ReportItem) -> Result<(TaskRef, Given), IgnoredReason> {
        let AttemptId { task: id, number } = item.attempt;
        let job_number = *self.job_numbers.get(&id.job).ok_or(IgnoredReason::UnknownTask)?;
        let job = self.jobs.get(&job_number).ok_or(IgnoredReason::UnknownTask)?;
        let live = match job.record.states.get(&id.index) {
            _ if id.index >= job.count => return Err(IgnoredReason::UnknownTask),
            Some(TaskState::Live(live)) => live,
            Some(TaskState::Done(_)) => return Err(IgnoredReason::TaskEnded),
            None if job.record.cancelled => return Err(IgnoredReason::TaskEnded),
            None => return Err(IgnoredReason::NotGiven),
        };
        let holds = live.lease().is_some_and(|(present, lease)| {
            present == number && (lease.worker == *signer || is_planted(Fault::AnyonesReport))
        });
        let given = if holds {
            Given::Live
        } else {
            let past = live.past.iter().find(|past| past.number == number && past.worker == *signer);
            match (past.ok_or(IgnoredReason::NotGiven)?.why, &item.verdict) {
                (EndReason::Failed | EndReason::Returned, _) => return Err(IgnoredReason::Repeated),
                (_, Verdict::Succeeded(..)) if is_planted(Fault::LateSuccessDropped) => {
                    return Err(IgnoredReason::Late);
                }
                (_, Verdict::Succeeded(..)) => Given::Late,
                (_, Verdict::Failed(..)) if is_planted(Fault::LateFailureTaken) => Given::Late,
                _ => return Err(IgnoredReason::Late),
            }
        };
        let limits = &self.genesis.ledger;
        if !bounds::is_verdict_sound(limits, job.record.spec.limits.output_bytes, &item.verdict) {
            return Err(IgnoredReason::Malformed);
        }
        if let Verdict::Succeeded(output, _) = &item.verdict
            && !self.is_delivered(signer, item.attempt, output)
        {
            return Err(IgnoredReason::NotDelivered);
        }
        Ok((TaskRef { job: job_number, index: id.index }, given))
    }

    /// Whether another peer holds the output: everyone does if it is inline, else one that signed for it.
    fn is_delivered(&self, worker: &PublicKey, attempt: AttemptId, output: &Output) -> bool {
        let Output::Stored { manifest, bytes, delivery } = output else { return true };
        let (holder, height) = (&delivery.holder, delivery.height);
        let statement = DeliveryStatement { attempt, manifest: *manifest, bytes: *bytes, height };
        holder != worker
            && height < self.height
            && (self.govern.set().contains(holder) || self.claim_stood_at(holder, height))
            && statement.is_signed_by(delivery, &self.network)
    }

    fn take(&mut self, worker: PublicKey, task: TaskRef, given: &Given, item: &ReportItem, applied: &mut Applied) {
        match &item.verdict {
            Verdict::Returned => self.give_back(task, EndReason::Returned, applied),
            Verdict::Failed(..) => {
                self.release(task, EndReason::Failed, applied);
                let Some(job) = self.jobs.get_mut(&task.job) else { return };
                let retry = job.record.spec.retry;
                let Some(live) = job.live_mut(task.index) else { return };
                live.failures = live.failures.saturating_add(1);
                let next = recovery::after_failure(&retry, live.failures);
                if next == Next::Fail {
                    self.finish(task, self.outcome(worker, item), applied);
                } else {
                    self.wait(task, next);
                }
            }
            Verdict::Succeeded(..) => {
                let why = match given {
                    Given::Live => EndReason::Succeeded,
                    Given::Late => {
                        self.counters.late += 1;
                        EndReason::Superseded
                    }
                };
                self.release(task, why, applied);
                self.finish(task, self.outcome(worker, item), applied);
            }
        }
    }

    fn outcome(&self, worker: PublicKey, item: &ReportItem) -> OutcomeReceipt {
        OutcomeReceipt { attempt: item.attempt, worker, height: self.height, verdict: item.verdict.clone() }
    }
}
