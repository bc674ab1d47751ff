//! Checks which leases were given and who was passed over. Judges the ledger after a block, task by task and
//! claim by claim, without the queues by which the ledger finds its way.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
};

use meshwork_core::{
    identity::PublicKey,
    ledger::{EndReason, Ledger, LedgerEvent, PastAttempt, Stage, TaskStateView, TaskView, WorkerView},
    types::{
        AttemptId, AttemptNumber, BlockTime, Change, KeyLimit, OrderPolicy, Permission, Redundancy, Resources,
        ScheduleParameters, TaskId,
    },
};

use super::{Checked, TASKS_LOOKED_AT, placed::Placed, rule, rules::leased_of, unclaimed::could_ever_hold};

/// A network with more workers or jobs than this is checked only now and then.
const CLOSELY: usize = 20;
const NOW_AND_THEN: u64 = 32;

/// What decides the order of a task.
struct Waits {
    submitter: PublicKey,
    /// The place of its array in the order of admission.
    admission: u64,
    admitted: BlockTime,
    priority: i16,
    deadline: Option<BlockTime>,
    expected_ms: u64,
    was_leased: bool,
    index: u32,
}

impl Waits {
    fn of(ledger: &Ledger, task: &TaskView<'_>, was_leased: bool) -> Option<Self> {
        let job = ledger.job(task.id.job)?;
        Some(Self {
            submitter: job.submitter,
            admission: task.admission,
            admitted: task.admitted,
            priority: task.terms.priority,
            deadline: task.terms.deadline,
            expected_ms: task.expected_ms,
            was_leased,
            index: task.id.index,
        })
    }

    /// Whether this task goes before another, as the policies are described. Shares are not computed here: once
    /// a share has come to decide between two submitters, this says nothing.
    fn goes_before(&self, other: &Self, schedule: &ScheduleParameters) -> bool {
        let span_us = schedule.ageing_ms * 1000;
        let span = |task: &Self| (task.admitted.0 / span_us) as i64 - i64::from(task.priority);
        for policy in &schedule.order {
            let order = match policy {
                OrderPolicy::Fifo => self.admission.cmp(&other.admission),
                OrderPolicy::Priority => span(self).cmp(&span(other)).then(other.priority.cmp(&self.priority)),
                OrderPolicy::Deadline => {
                    let end = |task: &Self| task.deadline.unwrap_or(BlockTime(u64::MAX));
                    end(self).cmp(&end(other))
                }
                OrderPolicy::Shortest => self.expected_ms.cmp(&other.expected_ms),
                OrderPolicy::Fair if self.submitter != other.submitter => return false,
                OrderPolicy::Fair => Ordering::Equal,
            };
            match order {
                Ordering::Less => return true,
                Ordering::Greater => return false,
                Ordering::Equal => {}
            }
        }
        (self.admission, !self.was_leased, self.index) < (other.admission, !other.was_leased, other.index)
    }
}

/// A standing claim and its used resources, computed from its leases.
#[derive(Clone)]
pub(super) struct Offer<'a> {
    pub(super) view: WorkerView<'a>,
    used: Resources,
}

impl Offer<'_> {
    fn free(&self) -> Resources {
        let offered = self.view.claim.resources;
        Resources {
            millicores: offered.millicores.saturating_sub(self.used.millicores),
            memory_bytes: offered.memory_bytes.saturating_sub(self.used.memory_bytes),
        }
    }

    /// Whether it gets one more, as far as its trial decides.
    fn may_have_another(&self) -> bool {
        let view = &self.view;
        !view.on_trial || !view.waits_out && view.running + view.waiting == 0
    }

    fn could_ever_hold(&self, task: &TaskView<'_>) -> bool {
        could_ever_hold(&self.view, task)
    }

    /// Undoes a lease.
    pub(super) fn take_back(&mut self, lease: &Leased, task: &TaskView<'_>) {
        if lease.running {
            let Resources { millicores, memory_bytes } = task.terms.resources;
            self.view.running -= 1;
            self.used.millicores -= millicores;
            self.used.memory_bytes -= memory_bytes;
        } else {
            self.view.waiting -= 1;
        }
    }

    /// Whether the task could take resources of this claim now.
    pub(super) fn has_capacity(&self, task: &TaskView<'_>) -> bool {
        self.view.waiting == 0
            && self.may_have_another()
            && self.view.running < self.view.claim.slots
            && fits(task.terms.resources, self.free())
            && self.could_ever_hold(task)
    }

    /// Which of a task's preferences this claim meets, the most important first.
    pub(super) fn meets(&self, task: &TaskView<'_>) -> Vec<bool> {
        let meets = |(label, value): &(String, String)| self.view.claim.labels.get(label) == Some(value);
        task.spec.prefers.iter().map(meets).collect()
    }

    pub(super) fn has_waiting_place(&self, task: &TaskView<'_>) -> bool {
        self.may_have_another() && self.view.waiting < self.view.claim.waiting && self.could_ever_hold(task)
    }
}

