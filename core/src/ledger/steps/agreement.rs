//! Agreement: the outcome of a task that several workers compute is the answer that enough of them give.
//!
//! - **Replicas** are attempts at workers that differ, and whose operators differ where claims name them. No worker that
//!   holds one, has answered, or was asked for its answer and kept it back gets another of the same task. While one more
//!   is wanted, the task stands in the queue.
//! - **Commit, then reveal.** Everything reported is public, and who has not computed anything could say what others
//!   say. So a worker first reports a commitment, which frees its resources. Once as many have committed themselves as
//!   are wanted, all are asked to reveal their answers. Who does not do so in the allowance, or reveals another answer,
//!   has lost the attempt. All that were asked are waited for, although a quorum may stand before: otherwise whoever sees
//!   that it is in the minority could keep silent, and never be found wrong.
//! - **Answers** are successes and those failures that are the same everywhere. A failure that may be the machine's
//!   ends the attempt as it would without replicas, but ends the task only after a quorum of workers has seen one, or
//!   after so many that nobody else seems to be left. So no worker alone fails a task that another could take. A failure
//!   on which workers agree is final, because the program would fail again.
//! - **The outcome** is the answer that has the quorum, and more votes than any other, as the first of its attempts gave
//!   it. Without one, another replica is wanted, up to the task's bound; once none could decide any more, the task fails
//!   ([`Failure::Disagreed`]). The receipt holds who answered what.
//!
//! **Adaptive** tasks save most of this where workers have shown that they agree with others (`records/tracks`; the rule
//! is that of BOINC's adaptive replication). If the first replica goes to a worker that is relied on, no other is wanted
//! at first. Once that worker has committed itself, it is drawn whether its answer is compared: with the probability
//! `1 / n` after `n` agreed answers in a row. The draw is made in a later block than the one that took the commitment,
//! from the digest of its parent. So nobody knew it who chose the answer, unless it led that block itself. An answer that
//! is not compared is the outcome at once, and its receipt says so ([`Basis::Relied`]). A worker that agreed honestly,
//! and lies from then on, is compared after `n` lies on average, and then stands where a new one does; a loss after the
//! commitment counts as a lie. `docs/agreement.md` has the bounds.
//!
//! An answer that is given after others were revealed could be a copy. The bound on what liars achieve counts whoever
//! copies as one of them.

use std::collections::BTreeSet;

use crate::{
    digest::Digest,
    fault::{Fault, is_planted},
    identity::PublicKey,
    invariant::known,
    ledger::{
        Applied, EndReason, IgnoredReason, Ledger, LedgerEvent, PastAttempt,
        records::{
            jobs::{AttemptRef, Commitment, Comparison, Lease, Phase, Reply, Step, TaskRef},
            tracks::Deed,
        },
    },
    schedule::recovery::{Next, Party},
    types::{
        Agreement, Answer, Basis, Failure, OutcomeReceipt, Output, RELIED_FROM, Redundancy, Remains, Salt, Usage,
        Verdict,
    },
};

impl Ledger {
    /// A live task's redundancy.
    pub(in crate::ledger) fn redundancy(&self, task: TaskRef) -> Option<Redundancy> {
        self.records.job(task.job)?.redundancy(task.index)
    }

    /// Whether a worker may say this of a replica whose lease is this, if it lives.
    pub(in crate::ledger) fn judge_replica(lease: Option<&Lease>, verdict: &Verdict) -> Result<(), IgnoredReason> {
        let commitment = lease.and_then(Lease::commitment);
        match verdict {
            Verdict::Committed(_) if commitment.is_some() => Err(IgnoredReason::Repeated),
            Verdict::Revealed(..) => match commitment {
                Some(Commitment { reveal_until: Some(_), .. }) => Ok(()),
                _ => Err(IgnoredReason::NotAsked),
            },
            // One worker's word is not enough for these.
            Verdict::Succeeded(..) => Err(IgnoredReason::Malformed),
            Verdict::Failed(failure, ..) if !failure.setback().is_of_machine() => Err(IgnoredReason::Malformed),
            Verdict::HostDied { .. } => Ok(()),
            // Nothing is left for the worker to do but to reveal its answer. Who finds itself in the minority cannot
            // give the attempt back.
            _ if commitment.is_some() => Err(IgnoredReason::Malformed),
            _ => Ok(()),
        }
    }

