//! Recovery: what becomes of a task whose attempt ended without an outcome. Its setbacks are counted, and the rules
//! for them decide ([`schedule::recovery`](crate::schedule::recovery)).

use crate::{
    fault::{Fault, is_planted},
    identity::PublicKey,
    invariant::known,
    ledger::{
        Applied, EndReason, Ledger,
        index::Others,
        records::{
            jobs::{AttemptRef, TaskRef},
            workers::Worker,
        },
    },
    schedule::recovery::{self, Next},
    types::{Failure, OutcomeReceipt, Remains, Setback, Usage, Verdict},
};

impl Ledger {
    /// Ends an attempt without an outcome, and lets the task's recovery decide. While another attempt lives, the task
    /// goes on with that one, whatever is counted.
    pub(in crate::ledger) fn give_back(&mut self, attempt: AttemptRef, why: EndReason, applied: &mut Applied) {
        let task = attempt.task();
        let Some((past, others)) = known(self.end_attempt(attempt, why, None, applied)) else { return };
        self.records.counters_mut().lost += u64::from(why.is_loss());
        let height = self.height();
        let setback = match why {
            EndReason::Drained => Setback::Drained,
            EndReason::HostDied { .. } => Setback::HostDied,
            _ => Setback::Lost,
        };
        let next = if past.is_counted_loss() {
            self.set_back(task, setback)
        } else if why == EndReason::Returned {
            self.count_return(task)
        } else {
            Next::Ready
        };
        if self.redundancy(task).is_some() {
            return self.go_on_after(&past, task, next, applied);
        }
        if matches!(why, EndReason::HostDied { .. }) && self.has_ended_hosts(task) {
            if others == Others::Live {
                self.release(task, EndReason::Superseded, applied);
            }
            return self.finish_deadly(task, &past, applied);
        }
        if others == Others::Live && !is_planted(Fault::SpeculativeForgotten) {
            return;
        }
        let Some(job) = known(self.records.job(task.job)) else { return };
        let attempt = job.attempt_id(task.index, past.number);
        if next == Next::Fail {
            let verdict = Verdict::Failed(Failure::Lost, Remains::default(), Usage::default());
            let outcome = OutcomeReceipt { attempt, worker: past.worker, height, verdict, agreement: None };
            self.finish(task, outcome, applied);
        } else {
            self.wait(task, next);
        }
    }

    fn count_return(&mut self, task: TaskRef) -> Next {
        let live = self.records.job_mut(task.job).and_then(|job| job.live_mut(task.index));
        known(live).map_or(Next::Ready, |live| {
            let returns = &mut live.history_mut().returns;
            *returns = returns.saturating_add(1);
            recovery::after_return(*returns)
        })
    }

    /// Counts the setback by which a task's attempt has just ended, and decides what becomes of the task. The task's
    /// rule for this kind of setback decides; without one, its rule for program failures or for losses does.
    pub(in crate::ledger) fn set_back(&mut self, task: TaskRef, setback: Setback) -> Next {
        let losses_max = self.genesis.ledger.losses_max;
        let drawn = self.draw("setback", task.job.rotate_left(32) ^ u64::from(task.index));
        let (drawn, _) = drawn.0.split_first_chunk().unwrap_or((&[0; 8], &[]));
        let drawn = u64::from_be_bytes(*drawn);
        let Some(job) = known(self.records.job_mut(task.job)) else { return Next::Fail };
        let Some(spec) = known(job.spec(task.index).cloned()) else { return Next::Fail };
        let Some(live) = known(job.live_mut(task.index)) else { return Next::Fail };
        let is_loss = setback.is_loss();
        // Each replica may be lost as often as a task without replicas.
        let losses_max = losses_max.saturating_mul(spec.redundancy.map_or(1, |redundancy| redundancy.replicas.into()));
        let history = live.history_mut();
        let total = if is_loss { &mut history.losses } else { &mut history.failures };
        *total = total.saturating_add(1);
        let total = *total;
        // Whoever has a rule for losses means this one too.
        let ruled = match setback {
            Setback::HostDied if !spec.recovery.contains_key(&setback) => Setback::Lost,
            setback => setback,
        };
        let rule = match spec.recovery.get(&ruled) {
            Some(rule) => {
                let times = history.setbacks.entry(ruled).or_default();
                *times = times.saturating_add(1);
                Some((rule, *times))
            }
            None if is_loss => None,
            None => {
                let own: u32 =
                    history.setbacks.iter().filter(|(kind, _)| !kind.is_loss()).map(|(_, times)| times).sum();
                Some((&spec.retry, total.saturating_sub(own)))
            }
        };
        if is_loss && recovery::after_loss(losses_max, total) == Next::Fail {
            return Next::Fail;
        }
        let Some((rule, times)) = rule else { return Next::Ready };
        if rule.restarts {
            live.checkpoint = None;
        }
        if rule.elsewhere
            && let Some(past) = live.history_mut().past.last_mut()
        {
            past.avoided = true;
        }
        recovery::after_setback(rule, times, drawn)
    }

    /// What follows a failure that a worker on trial has seen, if it counts for nothing: the task is tried again
    /// elsewhere. It counts once enough such workers have seen the task fail, or if there is nobody else to try it.
    pub(in crate::ledger) fn forgive_on_trial(&self, task: TaskRef) -> Option<Next> {
        if is_planted(Fault::TrialFailuresCount) {
            return None;
        }
        let job = known(self.records.job(task.job))?;
        let (live, needs) = known(job.live(task.index).zip(job.needs(task.index)))?;
        let failed = || live.history().past.iter().filter(|past| past.on_trial && past.why == EndReason::Failed);
        let has_failed = |key: &PublicKey| failed().any(|past| past.worker == *key);
        let avoidance = live.avoidance();
        let is_somebody_else = |(key, worker): (&PublicKey, &Worker)| {
            !worker.record.waits_out() && !has_failed(key) && !self.is_party(&avoidance, key)
        };
        let next = recovery::after_failure_on_trial(u32::try_from(failed().count()).unwrap_or(u32::MAX))?;
        self.records.able(needs).any(is_somebody_else).then_some(next)
    }

    /// Ends all leases of a worker.
    pub(in crate::ledger) fn give_back_all(&mut self, key: PublicKey, why: EndReason, applied: &mut Applied) {
        let Some(worker) = self.records.worker(&key) else { return };
        for attempt in worker.leases().attempts() {
            self.give_back(attempt, why, applied);
        }
    }
}
