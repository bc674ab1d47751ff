//! Checks what submitters did to their tasks: no held task is leased, no other task is held, and tasks have the
//! terms that they were last amended to. Judged from the transactions alone, one after the other, for each task
//! by itself.

use std::collections::BTreeMap;

use meshwork_core::{
    ledger::{Gone, Ledger, LedgerEvent, TaskStateView},
    types::{Action, AttemptId, Control, Directive, JobId, Selection, SignedTransaction, TaskId, Terms},
};

use super::{Checked, TASKS_LOOKED_AT, rule};

/// The controls of a job in order, each with the number of tasks that the job had then.
type Done = Vec<(Selection, Directive, u32)>;

/// The controls of all jobs.
#[derive(Default)]
pub(super) struct Controls {
    jobs: BTreeMap<JobId, Done>,
    /// Jobs that the present block controlled.
    touched: Vec<JobId>,
}

fn names(which: &Selection, index: u32) -> bool {
    which.ranges.is_empty() || which.ranges.iter().any(|(first, last)| (*first..=*last).contains(&index))
}

impl Controls {
    /// A transaction was executed on this ledger, and was not void. Here only cancellations have filters; what
    /// those meant shows in nothing else.
    pub(super) fn hear(&mut self, transaction: &SignedTransaction, ledger: &Ledger) {
        let Action::Control(Control { job, which, directive }) = &transaction.transaction().action else { return };
        let count = ledger.job(*job).map_or(0, |job| job.count);
        self.jobs.entry(*job).or_default().push((which.clone(), directive.clone(), count));
        self.touched.push(*job);
    }

    fn is_held(&self, task: TaskId) -> bool {
        let mut held = false;
        for (which, directive, count) in self.jobs.get(&task.job).into_iter().flatten() {
            if !names(which, task.index) || !which.is_all() && task.index >= *count {
                continue;
            }
            match directive {
                Directive::Hold => held = true,
                Directive::Release => held = false,
                Directive::Amend(_) | Directive::Cancel => {}
            }
        }
        held
    }

    fn asked(&self, task: TaskId, mut terms: Terms) -> Terms {
        for (which, directive, count) in self.jobs.get(&task.job).into_iter().flatten() {
            if let Directive::Amend(amendment) = directive
                && names(which, task.index)
                && task.index < *count
            {
                terms = terms.amended(amendment);
            }
        }
        terms
    }

    /// Whether the task may be cancelled, if it was in a state that a cancellation allows.
    fn may_be_cancelled(&self, task: TaskId) -> bool {
        let mut done = self.jobs.get(&task.job).into_iter().flatten();
        done.any(|(which, directive, _)| *directive == Directive::Cancel && names(which, task.index))
    }

    /// Checks the events of a block against the ledger after it.
    pub(super) fn check(&mut self, events: &[LedgerEvent], ledger: &Ledger) -> Checked {
        let mut leased: Vec<AttemptId> = Vec::new();
        for event in events {
            match event {
                LedgerEvent::Leased { attempt, .. } => {
                    rule(!self.is_held(attempt.task), || format!("{attempt} is leased though it is held"))?;
                    leased.push(*attempt);
                }
                LedgerEvent::JobForgotten { job } => drop(self.jobs.remove(job)),
                _ => {}
            }
        }
        for job in std::mem::take(&mut self.touched) {
            self.check_job(job, &leased, ledger)?;
        }
        Ok(())
    }

    fn check_job(&self, id: JobId, leased: &[AttemptId], ledger: &Ledger) -> Checked {
        let (count, ended) = ledger.job(id).map_or((0, false), |job| (job.count, job.ended.is_some()));
        for index in 0..count.min(TASKS_LOOKED_AT) {
            let Some(task) = ledger.task(TaskId { job: id, index }) else { continue };
            let (held, is_held) = (self.is_held(task.id), task.state == TaskStateView::Held);
            rule(!is_held || held, || format!("{} is held, and nobody holds it", task.id))?;
            rule(!held || task.state != TaskStateView::Ready, || format!("{} is ready though it is held", task.id))?;
            let is_cancelled = task.state == TaskStateView::Gone(Gone::Cancelled);
            rule(!is_cancelled || ended || self.may_be_cancelled(task.id), || {
                format!("{} is cancelled, and nobody cancelled it", task.id)
            })?;
            let unfinished = !matches!(task.state, TaskStateView::Done { .. } | TaskStateView::Gone(_));
            let submitted = Terms { deadline: task.terms.deadline, ..Terms::of(task.spec, None) };
            let asked = Terms { deadline: task.terms.deadline, ..self.asked(task.id, submitted) };
            rule(!unfinished || task.terms == asked, || {
                format!("{} asks for {:?}, and was amended to {asked:?}", task.id, task.terms)
            })?;
            if let TaskStateView::Leased { attempt, ends: None, .. } = task.state
                && let Some((which, Directive::Amend(amendment), _)) = self.jobs.get(&id).and_then(|done| done.last())
                && amendment.is_of_resources()
                && names(which, index)
            {
                let attempt = AttemptId { task: task.id, number: attempt };
                rule(leased.contains(&attempt), || format!("{attempt} waits with what was asked for it before"))?;
            }
        }
        Ok(())
    }
}
