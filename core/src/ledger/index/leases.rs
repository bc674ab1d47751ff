//! Gives leases to workers, and starts them.

use crate::{
    fault::{Fault, is_planted},
    identity::PublicKey,
    invariant::{cannot_be, known},
    ledger::{
        Applied, Day, Ledger, LedgerEvent,
        records::{
            jobs::{
                Allocation, AttemptRef, FreshState, Lease, Phase, Replica, Replicas, Speculation, Step, TaskRef,
                TaskState,
            },
            usage::UsageEntry,
        },
    },
    schedule::{placement::Opening, ready::QueueEntry},
    types::AttemptNumber,
};

impl Ledger {
    /// Takes an entry off the queue when its last task is about to be leased.
    pub(in crate::ledger) fn take_off(&mut self, entry: &QueueEntry) {
        self.index.ready.remove(entry, &self.sequence, self.records.shares());
    }

    /// Leases a ready task, already taken off the queue, to a worker.
    pub(in crate::ledger) fn lease(&mut self, task: TaskRef, key: PublicKey, opening: Opening, applied: &mut Applied) {
        let allocation = if opening == Opening::Resources { self.allocate(task) } else { None };
        let Some(lease) = known(self.draw_up(task, key, allocation)) else { return };
        let (now, row) = (self.time(), self.row(&key, task));
        let Some(job) = known(self.records.job_mut(task.job)) else { return };
        let Some(at) = known(job.segment_at(task.index)) else { return };
        let segment = &mut job.record.segments[at];
        let state = job.record.states.entry(task.index).or_insert_with(|| {
            segment.fresh = task.index + 1;
            let summary = &mut job.index.summaries[at];
            summary.stateless -= 1;
            summary.counted = Some((FreshState::Ready, summary.stateless));
            TaskState::Live(Box::default())
        });
        let TaskState::Live(live) = state else { return cannot_be("what is leased has ended") };
        job.index.counts.ready -= 1;
        self.index.counts.ready -= 1;
        let given = AttemptRef::of(task, lease.attempt);
        live.attempts = live.attempts.saturating_add(1);
        let redundancy = segment.spec.redundancy;
        match &redundancy {
            None => live.phase = Phase::Leased(lease),
            Some(redundancy) => {
                let replicas = live.replicas_or(|| Replicas::begun(redundancy, row));
                replicas.rely_on(redundancy, row);
                replicas.leases.push(lease);
                live.phase = if replicas.next(redundancy) == Step::Want { Phase::Ready } else { Phase::Replicated };
            }
        }
        let began = job.record.began.replace(job.record.began.unwrap_or(now));
        if began.is_none() && job.record.times.run_ms_max.is_some() {
            self.await_time(task.job);
        }
        if redundancy.is_some() {
            self.attach_phase(task);
            self.index_lease(given);
        } else {
            self.attach(task);
        }
        self.note_lease(given, false, applied);
    }

    /// Leases a task whose attempt runs to a second worker as well.
    pub(in crate::ledger) fn lease_speculative(&mut self, task: TaskRef, key: PublicKey, applied: &mut Applied) {
        let Some(allocation) = known(self.allocate(task)) else { return };
        let Some(speculative) =
            known(self.draw_up(task, key, Some(Allocation { speculation: Speculation::Settled, ..allocation })))
        else {
            return;
        };
        let given = AttemptRef::of(task, speculative.attempt);
        self.watch(task, false);
        let live = self.records.job_mut(task.job).and_then(|job| job.live_mut(task.index));
        if let Some(live) = known(live) {
            live.attempts = live.attempts.saturating_add(1);
            if let Some(lease) = known(live.lease_mut()) {
                lease.set_speculation(Speculation::Settled);
                lease.speculative = Some(Box::new(speculative));
            }
        }
        self.records.counters_mut().speculative += 1;
        self.watch(task, true);
        self.index_lease(given);
        self.note_lease(given, true, applied);
    }

