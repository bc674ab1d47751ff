//! Checks trials: what a worker holds that has lost an attempt and not delivered since, and that a task's first failures at
//! workers that have never delivered count for nothing as long as there is somebody else. Judged from events, receipts and
//! claims.

use std::collections::{BTreeMap, BTreeSet};

use meshwork_core::{
    identity::PublicKey,
    ledger::{Applied, EndReason, Ledger, LedgerEvent},
    types::{AttemptId, Failure, Genesis, OutcomeReceipt, Receipt, TaskId, Verdict},
};

use super::{Checked, room::Room, rule, unclaimed::could_ever_hold};

/// How many of a task's failures at workers on trial count for nothing: the first ones.
const FAILURES_FREE: usize = 3;

/// What is known of a worker.
#[derive(Default)]
struct Seen {
    /// Whether it has ever delivered.
    delivered: bool,
    /// What it holds that it was given since it lost an attempt, if it has not delivered since.
    held: Option<BTreeSet<AttemptId>>,
}

/// A failed attempt of an unfinished task.
struct Failed {
    worker: PublicKey,
    /// Whether its worker may have been on trial: it is one of the first failures that could count for nothing.
    on_trial: bool,
    /// Whether its worker had never delivered, while somebody else could have run the task.
    is_free: bool,
}

/// What is known of all workers.
pub(super) struct Trials {
    are_on: bool,
    workers: BTreeMap<PublicKey, Seen>,
    failures: BTreeMap<TaskId, Vec<Failed>>,
    /// The attempts that hold resources.
    running: BTreeSet<AttemptId>,
    /// The workers whose claims stood before this block, and who did not wait for having lost attempts.
    stood: BTreeSet<PublicKey>,
}

impl Trials {
    pub(super) fn new(genesis: &Genesis) -> Self {
        Self {
            are_on: genesis.ledger.trial_wait_ms > 0,
            workers: BTreeMap::new(),
            failures: BTreeMap::new(),
            running: BTreeSet::new(),
            stood: BTreeSet::new(),
        }
    }

    /// Checks what a block did, with the ledger after it.
    pub(super) fn check(&mut self, applied: &Applied, room: &Room, ledger: &Ledger) -> Checked {
        if !self.are_on {
            return Ok(());
        }
        let outcomes = applied.receipts.iter().filter_map(|receipt| match receipt {
            Receipt::Outcome(outcome) => Some(outcome),
            Receipt::Transaction(_) => None,
        });
        let succeeded = outcomes.clone().filter(|outcome| matches!(outcome.verdict, Verdict::Succeeded(..)));
        let delivered: BTreeMap<TaskId, PublicKey> =
            succeeded.map(|outcome| (outcome.attempt.task, outcome.worker)).collect();
        for event in &applied.events {
            self.hear(event, &delivered, room, ledger)?;
        }
        outcomes.into_iter().try_for_each(|outcome| self.check_outcome(outcome, ledger))?;
        self.stood = ledger.workers().filter(|worker| !worker.waits_out).map(|worker| worker.key).collect();
        Ok(())
    }

    fn hear(
        &mut self,
        event: &LedgerEvent,
        delivered: &BTreeMap<TaskId, PublicKey>,
        room: &Room,
        ledger: &Ledger,
    ) -> Checked {
        match event {
            // The ledger may have forgotten a worker whose claim had ended.
            LedgerEvent::ClaimBegan { worker, .. } if !self.stood.contains(worker) => {
                self.workers.entry(*worker).or_default().held = None;
            }
            LedgerEvent::TaskDone { task, succeeded: true } => {
                if let Some(worker) = delivered.get(task) {
                    self.workers.insert(*worker, Seen { delivered: true, held: None });
                }
            }
            LedgerEvent::Started { attempt, .. } => {
                self.running.insert(*attempt);
            }
            LedgerEvent::Leased { attempt, worker, running, .. } => {
                self.running.extend(running.then_some(*attempt));
                let seen = self.workers.entry(*worker).or_default();
                if let Some(held) = &mut seen.held {
                    rule(held.is_empty(), || format!("{worker} gets {attempt} too, and has not delivered"))?;
                    held.insert(*attempt);
                }
            }
            LedgerEvent::Ended { attempt, worker, why, .. } => {
                let seen = self.workers.entry(*worker).or_default();
                let is_lost = matches!(why, EndReason::ClaimEnded | EndReason::NewIncarnation | EndReason::TimedOut);
                let breaks_commitment = matches!(why, EndReason::Unrevealed | EndReason::Mismatched);
                let ran = self.running.remove(attempt);
                // One that has a quota needs no trial.
                if (is_lost && ran || breaks_commitment) && !room.is_vouched(worker) {
                    seen.held.get_or_insert_default();
                }
                // What it was given before it lost one is not of its trial.
                let on_trial = match &mut seen.held {
                    Some(held) => held.remove(attempt),
                    None => !seen.delivered,
                } && !room.is_vouched(worker);
                if *why == EndReason::Failed {
                    let never_delivered = !seen.delivered;
                    let failures = self.failures.entry(attempt.task).or_default();
                    failures.push(Failed { worker: *worker, on_trial, is_free: false });
                    let is_free = on_trial
                        && never_delivered
                        && failures.iter().filter(|failed| failed.on_trial).count() <= FAILURES_FREE
                        && ledger.task(attempt.task).is_some_and(|task| {
                            ledger.workers().any(|other| {
                                self.stood.contains(&other.key)
                                    && !other.waits_out
                                    && could_ever_hold(&other, &task)
                                    && failures.iter().all(|failed| failed.worker != other.key)
                            })
                        });
                    if let Some(last) = failures.last_mut() {
                        last.is_free = is_free;
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn check_outcome(&mut self, outcome: &OutcomeReceipt, ledger: &Ledger) -> Checked {
        let task = outcome.attempt.task;
        let failures = self.failures.remove(&task).unwrap_or_default();
        if matches!(outcome.verdict, Verdict::Succeeded(..) | Verdict::Failed(Failure::Lost | Failure::EndedHosts, ..))
        {
            return Ok(());
        }
        let Some(view) = ledger.task(task).filter(|task| task.spec.recovery.is_empty()) else { return Ok(()) };
        let free = failures.iter().filter(|failed| failed.is_free).count();
        let counted = failures.len() - free;
        rule(counted > view.spec.retry.retries as usize, || {
            format!("{task} ends after {counted} failures, besides {free} at workers that never delivered")
        })
    }
}
