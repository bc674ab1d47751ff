//! Leases begin and end here, and tasks change their state here: the one place that keeps counts, queues, deadlines and
//! what workers hold in step with the tasks' records.
//!
//! A task is *attached* when all of these know its state. [`Ledger::release`], and [`Ledger::end_attempt`] where no other attempt
//! lives, leave it detached; whoever calls them puts it where it belongs next, by [`Ledger::wait`] or [`Ledger::finish`].

use std::sync::Arc;

use crate::{
    codec::ByteString,
    fault::{Fault, is_planted},
    identity::PublicKey,
    ledger::{
        Applied, Day, EndReason, Ledger, LedgerEvent, Owed,
        records::{
            jobs::{
                AttemptRef, Done, Ending, Graph, Lease, Live, Pace, PastAttempt, Phase, Run, Stand, TaskCounts,
                TaskRef, TaskState,
            },
            usage::Entry,
            workers::Worker,
        },
    },
    schedule::{
        order::Fair,
        placement::Place,
        ready::{JobNumber, Needs},
        recovery::{self, Next},
    },
    types::{AttemptNumber, Failure, OutcomeReceipt, Output, Receipt, Resources, Setback, Tasks, Usage, Verdict},
};

/// Whether another attempt of a task lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::ledger) enum Others {
    None,
    Live,
}

impl Ledger {
    /// Gives a ready task, which has been taken off the queue, to a worker.
    pub(in crate::ledger) fn lease(&mut self, task: TaskRef, key: PublicKey, place: Place, applied: &mut Applied) {
        let run = if place == Place::Resources { self.run(task) } else { None };
        let Some(lease) = self.draw_up(task, key, run) else { return };
        let Some(job) = self.jobs.get_mut(&task.job) else { return };
        let Some(at) = job.segment_at(task.index) else { return };
        let segment = &mut job.record.segments[at];
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
        let given = AttemptRef::of(task, lease.attempt);
        live.attempts = live.attempts.saturating_add(1);
        live.phase = Phase::Leased(lease);
        let began = job.record.began.replace(job.record.began.unwrap_or(self.time));
        if began.is_none() && job.record.times.run_ms_max.is_some() {
            self.await_time(task.job);
        }
        self.attach(task);
        self.note_lease(given, false, applied);
    }

    /// Gives a task whose attempt runs to a second worker too.
    pub(in crate::ledger) fn lease_copy(&mut self, task: TaskRef, key: PublicKey, applied: &mut Applied) {
        let Some(run) = self.run(task) else { return };
        let Some(copy) = self.draw_up(task, key, Some(Run { pace: Pace::Settled, ..run })) else { return };
        let given = AttemptRef::of(task, copy.attempt);
        self.watch(task, false);
        let live = self.jobs.get_mut(&task.job).and_then(|job| job.live_mut(task.index));
        if let Some(live) = live {
            live.attempts = live.attempts.saturating_add(1);
            if let Some(lease) = live.lease_mut() {
                lease.set_pace(Pace::Settled);
                lease.copy = Some(Box::new(copy));
            }
        }
        self.counters.copies += 1;
        self.watch(task, true);
        self.hold(given);
        self.note_lease(given, true, applied);
    }

    /// The lease of a task's next attempt.
    fn draw_up(&mut self, task: TaskRef, key: PublicKey, run: Option<Run>) -> Option<Lease> {
        let cost = self.first_cost(task);
        let worker = self.workers.get_mut(&key)?;
        worker.record.turn = self.next_turn;
        let number = self.next_lease;
        self.next_turn += 1;
        self.next_lease += 1;
        Some(Lease {
            number,
            attempt: AttemptNumber(self.jobs.get(&task.job)?.live(task.index).map_or(0, |live| live.attempts)),
            worker: key,
            incarnation: worker.record.incarnation,
            leased: self.time,
            waits_until: self.lease_time.plus_ms(self.genesis.ledger.allowance_ms),
            run,
            cost,
            slices: 1,
            asked: None,
            copy: None,
        })
    }