const fn fits(needs: Resources, free: Resources) -> bool {
    needs.millicores <= free.millicores && needs.memory_bytes <= free.memory_bytes
}

/// Checks the ledger after a block with these events.
pub(super) fn check(ledger: &Ledger, placed: &Placed, events: &[LedgerEvent], height: u64) -> Checked {
    let totals = ledger.totals();
    let closely = totals.workers as usize <= CLOSELY && totals.jobs as usize <= CLOSELY;
    if !closely && !height.is_multiple_of(NOW_AND_THEN) {
        return Ok(());
    }
    let offers: BTreeMap<PublicKey, Offer<'_>> =
        ledger.workers().map(|view| (view.key, Offer { used: used(ledger, &view.key), view })).collect();
    check_claims(&offers, events)?;
    let ready = ready_tasks(ledger);
    // A schedule that this block approves applies to the next block.
    let other_schedule = events.iter().any(|event| match event {
        LedgerEvent::ChangeApproved { change, .. } => matches!(**change, Change::SetSchedule(_)),
        _ => false,
    });
    for task in &ready {
        let idle = offers.values().find(|offer| {
            (offer.has_capacity(task) || offer.has_waiting_place(task)) && permits(&offers, task, &offer.view.key)
        });
        if let Some(idle) = idle {
            return Err(format!("{} waits though {} has capacity for it", task.id, idle.view.key));
        }
    }
    let leased = leased(events);
    // A speculative attempt goes only to a worker without any reason against it, and not to the worker of the
    // slow attempt.
    let on_trial = |key: &PublicKey| offers.get(key).is_some_and(|offer| offer.view.on_trial);
    // A worker on trial comes after all others that could have it.
    let may_go = |lease: &Leased, task: &TaskView<'_>, key: &PublicKey| match lease.speculative {
        _ if on_trial(key) && !on_trial(&lease.worker) => false,
        true => lost_by(task, key) == 0 && !holds(task, key, lease.attempt.number) && !on_trial(key),
        false => permits(&offers, task, key),
    };
    if !other_schedule {
        placed.check(ledger, offers.clone(), &leased, may_go)?;
    }
    for lease in &leased {
        let Leased { attempt, worker, running, speculative } = *lease;
        let (Some(task), Some(offer)) = (ledger.task(attempt.task), offers.get(&worker)) else { continue };
        // The account of agreements judges where replicas go.
        let is_replica = task.spec.redundancy.is_some();
        rule(is_replica || may_go(lease, &task, &worker), || {
            format!("{attempt} goes to {worker}, which lost, returned or has it, though another could hold it")
        })?;
        if !running && let Some(free) = offers.values().find(|other| other.has_capacity(&task)) {
            rule(!may_go(lease, &task, &free.view.key), || {
                format!("{attempt} waits at {worker} though {} has free resources", free.view.key)
            })?;
        }
        let tested = offers.values().find(|other| {
            let open = if running { other.has_capacity(&task) } else { other.has_waiting_place(&task) };
            open && !other.view.on_trial && may_go(lease, &task, &other.view.key)
        });
        if let Some(tested) = tested.filter(|_| offer.view.on_trial) {
            return Err(format!("{attempt} goes to {worker} on trial, though {} has room", tested.view.key));
        }
        let preferred = offers.values().find(|other| {
            let open = if running { other.has_capacity(&task) } else { other.has_waiting_place(&task) };
            open && other.meets(&task) > offer.meets(&task) && may_go(lease, &task, &other.view.key)
        });
        if let Some(preferred) = preferred {
            return Err(format!("{attempt} goes to {worker}, though it prefers {}", preferred.view.key));
        }
        let Some(here) = Waits::of(ledger, &task, attempt.number.0 > 0) else { continue };
        let mut given_up = offer.free();
        given_up.millicores = given_up.millicores.saturating_add(task.terms.resources.millicores);
        given_up.memory_bytes = given_up.memory_bytes.saturating_add(task.terms.resources.memory_bytes);
        let was_leased_here = |other: &TaskView<'_>| leased.iter().any(|lease| lease.attempt.task == other.id);
        let waits_before = |other: &&TaskView<'_>| {
            // The first replica of a task goes after all that were leased before, and the next one before others.
            if was_leased_here(other) {
                return false;
            }
            let waits = Waits::of(ledger, other, other.attempts > 0);
            speculative
                || waits.is_some_and(|waits| !other_schedule && waits.goes_before(&here, ledger.rules().schedule()))
        };
        let passed_over = ready.iter().filter(waits_before).find(|other| {
            offer.could_ever_hold(other)
                && (!running || fits(other.terms.resources, given_up))
                && permits(&offers, other, &worker)
        });
        if let Some(other) = passed_over {
            return Err(format!("{} is passed over for {attempt} at {worker}", other.id));
        }
    }
    Ok(())
}

