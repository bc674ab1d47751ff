//! Report: a worker's verdicts on its attempts, judged one by one.
//!
//! The outcome of a live attempt is always accepted. A success of an attempt that was already lost is accepted while
//! the task is outstanding, and so is the word of a worker that died of it; any other late verdict changes nothing. A
//! large output is accepted only with a second
//! holder's word that it has the output. What a replica's worker says is judged besides by `steps/agreement`.

use std::collections::BTreeSet;

use crate::{
    fault::{Fault, is_planted},
    identity::PublicKey,
    invariant::known,
    ledger::{
        Applied, EndReason, IgnoredReason, Ledger, LedgerEvent, bounds,
        index::Others,
        records::{
            jobs::{AttemptRef, Checkpoint, TaskRef, TaskState},
            tracks::Deed,
        },
    },
    schedule::recovery::Next,
    types::{
        Answer, AttemptId, Delivery, DeliveryStatement, Failure, OutcomeReceipt, Output, Remains, Report, ReportItem,
        Verdict, VoidReason,
    },
};

/// Whether a reported attempt still lives.
enum Reported {
    Live,
    Late,
}

impl Ledger {
    pub(in crate::ledger) fn check_report(&self, signer: &PublicKey, report: &Report) -> Result<(), VoidReason> {
        if !(1..=self.genesis.ledger.report_items_max).contains(&report.items.len()) {
            return Err(VoidReason::Malformed);
        }
        if self.records.workers().contains_key(signer) { Ok(()) } else { Err(VoidReason::UnknownWorker) }
    }

    pub(in crate::ledger) fn report(&mut self, signer: PublicKey, report: &Report, applied: &mut Applied) {
        // A second verdict on an attempt is ignored, so a report costs at most one signature check for each attempt.
        let mut seen = BTreeSet::new();
        for item in &report.items {
            let judged =
                if seen.insert(item.attempt) { self.judge(&signer, item) } else { Err(IgnoredReason::Repeated) };
            match judged {
                Ok((task, reported)) => self.take(signer, task, &reported, item, applied),
                Err(IgnoredReason::TaskEnded) if is_planted(Fault::EndedTaskReported) => {
                    applied.receipts.push(crate::types::Receipt::Outcome(self.outcome(signer, item)));
                }
                Err(why) => {
                    self.records.counters_mut().ignored += 1;
                    let attempt = item.attempt;
                    applied.events.push(LedgerEvent::ReportIgnored { attempt, worker: signer, why });
                }
            }
        }
    }