    /// A task's time with resources, from now on.
    fn run(&self, task: TaskRef) -> Option<Run> {
        let segment = self.jobs.get(&task.job)?.segment(task.index)?;
        let allowance_ms = if is_planted(Fault::NoAllowance) { 0 } else { self.genesis.ledger.allowance_ms };
        Some(Run {
            since: self.lease_time,
            started: self.time,
            resources: segment.terms.resources,
            ends: self.lease_time.plus_ms(segment.spec.limits.wall_ms.saturating_add(allowance_ms)),
            pace: self.first_pace(&segment.spec),
        })
    }

    /// Books a lease that was given, charges for it, and tells.
    fn note_lease(&mut self, given: AttemptRef, copy: bool, applied: &mut Applied) {
        let task = given.task();
        self.counters.leases += 1;
        let Some(job) = self.jobs.get_mut(&task.job) else { return };
        let lease = job.live(task.index).and_then(|live| live.lease_of(given.number));
        let Some(&Lease { worker, incarnation, cost, run, .. }) = lease else { return };
        self.usage.book(Day::of(self.time), &mut job.record, Some(worker), &Entry::Lease);
        let (submitter, attempt) = (job.record.submitter, job.attempt_id(task.index, given.number));
        if self.sequence.is_fair() {
            self.shares.charge(&submitter, cost);
            self.ready.share_changed(&submitter, &self.sequence, &self.shares);
        }
        applied.events.push(LedgerEvent::Leased { attempt, worker, incarnation, running: run.is_some(), copy });
    }

    /// Gives a waiting attempt resources.
    pub(in crate::ledger) fn start(&mut self, task: TaskRef, key: PublicKey, applied: &mut Applied) {
        let Some(mut run) = self.run(task) else { return };
        self.detach(task);
        let Some(job) = self.jobs.get_mut(&task.job) else { return };
        let wall_ms = job.spec(task.index).map_or(0, |spec| spec.limits.wall_ms);
        let Some(lease) = job.live_mut(task.index).and_then(Live::lease_mut) else { return };
        if is_planted(Fault::TimeoutFromLease) {
            run.ends = lease.waits_until.plus_ms(wall_ms);
        }
        lease.run = Some(run);
        let number = lease.attempt;
        let attempt = job.attempt_id(task.index, number);
        self.attach(task);
        applied.events.push(LedgerEvent::Started { attempt, worker: key });
    }

    /// Ends an attempt that lives, with the word of its worker by which it ends, if it ends by one. If no other attempt of the
    /// task lives, that is left detached.
    pub(in crate::ledger) fn end_attempt(
        &mut self,
        attempt: AttemptRef,
        why: EndReason,
        said: Option<&Verdict>,
        applied: &mut Applied,
    ) -> Option<(PastAttempt, Others)> {
        let task = attempt.task();
        let live = self.jobs.get(&task.job)?.live(task.index)?;
        live.lease_of(attempt.number)?;
        let others = if live.leases().nth(1).is_some() { Others::Live } else { Others::None };
        match others {
            Others::None => self.detach(task),
            Others::Live => {
                self.watch(task, false);
                self.let_go(attempt);
            }
        }
        let job = self.jobs.get_mut(&task.job)?;
        let live = job.live_mut(task.index)?;
        let lease = live.end_lease(attempt.number)?;
        let past = PastAttempt {
            number: lease.attempt,
            worker: lease.worker,
            leased: lease.leased,
            started: lease.run.map(|run| run.started),
            ended: self.time,
            why,
            avoided: why.is_avoided(),
        };
        live.remember(past);
        let slot_ms = lease.ran_ms(self.lease_time);
        let resources = lease.run.map(|run| run.resources).unwrap_or_default();
        let end = Entry::end(why, resources, slot_ms, said);
        self.usage.book(Day::of(self.time), &mut job.record, Some(lease.worker), &end);
        let (id, submitter) = (job.attempt_id(task.index, lease.attempt), job.record.submitter);
        if self.sequence.is_fair() {
            let used = if lease.run.is_some() { Fair::cost(resources.millicores, slot_ms) } else { 0 };
            self.shares.settle(&submitter, lease.cost, used);
            self.ready.share_changed(&submitter, &self.sequence, &self.shares);
        }
        if others == Others::Live {
            self.watch(task, true);
        }
        applied.events.push(LedgerEvent::Ended {
            attempt: id,
            worker: lease.worker,
            why,
            goes_on: others == Others::Live,
        });
        Some((past, others))
    }