/// The resources that a worker's running attempts take.
fn used(ledger: &Ledger, worker: &PublicKey) -> Resources {
    let running = ledger.leases_of(worker).into_iter().filter(|lease| lease.stage == Stage::Running);
    running.map(|lease| lease.resources).fold(Resources { millicores: 0, memory_bytes: 0 }, |sum, needs| Resources {
        millicores: sum.millicores.saturating_add(needs.millicores),
        memory_bytes: sum.memory_bytes.saturating_add(needs.memory_bytes),
    })
}

/// A lease of a block.
pub(super) struct Leased {
    pub(super) attempt: AttemptId,
    pub(super) worker: PublicKey,
    pub(super) running: bool,
    speculative: bool,
}

fn leased(events: &[LedgerEvent]) -> Vec<Leased> {
    let leased = events.iter().filter_map(|event| match *event {
        LedgerEvent::Leased { attempt, worker, running, speculative, .. } => {
            Some(Leased { attempt, worker, running, speculative })
        }
        _ => None,
    });
    leased.collect()
}

/// Whether a worker holds another attempt of this task.
fn holds(task: &TaskView<'_>, worker: &PublicKey, but: AttemptNumber) -> bool {
    let oldest = match task.state {
        TaskStateView::Leased { attempt, worker, .. } => Some((attempt, worker)),
        _ => None,
    };
    oldest.into_iter().chain(task.speculative).any(|(attempt, holder)| attempt != but && holder == *worker)
}

/// No claim gets more than it offers, and its free resources are those that no attempt takes.
fn check_claims(offers: &BTreeMap<PublicKey, Offer<'_>>, events: &[LedgerEvent]) -> Checked {
    let began: BTreeSet<PublicKey> = events
        .iter()
        .filter_map(|event| match event {
            LedgerEvent::Leased { worker, running: true, .. } | LedgerEvent::Started { worker, .. } => Some(*worker),
            _ => None,
        })
        .collect();
    for (key, offer) in offers {
        let claim = offer.view.claim;
        rule(offer.view.waiting <= claim.waiting, || format!("{key} holds more than its places"))?;
        let (free, shown) = (offer.free(), offer.view.resources_free);
        rule(free == shown, || format!("{key} has {free:?} free, and the ledger says {shown:?}"))?;
        // A claim that was lowered may hold more than it offers until that ends, but gets no more.
        rule(!began.contains(key) || offer.view.running <= claim.slots, || format!("{key} runs more than its slots"))?;
        rule(!began.contains(key) || fits(offer.used, claim.resources), || format!("{key} runs more than it offers"))?;
    }
    Ok(())
}

