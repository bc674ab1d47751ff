//! What several workers compute: who gets a replica, when answers are asked for, and that no lie is taken. It hears
//! events, reports and outcomes, and asks the ledger only what a task is.

use std::collections::{BTreeMap, BTreeSet};

use meshwork_core::{
    digest::Digest,
    identity::PublicKey,
    ledger::{Applied, EndReason, Ledger, LedgerEvent, ROW_MAX},
    types::{
        Action, Answer, AttemptId, Basis, Failure, OutcomeReceipt, RELIED_FROM, Receipt, Redundancy, SignedTransaction,
        TaskId, Verdict,
    },
};

use super::{Checked, policy::is_loss, rule};
use crate::worker::right_answer;

/// How many comparisons may be due without one, in thousandths.
const DUE_PERMILLE_MAX: u64 = 16_000;

/// Who has a part in a task's answer, and who operated it when it got the replica.
type Party = (PublicKey, Option<String>);

/// What is known of a task that several workers compute.
struct Seen {
    redundancy: Redundancy,
    live: BTreeSet<AttemptId>,
    committed: BTreeSet<AttemptId>,
    asked: BTreeSet<AttemptId>,
    parties: BTreeMap<AttemptId, Party>,
}

impl Seen {
    fn of(redundancy: Redundancy) -> Self {
        let (live, committed, asked) = Default::default();
        Self { redundancy, live, committed, asked, parties: BTreeMap::new() }
    }
}

/// How many answers of a worker in a row were agreed, and of whose tasks. All tasks here have one program.
type Rows = BTreeMap<(PublicKey, PublicKey), u16>;

