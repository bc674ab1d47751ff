//! Leases begin and end here, and tasks change their state here: the one place that keeps counts, queues, deadlines and
//! what workers hold in step with the tasks' records.
//!
//! A task is *attached* when all of these know its state. [`Ledger::release`] leaves it detached; whoever calls that puts it
//! where it belongs next, by [`Ledger::wait`] or [`Ledger::finish`].

use std::sync::Arc;

use super::{
    Applied, Day, EndReason, Ledger, LedgerEvent, Owed,
    jobs::{Done, Ending, Graph, Lease, PastAttempt, Phase, Run, Stand, TaskCounts, TaskRef, TaskState},
    usage::Entry,
};
use crate::{
    codec::ByteString,
    fault::{Fault, is_planted},
    identity::PublicKey,
    schedule::{
        placement::Place,
        ready::{JobNumber, Needs},
        recovery::{self, Next},
    },
    types::{AttemptNumber, Failure, OutcomeReceipt, Output, Receipt, Resources, Setback, Tasks, Usage, Verdict},
};

impl Ledger {
    /// Gives a ready task, which has been taken off the queue, to a worker.
    pub(super) fn lease(&mut self, task: TaskRef, key: PublicKey, place: Place, applied: &mut Applied) {
        let Some(worker) = self.workers.get_mut(&key) else { return };
        worker.record.turn = self.next_turn;
        let incarnation = worker.record.incarnation;
        let allowance_ms = self.allowance_ms();
        let cost = self.first_cost(task);
        let Some(job) = self.jobs.get_mut(&task.job) else { return };
        let Some(at) = job.segment_at(task.index) else { return };
        let segment = &mut job.record.segments[at];
        let running = place == Place::Resources;
        let wall_ms = segment.spec.limits.wall_ms;
        let run = running.then(|| Run {
            since: self.lease_time,
            started: self.time,
            resources: segment.terms.resources,
            ends: self.lease_time.plus_ms(wall_ms.saturating_add(allowance_ms)),
        });
        let submitter = job.record.submitter;
        let state = job.record.states.entry(task.index).or_insert_with(|| {
            segment.fresh = task.index + 1;
            let standing = &mut job.standings[at];
            standing.stateless -= 1;
            standing.counted = Some((Stand::Ready, standing.stateless));
            TaskState::Live(Box::default())
        });
        let TaskState::Live(live) = state else { return };
        job.counts.ready -= 1;
        self.counts.ready -= 1;
        live.attempts = live.attempts.saturating_add(1);
        let waits_until = self.lease_time.plus_ms(self.genesis.ledger.allowance_ms);
        live.phase = Phase::Leased(Lease {
            number: self.next_lease,
            worker: key,
            incarnation,
            leased: self.time,
            waits_until,
            run,
            cost,
            slices: 1,
            asked: None,
        });
        let number = AttemptNumber(live.attempts - 1);
        let attempt = job.attempt_id(task.index, number);
        self.usage.book(Day::of(self.time), &mut job.record, Some(key), &Entry::Lease);
        self.next_turn += 1;
        self.next_lease += 1;
        self.counters.leases += 1;
        let began = job.record.began.replace(job.record.began.unwrap_or(self.time));
        if began.is_none() && job.record.times.run_ms_max.is_some() {
            self.await_time(task.job);
        }
        self.attach(task);
        if self.sequence.is_fair() {
            self.shares.charge(&submitter, cost);
            self.ready.share_changed(&submitter, &self.sequence, &self.shares);
        }
        applied.events.push(LedgerEvent::Leased { attempt, worker: key, incarnation, running });
    }

    fn allowance_ms(&self) -> u64 {
        if is_planted(Fault::NoAllowance) { 0 } else { self.genesis.ledger.allowance_ms }
    }

