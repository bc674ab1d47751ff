//! Random transactions in random orders, and what must hold after every block, whatever they are.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use proptest::{collection::vec, prelude::*};

use super::{bookkeeper, mesh::*, occurrences::Occurrences};
use crate::{
    digest::Digest,
    identity::{PublicKey, SecretKey},
    ledger::{
        Applied, Day, EndReason, Ledger, LedgerEvent, Stage, TaskCounts, TaskStateView, TaskView, WorkerView,
        explain::reasons::{SpeculationNow, Why},
        records::jobs::Job,
    },
    types::*,
};

const WORKERS: u8 = 4;

#[derive(Clone, Debug)]
enum Act {
    Submit { by: u8, count: u32, cpu: u32, label: bool, priority: i16, retries: u32, delay_ms: u64, replicas: u8 },
    Control { by: u8, job: usize, range: Option<(u32, u32)>, only: Vec<Filter>, directive: u8 },
    Recur { by: u8, count: u32, often: bool, catch_up: CatchUp, overlap: Overlap, runs_max: Option<u64> },
    Change { by: u8, which: usize, how: u8 },
    Govern(Box<Change>),
    Claim { worker: u8, slots: u32, waiting: u32, cpu: u32, label: bool, load: u16, restart: bool },
    Drain { worker: u8 },
    Report { worker: u8, which: usize, anyones: bool, verdict: u8 },
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => (0..2u8, 1..6u32, 0..4u32, prop::bool::weighted(0.2), -1..2i16, 0..3u32, 0..3u64, 0..5u8).prop_map(
            |(by, count, cpu, label, priority, retries, delay, replicas)| Act::Submit {
                by, count, cpu: cpu * 500, label, priority, retries, delay_ms: delay * 700, replicas
            }
        ),
        2 => (0..2u8, 0..20usize, prop::option::of((0..5u32, 0..4u32)), filters(), 0..10u8).prop_map(
            |(by, job, range, only, directive)| Act::Control { by, job, range, only, directive }
        ),
        1 => (0..2u8, 1..6u32, any::<bool>(), catch_up(), overlap(), prop::option::weighted(0.3, 1..4u64)).prop_map(
            |(by, count, often, catch_up, overlap, runs_max)| Act::Recur { by, count, often, catch_up, overlap, runs_max }
        ),
        1 => (0..2u8, 0..4usize, 0..5u8).prop_map(|(by, which, how)| Act::Change { by, which, how }),
        1 => change().prop_map(|change| Act::Govern(Box::new(change))),
        5 => (0..WORKERS, 0..4u32, 0..4u32, 0..5u32, any::<bool>(), 0..=1000u16, prop::bool::weighted(0.1)).prop_map(
            |(worker, slots, waiting, cpu, label, load, restart)| Act::Claim {
                worker, slots, waiting, cpu: cpu * 500, label, load, restart
            }
        ),
        1 => (0..WORKERS).prop_map(|worker| Act::Drain { worker }),
        8 => (0..WORKERS, 0..1000usize, prop::bool::weighted(0.1), 0..6u8).prop_map(
            |(worker, which, anyones, verdict)| Act::Report { worker, which, anyones, verdict }
        ),
    ]
}

/// What the only authority there is changes at once.
fn change() -> impl Strategy<Value = Change> {
    let submitter = (0..2u8).prop_map(|by| key(100 + by).public());
    let worker = (0..WORKERS).prop_map(|worker| key(worker + 1).public());
    let running = (0..2u8, prop::option::of(0..5u64)).prop_map(|(by, most)| {
        Change::SetQuota(key(100 + by).public(), most.map(|most| (KeyLimit::Running, most)).into_iter().collect())
    });
    let schedule = (order(), placement(), 500..5_000u64).prop_map(|(order, placement, slice_ms)| {
        let schedule = ScheduleParameters { order, placement, slice_ms, ..ScheduleParameters::default() };
        Change::SetSchedule(Box::new(schedule))
    });
    prop_oneof![
        1 => submitter.clone().prop_map(|key| Change::Bar(Permission::Submit, key)),
        3 => submitter.prop_map(|key| Change::Permit(Permission::Submit, key)),
        1 => worker.clone().prop_map(|key| Change::Bar(Permission::Work, key)),
        3 => worker.prop_map(|key| Change::Permit(Permission::Work, key)),
        2 => running,
        1 => (0..20u64).prop_map(|most| Change::SetLimit(Limit::Key(KeyLimit::Running), most)),
        4 => schedule,
    ]
}

