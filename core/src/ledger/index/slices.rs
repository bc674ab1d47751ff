//! Time slices, where submitters have shares: which run, which are spent, and which attempt was asked to make room.

use crate::{
    identity::PublicKey,
    invariant::known,
    ledger::{
        Applied, Ledger, LedgerEvent,
        records::jobs::{Asked, Live, TaskRef},
    },
    schedule::order::Fair,
    types::AttemptId,
};

impl Ledger {
    /// How long a slice is for a task, in milliseconds, if it can be asked to make room at all.
    pub(in crate::ledger) fn slice_ms(&self, task: TaskRef) -> Option<u64> {
        if !self.sequence.is_fair() {
            return None;
        }
        let checkpoints = self.records.job(task.job)?.spec(task.index)?.checkpoints;
        checkpoints.then_some(self.records.rules().schedule().slice_ms.max(1))
    }

    /// Keeps, or keeps no more, a lease among those whose slices run or are spent, and who asked it.
    pub(super) fn watch_slice(&mut self, task: TaskRef, keeps: bool) {
        let Some(slice_ms) = self.slice_ms(task) else { return };
        let lease = self.records.job(task.job).and_then(|job| job.lease(task.index));
        let Some((run, slices, asked)) =
            lease.and_then(|lease| Some((lease.run?, lease.slices, lease.asked.as_deref().copied())))
        else {
            return;
        };
        let end = run.since.plus_ms(u64::from(slices).saturating_mul(slice_ms));
        if keeps {
            self.index.due.slices.insert((end, task));
            if slices > 1 && asked.is_none() {
                self.index.spent.insert(task);
            }
            if let Some(asked) = asked.filter(|asked| asked.until > self.lease_time()) {
                self.index.due.asked.insert((asked.until, task));
                self.index.asking.insert(asked.by);
            }
        } else {
            self.index.due.slices.remove(&(end, task));
            self.index.spent.remove(&task);
            if let Some(asked) = asked
                && self.index.due.asked.remove(&(asked.until, task))
            {
                self.index.asking.remove(&asked.by);
            }
        }
    }

    /// A slice is over: the next one is charged, and the attempt may be asked to make room.
    pub(in crate::ledger) fn begin_slice(&mut self, task: TaskRef) {
        // A block that brings another schedule may leave slices of attempts that ended in it, until the index is made anew.
        let (Some(slice_ms), now) = (self.slice_ms(task), self.lease_time()) else { return };
        let Some(job) = self.records.job_mut(task.job) else { return };
        let submitter = job.record.submitter;
        let Some(lease) = job.live_mut(task.index).and_then(Live::lease_mut) else { return };
        let Some(run) = lease.run else { return };
        let begun = (now.0.saturating_sub(run.since.0) / slice_ms.saturating_mul(1000)).saturating_add(1);
        let slices = u32::try_from(begun).unwrap_or(u32::MAX).max(lease.slices);
        let end = run.since.plus_ms(u64::from(slices).saturating_mul(slice_ms));
        let cost = Fair::cost(run.resources.millicores, slice_ms).saturating_mul(u64::from(slices - lease.slices));
        lease.slices = slices;
        lease.cost = lease.cost.saturating_add(cost);
        let is_asked = lease.asked.is_some();
        self.index.due.slices.insert((end, task));
        if !is_asked {
            self.index.spent.insert(task);
        }
        self.records.shares_mut().charge(&submitter, cost);
        self.index.ready.share_changed(&submitter, &self.sequence, self.records.shares());
    }

    /// An attempt that was asked to make room has not: who asked may ask another.
    pub(in crate::ledger) fn gives_no_room(&mut self, task: TaskRef) {
        let lease = self.records.job(task.job).and_then(|job| job.lease(task.index));
        if let Some(asked) = known(lease.and_then(|lease| lease.asked.as_ref())) {
            self.index.asking.remove(&asked.by);
        }
    }

    /// Asks an attempt to make room for a submitter.
    pub(in crate::ledger) fn ask(&mut self, task: TaskRef, by: PublicKey, applied: &mut Applied) {
        let until = self.lease_time().plus_ms(self.records.rules().schedule().slice_ms);
        let Some(job) = known(self.records.job_mut(task.job)) else { return };
        let Some(lease) = known(job.live_mut(task.index).and_then(Live::lease_mut)) else { return };
        lease.asked = Some(Box::new(Asked { by, until }));
        let (number, worker) = (lease.attempt, lease.worker);
        let attempt: AttemptId = job.attempt_id(task.index, number);
        self.index.spent.remove(&task);
        self.index.asking.insert(by);
        self.index.due.asked.insert((until, task));
        applied.events.push(LedgerEvent::RoomAsked { attempt, worker });
    }
}
