//! Trials: a worker that has delivered nothing yet, or has lost an attempt since. Tasks go to workers that are not on
//! trial first, and its failures do not count at once (`steps/recovery`). Once it has lost an attempt, it holds one at a
//! time until it delivers; if it loses that one too, it gets none for a while, and ever longer. So no number of workers
//! that take tasks and never report keeps many of them, and none keeps the same task from others for long: a task that
//! one of them had goes to workers that are not on trial, if any of those could hold it.

use crate::{
    fault::{Fault, is_planted},
    identity::PublicKey,
    ledger::{
        EndReason, Ledger,
        records::{
            jobs::{AttemptRef, Lease},
            trust::Trust,
            workers::{Trial, Worker},
        },
    },
    types::{BlockTime, Permission},
};

impl Worker {
    /// Whether it may get another attempt now, as far as its trial decides.
    pub(in crate::ledger) fn may_have_another(&self) -> bool {
        is_planted(Fault::TrialsIgnored)
            || self
                .record
                .trial
                .is_none_or(|trial| trial.waits_until.is_none() && (trial.is_of_newcomer() || self.holds_nothing()))
    }

    fn holds_nothing(&self) -> bool {
        let leases = self.leases();
        leases.running().is_empty() && leases.waiting().is_empty() && leases.committed().is_empty()
    }
}

impl Ledger {
    /// The trial of a worker that becomes known. Keys with a record of successes need none.
    pub(super) fn first_trial(&self, key: &PublicKey) -> Option<Trial> {
        let is_tried = self.genesis.ledger.trial_wait_ms > 0 && self.trust(Permission::Work, key) == Trust::Unproven;
        is_tried.then(Trial::default)
    }

    /// Judges a worker by the end of one of its attempts, whose lease is no longer counted. Tells whether the attempt
    /// was one of its trial.
    pub(super) fn judge_worker(&mut self, lease: &Lease, why: EndReason) -> bool {
        let key = lease.worker;
        let Some(trial) = self.records.worker(&key).map(|worker| worker.record.trial) else { return false };
        let is_of_trial = self.is_of_trial(lease);
        let begins = self.genesis.ledger.trial_wait_ms > 0
            && (lease.allocation.is_some() || why.breaks_commitment())
            && why.is_loss()
            && why != EndReason::Drained
            && self.trust(Permission::Work, &key) == Trust::Unproven;
        let next = match trial {
            _ if why == EndReason::Succeeded => None,
            _ if trial.is_none_or(|trial| trial.is_of_newcomer()) => {
                let begun = Trial { since: self.records.numbers().lease, ..Trial::default() };
                if begins { Some(begun) } else { trial }
            }
            Some(trial) if is_of_trial && (why.is_loss() || why == EndReason::Returned) => {
                let losses = trial.losses.saturating_add(1);
                let waits_until = Some(self.trial_wait_ends(losses));
                Some(Trial { since: self.records.numbers().lease, losses, waits_until })
            }
            unchanged => unchanged,
        };
        self.set_trial(key, next);
        is_of_trial
    }

    /// Whether an attempt is one of its worker's trial.
    pub(in crate::ledger) fn is_of_trial(&self, lease: &Lease) -> bool {
        let trial = self.records.worker(&lease.worker).and_then(|worker| worker.record.trial);
        trial.is_some_and(|trial| lease.number >= trial.since)
    }

    /// Ends a worker's trial: it has delivered.
    pub(in crate::ledger) fn end_trial(&mut self, key: PublicKey) {
        self.set_trial(key, None);
    }

    /// Lets a worker whose wait is over have an attempt again.
    pub(super) fn end_trial_wait(&mut self, key: PublicKey) {
        let trial = self.records.worker(&key).and_then(|worker| worker.record.trial);
        if let Some(trial) = trial
            && trial.waits_until.is_some_and(|until| until <= self.time())
        {
            self.set_trial(key, Some(Trial { waits_until: None, ..trial }));
        }
    }

    fn set_trial(&mut self, key: PublicKey, trial: Option<Trial>) {
        let Some(worker) = self.records.worker_mut(&key) else { return };
        if std::mem::replace(&mut worker.record.trial, trial) != trial {
            // Where a task may go depends on who is on trial.
            self.index.offers.0 += 1;
            self.index.changed.insert(key);
            self.reindex(key);
        }
    }

    /// When the wait of a worker ends that has lost so many attempts of its trial.
    fn trial_wait_ends(&self, losses: u32) -> BlockTime {
        let doubled = self.genesis.ledger.trial_wait_ms.saturating_mul(1 << losses.saturating_sub(1).min(32));
        self.time().plus_ms(doubled.min(Trial::WAIT_MS_MAX))
    }

    /// The lease of a live attempt.
    pub(super) fn live_lease(&self, attempt: AttemptRef) -> Option<&Lease> {
        self.records.job(attempt.task().job)?.live(attempt.task().index)?.lease_of(attempt.number)
    }
}