fn filters() -> impl Strategy<Value = Vec<Filter>> {
    use Filter::{BackingOff, Held, Ready, Running, Waiting};
    prop_oneof![3 => Just(Vec::new()), 1 => prop::sample::subsequence(vec![Held, Ready, BackingOff, Waiting, Running], 1..4)]
}

fn directive(number: u8) -> Directive {
    match number {
        0 | 1 => Directive::Hold,
        2..5 => Directive::Release,
        5 => Directive::Amend(Amendment { priority: Some(1), ..Amendment::default() }),
        6 => Directive::Amend(Amendment { deadline: Some(Deadline::At(BlockTime(1 << 50))), ..Amendment::default() }),
        7 => Directive::Amend(Amendment { millicores: Some(1500), ..Amendment::default() }),
        8 => Directive::Amend(Amendment { millicores: Some(0), priority: Some(-1), ..Amendment::default() }),
        _ => Directive::Cancel,
    }
}

fn catch_up() -> impl Strategy<Value = CatchUp> {
    prop::sample::select(vec![CatchUp::Skip, CatchUp::Once, CatchUp::All])
}

fn overlap() -> impl Strategy<Value = Overlap> {
    prop::sample::select(vec![Overlap::Skip, Overlap::Queue, Overlap::Alongside, Overlap::Cancel])
}

/// What happens before each block, how much later it is, and whether the twin is restored from a snapshot after it.
fn story() -> impl Strategy<Value = Vec<(Vec<Act>, u64, bool)>> {
    let later_ms = prop_oneof![12 => 1..50u64, 6 => 500..1500u64, 2 => 3_000..20_000u64, 1 => 30_000..400_000u64];
    vec((vec(act(), 0..7), later_ms, prop::bool::weighted(0.2)), 1..40)
}

fn order() -> impl Strategy<Value = Vec<OrderPolicy>> {
    use OrderPolicy::{Deadline, Fair, Fifo, Priority, Shortest};
    prop::sample::subsequence(vec![Fair, Priority, Deadline, Shortest, Fifo], 1..4).prop_shuffle()
}

fn placement() -> impl Strategy<Value = Vec<PlacementPolicy>> {
    use PlacementPolicy::{LeastLoaded, Locality, Pack, Random, RoundRobin};
    let sequences = [vec![LeastLoaded], vec![RoundRobin, Locality], vec![Random], vec![Pack], vec![Locality, Pack]];
    prop::sample::select(sequences.to_vec())
}

fn small_genesis(order: &[OrderPolicy], placement: &[PlacementPolicy]) -> Genesis {
    let mut genesis = genesis();
    // Shortly before midnight, so that what begins on one day ends on the next.
    genesis.time = BlockTime(Day(1).begins().0 - 20_000_000);
    genesis.ledger.losses_max = 2;
    genesis.ledger.retention_ms = 15_000;
    genesis.ledger.transaction_life_ms_max = 20_000;
    genesis.ledger.allowance_ms = 4_000;
    genesis.ledger.claim_stands_ms_max = 20_000;
    genesis.ledger.key_tasks_max = 30;
    genesis.schedule = ScheduleParameters {
        order: order.to_vec(),
        placement: placement.to_vec(),
        slice_ms: 2_000,
        ..genesis.schedule
    };
    genesis
}

/// What someone who only reads events and receipts knows.
#[derive(Default)]
pub(super) struct Witness {
    pub(super) given: BTreeMap<AttemptId, PublicKey>,
    live: BTreeMap<TaskId, Vec<AttemptId>>,
    began: BTreeSet<AttemptId>,
    outcomes: BTreeSet<TaskId>,
    /// For each task and worker: how often it was lost or returned there.
    avoided: BTreeMap<TaskId, BTreeMap<PublicKey, u32>>,
    /// Who has a part in a task's answer, with its operator at that time: live replicas, answers, and who was asked for one.
    parties: BTreeMap<TaskId, BTreeMap<AttemptId, (PublicKey, Option<String>)>>,
    asked: BTreeSet<AttemptId>,
    committed: BTreeSet<AttemptId>,
    jobs: Vec<(JobId, u32)>,
    incarnations: BTreeMap<u8, u64>,
    occurrences: Occurrences,
}

