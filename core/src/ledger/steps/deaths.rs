//! Deaths: a worker's process that died while it compiled or ran programs says so once it is back. The attempts end,
//! and the ledger counts who died of what, so that a bad program does not go through the network and end one host
//! after another.
//!
//! A process dies of the attempts that it had begun, and one of them may be to blame, or none: most deaths are power
//! cuts and operators. So the ledger goes by what many hosts say:
//!
//! - **A task** of which `deaths_max` different workers died runs *alone* from then on: its worker begins nothing
//!   beside it but its program for its job. Once `deaths_max` different workers have died of it while they ran nothing
//!   else, it fails.
//! - **A program of a job** is treated the same as a whole, or each of ten thousand tasks could end its hosts. It runs
//!   no more once that many have died of it alone, all after the network had it run alone: the task at hand fails, and
//!   the others go without an outcome. So no single power cut ends a job.
//! - **A program that runs well elsewhere is not to blame.** Each success of it takes one death off. Deaths count for
//!   nothing while more workers live with it: those that have renewed their claim since they began a task of it. Some
//!   hosts of a large job of long tasks die every day, and not of its program.
//!
//! It is counted by job and program, not by program alone: the same program may be harmless with other inputs, and
//! nobody can spoil it for others. A worker counts once, however often it dies, so that none can fail a task by
//! itself. What workers on trial say is not counted as long as a worker that is not on trial could run the task.

use std::{collections::BTreeSet, ops::Range};

use crate::{
    digest::Digest,
    fault::{Fault, is_planted},
    identity::PublicKey,
    invariant::known,
    ledger::{
        ATTEMPTS_KEPT, Applied, EndReason, Gone, Ledger, PastAttempt,
        records::jobs::{AttemptRef, Job, Standing, TaskRef, TaskState},
    },
    schedule::ready::JobNumber,
    types::{BlockTime, Failure, OutcomeReceipt, Remains, TaskId, Usage, Verdict},
};

/// How often a task that should run alone may be returned until it runs beside others again: it must not wait for ever
/// where no worker is ever free.
const RETURNS_ALONE_MAX: u32 = 8;
/// How many tasks are looked at to find workers that live with a program, at most.
const LOOKS_MAX: usize = 16_384;

impl Ledger {
    /// Ends an attempt whose worker died, and counts the death. The attempt may have been lost before by the same
    /// death.
    pub(in crate::ledger) fn host_died(&mut self, attempt: AttemptRef, alone: bool, applied: &mut Applied) {
        let task = attempt.task();
        let Some(job) = known(self.records.job(task.job)) else { return };
        let Some(program) = known(job.program(task.index)) else { return };
        let Some(live) = known(job.live(task.index)) else { return };
        let is_live = live.lease_of(attempt.number).is_some();
        let lost = live.history().past.iter().find(|past| past.number == attempt.number).copied();
        let lease = live.lease_of(attempt.number).map(|lease| {
            let began = lease.allocation.map(|allocation| allocation.started);
            (lease.worker, self.is_of_trial(lease), began)
        });
        let lost_to = lost.map(|lost| (lost.worker, lost.on_trial, lost.started));
        let Some((worker, on_trial, began)) = known(lease.or(lost_to)) else { return };
        let is_believed = !on_trial || !self.has_tested_worker(task);
        let is_over = is_believed && self.accuse(worker, (task.job, program), alone, began);
        if is_live {
            self.give_back(attempt, EndReason::HostDied { alone }, applied);
        } else if let Some(lost) = lost {
            self.died_before(task, lost, alone, applied);
        }
        if is_over {
            self.stop_program(task.job, program, applied);
        }
    }

