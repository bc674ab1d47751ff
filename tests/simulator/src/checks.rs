//! What must hold after every step of every peer, and what must have come to pass at the end.
//!
//! Each height is looked at closely where it is executed first; every other peer that executes it must find the same.

use std::collections::BTreeMap;

use meshwork_core::{
    digest::Digest,
    identity::PublicKey,
    ledger::{EndReason, LedgerEvent},
    replica::{Executed, Replica},
    types::{AttemptId, Height, JobId, Receipt, TaskId, Verdict},
};
use serde::Serialize;

/// The most journal records that a peer may come to hold.
const JOURNAL_MAX: usize = 50_000;
/// With more workers than this, what they hold is looked at only now and then.
const WORKERS_CLOSELY: usize = 20;

/// A rule that did not hold.
#[derive(Clone, Debug, Serialize)]
pub struct Violation {
    /// When, in microseconds of the run.
    pub at_us: u64,
    /// Which peer showed it.
    pub peer: usize,
    /// What is wrong.
    pub what: String,
}

/// What one height is, wherever it is executed.
struct Finality {
    block: Digest,
    root: Digest,
    state: Option<Digest>,
}

/// What was seen of a task.
#[derive(Default)]
struct Seen {
    /// Who was given which attempt.
    given: BTreeMap<AttemptId, PublicKey>,
    live: Option<AttemptId>,
    /// The attempt that ended last.
    ended: Option<AttemptId>,
    outcomes: u32,
}

/// Everything that is known to be final.
#[derive(Default)]
pub struct Checks {
    chain: Vec<Finality>,
    tasks: BTreeMap<TaskId, Seen>,
    jobs: BTreeMap<JobId, u32>,
    /// Outcomes accepted.
    pub outcomes: u64,
    /// Transactions executed.
    pub transactions: u64,
}

type Checked = Result<(), String>;

fn rule(holds: bool, what: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(what()) }
}

impl Checks {
    /// How many heights are final.
    #[must_use]
    pub const fn height(&self) -> usize {
        self.chain.len()
    }

    /// How many tasks were admitted.
    #[must_use]
    pub fn tasks(&self) -> u64 {
        self.jobs.values().map(|tasks| u64::from(*tasks)).sum()
    }

    /// An honest peer has executed a block.
    ///
    /// # Errors
    /// A rule does not hold.
    pub fn executed(&mut self, executed: &Executed, replica: &Replica) -> Checked {
        let Height(height) = executed.block.header.height;
        let place = height as usize - 1;
        let state = executed.snapshot.as_ref().map(|snapshot| snapshot.digest);
        if let Some(known) = self.chain.get(place) {
            rule(known.block == executed.digest, || format!("two blocks are final at height {height}"))?;
            rule(known.root == executed.root, || format!("the receipts up to height {height} differ"))?;
            return rule(known.state == state, || format!("the states at height {height} differ"));
        }
        rule(place == self.chain.len(), || format!("height {height} is executed before those below it"))?;
        self.chain.push(Finality { block: executed.digest, root: executed.root, state });
        self.transactions += executed.block.transactions.len() as u64;
        for event in &executed.applied.events {
            self.happened(event)?;
        }
        for receipt in &executed.applied.receipts {
            self.received(receipt)?;
        }
        check_claims(replica, height)
    }

