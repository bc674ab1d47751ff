//! What becomes of a task by the kind of its setback; checkpoints; and preemption.

use std::{collections::BTreeMap, sync::Arc};

use super::mesh::*;
use crate::{
    digest::Digest,
    ledger::{EndReason, IgnoredReason, Ledger, LedgerEvent, TaskStateView},
    types::*,
};

fn failed(failure: Failure) -> Verdict {
    Verdict::Failed(failure, Remains::default(), Usage::default())
}

fn with_rules(rules: &[(Setback, Retry)]) -> TaskSpec {
    TaskSpec { retry: Retry::of(1, 0), recovery: rules.iter().copied().collect(), ..spec() }
}

#[test]
fn each_kind_of_failure_has_its_rule_and_its_budget() {
    let mut mesh = Mesh::new(genesis());
    mesh.claim(&key(1), offer(1, 0));
    let rules = [(Setback::OutOfMemory, Retry::of(0, 0)), (Setback::Trapped, Retry::of(2, 500))];
    let job = mesh.submit(&key(100), 1, with_rules(&rules));
    mesh.next();
    let mut number = 0;
    let mut fail = |mesh: &mut Mesh, failure| {
        mesh.report(&key(1), attempt(job, 0, number), failed(failure));
        mesh.next();
        number += 1;
        mesh.state(job, 0)
    };
    let trapped = || Failure::Trapped("unreachable".into());
    assert_eq!(fail(&mut mesh, trapped()), TaskStateView::BackingOff { until: mesh.now.plus_ms(500) });
    mesh.idle(600);
    assert!(matches!(fail(&mut mesh, Failure::Exited(1)), TaskStateView::Leased { .. }), "the one that is forgiven");
    assert_eq!(fail(&mut mesh, trapped()), TaskStateView::BackingOff { until: mesh.now.plus_ms(1000) });
    mesh.idle(1100);
    assert!(matches!(
        fail(&mut mesh, Failure::Exceeded(TaskLimit::Memory(100, MemoryUse::Own))),
        TaskStateView::Done { succeeded: false, .. }
    ));
}

#[test]
fn a_rule_for_losses_makes_the_task_wait_but_forgives_no_more_than_the_genesis() {
    let mut genesis = genesis();
    genesis.ledger.losses_max = 2;
    let mut mesh = Mesh::new(genesis);
    let job = mesh.submit(&key(100), 1, with_rules(&[(Setback::Lost, Retry::of(9, 2_000))]));
    let restart = |mesh: &mut Mesh, life| {
        mesh.claim(&key(1), Claim { incarnation: Incarnation(life), ..offer(1, 0) });
        mesh.next();
        mesh.state(job, 0)
    };
    restart(&mut mesh, 1);
    assert_eq!(restart(&mut mesh, 2), TaskStateView::BackingOff { until: mesh.now.plus_ms(2_000) });
    mesh.idle(2_000);
    assert_eq!(restart(&mut mesh, 3), TaskStateView::BackingOff { until: mesh.now.plus_ms(4_000) });
    mesh.idle(4_000);
    assert!(matches!(restart(&mut mesh, 4), TaskStateView::Done { succeeded: false, .. }));
}

#[test]
fn who_asks_for_it_goes_elsewhere_after_a_failure() {
    for elsewhere in [false, true] {
        let mut mesh = Mesh::new(genesis());
        mesh.claim(&key(1), offer(1, 0));
        let rule = Retry { elsewhere, ..Retry::of(3, 0) };
        let job = mesh.submit(&key(100), 1, TaskSpec { retry: rule, ..spec() });
        mesh.next();
        mesh.claim(&key(2), Claim { load: 1000, ..offer(1, 0) });
        mesh.report(&key(1), attempt(job, 0, 0), failure());
        mesh.next();
        assert_eq!(mesh.holder(job, 0), Some(key(if elsewhere { 2 } else { 1 }).public()));
    }
}