impl Witness {
    fn see(&mut self, applied: &Applied, ledger: &Ledger) {
        for event in &applied.events {
            match event {
                LedgerEvent::JobAdmitted { job, tasks } => self.jobs.push((*job, *tasks)),
                LedgerEvent::Leased { attempt, worker, running, speculative, .. } => {
                    let live = self.live.entry(attempt.task).or_default();
                    let redundancy = ledger.task(attempt.task).and_then(|task| task.spec.redundancy);
                    if redundancy.is_some() {
                        let standing = ledger.worker(worker).map(|worker| worker.claim);
                        let operator = standing.and_then(|claim| claim.labels.get(Redundancy::OPERATOR)).cloned();
                        let parties = self.parties.entry(attempt.task).or_default();
                        for (other, name) in parties.values() {
                            assert_ne!(other, worker, "{attempt} is at a worker that has another replica");
                            assert!(operator.is_none() || *name != operator, "{attempt} is at the same operator");
                        }
                        parties.insert(*attempt, (*worker, operator));
                    } else {
                        assert_eq!(live.len(), usize::from(*speculative), "too many live leases of {}", attempt.task);
                    }
                    for other in live.iter().filter(|_| redundancy.is_none()) {
                        assert!(
                            self.began.contains(other) && *running,
                            "{attempt} is a speculative attempt of what waits"
                        );
                        assert_ne!(self.given[other], *worker, "{attempt} is a speculative attempt at the same worker");
                    }
                    live.push(*attempt);
                    assert_eq!(self.given.insert(*attempt, *worker), None, "{attempt} is given twice");
                    assert!(!self.outcomes.contains(&attempt.task), "{} is leased after its outcome", attempt.task);
                    if *running {
                        self.began.insert(*attempt);
                    }
                }
                LedgerEvent::Started { attempt, worker } => {
                    assert_eq!(self.given.get(attempt), Some(worker));
                    assert!(self.began.insert(*attempt), "{attempt} starts twice");
                }
                LedgerEvent::Ended { attempt, worker, why, goes_on } => {
                    let live = self.live.entry(attempt.task).or_default();
                    let at = live.iter().position(|live| live == attempt).expect("what ended was live");
                    live.remove(at);
                    assert_eq!(*goes_on, !live.is_empty());
                    assert_eq!(self.given.get(attempt), Some(worker));
                    assert!(*why != EndReason::Answered || self.asked.contains(attempt), "nobody asked for {attempt}");
                    if *why != EndReason::Answered && !self.asked.contains(attempt) {
                        self.parties.entry(attempt.task).or_default().remove(attempt);
                    }
                    let is_of_replica = *why == EndReason::Failed
                        && ledger.task(attempt.task).is_some_and(|task| task.spec.redundancy.is_some());
                    if *why == EndReason::Returned || why.is_loss() || is_of_replica {
                        *self.avoided.entry(attempt.task).or_default().entry(*worker).or_default() += 1;
                    }
                }
                LedgerEvent::Committed { attempt, worker } => {
                    assert_eq!(self.given.get(attempt), Some(worker));
                    assert!(self.committed.insert(*attempt), "{attempt} has two commitments");
                }
                LedgerEvent::RevealAsked { attempt, .. } => {
                    let live = &self.live[&attempt.task];
                    assert!(live.iter().all(|live| self.committed.contains(live)), "{attempt} is asked too early");
                    self.asked.insert(*attempt);
                }
                _ => {}
            }
        }
        for outcome in outcomes(applied) {
            if let Some(agreement) = &outcome.agreement {
                assert!(agreement.supports(outcome), "{outcome:?}");
            }
            assert!(self.outcomes.insert(outcome.attempt.task), "two outcomes of {}", outcome.attempt.task);
            assert!(self.live[&outcome.attempt.task].is_empty(), "{} lives on", outcome.attempt.task);
            assert_eq!(self.given.get(&outcome.attempt), Some(&outcome.worker), "an outcome by another worker");
        }
    }

    /// Whether a task was lost or returned at a worker.
    fn avoids(&self, task: TaskId, worker: &PublicKey) -> bool {
        self.avoided.get(&task).is_some_and(|avoided| avoided.contains_key(worker))
    }

    /// Whether a task may go to a worker, by the rule as it is written.
    pub(super) fn permits(&self, ledger: &Ledger, task: TaskId, worker: &PublicKey) -> bool {
        let operator = |key: &PublicKey| {
            let labels = ledger.worker(key).map(|worker| &worker.claim.labels);
            labels.and_then(|labels| labels.get(Redundancy::OPERATOR)).cloned()
        };
        let is_party = |key: &PublicKey| {
            let mut parties = self.parties.get(&task).into_iter().flat_map(BTreeMap::values);
            parties.any(|(party, name)| party == key || name.is_some() && *name == operator(key))
        };
        if is_party(worker) {
            return false;
        }
        let Some(avoided) = self.avoided.get(&task) else { return true };
        let asked = ledger.task(task).expect("a task");
        let capable = ledger.workers().filter(|worker| could_hold(worker, &asked) && !is_party(&worker.key));
        let capable: Vec<PublicKey> = capable.map(|worker| worker.key).collect();
        if capable.iter().any(|key| !avoided.contains_key(key)) {
            return !avoided.contains_key(worker);
        }
        let least = capable.iter().filter_map(|key| avoided.get(key)).min();
        avoided.get(worker).is_none_or(|ends| Some(ends) == least)
    }
}

