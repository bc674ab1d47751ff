//! Checks trials: what a worker holds that has never delivered, and that no such worker alone ends a task by a failure.
//! Judged from events and receipts.

use std::collections::{BTreeMap, BTreeSet};

use meshwork_core::{
    identity::PublicKey,
    ledger::{Applied, EndReason, LedgerEvent},
    types::{AttemptId, Failure, Genesis, OutcomeReceipt, Receipt, TaskId, Verdict},
};

use super::{Checked, rule};

/// How many failures that workers on trial have seen end a task, at least.
const FAILURES_MIN: usize = 4;

/// What is known of a worker.
#[derive(Default)]
struct Seen {
    /// Whether it has ever delivered.
    delivered: bool,
    /// What it holds that it was given before it had.
    held: BTreeSet<AttemptId>,
}

/// What is known of all workers.
pub(super) struct Trials {
    are_on: bool,
    vouched: BTreeSet<PublicKey>,
    workers: BTreeMap<PublicKey, Seen>,
    /// Failures of unfinished tasks, each with whether its worker had delivered.
    failures: BTreeMap<TaskId, Vec<(AttemptId, bool)>>,
}

impl Trials {
    pub(super) fn new(genesis: &Genesis) -> Self {
        Self {
            are_on: genesis.ledger.trial_wait_ms > 0,
            vouched: genesis.access.quotas.keys().copied().collect(),
            workers: BTreeMap::new(),
            failures: BTreeMap::new(),
        }
    }

    /// Checks what a block did.
    pub(super) fn check(&mut self, applied: &Applied) -> Checked {
        if !self.are_on {
            return Ok(());
        }
        let outcomes = applied.receipts.iter().filter_map(|receipt| match receipt {
            Receipt::Outcome(outcome) => Some(outcome),
            Receipt::Transaction(_) => None,
        });
        // Leases are given after a block's reports.
        for outcome in outcomes.clone().filter(|outcome| matches!(outcome.verdict, Verdict::Succeeded(..))) {
            self.workers.entry(outcome.worker).or_default().delivered = true;
        }
        for event in &applied.events {
            self.hear(event)?;
        }
        outcomes.into_iter().try_for_each(|outcome| self.check_outcome(outcome))
    }

    fn hear(&mut self, event: &LedgerEvent) -> Checked {
        match event {
            LedgerEvent::Leased { attempt, worker, .. } => {
                let seen = self.workers.entry(*worker).or_default();
                // One that has a quota since then needs no trial.
                if !seen.delivered && !self.vouched.contains(worker) {
                    rule(seen.held.is_empty(), || format!("{worker} gets {attempt} too, and has not delivered"))?;
                    seen.held.insert(*attempt);
                }
            }
            LedgerEvent::Ended { attempt, worker, why, .. } => {
                let seen = self.workers.entry(*worker).or_default();
                seen.held.remove(attempt);
                if *why == EndReason::Failed {
                    self.failures.entry(attempt.task).or_default().push((*attempt, seen.delivered));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn check_outcome(&mut self, outcome: &OutcomeReceipt) -> Checked {
        let task = outcome.attempt.task;
        let failures = self.failures.remove(&task).unwrap_or_default();
        if matches!(outcome.verdict, Verdict::Succeeded(..) | Verdict::Failed(Failure::Lost | Failure::EndedHosts, ..))
        {
            return Ok(());
        }
        let last = failures.iter().find(|(attempt, _)| *attempt == outcome.attempt);
        let on_trial = failures.iter().filter(|(_, delivered)| !delivered).count();
        rule(last.is_none_or(|(_, delivered)| *delivered) || on_trial >= FAILURES_MIN, || {
            format!("{task} ends by a failure that only {on_trial} workers have seen, who never delivered")
        })
    }
}