    /// Records of what a lost attempt's worker died. What followed the loss remains.
    fn died_before(&mut self, task: TaskRef, lost: PastAttempt, alone: bool, applied: &mut Applied) {
        let live = self.records.job_mut(task.job).and_then(|job| job.live_mut(task.index));
        let Some(live) = known(live) else { return };
        if let Some(past) = live.history_mut().past.iter_mut().find(|past| past.number == lost.number) {
            past.why = EndReason::HostDied { alone };
        }
        if self.has_ended_hosts(task) {
            self.release(task, EndReason::Superseded, applied);
            self.finish_deadly(task, &lost, applied);
        }
    }

    /// Fails a detached task that has ended its hosts.
    pub(in crate::ledger) fn finish_deadly(&mut self, task: TaskRef, last: &PastAttempt, applied: &mut Applied) {
        let Some(job) = known(self.records.job(task.job)) else { return };
        let (attempt, worker, height) = (job.attempt_id(task.index, last.number), last.worker, self.height());
        let verdict = Verdict::Failed(Failure::EndedHosts, Remains::default(), Usage::default());
        let agreement = self.agreement(task);
        self.finish(task, OutcomeReceipt { attempt, worker, height, verdict, agreement }, applied);
    }

    /// Whether a task runs no more: too many workers died of it or of its program.
    pub(in crate::ledger) fn has_ended_hosts(&self, task: TaskRef) -> bool {
        let Some(job) = known(self.records.job(task.job)) else { return false };
        let is_over = job.standing(task.index) == Standing::Over;
        is_over || self.died_of(task, true) >= self.deaths_max()
    }

    /// Whether the claim of a worker that is not on trial could ever hold a task.
    fn has_tested_worker(&self, task: TaskRef) -> bool {
        let Some(needs) = known(self.records.job(task.job).and_then(|job| job.needs(task.index))) else { return false };
        self.records.able(needs).any(|(_, worker)| worker.record.trial.is_none())
    }

    /// How many different workers died of a live task; only those that ran nothing else, or all of them.
    fn died_of(&self, task: TaskRef, only_alone: bool) -> usize {
        if is_planted(Fault::DeathsNotCounted) {
            return 0;
        }
        let live = self.records.job(task.job).and_then(|job| job.live(task.index));
        let died = live.into_iter().flat_map(|live| &live.history().past).filter(|past| match past.why {
            EndReason::HostDied { alone } => alone || !only_alone,
            _ => false,
        });
        let mut died: Vec<&PastAttempt> = died.collect();
        if died.iter().any(|past| past.on_trial) && self.has_tested_worker(task) {
            died.retain(|past| !past.on_trial);
        }
        if is_planted(Fault::DeathsOfOneWorker) {
            return died.len();
        }
        died.into_iter().map(|past| past.worker).collect::<BTreeSet<_>>().len()
    }

    /// Whether a task is to run with nothing beside it but its program for its job.
    #[must_use]
    pub fn runs_alone(&self, id: TaskId) -> bool {
        let Some(number) = self.index.number_of(&id.job) else { return false };
        let task = TaskRef { job: number, index: id.index };
        let job = self.records.job(number);
        let Some((job, live)) = job.and_then(|job| Some((job, job.live(id.index)?))) else { return false };
        let is_suspect =
            matches!(job.standing(id.index), Standing::Suspect(_)) || self.died_of(task, false) >= self.deaths_max();
        is_suspect && live.history().returns < RETURNS_ALONE_MAX
    }

    fn deaths_max(&self) -> usize {
        (self.genesis.ledger.deaths_max as usize).clamp(1, ATTEMPTS_KEPT)
    }

