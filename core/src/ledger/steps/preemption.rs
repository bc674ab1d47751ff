//! Preemption, where submitters have shares. An attempt whose time slice is spent, and whose program saves
//! checkpoints, is asked to stop at its next checkpoint when a submitter that has had less is waiting. An attempt
//! that cannot be resumed is never stopped for others.
//!
//! At most one attempt at a time is asked for each waiting submitter. A request lapses after a slice, and another may
//! then be made. The attempt that was asked may still stop.

use crate::{
    identity::PublicKey,
    invariant::known,
    ledger::{Applied, Ledger, records::jobs::TaskRef},
    schedule::ready::Needs,
};

/// How many attempts are compared with waiting tasks in one block, at most. A later block may look at the others.
const LOOKS_MAX: usize = 65_536;

/// The attempt to preempt.
struct Victim {
    turn: u64,
    task: TaskRef,
}

impl Ledger {
    /// What an attempt is charged when it is leased: one slice if it can be preempted, otherwise its whole expected
    /// time.
    pub(in crate::ledger) fn first_cost(&self, task: TaskRef) -> u64 {
        let Some(job) = known(self.records.job(task.job)) else { return 0 };
        let expected_ms = job.segment(task.index).map_or(0, |segment| segment.expected_ms);
        job.cost_of(task.index, self.slice_ms(task).map_or(expected_ms, |slice_ms| slice_ms.min(expected_ms)))
    }

    /// Requests preemptions, after matching, for the submitters that still wait, in the order of the queue.
    pub(in crate::ledger) fn request_preemptions(&mut self, applied: &mut Applied) {
        let (mut passed, mut looks) = (None, 0);
        while !self.index.preemptible().is_empty()
            && looks < LOOKS_MAX
            && let Some(head) = self.index.ready().head_after(passed)
        {
            passed = Some(head);
            let waits = self.records.job(head.key.job).map(|job| job.record.submitter);
            let needs = self.index.ready().kind(head.kind).map(|kind| kind.needs.clone());
            let Some((submitter, needs)) = known(waits.zip(needs)) else { continue };
            if self.index.is_asking(&submitter) {
                continue;
            }
            looks += self.index.preemptible().len();
            if let Some(task) = self.choose_victim(&submitter, &needs) {
                self.request_preemption(task, submitter, applied);
            }
        }
    }

    /// Chooses the attempt to preempt: among those whose slice is spent and in whose place the task would fit, the
    /// one whose submitter has had most. That has to be more than the waiting submitter has had.
    fn choose_victim(&self, waits: &PublicKey, needs: &Needs) -> Option<TaskRef> {
        let turn = self.records.shares().turn(waits);
        let mut best: Option<Victim> = None;
        for task in self.index.preemptible() {
            let Some(job) = known(self.records.job(task.job)) else { continue };
            let own = self.records.shares().turn(&job.record.submitter);
            let is_better = own > turn && best.as_ref().is_none_or(|best| own > best.turn);
            if is_better && self.would_fit(*task, needs) {
                best = Some(Victim { turn: own, task: *task });
            }
        }
        best.map(|best| best.task)
    }

    /// Whether a task with these needs would fit where this attempt runs, if the attempt ended.
    pub(in crate::ledger) fn would_fit(&self, task: TaskRef, needs: &Needs) -> bool {
        let Some(job) = known(self.records.job(task.job)) else { return false };
        let lease = job.lease(task.index);
        let both = lease.and_then(|lease| Some((lease.worker, lease.allocation?)));
        let Some((worker, allocation)) = known(both) else { return false };
        let Some(worker) = known(self.records.worker(&worker)) else { return false };
        worker.leases().waiting().is_empty() && worker.would_have_capacity(needs, allocation.resources)
    }
}