    fn judge(&self, signer: &PublicKey, item: &ReportItem) -> Result<(TaskRef, Reported), IgnoredReason> {
        let AttemptId { task: id, number } = item.attempt;
        let job_number = self.index.number_of(&id.job).ok_or(IgnoredReason::UnknownTask)?;
        let job = self.records.job(job_number).ok_or(IgnoredReason::UnknownTask)?;
        let live = match job.record.states.get(&id.index) {
            _ if id.index >= job.count() => return Err(IgnoredReason::UnknownTask),
            Some(TaskState::Live(live)) => live,
            Some(TaskState::Done(_) | TaskState::Gone(_)) => return Err(IgnoredReason::TaskEnded),
            None => return Err(IgnoredReason::NotAssigned),
        };
        let lease = live.lease_of(number);
        let lease = lease.filter(|lease| lease.worker == *signer || is_planted(Fault::AnyonesReport));
        let reported = if lease.is_some() {
            Reported::Live
        } else {
            let past = live.history().past.iter().find(|past| past.number == number && past.worker == *signer);
            match (past.ok_or(IgnoredReason::NotAssigned)?.why, &item.verdict) {
                (
                    EndReason::Failed
                    | EndReason::Answered
                    | EndReason::Returned
                    | EndReason::Undelivered
                    | EndReason::Preempted
                    | EndReason::HostDied { .. },
                    _,
                ) => {
                    return Err(IgnoredReason::Repeated);
                }
                (_, Verdict::Succeeded(..)) if is_planted(Fault::LateSuccessDropped) => {
                    return Err(IgnoredReason::Late);
                }
                (_, Verdict::Succeeded(..)) if job.redundancy(id.index).is_none() => Reported::Late,
                // The claim of the next process, or the end of its own, came before this report.
                (EndReason::ClaimEnded | EndReason::NewIncarnation | EndReason::TimedOut, Verdict::HostDied { .. }) => {
                    Reported::Late
                }
                (_, Verdict::Failed(..)) if is_planted(Fault::LateFailureTaken) => Reported::Late,
                _ => return Err(IgnoredReason::Late),
            }
        };
        if job.redundancy(id.index).is_some() {
            Self::judge_replica(lease, &item.verdict)?;
        } else if matches!(item.verdict, Verdict::Committed(_) | Verdict::Revealed(..)) {
            return Err(IgnoredReason::Malformed);
        }
        let limits = &self.genesis.ledger;
        let spec = job.spec(id.index).ok_or(IgnoredReason::UnknownTask)?;
        if !bounds::is_verdict_sound(limits, spec, &item.verdict) {
            return Err(IgnoredReason::Malformed);
        }
        let (array, _) = job.array_index(id.index).ok_or(IgnoredReason::UnknownTask)?;
        let output = match &item.verdict {
            Verdict::Succeeded(_, output, ..) | Verdict::Revealed(Answer::Succeeded(_, output, _), _) => Some(output),
            _ => None,
        };
        // Nobody takes the output of a failure.
        if job.record.arrays.get(usize::from(array)).is_some_and(|array| array.feeds)
            && matches!(output, Some(Output::Inline(_)))
        {
            return Err(IgnoredReason::NotDelivered);
        }
        let stored = match (&item.verdict, item.verdict.output()) {
            (_, Some(Output::Stored { manifest, stderr, bytes, delivery })) => {
                Some((*manifest, *stderr, *bytes, delivery))
            }
            (Verdict::Checkpointed { manifest, bytes, delivery }, _) => Some((*manifest, None, *bytes, delivery)),
            _ => None,
        };
        let is_undelivered = |(manifest, stderr, bytes, delivery): (_, _, _, &Delivery)| {
            let attempt = item.attempt;
            let statement = DeliveryStatement { attempt, manifest, stderr, bytes, height: delivery.height };
            !self.is_delivered(signer, &statement, delivery)
        };
        if stored.is_some_and(is_undelivered) {
            return Err(IgnoredReason::NotDelivered);
        }
        let is_misplaced = match &item.verdict {
            Verdict::Checkpointed { .. } => !spec.checkpoints,
            // An attempt can only be preempted if the ledger requested it.
            Verdict::Preempted => lease.is_none_or(|lease| lease.preemption.is_none()),
            _ => false,
        };
        if is_misplaced {
            return Err(IgnoredReason::Malformed);
        }
        let task = TaskRef { job: job_number, index: id.index };
        // A late attempt cannot fail any more.
        if matches!(reported, Reported::Late)
            && let Verdict::Succeeded(.., spawns) = &item.verdict
            && self.check_spawn(task, spawns).is_err()
        {
            return Err(IgnoredReason::Late);
        }
        Ok((task, reported))
    }

    /// Whether another peer holds an attempt's output: a peer signed that it does.
    fn is_delivered(&self, worker: &PublicKey, statement: &DeliveryStatement, delivery: &Delivery) -> bool {
        let (holder, height) = (&delivery.holder, delivery.height);
        holder != worker
            && height < self.height()
            && (self.records.governance().set().contains(holder) || self.claim_stood_at(holder, height))
            && statement.is_signed_by(delivery, &self.network)
    }

