//! Attaching and detaching tasks. A task is *attached* when the counts, queues, deadlines and the worker that holds
//! it reflect its state. Code that changes a task's state detaches the task first, and attaches it again afterwards.

use crate::{
    fault::{Fault, is_planted},
    identity::PublicKey,
    invariant::known,
    ledger::{
        Ledger,
        records::{
            jobs::{AttemptRef, Phase, TaskRef, TaskState},
            lease_time::LeaseTime,
        },
    },
    types::Resources,
};

impl Ledger {
    /// Adds a task's state to everything that is computed from it.
    pub(super) fn attach(&mut self, task: TaskRef) {
        self.attach_phase(task);
        let attempts = self.records.job(task.job).map(|job| job.attempts(task.index)).unwrap_or_default();
        attempts.into_iter().for_each(|attempt| self.index_lease(attempt));
    }

    /// Removes a live task's state from everything that is computed from it.
    pub(super) fn detach(&mut self, task: TaskRef) {
        self.detach_phase(task);
        let attempts = self.records.job(task.job).map(|job| job.attempts(task.index)).unwrap_or_default();
        attempts.into_iter().for_each(|attempt| self.unindex_lease(attempt));
    }

    /// Adds a task's state, but for its leases.
    pub(in crate::ledger) fn attach_phase(&mut self, task: TaskRef) {
        let Some(job) = known(self.records.job_mut(task.job)) else { return };
        let Some(state) = known(job.record.states.get(&task.index)) else { return };
        *job.index.counts.of_state(state) += 1;
        *self.index.counts.of_state(state) += 1;
        let TaskState::Live(live) = state else { return };
        match &live.phase {
            Phase::Ready => {
                if let Some(entry) = known(job.entry(task.index, live)) {
                    self.index.ready.push(&entry, &self.sequence, self.records.shares());
                }
            }
            Phase::Replicated if live.awaits_draw() => {
                self.index.due.draws.insert(task);
            }
            Phase::Held | Phase::Replicated => {}
            Phase::BackingOff(until) => {
                self.index.due.back_offs.insert((*until, task));
            }
            Phase::Leased(_) => self.watch(task, true),
        }
    }

    /// Removes a live task's state, but for its leases.
    pub(in crate::ledger) fn detach_phase(&mut self, task: TaskRef) {
        let Some(job) = known(self.records.job_mut(task.job)) else { return };
        let Some(state) = known(job.record.states.get(&task.index)) else { return };
        *job.index.counts.of_state(state) -= 1;
        *self.index.counts.of_state(state) -= 1;
        let TaskState::Live(live) = state else { return };
        match &live.phase {
            Phase::Ready => {
                if let Some(entry) = known(job.entry(task.index, live)) {
                    self.index.ready.remove(&entry, &self.sequence, self.records.shares());
                }
            }
            Phase::Replicated if live.awaits_draw() => {
                self.index.due.draws.remove(&task);
            }
            Phase::Held | Phase::Replicated => {}
            Phase::BackingOff(until) => {
                self.index.due.back_offs.remove(&(*until, task));
            }
            Phase::Leased(_) => self.watch(task, false),
        }
    }

    /// Adds or removes what is computed from a leased task's oldest attempt.
    pub(super) fn watch(&mut self, task: TaskRef, keeps: bool) {
        self.watch_slice(task, keeps);
        let Some(job) = known(self.records.job_mut(task.job)) else { return };
        let Some(lease) = known(job.lease(task.index)) else { return };
        let (number, is_slow, has_speculative) = (lease.number, lease.is_slow(), lease.speculative.is_some());
        if has_speculative {
            let speculative = &mut job.index.speculative;
            *speculative = if keeps { speculative.saturating_add(1) } else { speculative.saturating_sub(1) };
        }
        if is_slow {
            if keeps {
                self.index.slow.insert(number, task);
            } else {
                self.index.slow.remove(&number);
            }
        }
    }