pub(super) fn could_hold(worker: &WorkerView<'_>, task: &TaskView<'_>) -> bool {
    worker.claim.slots > 0
        && worker.claim.resources.millicores >= task.terms.resources.millicores
        && worker.claim.resources.memory_bytes >= task.terms.resources.memory_bytes
        && task.spec.labels.iter().all(|(label, value)| worker.claim.labels.get(label) == Some(value))
}

/// What runs at a worker has taken so much of it.
fn taken(ledger: &Ledger, worker: &WorkerView<'_>) -> u32 {
    let running = ledger.leases_of(&worker.key).into_iter().filter(|lease| lease.stage == Stage::Running);
    running.map(|lease| lease.resources.millicores).sum()
}

/// Whether a worker has room for a task, had it so many slots and millicores more free than it has.
pub(super) fn has_capacity(
    ledger: &Ledger,
    worker: &WorkerView<'_>,
    task: &TaskView<'_>,
    slots: u32,
    millicores: u32,
) -> bool {
    could_hold(worker, task)
        && worker.running < worker.claim.slots + slots
        && taken(ledger, worker) + task.terms.resources.millicores <= worker.claim.resources.millicores + millicores
}

fn perform(mesh: &mut Mesh, witness: &mut Witness, act: &Act) {
    match *act {
        Act::Submit { by, count, cpu, label, priority, retries, delay_ms, replicas } => {
            let mut spec = spec();
            spec.resources = Resources { millicores: cpu, memory_bytes: u64::from(count) * 700_000 };
            spec.priority = priority;
            spec.retry = Retry::of(retries, delay_ms);
            spec.limits.wall_ms = 3_000;
            spec.checkpoints = priority > 0;
            spec.spread = (count % 2 == 0).then(|| "gpu".into());
            if retries == 2 {
                let rule = Retry { jitter_permille: 500, restarts: true, ..Retry::of(1, delay_ms) };
                spec.recovery = [Setback::Exited, Setback::Lost].map(|setback| (setback, rule)).into();
            }
            if label {
                spec.labels.insert("gpu".into(), "yes".into());
            }
            spec.spawns = count == 3;
            if replicas >= 2 {
                spec.redundancy = Some(Redundancy { replicas_max: 4, ..Redundancy::of(replicas) });
                (spec.checkpoints, spec.spawns) = (false, false);
            }
            let submit = Submit { spawns_max: 4, ..Submit::new("job", spec, Tasks::Repeat(count)) };
            mesh.sign(&key(100 + by), Action::Submit(submit));
        }
        Act::Control { by, job, range, ref only, directive: number } => {
            if let Some((job, _)) = witness.jobs.iter().rev().nth(job) {
                let ranges = range.map(|(first, more)| (first, first + more)).into_iter().collect();
                let which = Selection { ranges, only: only.iter().copied().collect() };
                mesh.control(&key(100 + by), Control { job: *job, which, directive: directive(number) });
            }
        }
        Act::Recur { by, count, often, catch_up, overlap, runs_max } => {
            let minutes = if often { Cron::ALWAYS.minutes } else { 0x5555_5555_5555_5555 & Cron::ALWAYS.minutes };
            let cron = Cron { minutes, ..Cron::ALWAYS };
            let job = Submit::new("again", spec(), Tasks::Repeat(count));
            let until = Some(mesh.now.plus_ms(600_000)).filter(|_| count == 5);
            let recurring = Recurring { job, cron, catch_up, overlap, from: None, until, runs_max, deadline_ms: None };
            mesh.sign(&key(100 + by), Action::Recur(Recur::Submit(Box::new(recurring))));
        }
        Act::Change { by, which, how } => {
            if let Some(id) = witness.occurrences.ids.iter().rev().nth(which).copied() {
                let change = match how {
                    0 | 1 => Recur::Pause(id),
                    2 | 3 => Recur::Resume(id),
                    _ => Recur::Delete(id),
                };
                mesh.sign(&key(100 + by), Action::Recur(change));
            }
        }
        Act::Claim { worker, slots, waiting, cpu, label, load, restart } => {
            let incarnation = witness.incarnations.entry(worker).or_insert(1);
            *incarnation += u64::from(restart);
            let mut claim = offer(slots, waiting);
            claim.incarnation = Incarnation(*incarnation);
            claim.resources = Resources { millicores: cpu, memory_bytes: 1 << 40 };
            claim.load = load;
            claim.stands_ms = 8_000;
            if label {
                claim.labels.insert("gpu".into(), "yes".into());
            }
            if load.is_multiple_of(3) {
                claim.labels.insert(Redundancy::OPERATOR.into(), format!("of {}", worker / 2));
            }
            mesh.claim(&key(worker + 1), claim);
        }
        Act::Govern(ref change) => {
            mesh.sign(&key(200), Action::Govern(Govern::Propose((**change).clone())));
        }
        Act::Drain { worker } => {
            mesh.drain(&key(worker + 1));
        }
        Act::Report { worker, which, anyones, verdict } => {
            let by = key(worker + 1);
            let live: Vec<AttemptId> = mesh.ledger.leases_of(&by.public()).into_iter().map(|l| l.attempt).collect();
            let ever = witness.given.iter().filter(|(_, worker)| anyones || **worker == by.public());
            let ever: Vec<AttemptId> = ever.map(|(attempt, _)| *attempt).collect();
            // Half of the time a live attempt, else one that may have ended long ago.
            let from = if which % 2 == 0 && !live.is_empty() { &live } else { &ever };
            if !from.is_empty() {
                let attempt = from[which / 2 % from.len()];
                let is_replica = mesh.ledger.task(attempt.task).is_some_and(|task| task.spec.redundancy.is_some());
                let mut verdict = match verdict {
                    0..3 if is_replica && which % 7 > 0 => answer(mesh, &by, attempt, which),
                    0 | 1 => success(),
                    2 => left(mesh, attempt, which),
                    3 => Verdict::Returned,
                    4 => Verdict::Preempted,
                    5 if which % 3 == 0 => Verdict::Undelivered,
                    5 => Verdict::HostDied { alone: which % 2 == 0 },
                    _ => checkpoint(mesh, attempt),
                };
                if let Verdict::Succeeded(.., spawns) = &mut verdict
                    && which % 3 == 0
                {
                    spawns.resize_with(which % 4, Spawn::default);
                }
                if let Verdict::Succeeded(_, _, usage, _) | Verdict::Failed(_, _, usage) = &mut verdict {
                    usage.cpu_us = bookkeeper::cpu_us(attempt);
                }
                mesh.report(&by, attempt, verdict);
            }
        }
    }
}

