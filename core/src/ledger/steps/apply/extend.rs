//! Extend: adds arrays to an open job, or closes it.

use crate::{
    identity::PublicKey,
    invariant::known,
    ledger::{Applied, Ledger, LedgerEvent, bounds},
    types::{Extend, VoidReason},
};

impl Ledger {
    pub(in crate::ledger) fn check_extend(
        &self,
        signer: &PublicKey,
        extend: &Extend,
        bytes: u64,
    ) -> Result<(), VoidReason> {
        let job = self.own_job(signer, extend.job)?;
        if job.record.open_until.is_none() {
            return Err(VoidReason::JobClosed);
        }
        bounds::check_extend(&self.genesis.ledger, job, &extend.arrays)?;
        self.check_quotas(signer, &extend.arrays, bytes)?;
        self.check_daily_stored(signer, &extend.arrays, 0, bytes)
    }

    pub(in crate::ledger) fn extend(&mut self, extend: &Extend, definition_bytes: u64, applied: &mut Applied) {
        let Some(number) = known(self.index.number_of(&extend.job)) else { return };
        let Some(job) = known(self.records.job_mut(number)) else { return };
        let submitter = job.record.submitter;
        job.record.definition_bytes = job.record.definition_bytes.saturating_add(definition_bytes);
        if extend.closes {
            job.record.open_until = None;
            applied.events.push(LedgerEvent::JobClosed { job: extend.job });
        }
        self.charge_definition(submitter, definition_bytes);
        if !extend.arrays.is_empty() {
            let admission = self.records.admit();
            let tasks = self.add_arrays(number, &extend.arrays, admission);
            applied.events.push(LedgerEvent::JobExtended { job: extend.job, tasks });
            self.open_job(number);
            self.stop_deadly(number, applied);
        }
        self.await_time(number);
        self.end_job_if_over(number, applied);
    }
}