    /// Takes a worker's commitment to its answer.
    pub(in crate::ledger) fn commit(&mut self, attempt: AttemptRef, digest: Digest, applied: &mut Applied) {
        let (task, at) = (attempt.task(), self.lease_time());
        self.detach_phase(task);
        self.unindex_lease(attempt);
        let Some(job) = known(self.records.job_mut(task.job)) else { return };
        let id = job.attempt_id(task.index, attempt.number);
        let Some(live) = known(job.live_mut(task.index)) else { return };
        let Some(lease) = known(live.lease_of_mut(attempt.number)) else { return };
        let worker = lease.worker;
        if let Some(replica) = known(lease.replica.as_mut()) {
            replica.commitment = Some(Commitment { digest, at, reveal_until: None });
        }
        self.index_lease(attempt);
        applied.events.push(LedgerEvent::Committed { attempt: id, worker });
        self.go_on(task, Next::Ready, applied);
        if is_planted(Fault::DrawnAtOnce) {
            self.draw_comparisons(applied);
        }
    }

    /// Draws whether the answers are compared to which workers that are relied on committed themselves in earlier blocks.
    pub(in crate::ledger) fn draw_comparisons(&mut self, applied: &mut Applied) {
        while let Some(task) = self.index.due().first_draw()
            && known(self.draw_comparison(task, applied)).is_some()
        {}
    }

    fn draw_comparison(&mut self, task: TaskRef, applied: &mut Applied) -> Option<()> {
        let redundancy = self.redundancy(task)?;
        let job = self.records.job(task.job)?;
        let lease = job.live(task.index)?.lease()?;
        let (number, worker, attempt) = (lease.number, lease.worker, job.attempt_id(task.index, lease.attempt));
        let row = self.row(&worker, task);
        let drawn = self.draw("comparison", number);
        let (drawn, _) = drawn.0.split_first_chunk()?;
        let is_drawn = u64::from_be_bytes(*drawn).is_multiple_of(row.into()) && !is_planted(Fault::NeverCompared);
        let compared = row < RELIED_FROM || is_drawn;
        let comparison = if compared { Comparison::Quorum } else { Comparison::Relied(row) };
        self.detach_phase(task);
        self.records.job_mut(task.job)?.live_mut(task.index)?.replicas_mut()?.set_comparison(&redundancy, comparison);
        applied.events.push(LedgerEvent::ComparisonDrawn { attempt, worker, compared });
        self.go_on(task, Next::Ready, applied);
        Some(())
    }

    /// Takes a worker's answer.
    pub(in crate::ledger) fn reveal(
        &mut self,
        attempt: AttemptRef,
        answer: &Answer,
        salt: &Salt,
        applied: &mut Applied,
    ) {
        let task = attempt.task();
        let Some(job) = known(self.records.job(task.job)) else { return };
        let id = job.attempt_id(task.index, attempt.number);
        let Some(lease) = known(self.lease_of(attempt)) else { return };
        let Some(commitment) = known(lease.commitment()) else { return };
        let is_kept = Answer::commitment(&answer.digest(), &id, &lease.worker, salt) == commitment.digest;
        if !is_kept && !is_planted(Fault::CommitmentUnchecked) {
            return self.give_back(attempt, EndReason::Mismatched, applied);
        }
        let ran_ms = lease.allocation.map(|_| lease.ran_ms(self.lease_time()));
        let operator = lease.replica.as_ref().and_then(|replica| replica.operator.clone());
        let party = Party { worker: lease.worker, operator };
        let verdict = Verdict::from(answer.clone());
        let ended = self.end_attempt(attempt, EndReason::Answered, Some(&verdict), applied);
        if known(ended).is_none() {
            return;
        }
        if is_planted(Fault::FailureOfOne) && matches!(answer, Answer::Failed(..)) {
            let outcome = OutcomeReceipt {
                attempt: id,
                worker: party.worker,
                height: self.height(),
                verdict,
                agreement: self.agreement(task),
            };
            return self.finish_replicas(task, outcome, applied);
        }
        let live = self.records.job_mut(task.job).and_then(|job| job.live_mut(task.index));
        if let Some(replicas) = known(live.and_then(|live| live.replicas_mut())) {
            let (answer, verdict) = (answer.digest(), Some(Box::new(verdict)));
            replicas.take(Reply { attempt: attempt.number, party, answer, ran_ms, verdict });
        }
        self.go_on(task, Next::Ready, applied);
    }

