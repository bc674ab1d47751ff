//! Checks dependencies: no task is leased before all its dependencies are met, and no task waits without need.
//! Judged from the submitted jobs and the outcomes alone, by looking at every dependency.

use std::collections::{BTreeMap, BTreeSet};

use meshwork_core::{
    ledger::{Ledger, LedgerEvent, TaskStateView},
    types::{
        Action, AfterJob, Array, JobId, Overlap, Recur, Recurring, RecurringId, SignedTransaction, TaskId, Times, When,
    },
};

use super::{Checked, TASKS_LOOKED_AT, rule};

/// A job as it was submitted.
struct Job {
    arrays: Vec<Array>,
    after: Vec<AfterJob>,
    times: Times,
}

impl Job {
    /// An array's tasks.
    fn tasks(&self, array: u16) -> std::ops::Range<u32> {
        let counts = self.arrays.iter().map(|array| array.tasks.count() as u32);
        let first: u32 = counts.clone().take(usize::from(array)).sum();
        first..first + counts.clone().nth(usize::from(array)).unwrap_or(0)
    }

    /// The array of a task, and the task's place in it.
    fn array_index(&self, index: u32) -> Option<(u16, u32)> {
        let arrays = 0..self.arrays.len() as u16;
        arrays
            .map(|array| (array, self.tasks(array)))
            .find(|(_, tasks)| tasks.contains(&index))
            .map(|(array, tasks)| (array, index - tasks.start))
    }

    /// All dependencies of a task within its job: on which tasks, and how these have to end as a whole.
    fn waits(&self, index: u32) -> Vec<(std::ops::Range<u32>, When)> {
        let Some((array, place)) = self.array_index(index) else { return Vec::new() };
        let Array { after, tasks, .. } = &self.arrays[usize::from(array)];
        let mut waits = Vec::new();
        for after in after {
            let tasks = self.tasks(after.array);
            let one = tasks.start + place;
            waits.push((if after.each { one..one + 1 } else { tasks }, after.when));
        }
        let own = tasks.part(place).into_iter().flat_map(|part| part.after.all());
        waits.extend(own.map(|(task, when)| (task..task + 1, when)));
        waits
    }
}

/// All jobs and outcomes.
#[derive(Default)]
pub(super) struct Waits {
    jobs: BTreeMap<JobId, Job>,
    /// The tasks that have outcomes, and whether these are successes.
    outcomes: BTreeMap<TaskId, bool>,
    ended: BTreeSet<JobId>,
    /// Recurring jobs, each with the job of its last occurrence.
    recurring: BTreeMap<RecurringId, (Recurring, Option<JobId>)>,
}

impl Waits {
    /// A transaction was executed, and was not void.
    pub(super) fn hear(&mut self, transaction: &SignedTransaction) {
        match &transaction.transaction().action {
            Action::Submit(submit) => {
                let job = Job { arrays: submit.arrays.clone(), after: submit.after.clone(), times: submit.times };
                self.jobs.insert(JobId(transaction.id().0), job);
            }
            Action::Extend(extend) => {
                if let Some(job) = self.jobs.get_mut(&extend.job) {
                    job.arrays.extend(extend.arrays.iter().cloned());
                }
            }
            Action::Recur(Recur::Submit(recurring)) => {
                let id = RecurringId(transaction.id().0);
                self.recurring.insert(id, (Recurring::clone(recurring), None));
            }
            _ => {}
        }
    }

    /// An occurrence of a recurring job was run.
    fn run(&mut self, recurring: RecurringId, job: JobId) {
        let Some((recurring, last)) = self.recurring.get_mut(&recurring) else { return };
        let before = last.replace(job).filter(|_| recurring.overlap == Overlap::Queue);
        let after = before.map(|job| AfterJob { job, when: When::Any }).into_iter().collect();
        self.jobs.insert(job, Job { arrays: recurring.job.arrays.clone(), after, times: recurring.job.times });
    }

    /// Checks the events of a block against the ledger after it.
    pub(super) fn check(&mut self, events: &[LedgerEvent], ledger: &Ledger) -> Checked {
        let mut touched = Vec::new();
        for event in events {
            match event {
                LedgerEvent::TaskDone { task, succeeded } => {
                    self.outcomes.insert(*task, *succeeded);
                    touched.push(task.job);
                }
                LedgerEvent::JobEnded { job, .. } => {
                    self.ended.insert(*job);
                }
                LedgerEvent::JobAdmitted { job, .. } | LedgerEvent::JobExtended { job, .. } => touched.push(*job),
                LedgerEvent::RecurringRun { recurring, job, .. } => self.run(*recurring, *job),
                LedgerEvent::JobForgotten { job } => drop(self.jobs.remove(job)),
                LedgerEvent::Leased { attempt, .. } => {
                    let task = attempt.task;
                    rule(self.may_begin(task, ledger), || format!("{attempt} is leased though it has to wait"))?;
                }
                _ => {}
            }
        }
        touched.sort_unstable();
        touched.dedup();
        for id in touched {
            let count = ledger.job(id).map_or(0, |job| job.count);
            let tasks = (0..count.min(TASKS_LOOKED_AT)).map(|index| TaskId { job: id, index });
            for task in tasks.filter(|task| ledger.task(*task).is_some_and(|t| t.state == TaskStateView::Blocked)) {
                rule(!self.may_begin(task, ledger), || format!("{task} is held back though it need not wait"))?;
            }
        }
        Ok(())
    }

    fn may_begin(&self, task: TaskId, ledger: &Ledger) -> bool {
        let Some(job) = self.jobs.get(&task.job) else { return true };
        let is_time = job.times.not_before.is_none_or(|time| time <= ledger.time());
        let jobs = job.after.iter().all(|after| self.ended.contains(&after.job));
        let tasks = job.waits(task.index).into_iter().all(|(tasks, when)| {
            let mut tasks = tasks.map(|index| TaskId { job: task.job, index });
            let is_gone = |task: &TaskId| {
                matches!(ledger.task(*task).map(|task| task.state), Some(TaskStateView::Gone(_)) | None)
            };
            match when {
                When::Ok => tasks.all(|task| self.outcomes.get(&task) == Some(&true)),
                When::Any => tasks.all(|task| self.outcomes.contains_key(&task) || is_gone(&task)),
                When::Fail => {
                    tasks.clone().all(|task| self.outcomes.contains_key(&task) || is_gone(&task))
                        && tasks.any(|task| self.outcomes.get(&task) == Some(&false))
                }
            }
        });
        is_time && jobs && tasks
    }
}