/// The ready tasks that the rules let go; of large jobs only the first ones and the last.
fn ready_tasks(ledger: &Ledger) -> Vec<TaskView<'_>> {
    let mut ready = Vec::new();
    for job in ledger.jobs().filter(|job| job.counts.ready > 0) {
        let count = job.count;
        let indices = (0..count.min(TASKS_LOOKED_AT)).chain((count > TASKS_LOOKED_AT).then(|| count - 1));
        let tasks = indices.filter_map(|index| ledger.task(TaskId { job: job.id, index }));
        ready.extend(tasks.filter(|task| task.state == TaskStateView::Ready));
    }
    let mut may: BTreeMap<PublicKey, bool> = BTreeMap::new();
    ready.retain(|task| {
        let Some(submitter) = ledger.job(task.id.job).map(|job| job.submitter) else { return false };
        *may.entry(submitter).or_insert_with(|| may_have_more(ledger, &submitter))
    });
    ready
}

/// Whether the rules let more of a submitter's tasks be leased.
pub(super) fn may_have_more(ledger: &Ledger, submitter: &PublicKey) -> bool {
    leased_of(ledger, submitter) < ledger.key_limit(submitter, KeyLimit::Running)
        && ledger.rules().admission(Permission::Submit).includes(submitter)
}

/// Whether an attempt that ends so is lost.
pub(super) const fn is_loss(why: EndReason) -> bool {
    matches!(
        why,
        EndReason::ClaimEnded
            | EndReason::NewIncarnation
            | EndReason::TimedOut
            | EndReason::HostDied { .. }
            | EndReason::Drained
            | EndReason::Unrevealed
            | EndReason::Mismatched
            | EndReason::Undelivered
    )
}

/// How often a worker lost or returned a task.
fn lost_by(task: &TaskView<'_>, worker: &PublicKey) -> usize {
    let avoided = |why: EndReason| {
        is_loss(why) || why == EndReason::Returned || task.spec.redundancy.is_some() && why == EndReason::Failed
    };
    let is_avoided = |past: &&PastAttempt| avoided(past.why) || past.on_trial && past.why == EndReason::Failed;
    task.past.iter().filter(is_avoided).filter(|past| past.worker == *worker).count()
}

/// Whether a replica of a task may go to a worker whatever happened before: neither it nor who operates it had one.
fn may_surely_compute(offers: &BTreeMap<PublicKey, Offer<'_>>, task: &TaskView<'_>, worker: &PublicKey) -> bool {
    let operator =
        |key: &PublicKey| offers.get(key).and_then(|offer| offer.view.claim.labels.get(Redundancy::OPERATOR));
    let had = task.live.iter().map(|(_, holder)| holder).chain(task.past.iter().map(|past| &past.worker));
    let is_with =
        |other: &PublicKey| other == worker || operator(worker).is_some() && operator(other) == operator(worker);
    !had.into_iter().any(is_with)
}

/// Whether a task may go to a worker: one that never lost or returned it, if such a claim could ever hold it;
/// otherwise one that did so least often.
fn permits(offers: &BTreeMap<PublicKey, Offer<'_>>, task: &TaskView<'_>, worker: &PublicKey) -> bool {
    if task.spec.redundancy.is_some() {
        return may_surely_compute(offers, task, worker);
    }
    let capable: Vec<&Offer<'_>> =
        offers.values().filter(|offer| !offer.view.waits_out && offer.could_ever_hold(task)).collect();
    let had_setback = task.past.iter().any(|past| lost_by(task, &past.worker) > 0);
    let leaves_out_trials = had_setback && capable.iter().any(|offer| !offer.view.on_trial);
    let may_be_it = |offer: &&&Offer<'_>| !(leaves_out_trials && offer.view.on_trial);
    let least = capable.iter().filter(may_be_it).map(|offer| lost_by(task, &offer.view.key)).min().unwrap_or(0);
    let is_left_out = leaves_out_trials && offers.get(worker).is_some_and(|offer| offer.view.on_trial);
    lost_by(task, worker) <= least && !is_left_out
}
