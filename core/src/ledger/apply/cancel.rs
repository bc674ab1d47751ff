//! Cancel: stops a job. Its tasks without an outcome will have none.

use crate::{
    identity::PublicKey,
    ledger::{
        Applied, EndReason, Ledger,
        jobs::{TaskRef, TaskState},
    },
    types::{Cancel, VoidReason},
};

impl Ledger {
    pub(in crate::ledger) fn check_cancel(&self, signer: &PublicKey, cancel: &Cancel) -> Result<(), VoidReason> {
        let number = self.job_numbers.get(&cancel.job).ok_or(VoidReason::UnknownJob)?;
        let job = self.jobs.get(number).ok_or(VoidReason::UnknownJob)?;
        if job.record.submitter == *signer { Ok(()) } else { Err(VoidReason::NotYours) }
    }

    /// A job that has ended stays as it ended.
    pub(in crate::ledger) fn cancel(&mut self, cancel: &Cancel, applied: &mut Applied) {
        let Some(number) = self.job_numbers.get(&cancel.job).copied() else { return };
        let Some(job) = self.jobs.get(&number) else { return };
        if job.record.ended.is_some() {
            return;
        }
        let live: Vec<u32> =
            job.record.states.iter().filter(|(_, s)| matches!(s, TaskState::Live(_))).map(|(i, _)| *i).collect();
        let (unfinished, fresh) = (job.counts.unfinished(), u64::from(job.count - job.record.fresh));
        let (submitter, output_bytes) = (job.record.submitter, job.record.spec.limits.output_bytes);
        self.ready.remove(&job.run(), &self.sequence, &self.shares);
        for index in live {
            let task = TaskRef { job: number, index };
            self.release(task, EndReason::Cancelled, applied);
            self.jobs.get_mut(&number).map(|job| job.record.states.remove(&index));
        }
        if let Some(job) = self.jobs.get_mut(&number) {
            job.record.cancelled = true;
            job.counts.ready -= fresh;
            job.counts.cancelled = unfinished;
        }
        self.counts.ready -= fresh;
        self.counts.cancelled += unfinished;
        self.counters.cancelled += unfinished;
        self.settle_debt(submitter, output_bytes, unfinished);
        self.end_job(number, applied);
    }
}
