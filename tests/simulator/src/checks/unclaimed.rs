//! Checks that no task ends for want of a claim that could hold it while such a claim stands.

use std::collections::BTreeSet;

use meshwork_core::{
    identity::PublicKey,
    ledger::{Applied, Gone, Ledger, LedgerEvent, TaskStateView, TaskView, WorkerView},
    types::TaskId,
};

use super::{Checked, TASKS_LOOKED_AT, rule};

/// The workers whose claims stood before this block.
#[derive(Default)]
pub(super) struct Unclaimed {
    stood: BTreeSet<PublicKey>,
}

impl Unclaimed {
    /// Checks the jobs that a block ended, with the ledger after it.
    pub(super) fn check(&mut self, applied: &Applied, ledger: &Ledger) -> Checked {
        for event in &applied.events {
            let LedgerEvent::JobEnded { job, .. } = event else { continue };
            let count = ledger.job(*job).map_or(0, |job| job.count).min(TASKS_LOOKED_AT);
            let tasks = (0..count).filter_map(|index| ledger.task(TaskId { job: *job, index }));
            for task in tasks.filter(|task| task.state == TaskStateView::Gone(Gone::Unclaimed)) {
                let mut workers = ledger.workers().filter(|worker| self.stood.contains(&worker.key));
                let able = workers.find(|worker| could_ever_hold(worker, &task));
                rule(able.is_none(), || format!("{} ends unclaimed, though {able:?} could hold it", task.id))?;
            }
        }
        self.stood = ledger.workers().map(|worker| worker.key).collect();
        Ok(())
    }
}

/// Whether a worker's claim could hold a task if nothing else ran there.
pub(super) fn could_ever_hold(worker: &WorkerView<'_>, task: &TaskView<'_>) -> bool {
    let (claim, needs) = (worker.claim, task.terms.resources);
    claim.slots > 0
        && needs.millicores <= claim.resources.millicores
        && needs.memory_bytes <= claim.resources.memory_bytes
        && task.spec.labels.iter().all(|(label, value)| claim.labels.get(label) == Some(value))
}