    /// Gives a waiting attempt resources.
    pub(super) fn start(&mut self, task: TaskRef, key: PublicKey, applied: &mut Applied) {
        self.detach(task);
        let (now, allowance_ms) = (self.lease_time, self.allowance_ms());
        let Some(job) = self.jobs.get_mut(&task.job) else { return };
        let Some(segment) = job.segment(task.index) else { return };
        let (wall_ms, resources) = (segment.spec.limits.wall_ms, segment.terms.resources);
        let Some(live) = job.live_mut(task.index) else { return };
        if let Phase::Leased(lease) = &mut live.phase {
            let ends = match is_planted(Fault::TimeoutFromLease) {
                false => now.plus_ms(wall_ms.saturating_add(allowance_ms)),
                true => lease.waits_until.plus_ms(wall_ms),
            };
            lease.run = Some(Run { since: now, started: self.time, resources, ends });
        }
        let number = AttemptNumber(live.attempts.saturating_sub(1));
        let attempt = job.attempt_id(task.index, number);
        self.attach(task);
        applied.events.push(LedgerEvent::Started { attempt, worker: key });
    }

    /// Takes a live task out of wherever it is, ending its lease if it has one, and leaves it detached. The attempt that
    /// ended.
    pub(super) fn release(&mut self, task: TaskRef, why: EndReason, applied: &mut Applied) -> Option<PastAttempt> {
        self.release_by(task, why, None, applied)
    }

    /// The same, with the word of a worker by which the lease ends, if it ends by one.
    pub(super) fn release_by(
        &mut self,
        task: TaskRef,
        why: EndReason,
        said: Option<&Verdict>,
        applied: &mut Applied,
    ) -> Option<PastAttempt> {
        self.detach(task);
        let job = self.jobs.get_mut(&task.job)?;
        let (number, lease) = job.live(task.index)?.lease()?;
        let lease = lease.clone();
        let slot_ms = lease.ran_ms(self.lease_time);
        let used = job.cost_of(task.index, slot_ms);
        let live = job.live_mut(task.index)?;
        let past = PastAttempt {
            number,
            worker: lease.worker,
            leased: lease.leased,
            started: lease.run.map(|run| run.started),
            ended: self.time,
            why,
            avoided: why.is_avoided(),
        };
        live.phase = Phase::Ready;
        live.remember(past);
        let attempt = job.attempt_id(task.index, number);
        let resources = lease.run.map(|run| run.resources).unwrap_or_default();
        let end = Entry::end(why, resources, slot_ms, said);
        self.usage.book(Day::of(self.time), &mut job.record, Some(lease.worker), &end);
        if self.sequence.is_fair() {
            let submitter = job.record.submitter;
            self.shares.settle(&submitter, lease.cost, if past.started.is_some() { used } else { 0 });
            self.ready.share_changed(&submitter, &self.sequence, &self.shares);
        }
        applied.events.push(LedgerEvent::Ended { attempt, worker: past.worker, why });
        Some(past)
    }

    /// Ends a lease without an outcome, and lets the task's recovery decide.
    pub(super) fn give_back(&mut self, task: TaskRef, why: EndReason, applied: &mut Applied) {
        let Some(past) = self.release(task, why, applied) else { return };
        self.counters.lost += u64::from(why.is_loss());
        let height = self.height;
        let next = if past.is_counted_loss() {
            self.set_back(task, if why == EndReason::Drained { Setback::Drained } else { Setback::Lost })
        } else if why == EndReason::Returned {
            self.count_return(task)
        } else {
            Next::Ready
        };
        let Some(job) = self.jobs.get(&task.job) else { return };
        let attempt = job.attempt_id(task.index, past.number);
        if next == Next::Fail {
            let verdict = Verdict::Failed(Failure::Lost, ByteString::default(), Usage::default());
            self.finish(task, OutcomeReceipt { attempt, worker: past.worker, height, verdict }, applied);
        } else {
            self.wait(task, next);
        }
    }

    fn count_return(&mut self, task: TaskRef) -> Next {
        let live = self.jobs.get_mut(&task.job).and_then(|job| job.live_mut(task.index));
        live.map_or(Next::Ready, |live| {
            let returns = &mut live.history_mut().returns;
            *returns = returns.saturating_add(1);
            recovery::after_return(*returns)
        })
    }