/// What a worker says of a replica: its commitment, or its answer once it is asked. Some answer otherwise than others,
/// some say that the program failed, and some do not keep to their commitment.
fn answer(mesh: &Mesh, by: &SecretKey, attempt: AttemptId, which: usize) -> Verdict {
    let leases = mesh.ledger.leases_of(&by.public());
    let stage = leases.iter().find(|lease| lease.attempt == attempt).map(|lease| lease.stage);
    let breaks_its_word = which.is_multiple_of(11) && stage == Some(Stage::Committed { asked: true });
    let differs = (attempt.number.0 + u32::from(by.public().0[0] % 2)).is_multiple_of(3) || breaks_its_word;
    let usage = Usage { cpu_us: bookkeeper::cpu_us(attempt), ..Usage::default() };
    let answer = match success() {
        Verdict::Succeeded(_, output, ..) if !differs => Answer::Succeeded(0, output, usage),
        _ => Answer::Failed(Failure::Exited(1), Remains::whole(Output::Inline(InlineOutput::default())), usage),
    };
    let salt = Salt::of(by, &attempt);
    match stage {
        Some(Stage::Committed { .. }) => Verdict::Revealed(answer, salt),
        _ => Verdict::Committed(Answer::commitment(&answer.digest(), &attempt, &by.public(), &salt)),
    }
}

/// A failure. Its program has left nothing, a little, or something that the authority holds, or that nobody holds.
fn left(mesh: &Mesh, attempt: AttemptId, which: usize) -> Verdict {
    let remains = match which % 4 {
        0 => Remains::tail(b"it said so".as_slice()),
        1 => Remains::whole(Output::Inline(InlineOutput {
            stdout: b"half".as_slice().into(),
            ..InlineOutput::default()
        })),
        kept => {
            let (manifest, height) = (BlobRef { digest: Digest::of(b"left"), bytes: 10 }, mesh.ledger.height());
            let statement = DeliveryStatement { attempt, manifest, stderr: None, bytes: 50, height };
            let delivery = statement.sign(&key(if kept == 2 { 200 } else { 9 }), &mesh.ledger.network());
            Remains::whole(Output::Stored { manifest, stderr: None, bytes: 50, delivery })
        }
    };
    Verdict::Failed(Failure::Exited(1), remains, Usage::default())
}

