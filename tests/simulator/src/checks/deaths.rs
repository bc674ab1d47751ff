//! Checks deaths: a task fails as one that ended its hosts only if enough different workers have said that they died
//! of it or its program, and what kills whoever runs it is stopped after few. Judged from reports, events and the
//! deaths themselves.

use std::collections::{BTreeMap, BTreeSet};

use meshwork_core::{
    identity::PublicKey,
    ledger::{Applied, Gone, Ledger, LedgerEvent, TaskStateView},
    types::{Action, AttemptId, Failure, Genesis, JobId, Receipt, SignedTransaction, TaskId, Verdict},
    worker::Died,
};

use super::{Checked, TASKS_LOOKED_AT, rule};
use crate::scenario::{Scenario, Work};

/// The argument of programs that kill whoever runs them.
pub const KILLS: &str = "kill";
/// How many deaths one job of such programs may cause for each worker. A worker can get its tasks again until enough
/// others have told of their deaths: first beside other things, then of what had begun before the program ran alone, and then
/// alone.
const DEATHS_FOR_EACH: usize = 4;

/// All deaths.
pub(super) struct Deaths {
    deaths_max: usize,
    /// Whether no job but those that kill may be stopped: few die for other reasons.
    spares_others: bool,
    given: BTreeMap<AttemptId, PublicKey>,
    /// Who has said to have died of a task, or of any task of a job, while running nothing else.
    of_task: BTreeMap<TaskId, BTreeSet<PublicKey>>,
    of_job: BTreeMap<JobId, BTreeSet<PublicKey>>,
    /// How many processes have died of a job that kills.
    killed: BTreeMap<JobId, usize>,
    killers: BTreeSet<JobId>,
    workers: BTreeSet<PublicKey>,
}

impl Deaths {
    pub(super) fn new(scenario: &Scenario, genesis: &Genesis) -> Self {
        Self {
            spares_others: scenario.work.iter().any(|(_, work)| matches!(work, Work::Deadly { .. })),
            deaths_max: genesis.ledger.deaths_max as usize,
            given: BTreeMap::new(),
            of_task: BTreeMap::new(),
            of_job: BTreeMap::new(),
            killed: BTreeMap::new(),
            killers: BTreeSet::new(),
            workers: BTreeSet::new(),
        }
    }

    /// A process has died of these attempts.
    pub(super) fn died(&mut self, died: &[Died]) -> Checked {
        let jobs: BTreeSet<JobId> = died.iter().map(|died| died.attempt.task.job).collect();
        for job in jobs.intersection(&self.killers) {
            let times = self.killed.entry(*job).or_default();
            *times += 1;
            let most = DEATHS_FOR_EACH * self.workers.len();
            rule(*times <= most, || {
                format!("job {job} has ended {times} processes of {} workers", self.workers.len())
            })?;
        }
        Ok(())
    }

    /// Checks what a block did, by its good transactions.
    pub(super) fn check<'a>(
        &mut self,
        good: impl Iterator<Item = &'a SignedTransaction>,
        applied: &Applied,
        ledger: &Ledger,
    ) -> Checked {
        for transaction in good {
            let signer = transaction.signer();
            match &transaction.transaction().action {
                Action::Claim(_) => drop(self.workers.insert(signer)),
                Action::Submit(submit) => {
                    let kills = |argument: &String| argument == KILLS;
                    if submit.arrays.iter().any(|array| array.spec.arguments.iter().any(kills)) {
                        self.killers.insert(JobId(transaction.id().0));
                    }
                }
                Action::Report(report) => {
                    for item in &report.items {
                        let is_own = self.given.get(&item.attempt) == Some(&signer);
                        if is_own && item.verdict == (Verdict::HostDied { alone: true }) {
                            self.of_task.entry(item.attempt.task).or_default().insert(signer);
                            self.of_job.entry(item.attempt.task.job).or_default().insert(signer);
                        }
                    }
                }
                _ => {}
            }
        }
        for event in &applied.events {
            match event {
                LedgerEvent::Leased { attempt, worker, .. } => {
                    self.given.insert(*attempt, *worker);
                    let died = self.of_task.get(&attempt.task).map_or(0, BTreeSet::len);
                    rule(died < self.deaths_max || self.are_trials_on(ledger), || {
                        format!("{attempt} is leased though {died} workers have died of its task")
                    })?;
                }
                LedgerEvent::JobEnded { job, .. } => self.check_ended(*job, ledger)?,
                _ => {}
            }
        }
        for receipt in &applied.receipts {
            if let Receipt::Outcome(outcome) = receipt
                && matches!(outcome.verdict, Verdict::Failed(Failure::EndedHosts, ..))
            {
                let task = outcome.attempt.task;
                let died = self.of_job.get(&task.job).map_or(0, BTreeSet::len);
                self.check_kills(task.job)?;
                rule(died >= self.deaths_max, || {
                    format!("{task} fails as what ended its hosts, and {died} workers have died of its job alone")
                })?;
            }
        }
        Ok(())
    }

    /// What workers on trial say does not count.
    fn are_trials_on(&self, ledger: &Ledger) -> bool {
        ledger.genesis().ledger.trial_wait_ms > 0
    }

    fn check_kills(&self, job: JobId) -> Checked {
        let kills = self.killers.contains(&job) || !self.spares_others;
        rule(kills, || format!("job {job} is stopped as what ended its hosts, and kills nobody"))
    }

    /// Only what killed has no outcome because of it.
    fn check_ended(&self, job: JobId, ledger: &Ledger) -> Checked {
        let count = ledger.job(job).map_or(0, |job| job.count).min(TASKS_LOOKED_AT);
        let tasks = (0..count).filter_map(|index| ledger.task(TaskId { job, index }));
        let stopped = tasks.filter(|task| task.state == TaskStateView::Gone(Gone::EndedHosts)).count();
        if stopped > 0 {
            self.check_kills(job)?;
        }
        let died = self.of_job.get(&job).map_or(0, BTreeSet::len);
        rule(stopped == 0 || died >= self.deaths_max, || {
            format!(
                "{stopped} tasks of job {job} are stopped as what ended its hosts, and {died} workers have died of it"
            )
        })
    }
}