    /// Adds an attempt's lease to everything that is computed from it.
    pub(in crate::ledger) fn index_lease(&mut self, attempt: AttemptRef) {
        let task = attempt.task();
        let Some(job) = known(self.records.job_mut(task.job)) else { return };
        job.index.leased = job.index.leased.saturating_add(1);
        let Some(lease) = known(job.live(task.index).and_then(|live| live.lease_of(attempt.number))) else { return };
        let (key, submitter, number, due) = (lease.worker, job.record.submitter, lease.number, lease.due());
        let (holds, has_committed) = (lease.holds(), lease.commitment().is_some());
        if let Some(worker) = known(self.records.worker_mut(&key)) {
            let leases = &mut worker.index.leases;
            if has_committed {
                leases.committed.insert(number, attempt);
            } else if let Some(Resources { millicores, memory_bytes }) = holds {
                leases.running.insert(number, attempt);
                leases.millicores = leases.millicores.saturating_add(u64::from(millicores));
                leases.memory_bytes = leases.memory_bytes.saturating_add(memory_bytes);
            } else {
                leases.waiting.insert(number, attempt);
            }
        }
        if due < LeaseTime::NEVER {
            self.index.due.attempts.insert((due, attempt));
        }
        self.count_spread(task, key, true);
        if !has_committed {
            self.count_leased(submitter, true);
        }
        self.reindex(key);
    }

    /// Removes an attempt's lease from everything that is computed from it.
    pub(in crate::ledger) fn unindex_lease(&mut self, attempt: AttemptRef) {
        let task = attempt.task();
        let Some(job) = known(self.records.job_mut(task.job)) else { return };
        job.index.leased = job.index.leased.saturating_sub(1);
        let Some(lease) = known(job.live(task.index).and_then(|live| live.lease_of(attempt.number))) else { return };
        let (key, submitter, number, due) = (lease.worker, job.record.submitter, lease.number, lease.due());
        let (holds, has_committed) = (lease.holds(), lease.commitment().is_some());
        let asked_now = || job.segment(task.index).map(|segment| segment.terms.resources);
        let amended = if is_planted(Fault::FreedAsAmended) { asked_now() } else { None };
        if let Some(worker) = known(self.records.worker_mut(&key)) {
            let leases = &mut worker.index.leases;
            if has_committed {
                leases.committed.remove(&number);
            } else if let Some(resources) = holds {
                let Resources { millicores, memory_bytes } = amended.unwrap_or(resources);
                leases.running.remove(&number);
                leases.millicores = leases.millicores.saturating_sub(u64::from(millicores));
                leases.memory_bytes = leases.memory_bytes.saturating_sub(memory_bytes);
                if is_planted(Fault::FreedTwice) {
                    leases.millicores = leases.millicores.saturating_sub(u64::from(millicores));
                }
            } else {
                leases.waiting.remove(&number);
            }
            self.index.changed.insert(key);
            if !leases.waiting.is_empty() {
                self.index.unsettled.entry(key).or_insert(false);
            }
        }
        self.index.due.attempts.remove(&(due, attempt));
        self.count_spread(task, key, false);
        if !has_committed {
            self.count_leased(submitter, false);
        }
        self.reindex(key);
    }

    /// Counts a lease, or stops counting it, at its worker's value of the label over which its job is spread.
    pub(super) fn count_spread(&mut self, task: TaskRef, key: PublicKey, more: bool) {
        let Some(job) = known(self.records.job(task.job)) else { return };
        let Some(label) = job.spec(task.index).and_then(|spec| spec.spread.clone()) else { return };
        let Some((array, _)) = known(job.array_index(task.index)) else { return };
        let standing = self.records.worker(&key).and_then(|worker| worker.record.standing.as_ref());
        let value = standing.and_then(|standing| standing.claim.labels.get(&label)).cloned();
        let Some((value, job)) = value.zip(self.records.job_mut(task.job)) else { return };
        let counts = job.index.spread.entry(array).or_default();
        if more {
            *counts.entry(value).or_default() += 1;
        } else if let Some(count) = known(counts.get_mut(&value)) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&value);
            }
        }
        if counts.is_empty() {
            job.index.spread.remove(&array);
        }
    }
}