fn checkpoint(mesh: &Mesh, attempt: AttemptId) -> Verdict {
    let manifest = BlobRef { digest: Digest::of(b"saved"), bytes: 10 };
    let statement = DeliveryStatement { attempt, manifest, stderr: None, bytes: 50, height: mesh.ledger.height() };
    Verdict::Checkpointed { manifest, bytes: 50, delivery: statement.sign(&key(200), &mesh.ledger.network()) }
}

fn count(counts: &mut TaskCounts, state: TaskStateView) {
    *match state {
        TaskStateView::Ready => &mut counts.ready,
        TaskStateView::BackingOff { .. } => &mut counts.backing_off,
        TaskStateView::Leased { ends: Some(_), .. } => &mut counts.running,
        TaskStateView::Leased { .. } => &mut counts.waiting,
        TaskStateView::Done { succeeded: true, .. } => &mut counts.succeeded,
        TaskStateView::Done { .. } => &mut counts.failed,
        TaskStateView::Blocked => &mut counts.blocked,
        TaskStateView::Held => &mut counts.held,
        TaskStateView::Gone(gone) => counts.of_gone(gone),
    } += 1;
}

/// Counts the tasks of each of a job's arrays again.
pub(super) fn check_counts_of_arrays(ledger: &Ledger, job: JobId) {
    for array in ledger.arrays(job) {
        let mut counts = TaskCounts::default();
        for index in (array.first..).take(array.tasks.count()) {
            count(&mut counts, ledger.task(TaskId { job, index }).expect("a task").state);
        }
        assert_eq!(counts, array.counts, "{}", array.name);
    }
}

/// Counts everything again.
fn check_counts(ledger: &Ledger) {
    let mut all = TaskCounts::default();
    for job in ledger.jobs() {
        let mut counts = TaskCounts::default();
        for index in 0..job.count {
            let state = ledger.task(TaskId { job: job.id, index }).expect("a task").state;
            count(&mut counts, state);
            count(&mut all, state);
        }
        assert_eq!(counts, job.counts);
        check_counts_of_arrays(ledger, job.id);
        assert_eq!(job.ended.is_some(), counts.unfinished() == 0);
    }
    let totals = ledger.totals();
    assert_eq!(totals.tasks, all);
    assert_eq!(totals.workers, ledger.workers().count() as u64);
    let outstanding = ledger.index.quotas().outstanding();
    assert_eq!(
        [outstanding.amounts(|own| own.tasks).total(), outstanding.amounts(|own| own.output_bytes).total()],
        [all.unfinished(), all.unfinished() * 1000]
    );
    assert_eq!(
        ledger.index.quotas().outstanding_by_key().values().map(|outstanding| outstanding.tasks).sum::<u64>(),
        all.unfinished()
    );
    let unfinished = ledger.records.jobs().values().filter(|job| job.record.ended.is_none());
    let segments = unfinished.map(|job| job.record.segments.len() as u64).sum::<u64>();
    assert_eq!(ledger.index.quotas().needs().values().sum::<u64>(), segments);
    let outstanding = ledger.index.quotas().outstanding_by_key().keys();
    let needs = outstanding.filter_map(|key| ledger.index.quotas().needs_of(key)).flat_map(BTreeMap::values);
    assert_eq!(needs.sum::<u64>(), segments);
}

/// Leases stand on claims, and claims hold what they can.
fn check_claims(ledger: &Ledger, witness: &Witness, applied: &Applied) {
    let mut held = 0;
    for worker in ledger.workers() {
        let leases = ledger.leases_of(&worker.key);
        held += leases.len();
        assert!(leases.iter().all(|lease| lease.incarnation == worker.claim.incarnation), "an older life's lease");
        assert!(worker.waiting <= worker.claim.waiting, "more wait than there are places");
        let began = applied.events.iter().any(|event| match event {
            LedgerEvent::Leased { worker: by, running, .. } => *running && *by == worker.key,
            LedgerEvent::Started { worker: by, .. } => *by == worker.key,
            _ => false,
        });
        let millicores = taken(ledger, &worker);
        let fits = worker.running <= worker.claim.slots && millicores <= worker.claim.resources.millicores;
        assert!(fits || !began, "something began under a claim that is full");
        let waits = leases.iter().position(|lease| lease.stage == Stage::Waiting);
        if let Some(first) = waits {
            let task = ledger.task(leases[first].attempt.task).expect("a task");
            assert!(could_hold(&worker, &task), "what waits there could never run there");
            assert!(!has_capacity(ledger, &worker, &task, 0, 0), "what waits could run");
        }
    }
    assert_eq!(held, witness.live.values().map(Vec::len).sum::<usize>(), "each lease is one of a standing claim");
    let are_plain = |task: &TaskId| ledger.task(*task).is_some_and(|task| task.spec.redundancy.is_none());
    for (task, live) in witness.live.iter().filter(|(task, _)| are_plain(task)) {
        let speculative = ledger.task(*task).and_then(|task| task.speculative).into_iter().count();
        assert_eq!(live.len().saturating_sub(1), speculative, "{task} shows its speculative attempt");
    }
}