#[test]
fn jitter_is_the_same_on_every_peer_and_differs_from_task_to_task() {
    let story = || {
        let mut mesh = Mesh::new(genesis());
        mesh.claim(&key(1), offer(20, 0));
        let rule = Retry { jitter_permille: 1000, ..Retry::of(3, 60_000) };
        let job = mesh.submit(&key(100), 20, TaskSpec { retry: rule, ..spec() });
        mesh.next();
        for index in 0..20 {
            mesh.report(&key(1), attempt(job, index, 0), failure());
        }
        mesh.next();
        (0..20).map(|index| mesh.state(job, index)).collect::<Vec<_>>()
    };
    let (one, other) = (story(), story());
    assert_eq!(one, other);
    let mut different = BTreeMap::new();
    for state in one {
        let TaskStateView::BackingOff { until } = state else { panic!("{state:?}") };
        *different.entry(until).or_insert(0) += 1;
    }
    assert!(different.len() > 15, "{different:?}");
}

fn checkpointing() -> TaskSpec {
    TaskSpec { checkpoints: true, retry: Retry::of(3, 0), ..spec() }
}

fn checkpoint(mesh: &Mesh, attempt: AttemptId, what: &[u8]) -> Verdict {
    let manifest = BlobRef { digest: Digest::of(what), bytes: 10 };
    let statement = DeliveryStatement { attempt, manifest, stderr: None, bytes: 50, height: mesh.ledger.height() };
    let delivery = statement.sign(&key(200), &mesh.ledger.network());
    Verdict::Checkpointed { manifest, bytes: 50, delivery }
}

fn saved(mesh: &Mesh, job: JobId) -> Option<Digest> {
    let task = mesh.ledger.task(TaskId { job, index: 0 }).expect("a task");
    task.checkpoint.map(|checkpoint| checkpoint.manifest.digest)
}

#[test]
fn a_checkpoint_is_kept_for_the_next_attempt_wherever_that_is() {
    let mut mesh = Mesh::new(genesis());
    mesh.claim(&key(1), offer(1, 0));
    let job = mesh.submit(&key(100), 1, checkpointing());
    mesh.next();
    let first = attempt(job, 0, 0);
    for what in [b"one".as_slice(), b"two"] {
        mesh.next();
        mesh.report(&key(1), first, checkpoint(&mesh, first, what));
        let applied = mesh.next();
        assert!(applied.events.contains(&LedgerEvent::Checkpointed { attempt: first, worker: key(1).public() }));
        assert_eq!(saved(&mesh, job), Some(Digest::of(what)));
        assert_eq!(mesh.holder(job, 0), Some(key(1).public()), "it goes on");
    }
    mesh.claim(&key(2), offer(1, 0));
    mesh.drain(&key(1));
    mesh.next();
    assert_eq!((mesh.holder(job, 0), saved(&mesh, job)), (Some(key(2).public()), Some(Digest::of(b"two"))));
    mesh.report(&key(1), first, checkpoint(&mesh, first, b"late"));
    assert_eq!(ignored(&mesh.next()), [IgnoredReason::Late]);
    let restored = Ledger::restore(Arc::clone(mesh.ledger.genesis()), &mesh.ledger.snapshot()).expect("own snapshot");
    assert_eq!(
        restored.task(TaskId { job, index: 0 }).and_then(|task| task.checkpoint).map(|c| c.attempt),
        Some(AttemptNumber(0))
    );
}

#[test]
fn a_rule_may_start_over_and_nobody_saves_what_was_not_announced_or_is_not_delivered() {
    let mut mesh = Mesh::new(genesis());
    mesh.claim(&key(1), offer(2, 0));
    let rules = BTreeMap::from([(Setback::Trapped, Retry { restarts: true, ..Retry::of(3, 0) })]);
    let job = mesh.submit(&key(100), 1, TaskSpec { recovery: rules, ..checkpointing() });
    let plain = mesh.submit(&key(100), 1, spec());
    mesh.next();
    mesh.next();
    mesh.report(&key(1), attempt(plain, 0, 0), checkpoint(&mesh, attempt(plain, 0, 0), b"one"));
    let forged = checkpoint(&mesh, attempt(plain, 0, 0), b"one");
    mesh.report(&key(1), attempt(job, 0, 0), forged);
    assert_eq!(ignored(&mesh.next()), [IgnoredReason::Malformed, IgnoredReason::NotDelivered]);
    mesh.report(&key(1), attempt(job, 0, 0), checkpoint(&mesh, attempt(job, 0, 0), b"one"));
    mesh.next();
    mesh.report(&key(1), attempt(job, 0, 0), failure());
    mesh.next();
    assert_eq!(saved(&mesh, job), Some(Digest::of(b"one")), "it goes on from there");
    mesh.report(&key(1), attempt(job, 0, 1), failed(Failure::Trapped(String::new())));
    mesh.next();
    assert_eq!(saved(&mesh, job), None, "it starts over");
}

