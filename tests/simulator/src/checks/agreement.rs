//! What several workers compute: who gets a replica, when answers are asked for, and that no lie is taken. It hears
//! events, reports and outcomes, and asks the ledger only what a task is.

use std::collections::{BTreeMap, BTreeSet};

use meshwork_core::{
    digest::Digest,
    identity::PublicKey,
    ledger::{Applied, EndReason, Ledger, LedgerEvent},
    types::{
        Action, Answer, AttemptId, Failure, OutcomeReceipt, Receipt, Redundancy, SignedTransaction, TaskId, Verdict,
    },
};

use super::{Checked, rule};
use crate::worker::right_answer;

/// Who has a part in a task's answer, and who operated it when it got the replica.
type Party = (PublicKey, Option<String>);

/// What is known of a task that several workers compute.
#[derive(Default)]
struct Seen {
    live: BTreeSet<AttemptId>,
    committed: BTreeSet<AttemptId>,
    asked: BTreeSet<AttemptId>,
    parties: BTreeMap<AttemptId, Party>,
}

/// All tasks that several workers compute.
#[derive(Default)]
pub(super) struct Agreements {
    tasks: BTreeMap<TaskId, Seen>,
    /// The commitments that workers reported of what they held.
    commitments: BTreeMap<AttemptId, (PublicKey, Digest)>,
}

impl Agreements {
    /// Checks a block's good transactions and what it did, with the ledger after it.
    pub(super) fn check<'a>(
        &mut self,
        good: impl Iterator<Item = &'a SignedTransaction>,
        applied: &Applied,
        ledger: &Ledger,
    ) -> Checked {
        let mut revealed: BTreeMap<AttemptId, Vec<Digest>> = BTreeMap::new();
        for transaction in good {
            let Action::Report(report) = &transaction.transaction().action else { continue };
            let signer = transaction.signer();
            for item in &report.items {
                match &item.verdict {
                    Verdict::Committed(commitment) => {
                        self.commitments.entry(item.attempt).or_insert((signer, *commitment));
                    }
                    Verdict::Revealed(answer, salt) => {
                        let kept = Answer::commitment(&answer.digest(), &item.attempt, &signer, salt);
                        revealed.entry(item.attempt).or_default().push(kept);
                    }
                    _ => {}
                }
            }
        }
        for event in &applied.events {
            self.happened(event, &revealed, ledger)?;
        }
        for receipt in &applied.receipts {
            if let Receipt::Outcome(outcome) = receipt
                && let Some(redundancy) = ledger.task(outcome.attempt.task).and_then(|task| task.spec.redundancy)
            {
                check_outcome(outcome, &redundancy)?;
            }
        }
        Ok(())
    }

    fn happened(
        &mut self,
        event: &LedgerEvent,
        revealed: &BTreeMap<AttemptId, Vec<Digest>>,
        ledger: &Ledger,
    ) -> Checked {
        match event {
            LedgerEvent::Leased { attempt, worker, .. } => {
                if ledger.task(attempt.task).is_none_or(|task| task.spec.redundancy.is_none()) {
                    return Ok(());
                }
                let labels = ledger.worker(worker).map(|worker| &worker.claim.labels);
                let operator = labels.and_then(|labels| labels.get(Redundancy::OPERATOR)).cloned();
                let seen = self.tasks.entry(attempt.task).or_default();
                let with = |(other, name): &&Party| other == worker || operator.is_some() && *name == operator;
                rule(!seen.parties.values().any(|party| with(&party)), || {
                    format!("{attempt} goes to one who has a part in the answer, or whose operator has")
                })?;
                seen.live.insert(*attempt);
                seen.parties.insert(*attempt, (*worker, operator));
                Ok(())
            }
            LedgerEvent::Committed { attempt, .. } => {
                self.tasks.entry(attempt.task).or_default().committed.insert(*attempt);
                Ok(())
            }
            LedgerEvent::RevealAsked { attempt, .. } => {
                let seen = self.tasks.entry(attempt.task).or_default();
                seen.asked.insert(*attempt);
                rule(seen.live.is_subset(&seen.committed), || format!("{attempt} is asked for while others compute"))
            }
            LedgerEvent::Ended { attempt, why, .. } => self.ended(*attempt, *why, revealed),
            _ => Ok(()),
        }
    }

    fn ended(&mut self, attempt: AttemptId, why: EndReason, revealed: &BTreeMap<AttemptId, Vec<Digest>>) -> Checked {
        let Some(seen) = self.tasks.get_mut(&attempt.task) else { return Ok(()) };
        seen.live.remove(&attempt);
        if !seen.asked.contains(&attempt) {
            seen.parties.remove(&attempt);
        }
        if why != EndReason::Answered {
            return Ok(());
        }
        rule(seen.asked.contains(&attempt), || format!("{attempt} answers unasked"))?;
        let own = self.commitments.get(&attempt).map(|(_, commitment)| *commitment);
        let said = revealed.get(&attempt).into_iter().flatten();
        rule(said.into_iter().any(|kept| Some(*kept) == own), || {
            format!("the answer of {attempt} counts, which is not what its worker committed itself to")
        })
    }
}

/// No lie is the outcome of a task.
fn check_outcome(outcome: &OutcomeReceipt, redundancy: &Redundancy) -> Checked {
    let task = outcome.attempt.task;
    let ledgers_own = matches!(
        outcome.verdict,
        Verdict::Failed(Failure::Disagreed | Failure::Lost | Failure::EndedHosts | Failure::InputUnavailable(_), ..)
    );
    if let Some(agreement) = &outcome.agreement {
        rule(agreement.supports(outcome) && agreement.quorum == redundancy.quorum, || {
            format!("the answers to {task} do not support its outcome: {outcome:?}")
        })?;
    }
    let is_right = Answer::of(outcome.verdict.clone()).is_ok_and(|own| own.digest() == right_answer(&task).digest());
    rule(ledgers_own || is_right && outcome.agreement.is_some(), || format!("the outcome of {task} is a lie"))
}
