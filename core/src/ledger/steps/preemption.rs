//! Making room: where submitters have shares, an attempt whose time slice is spent, and whose program saves checkpoints, is asked to
//! stop at its next one when a submitter waits that has had less. Whoever cannot be resumed is never stopped for others.
//!
//! Nobody is asked for more than one who waits at a time, and an attempt that has not made room a slice later is given up on:
//! another may be asked. What it was asked stays: it may still make room.

use crate::{
    identity::PublicKey,
    ledger::{
        Applied, Ledger, LedgerEvent,
        records::jobs::{Asked, Live, TaskRef},
    },
    schedule::{order::Fair, ready::Needs},
    types::AttemptId,
};

/// How many attempts are held against tasks that wait in one block, at most. Who is not looked at now may be in a later block.
const LOOKS_MAX: usize = 65_536;

/// Who could make room for whom.
struct Candidate {
    turn: u64,
    task: TaskRef,
}

impl Ledger {
    /// How long a slice is for a task, in milliseconds, if it can be asked to make room at all.
    pub(in crate::ledger) fn slice_ms(&self, task: TaskRef) -> Option<u64> {
        let checkpoints = self.jobs.get(&task.job)?.spec(task.index)?.checkpoints;
        (checkpoints && self.sequence.is_fair()).then_some(self.rules.schedule().slice_ms.max(1))
    }

    /// What an attempt is charged at its lease: a slice of what can be taken from it again, else all that is expected.
    pub(in crate::ledger) fn first_cost(&self, task: TaskRef) -> u64 {
        let Some(job) = self.jobs.get(&task.job) else { return 0 };
        let expected_ms = job.segment(task.index).map_or(0, |segment| segment.expected_ms);
        job.cost_of(task.index, self.slice_ms(task).map_or(expected_ms, |slice_ms| slice_ms.min(expected_ms)))
    }

    /// Keeps, or keeps no more, a lease among those whose slices run or are spent, and who asked it.
    pub(in crate::ledger) fn watch_slice(&mut self, task: TaskRef, keeps: bool) {
        let Some(slice_ms) = self.slice_ms(task) else { return };
        let lease = self.jobs.get(&task.job).and_then(|job| job.lease(task.index));
        let Some((run, slices, asked)) =
            lease.and_then(|lease| Some((lease.run?, lease.slices, lease.asked.as_deref().copied())))
        else {
            return;
        };
        let end = run.since.plus_ms(u64::from(slices).saturating_mul(slice_ms));
        if keeps {
            self.due.slices.insert((end, task));
            if slices > 1 && asked.is_none() {
                self.spent.insert(task);
            }
            if let Some(asked) = asked.filter(|asked| asked.until > self.lease_time) {
                self.due.asked.insert((asked.until, task));
                self.asking.insert(asked.by);
            }
        } else {
            self.due.slices.remove(&(end, task));
            self.spent.remove(&task);
            if let Some(asked) = asked
                && self.due.asked.remove(&(asked.until, task))
            {
                self.asking.remove(&asked.by);
            }
        }
    }

    /// A slice is over: the next one is charged, and the attempt may be asked to make room.
    pub(in crate::ledger) fn slice_is_over(&mut self, task: TaskRef) {
        let (Some(slice_ms), now) = (self.slice_ms(task), self.lease_time) else { return };
        let Some(job) = self.jobs.get_mut(&task.job) else { return };
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
        self.due.slices.insert((end, task));
        if !is_asked {
            self.spent.insert(task);
        }
        self.shares.charge(&submitter, cost);
        self.ready.share_changed(&submitter, &self.sequence, &self.shares);
    }

    /// An attempt that was asked to make room has not: who asked may ask another.
    pub(in crate::ledger) fn gives_no_room(&mut self, task: TaskRef) {
        let lease = self.jobs.get(&task.job).and_then(|job| job.lease(task.index));
        if let Some(asked) = lease.and_then(|lease| lease.asked.as_ref()) {
            self.asking.remove(&asked.by);
        }
    }

    /// After matching: asks for room for those who still wait, in their order.
    pub(in crate::ledger) fn ask_for_room(&mut self, applied: &mut Applied) {
        let (mut passed, mut looks) = (None, 0);
        while !self.spent.is_empty()
            && looks < LOOKS_MAX
            && let Some(head) = self.ready.head_after(passed)
        {
            passed = Some(head);
            let waits = self.jobs.get(&head.key.job).map(|job| job.record.submitter);
            let needs = self.ready.kind(head.kind).map(|kind| kind.needs.clone());
            let Some((submitter, needs)) = waits.zip(needs) else { continue };
            if self.asking.contains(&submitter) {
                continue;
            }
            looks += self.spent.len();
            if let Some(task) = self.who_makes_room(&submitter, &needs) {
                self.ask(task, submitter, applied);
            }
        }
    }

    /// Of the attempts whose slice is spent, the one whose submitter has had most, if that is more than who waits has had, and
    /// the task would fit in its place.
    fn who_makes_room(&self, waits: &PublicKey, needs: &Needs) -> Option<TaskRef> {
        let turn = self.shares.turn(waits);
        let mut best: Option<Candidate> = None;
        for task in &self.spent {
            let Some(job) = self.jobs.get(&task.job) else { continue };
            let own = self.shares.turn(&job.record.submitter);
            let is_better = own > turn && best.as_ref().is_none_or(|best| own > best.turn);
            if is_better && self.would_fit(*task, needs) {
                best = Some(Candidate { turn: own, task: *task });
            }
        }
        best.map(|best| best.task)
    }

    /// Whether something with these needs would fit where this attempt runs, were it gone.
    pub(in crate::ledger) fn would_fit(&self, task: TaskRef, needs: &Needs) -> bool {
        let Some(job) = self.jobs.get(&task.job) else { return false };
        let lease = job.lease(task.index);
        let Some((worker, run)) = lease.and_then(|lease| Some((lease.worker, lease.run?))) else { return false };
        let Some(worker) = self.workers.get(&worker) else { return false };
        worker.held.waiting.is_empty() && worker.would_have_room(needs, run.resources)
    }

    fn ask(&mut self, task: TaskRef, by: PublicKey, applied: &mut Applied) {
        let until = self.lease_time.plus_ms(self.rules.schedule().slice_ms);
        let Some(job) = self.jobs.get_mut(&task.job) else { return };
        let Some(lease) = job.live_mut(task.index).and_then(Live::lease_mut) else { return };
        lease.asked = Some(Box::new(Asked { by, until }));
        let (number, worker) = (lease.attempt, lease.worker);
        let attempt: AttemptId = job.attempt_id(task.index, number);
        self.spent.remove(&task);
        self.asking.insert(by);
        self.due.asked.insert((until, task));
        applied.events.push(LedgerEvent::RoomAsked { attempt, worker });
    }
}
