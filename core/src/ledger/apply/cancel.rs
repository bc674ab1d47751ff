//! Cancel: stops a job. Its tasks without an outcome will have none.

use crate::{
    identity::PublicKey,
    ledger::{
        Applied, EndReason, Ledger,
        jobs::{Consequences, Gone, Job, TaskRef, TaskState},
    },
    schedule::ready::JobNumber,
    types::{Cancel, JobId, VoidReason},
};

impl Ledger {
    pub(in crate::ledger) fn check_cancel(&self, signer: &PublicKey, cancel: &Cancel) -> Result<(), VoidReason> {
        self.own_job(signer, cancel.job).map(|_| ())
    }

    /// A job of the signer's own.
    pub(in crate::ledger) fn own_job(&self, signer: &PublicKey, id: JobId) -> Result<&Job, VoidReason> {
        let number = self.job_numbers.get(&id).ok_or(VoidReason::UnknownJob)?;
        let job = self.jobs.get(number).ok_or(VoidReason::UnknownJob)?;
        if job.record.submitter == *signer { Ok(job) } else { Err(VoidReason::NotYours) }
    }

    /// A job that has ended stays as it ended.
    pub(in crate::ledger) fn cancel(&mut self, cancel: &Cancel, applied: &mut Applied) {
        if let Some(number) = self.job_numbers.get(&cancel.job).copied() {
            self.stop_job(number, Gone::Cancelled, applied);
        }
    }

    /// Ends a job: what has no outcome will have none.
    pub(in crate::ledger) fn stop_job(&mut self, number: JobNumber, why: Gone, applied: &mut Applied) {
        let Some(job) = self.jobs.get_mut(&number) else { return };
        if job.record.ended.is_some() {
            return;
        }
        job.record.open_until = None;
        let live = job.record.states.iter().filter(|(_, state)| matches!(state, TaskState::Live(_)));
        let live: Vec<u32> = live.map(|(index, _)| *index).collect();
        // First what would be next: nothing of the job is to take the place of what is stopped.
        for at in 0..job.record.segments.len() {
            self.vanish(number, at, why, &mut Consequences::default());
        }
        for index in live {
            self.stop_task(TaskRef { job: number, index }, why, applied);
        }
        self.end_job_if_over(number, applied);
    }

    fn stop_task(&mut self, task: TaskRef, why: Gone, applied: &mut Applied) {
        self.release(task, EndReason::Cancelled, applied);
        let Some(job) = self.jobs.get_mut(&task.job) else { return };
        let output_bytes = job.spec(task.index).map_or(0, |spec| spec.limits.output_bytes);
        let submitter = job.record.submitter;
        job.record.states.insert(task.index, TaskState::Gone(why));
        self.attach(task);
        self.counters.cancelled += 1;
        self.settle_debt(submitter, output_bytes, 1);
    }
}