    fn take(
        &mut self,
        worker: PublicKey,
        task: TaskRef,
        reported: &Reported,
        item: &ReportItem,
        applied: &mut Applied,
    ) {
        let attempt = AttemptRef::of(task, item.attempt.number);
        match &item.verdict {
            Verdict::Committed(commitment) => self.commit(attempt, *commitment, applied),
            Verdict::Revealed(answer, salt) => self.reveal(attempt, answer, salt, applied),
            Verdict::HostDied { alone } => self.host_died(attempt, *alone, applied),
            Verdict::Returned => self.give_back(attempt, EndReason::Returned, applied),
            Verdict::Undelivered => self.give_back(attempt, EndReason::Undelivered, applied),
            Verdict::Preempted => self.give_back(attempt, EndReason::Preempted, applied),
            Verdict::Checkpointed { manifest, .. } => {
                let (number, time) = (item.attempt.number, self.time());
                let live = self.records.job_mut(task.job).and_then(|job| job.live_mut(task.index));
                if let Some(live) = known(live) {
                    live.checkpoint = Some(Box::new(Checkpoint { manifest: *manifest, attempt: number, time }));
                    applied.events.push(LedgerEvent::Checkpointed { attempt: item.attempt, worker });
                }
            }
            Verdict::Failed(failure, ..) => {
                if matches!(reported, Reported::Late) && is_planted(Fault::LateFailureTaken) {
                    self.release(task, EndReason::Failed, applied);
                    return self.finish(task, self.outcome(worker, item), applied);
                }
                self.fail(worker, task, failure, item, applied);
            }
            Verdict::Succeeded(_, output, usage, spawns) => {
                let Ok(spawn) = self.check_spawn(task, spawns) else {
                    let failure = Failure::SpawnRefused;
                    let verdict = Verdict::Failed(failure.clone(), Remains::whole(output.clone()), *usage);
                    let refused = ReportItem { attempt: item.attempt, verdict };
                    return self.fail(worker, task, &failure, &refused, applied);
                };
                match reported {
                    Reported::Live => {
                        self.learn(attempt);
                        let ended = self.end_attempt(attempt, EndReason::Succeeded, Some(&item.verdict), applied);
                        if ended.is_some_and(|(_, others)| others == Others::Live) {
                            self.release(task, EndReason::Superseded, applied);
                        }
                    }
                    Reported::Late => {
                        self.records.counters_mut().late += 1;
                        self.book_deed(worker, task, Some(Deed::Late), 0);
                        self.end_trial(worker);
                        self.release(task, EndReason::Superseded, applied);
                    }
                }
                self.pardon(task);
                if let Some(spawn) = spawn {
                    self.spawn(task, spawn, applied);
                }
                self.finish(task, self.outcome(worker, item), applied);
            }
        }
    }

    fn fail(&mut self, worker: PublicKey, task: TaskRef, failure: &Failure, item: &ReportItem, applied: &mut Applied) {
        let attempt = AttemptRef::of(task, item.attempt.number);
        let ended = self.end_attempt(attempt, EndReason::Failed, Some(&item.verdict), applied);
        let Some((past, others)) = known(ended) else { return };
        let setback = failure.setback();
        let forgiven = if past.on_trial { self.forgive_on_trial(task) } else { None };
        let next = forgiven.unwrap_or_else(|| self.set_back(task, setback));
        if self.redundancy(task).is_some() {
            return self.go_on_after_failure(&past, task, next, self.outcome(worker, item), applied);
        }
        // While another attempt lives, a setback that may be the machine's fault does not fail the task.
        let is_over = next == Next::Fail && (others == Others::None || !setback.is_of_machine());
        if is_over {
            if others == Others::Live {
                self.release(task, EndReason::Superseded, applied);
            }
            self.finish(task, self.outcome(worker, item), applied);
        } else if others == Others::None {
            self.wait(task, next);
        }
    }

    /// Adds a successful attempt's running time to what is known of its program.
    fn learn(&mut self, attempt: AttemptRef) {
        let task = attempt.task();
        let Some(job) = known(self.records.job(task.job)) else { return };
        let lease = job.live(task.index).and_then(|live| live.lease_of(attempt.number));
        if let Some(lease) = lease.filter(|lease| lease.allocation.is_some()) {
            let Some(program) = known(job.spec(task.index).map(|spec| spec.program_blob().digest)) else { return };
            let (ran_ms, now) = (lease.ran_ms(self.lease_time()), self.time());
            self.records.estimates_mut().learn(program, ran_ms, now);
        }
    }

    fn outcome(&self, worker: PublicKey, item: &ReportItem) -> OutcomeReceipt {
        let (height, verdict) = (self.height(), item.verdict.clone());
        OutcomeReceipt { attempt: item.attempt, worker, height, verdict, agreement: None }
    }
}