/// How many leases of a submitter's tasks workers hold.
fn leased_of(ledger: &Ledger, submitter: &PublicKey) -> u64 {
    let leases = ledger.workers().flat_map(|worker| ledger.leases_of(&worker.key));
    let own = leases.filter(|lease| ledger.job(lease.attempt.task.job).is_some_and(|job| job.submitter == *submitter));
    own.filter(|lease| !matches!(lease.stage, Stage::Committed { .. })).count() as u64
}

/// Whether the rules let a submitter's tasks be placed, as many as workers hold.
pub(super) fn may_be_placed(ledger: &Ledger, task: TaskId) -> bool {
    let submitter = ledger.job(task.job).expect("a job").submitter;
    ledger.rules().admission(Permission::Submit).includes(&submitter)
        && leased_of(ledger, &submitter) < ledger.key_limit(&submitter, KeyLimit::Running)
}

/// Nobody has what the rules do not give.
fn check_rules(ledger: &Ledger, applied: &Applied) {
    for worker in ledger.workers() {
        assert!(ledger.rules().admission(Permission::Work).includes(&worker.key), "a barred worker stands");
    }
    for event in &applied.events {
        let LedgerEvent::Leased { attempt, .. } = event else { continue };
        let submitter = ledger.job(attempt.task.job).expect("a job").submitter;
        assert!(ledger.rules().admission(Permission::Submit).includes(&submitter), "a barred submitter's {attempt}");
        let most = ledger.key_limit(&submitter, KeyLimit::Running);
        assert!(leased_of(ledger, &submitter) <= most, "{attempt} is placed past a quota");
    }
}

/// The order holds, and nothing waits that could be placed.
fn check_order(ledger: &Ledger, witness: &Witness, applied: &Applied) {
    let rank = |job: &Job, task: TaskId| {
        job.index.summary(job.segment_at(task.index).expect("a task")).expect("a segment").rank()
    };
    // A schedule that changed in this block is that of the next.
    let is_new = |event: &LedgerEvent| matches!(event, LedgerEvent::ChangeApproved { change, .. } if matches!(**change, Change::SetSchedule(_)));
    let is_other = applied.events.iter().any(is_new);
    let fair = ledger.rules().schedule().order.contains(&OrderPolicy::Fair);
    // What a share decides is for tests of its own: here only tasks of one submitter are compared if there are shares.
    // Replicas of a task are leased one after the other, and only the first one is fresh.
    let leased_from = |task: TaskId, at: usize| {
        let leased =
            |event: &&LedgerEvent| matches!(event, LedgerEvent::Leased { attempt, .. } if attempt.task == task);
        u32::try_from(applied.events[at..].iter().filter(leased).count()).expect("few")
    };
    let goes_before = |task: TaskId, other: TaskId, was_fresh: bool, at: usize| {
        let number = |job: &JobId| ledger.index.number_of(job).expect("a job");
        let (number, other_number) = (number(&task.job), number(&other.job));
        let job = |number| ledger.records.job(number).expect("a job");
        let (job, other_job) = (job(number), job(other_number));
        let is_fresh = ledger.task(task).expect("a task").attempts == leased_from(task, at);
        let admission = |task| ledger.task(task).expect("a task").admission;
        !is_other
            && (!fair || job.record.submitter == other_job.record.submitter)
            && (rank(job, task), admission(task), is_fresh, task.index)
                < (rank(other_job, other), admission(other), was_fresh, other.index)
    };
    let mut ready = Vec::new();
    for job in ledger.jobs().filter(|job| job.counts.ready > 0) {
        let tasks = (0..job.count).map(|index| TaskId { job: job.id, index });
        ready.extend(tasks.filter(|task| ledger.task(*task).expect("a task").state == TaskStateView::Ready));
    }
    ready.retain(|task| may_be_placed(ledger, *task));
    for task in &ready {
        let asked = ledger.task(*task).expect("a task");
        for worker in ledger.workers().filter(|worker| witness.permits(ledger, *task, &worker.key)) {
            let open = worker.waiting == 0 && has_capacity(ledger, &worker, &asked, 0, 0);
            let place = could_hold(&worker, &asked) && worker.waiting < worker.claim.waiting;
            assert!(!open && !place, "{task} waits though {:?} could take it", worker.key);
        }
    }
    check_speculative(ledger, witness);
    for (at, event) in applied.events.iter().enumerate() {
        let LedgerEvent::Leased { attempt, worker, running, speculative, .. } = event else { continue };
        let placed = ledger.task(attempt.task).expect("a task");
        let holder = ledger.worker(worker).expect("it stands");
        // Where replicas may go is checked as they are given.
        let is_replica = placed.spec.redundancy.is_some();
        assert!(
            is_replica || witness.permits(ledger, attempt.task, worker),
            "{attempt} went where it should not go again"
        );
        let was_fresh = attempt.number.0 == 0;
        assert!(
            !speculative || !witness.avoids(attempt.task, worker),
            "the speculative attempt {attempt} went where it should not"
        );
        for task in ready.iter().filter(|task| *speculative || goes_before(**task, attempt.task, was_fresh, at)) {
            // Where a replica may go depends on where the last one went.
            let changed_since = leased_from(*task, at) > 0;
            if !changed_since && witness.permits(ledger, *task, worker) {
                let asked = ledger.task(*task).expect("a task");
                let could = if *running {
                    has_capacity(ledger, &holder, &asked, 1, placed.terms.resources.millicores)
                } else {
                    could_hold(&holder, &asked)
                };
                assert!(!could, "{task} waits while {attempt} was given to a claim that could have taken it");
            }
        }
        // Where a replica may go is not what it was before it went.
        if !running && !is_replica {
            for other in ledger.workers().filter(|other| witness.permits(ledger, attempt.task, &other.key)) {
                let open = other.waiting == 0 && has_capacity(ledger, &other, &placed, 0, 0);
                assert!(!open, "{attempt} waits though {:?} has resources for it", other.key);
            }
        }
    }
}