/// All tasks that several workers compute.
#[derive(Default)]
pub(super) struct Agreements {
    tasks: BTreeMap<TaskId, Seen>,
    rows: Rows,
    /// The rows because of which answers are not compared.
    relied: BTreeMap<AttemptId, u16>,
    /// In thousandths: how many comparisons of workers that are relied on there should have been since the last one.
    due_permille: u64,
    /// What was committed to in this block.
    new: BTreeSet<AttemptId>,
    lies: u64,
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
        self.new.clear();
        for event in &applied.events {
            self.happened(event, &revealed, ledger)?;
        }
        for receipt in &applied.receipts {
            // Of a job that has ended, the ledger no longer knows.
            if let Receipt::Outcome(outcome) = receipt
                && let Some(redundancy) = self.tasks.get(&outcome.attempt.task).map(|seen| seen.redundancy)
            {
                self.check_outcome(outcome, &redundancy)?;
                self.count_rows(outcome, ledger);
            }
        }
        Ok(())
    }

    /// How many wrong answers were accepted, because they were not compared.
    pub(super) const fn lies(&self) -> u64 {
        self.lies
    }

    /// It is drawn whether an answer is compared, later than it was chosen, and often enough.
    fn drawn(&mut self, attempt: AttemptId, worker: PublicKey, compared: bool, ledger: &Ledger) -> Checked {
        let is_committed = self.tasks.get(&attempt.task).is_some_and(|seen| seen.committed.contains(&attempt));
        rule(is_committed && !self.new.contains(&attempt), || {
            format!("it is drawn whether {attempt} is compared in the block that takes the answer")
        })?;
        let row = self.row(attempt.task, worker, ledger);
        if compared {
            self.due_permille = 0;
            return Ok(());
        }
        self.relied.insert(attempt, row);
        rule(row >= RELIED_FROM, || format!("{attempt} is not compared after {row} agreed answers in a row"))?;
        self.due_permille += 1000 / u64::from(row);
        // By chance this happens once in nine million times.
        rule(self.due_permille <= DUE_PERMILLE_MAX, || "no answer is compared any more".to_owned())
    }

    fn row(&self, task: TaskId, worker: PublicKey, ledger: &Ledger) -> u16 {
        let submitter = ledger.job(task.job).map(|job| job.submitter);
        submitter.and_then(|submitter| self.rows.get(&(worker, submitter)).copied()).unwrap_or(0)
    }

    /// Only answers that were compared count.
    fn count_rows(&mut self, outcome: &OutcomeReceipt, ledger: &Ledger) {
        let Some(submitter) = ledger.job(outcome.attempt.task.job).map(|job| job.submitter) else { return };
        let Some(agreement) = &outcome.agreement else { return };
        if matches!(outcome.verdict, Verdict::Failed(Failure::Disagreed, ..)) {
            for one in &agreement.answers {
                self.rows.remove(&(one.worker, submitter));
            }
            return;
        }
        let Ok(accepted) = Answer::of(outcome.verdict.clone()).map(|answer| answer.digest()) else { return };
        if !matches!(agreement.basis, Basis::Quorum(_)) {
            return;
        }
        for one in &agreement.answers {
            let row = self.rows.entry((one.worker, submitter)).or_default();
            *row = if one.answer == accepted { (*row + 1).min(ROW_MAX) } else { 0 };
        }
    }

    /// No lie is the outcome of a task whose answers are compared.
    fn check_outcome(&mut self, outcome: &OutcomeReceipt, redundancy: &Redundancy) -> Checked {
        let task = outcome.attempt.task;
        let ledgers_own = matches!(
            outcome.verdict,
            Verdict::Failed(
                Failure::Disagreed | Failure::Lost | Failure::EndedHosts | Failure::InputUnavailable(_),
                ..
            )
        );
        let is_right =
            Answer::of(outcome.verdict.clone()).is_ok_and(|own| own.digest() == right_answer(&task).digest());
        let Some(agreement) = &outcome.agreement else {
            return rule(ledgers_own, || format!("the outcome of {task} is one worker's word"));
        };
        let is_based = match agreement.basis {
            Basis::Quorum(quorum) => quorum == redundancy.quorum,
            Basis::Relied(row) => {
                redundancy.adaptive && self.relied.get(&outcome.attempt).is_some_and(|own| row <= *own)
            }
        };
        rule(is_based && agreement.supports(outcome), || {
            let relied = self.relied.get(&outcome.attempt);
            format!("the answers to {task} do not support its outcome (row {relied:?}): {outcome:?}")
        })?;
        if matches!(agreement.basis, Basis::Relied(_)) {
            self.lies += u64::from(!is_right && !ledgers_own);
            return Ok(());
        }
        rule(ledgers_own || is_right, || format!("the outcome of {task} is a lie"))
    }

    fn happened(
        &mut self,
        event: &LedgerEvent,
        revealed: &BTreeMap<AttemptId, Vec<Digest>>,
        ledger: &Ledger,
    ) -> Checked {
        match event {
            LedgerEvent::Leased { attempt, worker, .. } => {
                let Some(redundancy) = ledger.task(attempt.task).and_then(|task| task.spec.redundancy) else {
                    return Ok(());
                };
                let labels = ledger.worker(worker).map(|worker| &worker.claim.labels);
                let operator = labels.and_then(|labels| labels.get(Redundancy::OPERATOR)).cloned();
                let seen = self.tasks.entry(attempt.task).or_insert_with(|| Seen::of(redundancy));
                let with = |(other, name): &&Party| other == worker || operator.is_some() && *name == operator;
                rule(!seen.parties.values().any(|party| with(&party)), || {
                    format!("{attempt} goes to one who has a part in the answer, or whose operator has")
                })?;
                seen.live.insert(*attempt);
                seen.parties.insert(*attempt, (*worker, operator));
                Ok(())
            }
            LedgerEvent::Committed { attempt, .. } => {
                self.new.insert(*attempt);
                let seen = self.tasks.get_mut(&attempt.task);
                rule(seen.is_some_and(|seen| seen.committed.insert(*attempt)), || {
                    format!("{attempt} commits itself, and is no replica or has done so")
                })
            }
            LedgerEvent::RevealAsked { attempt, .. } => {
                let Some(seen) = self.tasks.get_mut(&attempt.task) else {
                    return Err(format!("{attempt} is asked for its answer, and is no replica"));
                };
                seen.asked.insert(*attempt);
                rule(seen.live.is_subset(&seen.committed), || format!("{attempt} is asked for while others compute"))
            }
            LedgerEvent::ComparisonDrawn { attempt, worker, compared } => {
                self.drawn(*attempt, *worker, *compared, ledger)
            }
            LedgerEvent::Ended { attempt, worker, why, .. } => {
                let seen = self.tasks.get(&attempt.task);
                if is_loss(*why) && seen.is_some_and(|seen| seen.committed.contains(attempt)) {
                    let submitter = ledger.job(attempt.task.job).map(|job| job.submitter);
                    submitter.map(|submitter| self.rows.remove(&(*worker, submitter)));
                }
                self.ended(*attempt, *why, revealed)
            }
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