    /// Counts a setback of a task whose attempt has just ended by it, and says what becomes of the task: by the rule that it has
    /// for this kind, else by that for its program's failures, or that for losses.
    pub(super) fn set_back(&mut self, task: TaskRef, setback: Setback) -> Next {
        let losses_max = self.genesis.ledger.losses_max;
        let drawn = self.draw("setback", task.job.rotate_left(32) ^ u64::from(task.index));
        let (drawn, _) = drawn.0.split_first_chunk().unwrap_or((&[0; 8], &[]));
        let drawn = u64::from_be_bytes(*drawn);
        let Some(job) = self.jobs.get_mut(&task.job) else { return Next::Fail };
        let Some(spec) = job.spec(task.index).cloned() else { return Next::Fail };
        let Some(live) = job.live_mut(task.index) else { return Next::Fail };
        let is_loss = matches!(setback, Setback::Lost | Setback::Drained);
        let history = live.history_mut();
        let total = if is_loss { &mut history.losses } else { &mut history.failures };
        *total = total.saturating_add(1);
        let total = *total;
        let rule = match spec.recovery.get(&setback) {
            Some(rule) => {
                let times = history.setbacks.entry(setback).or_default();
                *times = times.saturating_add(1);
                Some((rule, *times))
            }
            None if is_loss => None,
            None => {
                let own: u32 =
                    history.setbacks.iter().filter(|(kind, _)| !kind.is_loss()).map(|(_, times)| times).sum();
                Some((&spec.retry, total.saturating_sub(own)))
            }
        };
        if is_loss && recovery::after_loss(losses_max, total) == Next::Fail {
            return Next::Fail;
        }
        let Some((rule, times)) = rule else { return Next::Ready };
        if rule.restarts {
            live.checkpoint = None;
        }
        if rule.elsewhere
            && let Some(past) = live.history_mut().past.last_mut()
        {
            past.avoided = true;
        }
        recovery::after_setback(rule, times, drawn)
    }

    /// Ends all leases of a worker.
    pub(super) fn give_back_all(&mut self, key: PublicKey, why: EndReason, applied: &mut Applied) {
        let Some(worker) = self.workers.get(&key) else { return };
        let mut held: Vec<(u64, TaskRef)> =
            worker.held.running.iter().chain(&worker.held.waiting).map(|(number, task)| (*number, *task)).collect();
        held.sort_unstable();
        for (_, task) in held {
            self.give_back(task, why, applied);
        }
    }

    /// Ends a worker's standing claim and all that it holds.
    pub(super) fn end_claim(&mut self, key: PublicKey, why: EndReason, applied: &mut Applied) {
        if why != EndReason::ClaimEnded || !is_planted(Fault::ClaimRevives) {
            self.give_back_all(key, why, applied);
        }
        let (height, time) = (self.height, self.time);
        let Some(standing) = self.workers.get_mut(&key).and_then(|worker| worker.end_standing(height, time)) else {
            return;
        };
        self.due.claims.remove(&(standing.until, key));
        self.open.forget(&key, &standing.claim);
        self.open.leave_seat(standing.seat);
        self.standing -= 1;
        self.offers.0 += 1;
        self.reindex(key);
        self.forget_worker_later(key);
        applied.events.push(LedgerEvent::ClaimEnded { worker: key, drained: why == EndReason::Drained });
    }

    /// Puts a detached task where it waits.
    pub(super) fn wait(&mut self, task: TaskRef, next: Next) {
        let time = self.time;
        let Some(job) = self.jobs.get_mut(&task.job) else { return };
        let held = job.segment(task.index).is_some_and(|segment| segment.held) && !is_planted(Fault::HeldGoesOn);
        let Some(live) = job.live_mut(task.index) else { return };
        live.phase = match next {
            Next::BackOff { wait_ms } => Phase::BackingOff(time.plus_ms(wait_ms)),
            Next::Ready | Next::Fail if held => Phase::Held,
            Next::Ready | Next::Fail => Phase::Ready,
        };
        self.attach(task);
    }