    /// Decides what becomes of a task by its replicas, one of which has changed. Only their leases are attached. If
    /// another one is wanted, it waits as `next` says.
    pub(in crate::ledger) fn go_on(&mut self, task: TaskRef, next: Next, applied: &mut Applied) {
        let Some(redundancy) = known(self.redundancy(task)) else { return };
        let live = self.records.job_mut(task.job).and_then(|job| job.live_mut(task.index));
        let Some(live) = known(live) else { return };
        let Some(replicas) = known(live.replicas_mut()) else { return };
        let step = replicas.next(&redundancy);
        match step {
            Step::Want => self.wait(task, next),
            Step::Wait | Step::Draw | Step::Ask => {
                live.phase = Phase::Replicated;
                self.attach_phase(task);
                if step == Step::Ask {
                    self.ask(task, applied);
                }
            }
            Step::Agreed(answer) => self.agree(task, &answer, applied),
            Step::Disagreed => {
                let Some(agreement) = known(self.agreement(task)) else { return };
                for one in &agreement.answers {
                    self.book_deed(one.worker, task, Some(Deed::Disputed), 0);
                }
                let Some(first) = known(agreement.answers.first().copied()) else { return };
                let Some(job) = known(self.records.job(task.job)) else { return };
                let outcome = OutcomeReceipt {
                    attempt: job.attempt_id(task.index, first.attempt),
                    worker: first.worker,
                    height: self.height(),
                    verdict: Verdict::Failed(Failure::Disagreed, Remains::default(), Usage::default()),
                    agreement: Some(agreement),
                };
                self.finish(task, outcome, applied);
            }
        }
    }

    /// Asks all workers that have committed themselves to reveal their answers.
    fn ask(&mut self, task: TaskRef, applied: &mut Applied) {
        let until = self.lease_time().plus_ms(self.genesis.ledger.allowance_ms);
        let Some(job) = known(self.records.job(task.job)) else { return };
        for attempt in job.attempts(task.index) {
            if self.lease_of(attempt).is_none_or(|lease| lease.commitment().is_none()) {
                continue;
            }
            self.unindex_lease(attempt);
            let Some(job) = known(self.records.job_mut(task.job)) else { return };
            let id = job.attempt_id(task.index, attempt.number);
            let lease = job.live_mut(task.index).and_then(|live| live.lease_of_mut(attempt.number));
            let Some(lease) = known(lease) else { return };
            let worker = lease.worker;
            if let Some(commitment) = lease.replica.as_mut().and_then(|replica| replica.commitment.as_mut()) {
                commitment.reveal_until = Some(until);
            }
            self.index_lease(attempt);
            applied.events.push(LedgerEvent::RevealAsked { attempt: id, worker });
        }
    }

    /// Gives a task the answer on which its workers agree. No replica of it lives.
    fn agree(&mut self, task: TaskRef, answer: &Digest, applied: &mut Applied) {
        let Some(agreement) = known(self.agreement(task)) else { return };
        let Some(job) = known(self.records.job_mut(task.job)) else { return };
        let Some(program) = known(job.spec(task.index).map(|spec| spec.program_blob().digest)) else { return };
        let Some(replicas) = known(job.live_mut(task.index).and_then(|live| live.replicas_mut())) else { return };
        let agreed = replicas.answers.iter().filter(|reply| reply.answer == *answer);
        let agreed: Vec<(PublicKey, Option<u64>)> = agreed.map(|reply| (reply.party.worker, reply.ran_ms)).collect();
        let Some(first) = known(replicas.take_out(answer)) else { return };
        let Some(verdict) = known(first.verdict) else { return };
        let attempt = job.attempt_id(task.index, first.attempt);
        let (height, now) = (self.height(), self.time());
        let succeeded = matches!(*verdict, Verdict::Succeeded(..));
        for one in &agreement.answers {
            let deed = match agreement.basis {
                Basis::Relied(_) => Deed::Relied,
                Basis::Quorum(_) if one.answer == *answer => Deed::Agreed,
                Basis::Quorum(_) => Deed::Wrong,
            };
            self.book_deed(one.worker, task, Some(deed), 0);
        }
        for (worker, ran_ms) in agreed {
            self.end_trial(worker);
            if let Some(ran_ms) = ran_ms.filter(|_| succeeded) {
                self.records.estimates_mut().learn(program, ran_ms, now);
            }
        }
        if succeeded {
            self.pardon(task);
        }
        let (worker, verdict, agreement) = (first.party.worker, as_agreed(*verdict), Some(agreement));
        self.finish(task, OutcomeReceipt { attempt, worker, height, verdict, agreement }, applied);
    }