/// Shares, with slices of two seconds.
fn shared() -> Mesh {
    let mut genesis = genesis();
    genesis.schedule.order = vec![OrderPolicy::Fair];
    genesis.schedule.slice_ms = 2_000;
    Mesh::new(genesis)
}

#[test]
fn whoever_has_had_more_makes_room_at_a_checkpoint_once_its_slice_is_spent() {
    let mut mesh = shared();
    mesh.claim(&key(1), Claim { stands_ms: 60_000, ..offer(2, 0) });
    let long = TaskSpec { limits: Limits { wall_ms: 60_000, ..spec().limits }, ..checkpointing() };
    let greedy = mesh.submit(&key(100), 2, long.clone());
    mesh.next();
    let modest = mesh.submit(&key(101), 1, TaskSpec { expected_ms: 100, ..spec() });
    let applied = mesh.pass(1_000);
    assert!(
        !applied.events.iter().any(|event| matches!(event, LedgerEvent::PreemptionRequested { .. })),
        "its slice runs"
    );
    mesh.report(&key(1), attempt(greedy, 0, 0), Verdict::Preempted);
    assert_eq!(ignored(&mesh.next()), [IgnoredReason::Malformed], "nobody asked");
    let applied = mesh.pass(1_000);
    let asked: Vec<&LedgerEvent> =
        applied.events.iter().filter(|event| matches!(event, LedgerEvent::PreemptionRequested { .. })).collect();
    assert_eq!(
        asked,
        [&LedgerEvent::PreemptionRequested { attempt: attempt(greedy, 0, 0), worker: key(1).public() }],
        "one is enough"
    );
    let restored = Ledger::restore(Arc::clone(mesh.ledger.genesis()), &mesh.ledger.snapshot()).expect("own snapshot");
    mesh.ledger = restored;
    assert!(mesh.next().events.is_empty(), "nobody is asked twice");
    mesh.report(&key(1), attempt(greedy, 0, 0), Verdict::Preempted);
    let applied = mesh.next();
    assert_eq!(ends(&applied), [(0, 0, EndReason::Preempted)]);
    assert_eq!(mesh.holder(modest, 0), Some(key(1).public()));
    let task = mesh.ledger.task(TaskId { job: greedy, index: 0 }).expect("a task");
    assert_eq!((task.state, task.failures, task.losses), (TaskStateView::Ready, 0, 0), "it spends no budget");
    mesh.report(&key(1), attempt(modest, 0, 0), success());
    mesh.next();
    assert_eq!(mesh.holder(greedy, 0), Some(key(1).public()), "and it is not kept from where it was");
}

#[test]
fn nobody_is_asked_for_room_who_could_not_go_on_or_whose_place_would_not_do() {
    for (checkpoints, millicores, asked) in [(true, 1000, true), (false, 1000, false), (true, 1001, false)] {
        let mut mesh = shared();
        mesh.claim(&key(1), offer(1, 0));
        let limits = Limits { wall_ms: 60_000, ..spec().limits };
        mesh.submit(&key(100), 1, TaskSpec { checkpoints, limits, ..spec() });
        mesh.next();
        mesh.submit(&key(101), 1, TaskSpec { resources: Resources { millicores, memory_bytes: 0 }, ..spec() });
        let applied = mesh.idle(3_000);
        let has_asked = applied.events.iter().any(|event| matches!(event, LedgerEvent::PreemptionRequested { .. }));
        assert_eq!(has_asked, asked, "{checkpoints} {millicores}");
    }
}