    /// Creates the lease of a task's next attempt.
    fn draw_up(&mut self, task: TaskRef, key: PublicKey, allocation: Option<Allocation>) -> Option<Lease> {
        let cost = self.first_cost(task);
        let (leased, waits_until) = (self.time(), self.lease_time().plus_ms(self.genesis.ledger.allowance_ms));
        let attempts = self.records.job(task.job)?.live(task.index).map_or(0, |live| live.attempts);
        let is_replica = self.records.job(task.job)?.redundancy(task.index).is_some();
        let replica = is_replica.then(|| {
            let operator = self.operator_of(&key).map(str::to_owned);
            Box::new(Replica { operator, commitment: None })
        });
        let (number, turn) = self.records.number_lease();
        let worker = self.records.worker_mut(&key)?;
        worker.record.turn = turn;
        Some(Lease {
            number,
            attempt: AttemptNumber(attempts),
            worker: key,
            incarnation: worker.record.incarnation,
            leased,
            waits_until,
            allocation,
            cost,
            slices: 1,
            preemption: None,
            speculative: None,
            replica,
        })
    }

    /// The allocation of an attempt that starts now.
    fn allocate(&self, task: TaskRef) -> Option<Allocation> {
        let segment = self.records.job(task.job)?.segment(task.index)?;
        let allowance_ms = if is_planted(Fault::NoAllowance) { 0 } else { self.genesis.ledger.allowance_ms };
        Some(Allocation {
            since: self.lease_time(),
            started: self.time(),
            resources: segment.terms.resources,
            ends: self.lease_time().plus_ms(segment.spec.limits.wall_ms.saturating_add(allowance_ms)),
            speculation: self.first_speculation(&segment.spec),
        })
    }

    /// Books and charges a new lease, and emits its event.
    fn note_lease(&mut self, given: AttemptRef, speculative: bool, applied: &mut Applied) {
        let task = given.task();
        let today = Day::of(self.time());
        self.records.counters_mut().leases += 1;
        let Some((job, days)) = known(self.records.job_and_days(task.job)) else { return };
        let lease = job.live(task.index).and_then(|live| live.lease_of(given.number));
        let Some(&Lease { worker, incarnation, cost, allocation, .. }) = known(lease) else { return };
        days.book(today, &mut job.record, Some(worker), &UsageEntry::Lease);
        let (submitter, attempt) = (job.record.submitter, job.attempt_id(task.index, given.number));
        if self.sequence.is_fair() {
            self.records.shares_mut().charge(&submitter, cost);
            self.index.ready.share_changed(&submitter, &self.sequence, self.records.shares());
        }
        applied.events.push(LedgerEvent::Leased {
            attempt,
            worker,
            incarnation,
            running: allocation.is_some(),
            speculative,
        });
    }

    /// Gives a waiting attempt resources.
    pub(in crate::ledger) fn start(&mut self, attempt: AttemptRef, key: PublicKey, applied: &mut Applied) {
        let task = attempt.task();
        let Some(mut allocation) = known(self.allocate(task)) else { return };
        self.detach(task);
        let Some(job) = known(self.records.job_mut(task.job)) else { return };
        let wall_ms = job.spec(task.index).map_or(0, |spec| spec.limits.wall_ms);
        let Some(lease) = known(job.live_mut(task.index).and_then(|live| live.lease_of_mut(attempt.number))) else {
            return;
        };
        if is_planted(Fault::TimeoutFromLease) {
            allocation.ends = lease.waits_until.plus_ms(wall_ms);
        }
        lease.allocation = Some(allocation);
        let number = lease.attempt;
        let attempt = job.attempt_id(task.index, number);
        self.attach(task);
        applied.events.push(LedgerEvent::Started { attempt, worker: key });
    }

    /// Sets what is known of an attempt's speed, and schedules the next look if there is one.
    pub(in crate::ledger) fn set_speculation(&mut self, attempt: AttemptRef, speculation: Speculation) {
        let task = attempt.task();
        let lease = self.records.job_mut(task.job).and_then(|job| job.live_mut(task.index)?.lease_mut());
        let Some(lease) = known(lease.filter(|lease| lease.attempt == attempt.number)) else { return };
        self.index.due.attempts.remove(&(lease.due(), attempt));
        lease.set_speculation(speculation);
        let (number, due) = (lease.number, lease.due());
        self.index.due.attempts.insert((due, attempt));
        if speculation == Speculation::Slow {
            self.index.slow.insert(number, task);
        }
    }
}