    /// The answers to a live task, if it has replicas.
    pub(in crate::ledger) fn agreement(&self, task: TaskRef) -> Option<Agreement> {
        let redundancy = self.redundancy(task)?;
        let replicas = self.records.job(task.job)?.live(task.index)?.replicas()?;
        let basis = match replicas.comparison {
            Comparison::Quorum | Comparison::Undrawn => Basis::Quorum(redundancy.quorum),
            Comparison::Relied(row) => Basis::Relied(row),
        };
        Some(Agreement { basis, answers: replicas.answered() })
    }

    /// Goes on after a replica was lost or given back.
    pub(in crate::ledger) fn go_on_after(
        &mut self,
        past: &PastAttempt,
        task: TaskRef,
        next: Next,
        applied: &mut Applied,
    ) {
        let Some(job) = known(self.records.job(task.job)) else { return };
        let failure = match past.why {
            EndReason::HostDied { .. } if self.has_ended_hosts(task) => Failure::EndedHosts,
            _ if next == Next::Fail => Failure::Lost,
            _ => return self.go_on(task, next, applied),
        };
        let outcome = OutcomeReceipt {
            attempt: job.attempt_id(task.index, past.number),
            worker: past.worker,
            height: self.height(),
            verdict: Verdict::Failed(failure, Remains::default(), Usage::default()),
            agreement: self.agreement(task),
        };
        self.finish_replicas(task, outcome, applied);
    }

    /// Goes on after a failure that may be the machine's: it ends the task only if no budget is left and a quorum of
    /// workers has seen one, or if the task has failed so often that this says enough.
    pub(in crate::ledger) fn go_on_after_failure(
        &mut self,
        past: &PastAttempt,
        task: TaskRef,
        next: Next,
        outcome: OutcomeReceipt,
        applied: &mut Applied,
    ) {
        let Some(redundancy) = known(self.redundancy(task)) else { return };
        let live = self.records.job_mut(task.job).and_then(|job| job.live_mut(task.index));
        let Some(live) = known(live) else { return };
        let history = live.history_mut();
        if let Some(own) = history.past.iter_mut().find(|own| own.number == past.number) {
            own.avoided = true;
        }
        let failed = history.past.iter().filter(|past| past.why == EndReason::Failed);
        let workers: BTreeSet<PublicKey> = failed.map(|past| past.worker).collect();
        let is_enough = workers.len() >= usize::from(redundancy.quorum)
            || history.failures > u32::from(redundancy.replicas_max).saturating_mul(2);
        if next == Next::Fail && is_enough {
            let agreement = self.agreement(task);
            return self.finish_replicas(task, OutcomeReceipt { agreement, ..outcome }, applied);
        }
        self.go_on(task, next, applied);
    }

    /// Gives a task an outcome, whatever its other replicas do.
    fn finish_replicas(&mut self, task: TaskRef, outcome: OutcomeReceipt, applied: &mut Applied) {
        self.attach_phase(task);
        self.release(task, EndReason::Superseded, applied);
        self.finish(task, outcome, applied);
    }
}

/// What workers have agreed on, of what one of them says. Where standard error is stored is that one's word alone, and a
/// word that leads nowhere must not spoil the output.
fn as_agreed(mut verdict: Verdict) -> Verdict {
    let output = match &mut verdict {
        Verdict::Succeeded(_, output, ..) => Some(output),
        Verdict::Failed(_, remains, _) => remains.output.as_mut(),
        _ => None,
    };
    if let Some(Output::Stored { stderr, .. }) = output {
        *stderr = None;
    }
    verdict
}