    /// Gives a detached task its outcome.
    pub(super) fn finish(&mut self, task: TaskRef, outcome: OutcomeReceipt, applied: &mut Applied) {
        let succeeded = matches!(outcome.verdict, Verdict::Succeeded(..));
        let receipt = u32::try_from(applied.receipts.len()).unwrap_or(u32::MAX);
        let Some(job) = self.jobs.get_mut(&task.job) else { return };
        let Some((array, _)) = job.place(task.index) else { return };
        let feeds = job.record.arrays.get(usize::from(array)).is_some_and(|array| array.feeds);
        let manifest = match &outcome.verdict {
            Verdict::Succeeded(Output::Stored { manifest, .. }, ..) if feeds => Some(Box::new(*manifest)),
            _ => None,
        };
        let past = job.live_mut(task.index).map(|live| std::mem::take(&mut live.history_mut().past).into_boxed_slice());
        let ended_with = past.as_ref().and_then(|past| past.last()).map(|past| (past.number, past.why));
        let is_late = ended_with != Some((outcome.attempt.number, EndReason::Succeeded));
        let done = Done {
            attempt: outcome.attempt.number,
            succeeded,
            height: self.height,
            receipt,
            manifest,
            past: past.unwrap_or_default(),
        };
        let id = job.task_id(task.index);
        job.record.states.insert(task.index, TaskState::Done(Box::new(done)));
        let output_bytes = job.spec(task.index).map_or(0, |spec| spec.limits.output_bytes);
        let submitter = job.record.submitter;
        if let Some(entry) = Entry::outcome(&outcome, is_late) {
            self.usage.book(Day::of(self.time), &mut job.record, Some(outcome.worker), &entry);
        }
        applied.receipts.push(Receipt::Outcome(outcome));
        applied.events.push(LedgerEvent::TaskDone { task: id, succeeded });
        *if succeeded { &mut self.counters.succeeded } else { &mut self.counters.failed } += 1;
        self.attach(task);
        self.settle_debt(submitter, output_bytes, 1);
        self.follow_task(task, if succeeded { Ending::Well } else { Ending::Failed }, applied);
    }

    /// Ends a job whose tasks have all ended.
    pub(super) fn end_job(&mut self, number: JobNumber, applied: &mut Applied) {
        let Some(job) = self.jobs.get_mut(&number) else { return };
        job.record.ended = Some(self.time);
        // Nothing of any length is kept of what has ended.
        for segment in &mut job.record.segments {
            segment.spec = Arc::new(segment.spec.outline());
        }
        for array in &mut job.record.arrays {
            array.tasks = Arc::new(Tasks::Repeat(u32::try_from(array.tasks.count()).unwrap_or(u32::MAX)));
            array.after.clear();
        }
        job.graph = Graph::default();
        job.record.after.clear();
        job.record.open_until = None;
        let definition_bytes = std::mem::take(&mut job.record.definition_bytes);
        self.due.retention.insert((self.time.plus_ms(self.genesis.ledger.retention_ms), number));
        let TaskCounts { cancelled, skipped, .. } = job.counts;
        applied.events.push(LedgerEvent::JobEnded { job: job.id, cancelled, skipped });
        let submitter = job.record.submitter;
        let needs: Vec<Arc<Needs>> = job.standings.iter().map(|standing| Arc::clone(&standing.needs)).collect();
        for needs in &needs {
            self.need_no_more(submitter, needs);
        }
        self.await_time(number);
        self.just_ended.push(number);
        self.owe_less(submitter, Owed { definition_bytes, ..Owed::default() });
    }

    /// Makes a task's state known to all that is computed from it.
    pub(super) fn attach(&mut self, task: TaskRef) {
        let Some(job) = self.jobs.get_mut(&task.job) else { return };
        let Some(state) = job.record.states.get(&task.index) else { return };
        *job.counts.of_state(state) += 1;
        *self.counts.of_state(state) += 1;
        let TaskState::Live(live) = state else { return };
        match &live.phase {
            Phase::Ready => {
                if let Some(entry) = job.entry(task.index, live) {
                    self.ready.push(&entry, &self.sequence, &self.shares);
                }
            }
            Phase::Held => {}
            Phase::BackingOff(until) => {
                self.due.back_offs.insert((*until, task));
            }
            Phase::Leased(lease) => {
                let (key, run, due, submitter) = (lease.worker, lease.run, lease.due(), job.record.submitter);
                if let Some(worker) = self.workers.get_mut(&key) {
                    if let Some(Run { resources: Resources { millicores, memory_bytes }, .. }) = run {
                        worker.held.running.insert(lease.number, task);
                        worker.held.millicores = worker.held.millicores.saturating_add(u64::from(millicores));
                        worker.held.memory_bytes = worker.held.memory_bytes.saturating_add(memory_bytes);
                    } else {
                        worker.held.waiting.insert(lease.number, task);
                    }
                }
                self.due.attempts.insert((due, task));
                self.watch_slice(task, true);
                self.count_spread(task, key, true);
                self.count_leased(submitter, true);
                self.reindex(key);
            }
        }
    }