    /// Counts a worker's death against a program of a job. Tells whether that ends the program.
    fn accuse(
        &mut self,
        worker: PublicKey,
        (number, program): (JobNumber, Digest),
        alone: bool,
        began: Option<BlockTime>,
    ) -> bool {
        if is_planted(Fault::DeathsNotCounted) {
            return false;
        }
        let (deaths_max, now) = (self.deaths_max(), self.time());
        let Some(job) = known(self.records.job_mut(number)) else { return false };
        let deaths = job.record.deaths.entry(program).or_default();
        let is_new = deaths.standing() != Standing::Over && deaths.add(worker, alone, began);
        let (died, died_alone) = deaths.counts();
        let before = deaths.standing();
        if !is_new || died < deaths_max {
            return false;
        }
        let living = self.live_with(number, program, died);
        let standing = if died_alone >= deaths_max && living <= died_alone {
            Standing::Over
        } else if living <= died && before == Standing::Good {
            Standing::Suspect(now)
        } else {
            return false;
        };
        let deaths = self.records.job_mut(number).and_then(|job| job.record.deaths.get_mut(&program));
        if let Some(deaths) = known(deaths) {
            deaths.stand(standing);
        }
        standing == Standing::Over
    }

    /// How many workers live with a program of a job: they have renewed their claim since they began a task of it, and
    /// have not died of it. Counts no further than needed to exceed `enough`, and only among the job's last tasks.
    fn live_with(&self, number: JobNumber, program: Digest, enough: usize) -> usize {
        let Some(job) = known(self.records.job(number)) else { return 0 };
        let Some(deaths) = known(job.record.deaths.get(&program)) else { return 0 };
        let mut living = BTreeSet::new();
        for (index, state) in job.record.states.iter().rev().take(LOOKS_MAX) {
            let TaskState::Live(live) = state else { continue };
            if live.lease().is_none() || job.program(*index) != Some(program) {
                continue;
            }
            for lease in live.leases() {
                let renewed = self.records.worker(&lease.worker).map(|worker| worker.record.last);
                let started = lease.allocation.map(|allocation| allocation.started);
                if started.zip(renewed).is_some_and(|(started, renewed)| started < renewed)
                    && !deaths.holds(&lease.worker)
                {
                    living.insert(lease.worker);
                }
            }
            if living.len() > enough {
                break;
            }
        }
        living.len()
    }

    /// Takes a death off a program of which a task has ended well.
    pub(in crate::ledger) fn pardon(&mut self, task: TaskRef) {
        let suspect = self.deaths_max();
        let Some(job) = known(self.records.job_mut(task.job)) else { return };
        if job.record.deaths.is_empty() {
            return;
        }
        let Some(program) = known(job.program(task.index)) else { return };
        if let Some(deaths) = job.record.deaths.get_mut(&program) {
            deaths.pardon(suspect);
            if deaths.is_empty() {
                job.record.deaths.remove(&program);
            }
        }
    }

    /// Ends all tasks of a job whose program runs no more, without an outcome.
    pub(in crate::ledger) fn stop_program(&mut self, number: JobNumber, program: Digest, applied: &mut Applied) {
        let Some(job) = known(self.records.job(number)) else { return };
        if job.record.ended.is_some() {
            return;
        }
        let segments = job.record.segments.iter();
        let own = segments.filter(|segment| segment.gone.is_none() && segment.spec.program_blob().digest == program);
        let own: Vec<Range<u32>> = own.map(|segment| segment.start..segment.end).collect();
        self.stop_tasks(number, &own, Gone::EndedHosts, applied);
        self.end_job_if_over(number, applied);
    }

    /// Ends what was added to a job whose programs may run no more.
    pub(in crate::ledger) fn stop_deadly(&mut self, number: JobNumber, applied: &mut Applied) {
        let Some(job) = known(self.records.job(number)) else { return };
        let over = job.record.deaths.iter().filter(|(_, deaths)| deaths.standing() == Standing::Over);
        let over: Vec<Digest> = over.map(|(program, _)| *program).collect();
        for program in over {
            self.stop_program(number, program, applied);
        }
    }
}

impl Job {
    fn program(&self, index: u32) -> Option<Digest> {
        self.spec(index).map(|spec| spec.program_blob().digest)
    }

    fn standing(&self, index: u32) -> Standing {
        let deaths = self.program(index).and_then(|program| self.record.deaths.get(&program));
        deaths.map_or(Standing::Good, |deaths| deaths.standing())
    }
}