    /// Takes a live task out of wherever it is, ending all its attempts, and leaves it detached.
    pub(in crate::ledger) fn release(&mut self, task: TaskRef, why: EndReason, applied: &mut Applied) {
        let newest = |ledger: &Self| {
            let number = ledger.jobs.get(&task.job)?.live(task.index)?.leases().last()?.attempt;
            Some(AttemptRef::of(task, number))
        };
        if newest(self).is_none() {
            self.detach(task);
        }
        while let Some(attempt) = newest(self) {
            if self.end_attempt(attempt, why, None, applied).is_none() {
                return;
            }
        }
    }

    /// Ends an attempt without an outcome, and lets the task's recovery decide. While another of its attempts lives the task
    /// goes on with that one, whatever is counted.
    pub(in crate::ledger) fn give_back(&mut self, attempt: AttemptRef, why: EndReason, applied: &mut Applied) {
        let task = attempt.task();
        let Some((past, others)) = self.end_attempt(attempt, why, None, applied) else { return };
        self.counters.lost += u64::from(why.is_loss());
        let height = self.height;
        let next = if past.is_counted_loss() {
            self.set_back(task, if why == EndReason::Drained { Setback::Drained } else { Setback::Lost })
        } else if why == EndReason::Returned {
            self.count_return(task)
        } else {
            Next::Ready
        };
        if others == Others::Live && !is_planted(Fault::CopyForgotten) {
            return;
        }
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
    pub(in crate::ledger) fn set_back(&mut self, task: TaskRef, setback: Setback) -> Next {
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
    pub(in crate::ledger) fn give_back_all(&mut self, key: PublicKey, why: EndReason, applied: &mut Applied) {
        let Some(worker) = self.workers.get(&key) else { return };
        for attempt in worker.held.attempts() {
            self.give_back(attempt, why, applied);
        }
    }

    /// Ends a worker's standing claim and all that it holds.
    pub(in crate::ledger) fn end_claim(&mut self, key: PublicKey, why: EndReason, applied: &mut Applied) {
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
    pub(in crate::ledger) fn wait(&mut self, task: TaskRef, next: Next) {
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
    pub(in crate::ledger) fn finish(&mut self, task: TaskRef, outcome: OutcomeReceipt, applied: &mut Applied) {
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
        let is_own = |past: &PastAttempt| past.number == outcome.attempt.number && past.why == EndReason::Succeeded;
        let is_late = !past.iter().flatten().any(is_own);
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
    pub(in crate::ledger) fn end_job(&mut self, number: JobNumber, applied: &mut Applied) {
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
    pub(in crate::ledger) fn attach(&mut self, task: TaskRef) {
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
            Phase::Leased(_) => {
                let [oldest, copy] = job.attempts(task.index);
                self.watch(task, true);
                oldest.into_iter().chain(copy).for_each(|attempt| self.hold(attempt));
            }
        }
    }

    /// Makes all that is computed from a live task's state forget it.
    pub(in crate::ledger) fn detach(&mut self, task: TaskRef) {
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
            Phase::Leased(_) => {
                let [oldest, copy] = job.attempts(task.index);
                self.watch(task, false);
                oldest.into_iter().chain(copy).for_each(|attempt| self.let_go(attempt));
            }
        }
    }

    /// Keeps, or keeps no more, what is computed of a leased task by its oldest attempt.
    fn watch(&mut self, task: TaskRef, keeps: bool) {
        self.watch_slice(task, keeps);
        let Some(job) = self.jobs.get_mut(&task.job) else { return };
        let Some(lease) = job.lease(task.index) else { return };
        if lease.is_slow() {
            if keeps {
                self.slow.insert(lease.number, task);
            } else {
                self.slow.remove(&lease.number);
            }
        }
        if lease.copy.is_some() {
            job.copies = if keeps { job.copies.saturating_add(1) } else { job.copies.saturating_sub(1) };
        }
    }

    /// Makes all that is computed from an attempt's lease know it.
    fn hold(&mut self, attempt: AttemptRef) {
        let task = attempt.task();
        let Some(job) = self.jobs.get(&task.job) else { return };
        let Some(lease) = job.live(task.index).and_then(|live| live.lease_of(attempt.number)) else { return };
        let (key, submitter) = (lease.worker, job.record.submitter);
        if let Some(Worker { held, .. }) = self.workers.get_mut(&key) {
            if let Some(Run { resources: Resources { millicores, memory_bytes }, .. }) = lease.run {
                held.running.insert(lease.number, attempt);
                held.millicores = held.millicores.saturating_add(u64::from(millicores));
                held.memory_bytes = held.memory_bytes.saturating_add(memory_bytes);
            } else {
                held.waiting.insert(lease.number, attempt);
            }
        }
        self.due.attempts.insert((lease.due(), attempt));
        self.count_spread(task, key, true);
        self.count_leased(submitter, true);
        self.reindex(key);
    }

    /// Makes all that is computed from an attempt's lease forget it.
    fn let_go(&mut self, attempt: AttemptRef) {
        let task = attempt.task();
        let Some(job) = self.jobs.get(&task.job) else { return };
        let Some(lease) = job.live(task.index).and_then(|live| live.lease_of(attempt.number)) else { return };
        let (key, submitter) = (lease.worker, job.record.submitter);
        if let Some(Worker { held, .. }) = self.workers.get_mut(&key) {
            if let Some(Run { resources, .. }) = lease.run {
                let asked = job.segment(task.index).map(|segment| segment.terms.resources);
                let freed = asked.filter(|_| is_planted(Fault::FreedAsAmended)).unwrap_or(resources);
                let Resources { millicores, memory_bytes } = freed;
                held.running.remove(&lease.number);
                held.millicores = held.millicores.saturating_sub(u64::from(millicores));
                held.memory_bytes = held.memory_bytes.saturating_sub(memory_bytes);
                if is_planted(Fault::FreedTwice) {
                    held.millicores = held.millicores.saturating_sub(u64::from(millicores));
                }
            } else {
                held.waiting.remove(&lease.number);
            }
            self.changed.insert(key);
            if !held.waiting.is_empty() {
                self.unsettled.entry(key).or_insert(false);
            }
        }
        self.due.attempts.remove(&(lease.due(), attempt));
        self.count_spread(task, key, false);
        self.count_leased(submitter, false);
        self.reindex(key);
    }

    /// Counts a lease, or no longer, at its worker's value of the label that its job is spread over.
    pub(in crate::ledger) fn count_spread(&mut self, task: TaskRef, key: PublicKey, more: bool) {
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
    pub(in crate::ledger) fn reindex(&mut self, key: PublicKey) {
        let Some(worker) = self.workers.get_mut(&key) else { return };
        let now = worker.scores(&self.policies);
        let before = std::mem::replace(&mut worker.indexed, now);
        self.open.update(Place::Resources, key, before[0], now[0]);
        self.open.update(Place::Waiting, key, before[1], now[1]);
    }
}
