//! Time slices, where submitters have shares: which run, which are spent, and which attempts are asked to stop.

use crate::{
    identity::PublicKey,
    invariant::known,
    ledger::{
        Applied, Ledger, LedgerEvent,
        records::jobs::{Live, Preemption, TaskRef},
    },
    schedule::order::Fair,
    types::AttemptId,
};

impl Ledger {
    /// The length of a task's slice in milliseconds, if the task can be preempted.
    pub(in crate::ledger) fn slice_ms(&self, task: TaskRef) -> Option<u64> {
        if !self.sequence.is_fair() {
            return None;
        }
        let checkpoints = self.records.job(task.job)?.spec(task.index)?.checkpoints;
        checkpoints.then_some(self.records.rules().schedule().slice_ms.max(1))
    }

    /// Adds or removes a lease's slice, and its preemption request if it has one.
    pub(super) fn watch_slice(&mut self, task: TaskRef, keeps: bool) {
        let Some(slice_ms) = self.slice_ms(task) else { return };
        let lease = self.records.job(task.job).and_then(|job| job.lease(task.index));
        let Some((allocation, slices, preemption)) =
            lease.and_then(|lease| Some((lease.allocation?, lease.slices, lease.preemption.as_deref().copied())))
        else {
            return;
        };
        let end = allocation.since.plus_ms(u64::from(slices).saturating_mul(slice_ms));
        if keeps {
            self.index.due.slices.insert((end, task));
            if slices > 1 && preemption.is_none() {
                self.index.preemptible.insert(task);
            }
            if let Some(preemption) = preemption.filter(|preemption| preemption.until > self.lease_time()) {
                self.index.due.preemptions.insert((preemption.until, task));
                self.index.preemptors.insert(preemption.by);
            }
        } else {
            self.index.due.slices.remove(&(end, task));
            self.index.preemptible.remove(&task);
            if let Some(preemption) = preemption
                && self.index.due.preemptions.remove(&(preemption.until, task))
            {
                self.index.preemptors.remove(&preemption.by);
            }
        }
    }

    /// Ends a slice: charges the next one, and lets the attempt be preempted.
    pub(in crate::ledger) fn begin_slice(&mut self, task: TaskRef) {
        // After a change of schedule in this block, slices may remain of attempts that ended in it, until the index
        // is recomputed.
        let (Some(slice_ms), now) = (self.slice_ms(task), self.lease_time()) else { return };
        let Some(job) = self.records.job_mut(task.job) else { return };
        let submitter = job.record.submitter;
        let Some(lease) = job.live_mut(task.index).and_then(Live::lease_mut) else { return };
        let Some(allocation) = lease.allocation else { return };
        let begun = (now.0.saturating_sub(allocation.since.0) / slice_ms.saturating_mul(1000)).saturating_add(1);
        let slices = u32::try_from(begun).unwrap_or(u32::MAX).max(lease.slices);
        let end = allocation.since.plus_ms(u64::from(slices).saturating_mul(slice_ms));
        let cost =
            Fair::cost(allocation.resources.millicores, slice_ms).saturating_mul(u64::from(slices - lease.slices));
        lease.slices = slices;
        lease.cost = lease.cost.saturating_add(cost);
        let is_requested = lease.preemption.is_some();
        self.index.due.slices.insert((end, task));
        if !is_requested {
            self.index.preemptible.insert(task);
        }
        self.records.shares_mut().charge(&submitter, cost);
        self.index.ready.share_changed(&submitter, &self.sequence, self.records.shares());
    }

    /// Lapses a preemption request, so that another may be made for the same submitter.
    pub(in crate::ledger) fn preemption_lapsed(&mut self, task: TaskRef) {
        let lease = self.records.job(task.job).and_then(|job| job.lease(task.index));
        if let Some(preemption) = known(lease.and_then(|lease| lease.preemption.as_ref())) {
            self.index.preemptors.remove(&preemption.by);
        }
    }

    /// Requests that an attempt be preempted for a submitter.
    pub(in crate::ledger) fn request_preemption(&mut self, task: TaskRef, by: PublicKey, applied: &mut Applied) {
        let until = self.lease_time().plus_ms(self.records.rules().schedule().slice_ms);
        let Some(job) = known(self.records.job_mut(task.job)) else { return };
        let Some(lease) = known(job.live_mut(task.index).and_then(Live::lease_mut)) else { return };
        lease.preemption = Some(Box::new(Preemption { by, until }));
        let (number, worker) = (lease.attempt, lease.worker);
        let attempt: AttemptId = job.attempt_id(task.index, number);
        self.index.preemptible.remove(&task);
        self.index.preemptors.insert(by);
        self.index.due.preemptions.insert((until, task));
        applied.events.push(LedgerEvent::PreemptionRequested { attempt, worker });
    }
}