    /// Makes all that is computed from a live task's state forget it.
    pub(super) fn detach(&mut self, task: TaskRef) {
        let Some(job) = self.jobs.get_mut(&task.job) else { return };
        let Some(state) = job.record.states.get(&task.index) else { return };
        *job.counts.of_state(state) -= 1;
        *self.counts.of_state(state) -= 1;
        let TaskState::Live(live) = state else { return };
        match &live.phase {
            Phase::Ready => {
                if let Some(entry) = job.entry(task.index, live) {
                    self.ready.remove(&entry, &self.sequence, &self.shares);
                }
            }
            Phase::Held => {}
            Phase::BackingOff(until) => {
                self.due.back_offs.remove(&(*until, task));
            }
            Phase::Leased(lease) => {
                let (key, run, due, submitter) = (lease.worker, lease.run, lease.due(), job.record.submitter);
                if let Some(worker) = self.workers.get_mut(&key) {
                    if let Some(Run { resources, .. }) = run {
                        let asked = job.segment(task.index).map(|segment| segment.terms.resources);
                        let freed = asked.filter(|_| is_planted(Fault::FreedAsAmended)).unwrap_or(resources);
                        let Resources { millicores, memory_bytes } = freed;
                        worker.held.running.remove(&lease.number);
                        worker.held.millicores = worker.held.millicores.saturating_sub(u64::from(millicores));
                        worker.held.memory_bytes = worker.held.memory_bytes.saturating_sub(memory_bytes);
                        if is_planted(Fault::FreedTwice) {
                            worker.held.millicores = worker.held.millicores.saturating_sub(u64::from(millicores));
                        }
                    } else {
                        worker.held.waiting.remove(&lease.number);
                    }
                    self.changed.insert(key);
                    if !worker.held.waiting.is_empty() {
                        self.unsettled.entry(key).or_insert(false);
                    }
                }
                self.due.attempts.remove(&(due, task));
                self.watch_slice(task, false);
                self.count_spread(task, key, false);
                self.count_leased(submitter, false);
                self.reindex(key);
            }
        }
    }

    /// Counts a lease, or no longer, at its worker's value of the label that its job is spread over.
    pub(super) fn count_spread(&mut self, task: TaskRef, key: PublicKey, more: bool) {
        let Some(job) = self.jobs.get_mut(&task.job) else { return };
        let Some((array, _)) = job.place(task.index) else { return };
        let Some(label) = job.spec(task.index).and_then(|spec| spec.spread.clone()) else { return };
        let standing = self.workers.get(&key).and_then(|worker| worker.record.standing.as_ref());
        let Some(value) = standing.and_then(|standing| standing.claim.labels.get(&label)) else { return };
        let counts = job.spread.entry(array).or_default();
        if more {
            *counts.entry(value.clone()).or_default() += 1;
        } else if let Some(count) = counts.get_mut(value) {
            *count -= 1;
            if *count == 0 {
                counts.remove(value);
            }
        }
    }

    /// Puts a worker where its claim now stands among the open ones.
    pub(super) fn reindex(&mut self, key: PublicKey) {
        let Some(worker) = self.workers.get_mut(&key) else { return };
        let now = worker.scores(&self.policies);
        let before = std::mem::replace(&mut worker.indexed, now);
        self.open.update(Place::Resources, key, before[0], now[0]);
        self.open.update(Place::Waiting, key, before[1], now[1]);
    }
}
