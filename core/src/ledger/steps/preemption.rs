//! Preemption: where submitters have shares, an attempt whose time slice is spent, and whose program saves checkpoints,
//! is asked to stop at its next one when a submitter waits that has had less. Whoever cannot be resumed is never
//! stopped for others.
//!
//! Nobody is asked for more than one who waits at a time, and a request that nothing has come of a slice later is given
//! up on: another may be made. The first one stands: the attempt may still stop.

use crate::{
    identity::PublicKey,
    invariant::known,
    ledger::{Applied, Ledger, records::jobs::TaskRef},
    schedule::ready::Needs,
};

/// How many attempts are held against tasks that wait in one block, at most. Who is not looked at now may be in a later
/// block.
const LOOKS_MAX: usize = 65_536;

/// Whom to preempt.
struct Victim {
    turn: u64,
    task: TaskRef,
}

impl Ledger {
    /// What an attempt is charged at its lease: a slice of what can be taken from it again, else all that is expected.
    pub(in crate::ledger) fn first_cost(&self, task: TaskRef) -> u64 {
        let Some(job) = known(self.records.job(task.job)) else { return 0 };
        let expected_ms = job.segment(task.index).map_or(0, |segment| segment.expected_ms);
        job.cost_of(task.index, self.slice_ms(task).map_or(expected_ms, |slice_ms| slice_ms.min(expected_ms)))
    }

    /// After matching: requests preemptions for those who still wait, in their order.
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

    /// Of the attempts whose slice is spent, the one whose submitter has had most, if that is more than who waits has
    /// had, and the task would fit in its place.
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

    /// Whether something with these needs would fit where this attempt runs, were it gone.
    pub(in crate::ledger) fn would_fit(&self, task: TaskRef, needs: &Needs) -> bool {
        let Some(job) = known(self.records.job(task.job)) else { return false };
        let lease = job.lease(task.index);
        let both = lease.and_then(|lease| Some((lease.worker, lease.allocation?)));
        let Some((worker, allocation)) = known(both) else { return false };
        let Some(worker) = known(self.records.worker(&worker)) else { return false };
        worker.leases().waiting().is_empty() && worker.would_have_capacity(needs, allocation.resources)
    }
}