    fn happened(&mut self, event: &LedgerEvent) -> Checked {
        match event {
            LedgerEvent::JobAdmitted { job, tasks } => {
                rule(self.jobs.insert(*job, *tasks).is_none(), || format!("job {job} is admitted twice"))
            }
            LedgerEvent::Leased { attempt, worker, .. } => {
                let seen = self.tasks.entry(attempt.task).or_default();
                rule(seen.live.is_none(), || format!("{} has two live leases", attempt.task))?;
                rule(seen.outcomes == 0, || format!("{} is leased after its outcome", attempt.task))?;
                seen.live = Some(*attempt);
                rule(seen.given.insert(*attempt, *worker).is_none(), || format!("{attempt} is given twice"))
            }
            LedgerEvent::Ended { attempt, worker, why } => {
                let seen = self.tasks.entry(attempt.task).or_default();
                rule(seen.live == Some(*attempt) || *why == EndReason::Superseded, || {
                    format!("{attempt} ends but was not live")
                })?;
                rule(seen.given.get(attempt) == Some(worker), || format!("{attempt} ends at another than holds it"))?;
                seen.live = None;
                seen.ended = Some(*attempt);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn received(&mut self, receipt: &Receipt) -> Checked {
        let Receipt::Outcome(outcome) = receipt else { return Ok(()) };
        let task = outcome.attempt.task;
        let seen = self.tasks.entry(task).or_default();
        seen.outcomes += 1;
        self.outcomes += 1;
        rule(seen.outcomes == 1, || format!("{task} has two outcomes"))?;
        let holder = seen.given.get(&outcome.attempt);
        rule(holder == Some(&outcome.worker), || format!("{task} has an outcome of one who was not given it"))?;
        let failed = matches!(outcome.verdict, Verdict::Failed(..));
        rule(!failed || seen.ended == Some(outcome.attempt), || format!("{task} ends by a failure that came late"))?;
        let is_lost = matches!(&outcome.verdict, Verdict::Failed(meshwork_core::types::Failure::Lost, ..));
        rule(seen.live.is_none() || is_lost, || format!("{task} has an outcome and a live lease"))
    }

    /// A peer's own bounds, whatever the others do.
    ///
    /// # Errors
    /// One does not hold.
    pub fn bounded(&self, replica: &Replica, journal: usize) -> Checked {
        rule(journal <= JOURNAL_MAX, || format!("the journal has {journal} records"))?;
        let pooled = replica.pool().len();
        rule(pooled <= meshwork_core::pool::TRANSACTIONS_MAX, || format!("the pool has {pooled} transactions"))
    }

    /// At the end, when the network has been whole for long enough: everyone stands at the same place, and nothing is owed.
    ///
    /// # Errors
    /// Somebody does not, or something is.
    pub fn whole(&self, replicas: &[(usize, &Replica)]) -> Checked {
        let mut states: BTreeMap<Height, (usize, Digest)> = BTreeMap::new();
        for (peer, replica) in replicas {
            let ledger = replica.ledger();
            let counts = ledger.totals().tasks;
            rule(counts.unfinished() == 0, || {
                format!("peer {peer} still owes {} tasks: {counts:?}", counts.unfinished())
            })?;
            let state = ledger.state_digest();
            let (other, known) = *states.entry(ledger.height()).or_insert((*peer, state));
            rule(known == state, || {
                format!("peers {other} and {peer} have other states at height {}", ledger.height())
            })?;
        }
        Ok(())
    }
}

/// No claim holds more than it offers.
fn check_claims(replica: &Replica, height: u64) -> Checked {
    let ledger = replica.ledger();
    let closely = ledger.totals().workers as usize <= WORKERS_CLOSELY;
    if !closely && !height.is_multiple_of(16) {
        return Ok(());
    }
    for worker in ledger.workers() {
        let claim = worker.claim;
        rule(worker.running <= claim.slots, || format!("{} runs more than its slots at height {height}", worker.key))?;
        rule(worker.waiting <= claim.waiting, || {
            format!("{} holds more than its places at height {height}", worker.key)
        })?;
        let leases = ledger.leases_of(&worker.key);
        let running = leases.iter().filter(|lease| lease.running);
        let millicores: u64 = running
            .filter_map(|lease| ledger.task(lease.attempt.task))
            .map(|task| u64::from(task.spec.resources.millicores))
            .sum();
        rule(millicores <= u64::from(claim.resources.millicores), || {
            format!("{} runs more than its cores at height {height}", worker.key)
        })?;
    }
    Ok(())
}
