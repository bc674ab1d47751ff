//! Whether a failure would be a task's last, so that what its program left is worth keeping.

use std::collections::BTreeSet;

use crate::{
    identity::PublicKey,
    ledger::{EndReason, Ledger},
    types::{AttemptId, Setback},
};

impl Ledger {
    /// Whether a live attempt's task would fail for good if its program failed now by this setback. Where that cannot be
    /// known before, because the worker is on trial, the answer is yes.
    #[must_use]
    pub fn would_end(&self, attempt: AttemptId, setback: Setback) -> bool {
        let Some(job) = self.index.number_of(&attempt.task.job).and_then(|number| self.records.job(number)) else {
            return false;
        };
        let Some((live, spec)) = job.live(attempt.task.index).zip(job.spec(attempt.task.index)) else { return false };
        let Some(lease) = live.lease_of(attempt.number) else { return false };
        let history = live.history();
        let (rule, before) = match spec.recovery.get(&setback) {
            Some(rule) => (rule, history.setbacks.get(&setback).copied().unwrap_or(0)),
            None => {
                let own = history.setbacks.iter().filter(|(kind, _)| !kind.is_loss()).map(|(_, times)| times);
                (&spec.retry, history.failures.saturating_sub(own.sum()))
            }
        };
        if before < rule.retries {
            return false;
        }
        let Some(redundancy) = spec.redundancy else {
            // While another attempt lives, a setback that may be the machine's fault does not fail the task.
            return !setback.is_of_machine() || live.leases().nth(1).is_none();
        };
        let failed = history.past.iter().filter(|past| past.why == EndReason::Failed).map(|past| past.worker);
        let workers: BTreeSet<PublicKey> = failed.chain([lease.worker]).collect();
        workers.len() >= usize::from(redundancy.quorum)
            || history.failures >= u32::from(redundancy.replicas_max).saturating_mul(2)
    }
}