/// No claim is left that could take a speculative attempt of a slow attempt.
fn check_speculative(ledger: &Ledger, witness: &Witness) {
    for (task, _) in witness.live.iter().filter(|(_, live)| live.len() == 1) {
        let Why::Leased(why) = ledger.explain(*task).expect("a task").why else { continue };
        let job = ledger.records.job(ledger.index.number_of(&task.job).expect("a job")).expect("a job");
        let is_held = job.segment(task.index).is_some_and(|segment| segment.held);
        if why.speculation != SpeculationNow::Slow || is_held || !may_be_placed(ledger, *task) {
            continue;
        }
        let asked = ledger.task(*task).expect("a task");
        for worker in ledger.workers().filter(|w| w.key != why.worker && !witness.avoids(*task, &w.key)) {
            let open = worker.waiting == 0 && has_capacity(ledger, &worker, &asked, 0, 0);
            assert!(!open, "{task} is slow, and {:?} has nothing to do", worker.key);
        }
    }
}

fn tell(order: &[OrderPolicy], placement: &[PlacementPolicy], story: &[(Vec<Act>, u64, bool)]) {
    let genesis = Arc::new(small_genesis(order, placement));
    let mut mesh = Mesh::of(Ledger::new(Arc::clone(&genesis)));
    let mut twin = Ledger::new(Arc::clone(&genesis));
    let mut witness = Witness::default();
    let mut bookkeeper = bookkeeper::Bookkeeper::default();
    for (acts, later_ms, restore) in story {
        for act in acts {
            perform(&mut mesh, &mut witness, act);
        }
        let block = mesh.block(*later_ms);
        let applied = mesh.ledger.apply(&block);
        assert_eq!(applied, twin.apply(&block), "a twin went another way");
        assert_eq!(mesh.ledger.state_digest(), twin.state_digest());
        assert_eq!(mesh.ledger.next_due(), twin.next_due());
        assert!(mesh.ledger.next_due().is_none_or(|due| due > mesh.now), "what is due is done");
        if *restore {
            twin = Ledger::restore(Arc::clone(&genesis), &mesh.ledger.snapshot()).expect("own snapshot");
            assert_eq!(mesh.ledger.snapshot(), twin.snapshot());
        }
        // Forgotten jobs first: their tasks can no longer be asked for.
        let ledger = &mesh.ledger;
        witness.jobs.retain(|(job, _)| ledger.job(*job).is_some());
        witness.see(&applied, ledger);
        witness.occurrences.see(&applied, ledger);
        check_counts(ledger);
        check_claims(ledger, &witness, &applied);
        check_rules(ledger, &applied);
        check_order(ledger, &witness, &applied);
        bookkeeper.check(ledger, &applied);
        super::explained::check(ledger, &witness);
    }
}

proptest! {
    #[test]
    fn every_rule_holds_after_every_block(
        order in order(),
        placement in placement(),
        story in story(),
    ) {
        tell(&order, &placement, &story);
    }
}
