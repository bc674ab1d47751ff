//! What becomes of tasks whose attempts end without an outcome.

use super::mesh::*;
use crate::{
    ledger::{EndReason, LedgerEvent, TaskStateView},
    types::*,
};

fn with_retry(retries: u32, delay_ms: u64) -> TaskSpec {
    TaskSpec { retry: Retry::of(retries, delay_ms), ..spec() }
}

fn failed_outcome(applied: &crate::ledger::Applied) -> Option<Failure> {
    outcomes(applied).first().map(|outcome| match &outcome.verdict {
        Verdict::Failed(failure, ..) => failure.clone(),
        other => panic!("{other:?}"),
    })
}

#[test]
fn a_failed_program_is_tried_again_after_a_doubling_wait_until_its_retries_are_spent() {
    let mut mesh = Mesh::new(genesis());
    mesh.claim(&key(1), offer(1, 0));
    let job = mesh.submit(&key(100), 1, with_retry(2, 500));
    mesh.next();
    for (number, wait_ms) in [(0, 500), (1, 1000)] {
        mesh.report(&key(1), attempt(job, 0, number), failure());
        mesh.next();
        let until = mesh.now.plus_ms(wait_ms);
        assert_eq!(mesh.state(job, 0), TaskStateView::BackingOff { until });
        assert_eq!(mesh.ledger.next_due(), Some(until));
        mesh.pass(wait_ms - 1);
        assert!(mesh.held(&key(1)).is_empty());
        mesh.next();
        assert_eq!(mesh.held(&key(1)), [(0, number + 1, true)]);
    }
    mesh.report(&key(1), attempt(job, 0, 2), failure());
    let applied = mesh.next();
    assert_eq!(failed_outcome(&applied), Some(Failure::Exited(1)));
    assert!(matches!(mesh.state(job, 0), TaskStateView::Done { succeeded: false, .. }));
}

#[test]
fn an_attempt_times_out_after_its_wall_time_and_the_allowance_from_taking_resources() {
    let mut mesh = Mesh::new(genesis());
    let total_ms = 10_000 + mesh.ledger.genesis().ledger.allowance_ms;
    mesh.claim(&key(1), offer(1, 1));
    let first = mesh.submit(&key(100), 1, spec());
    mesh.next();
    let renew_and_pass = |mesh: &mut Mesh, ms: u64| {
        let mut ended = Vec::new();
        for _ in 0..ms / 1000 {
            mesh.claim(&key(1), offer(1, 1));
            ended.extend(ends(&mesh.pass(1000)));
        }
        ended
    };
    assert_eq!(renew_and_pass(&mut mesh, total_ms - 30_000), []);
    let second = mesh.submit(&key(100), 1, spec());
    assert_eq!(renew_and_pass(&mut mesh, 29_000), []);
    mesh.pass(999);
    assert_eq!(mesh.held(&key(1)), [(0, 0, true), (0, 0, false)]);
    assert_eq!(ends(&mesh.next()), [(0, 0, EndReason::TimedOut)]);
    assert_eq!(mesh.ledger.task(TaskId { job: first, index: 0 }).expect("a task").losses, 1);
    mesh.cancel(&key(100), first);
    mesh.now = mesh.ledger.time();
    assert_eq!(mesh.holder(second, 0), Some(key(1).public()), "its time begins only now");
    let ended: Vec<_> = renew_and_pass(&mut mesh, total_ms - 1000);
    assert!(ended.iter().all(|(_, _, why)| *why == EndReason::Cancelled), "{ended:?}");
    assert_eq!(ends(&mesh.pass(1000)), [(0, 0, EndReason::TimedOut)]);
}

#[test]
fn a_report_in_the_block_in_which_the_attempt_would_time_out_is_taken() {
    let mut mesh = Mesh::new(genesis());
    mesh.claim(&key(1), offer(1, 0));
    let job = mesh.submit(&key(100), 1, spec());
    mesh.next();
    for _ in 0..69 {
        mesh.claim(&key(1), offer(1, 0));
        mesh.pass(1000);
    }
    mesh.claim(&key(1), offer(1, 0));
    mesh.report(&key(1), attempt(job, 0, 0), success());
    let applied = mesh.pass(1000);
    assert_eq!(ends(&applied), [(0, 0, EndReason::Succeeded)]);
}

#[test]
fn a_program_that_kills_its_hosts_ends_too_without_spending_retries() {
    let mut genesis = genesis();
    genesis.ledger.losses_max = 3;
    let mut mesh = Mesh::new(genesis);
    let job = mesh.submit(&key(100), 1, with_retry(5, 0));
    let mut last = None;
    for life in 1..=5 {
        mesh.claim(&key(1), Claim { incarnation: Incarnation(life), ..offer(1, 0) });
        let applied = mesh.next();
        last = failed_outcome(&applied);
        assert_eq!(last.is_some(), life == 5, "the fourth loss, at the start of the fifth life, is one too many");
    }
    assert_eq!(last, Some(Failure::Lost));
    assert!(matches!(mesh.state(job, 0), TaskStateView::Done { succeeded: false, attempt: AttemptNumber(3), .. }));
}

#[test]
fn losses_do_not_spend_retries_and_failures_no_losses() {
    let mut mesh = Mesh::new(genesis());
    let job = mesh.submit(&key(100), 1, with_retry(1, 0));
    mesh.claim(&key(1), offer(1, 0));
    mesh.next();
    mesh.drain(&key(1));
    mesh.claim(&key(2), offer(1, 0));
    mesh.next();
    mesh.report(&key(2), attempt(job, 0, 1), failure());
    mesh.next();
    let task = mesh.ledger.task(TaskId { job, index: 0 }).expect("a task");
    assert_eq!((task.failures, task.losses, task.attempts), (1, 1, 3));
    let why: Vec<_> = task.past.iter().map(|past| (past.worker, past.started.is_some(), past.why)).collect();
    let (first, second) = (key(1).public(), key(2).public());
    assert_eq!(why, [(first, true, EndReason::Drained), (second, true, EndReason::Failed)]);
}

#[test]
fn what_was_returned_counts_for_nothing() {
    let mut genesis = genesis();
    genesis.ledger.losses_max = 0;
    let mut mesh = Mesh::new(genesis);
    mesh.claim(&key(1), offer(1, 1));
    let job = mesh.submit(&key(100), 2, with_retry(0, 0));
    mesh.next();
    for number in 0..3 {
        mesh.report(&key(1), attempt(job, 0, number), Verdict::Returned);
        mesh.report(&key(1), attempt(job, 1, number), Verdict::Returned);
        let applied = mesh.next();
        assert_eq!(ends(&applied), [(0, number, EndReason::Returned), (1, number, EndReason::Returned)]);
        mesh.pass(1000);
    }
    let task = mesh.ledger.task(TaskId { job, index: 0 }).expect("a task");
    assert_eq!((task.failures, task.losses, task.attempts), (0, 0, 4));
}

#[test]
fn work_that_its_worker_could_not_deliver_is_a_loss() {
    let mut genesis = genesis();
    genesis.ledger.losses_max = 1;
    let mut mesh = Mesh::new(genesis);
    mesh.claim(&key(1), offer(1, 0));
    let job = mesh.submit(&key(100), 1, with_retry(0, 0));
    mesh.next();
    mesh.report(&key(1), attempt(job, 0, 0), Verdict::Undelivered);
    assert_eq!(ends(&mesh.next()), [(0, 0, EndReason::Undelivered)]);
    let task = mesh.ledger.task(TaskId { job, index: 0 }).expect("a task");
    assert_eq!((task.failures, task.losses), (0, 1));
    assert_eq!(mesh.ledger.totals().ever.lost, 1);
    // It cannot be said again, and a success cannot follow.
    mesh.report(&key(1), attempt(job, 0, 0), success());
    assert_eq!(outcomes(&mesh.next()).len(), 0);
}

#[test]
fn a_task_does_not_go_back_while_another_claim_could_ever_hold_it_even_if_that_is_full() {
    let mut mesh = Mesh::new(genesis());
    mesh.claim(&key(2), offer(1, 0));
    let blocker = mesh.submit(&key(100), 1, spec());
    mesh.next();
    mesh.claim(&key(1), offer(1, 0));
    let job = mesh.submit(&key(100), 1, spec());
    mesh.next();
    assert_eq!(mesh.holder(job, 0), Some(key(1).public()));
    mesh.report(&key(1), attempt(job, 0, 0), Verdict::Returned);
    mesh.next();
    assert_eq!(mesh.holder(job, 0), None, "1 is free, but 2 could hold it one day");
    let other = mesh.submit(&key(100), 1, spec());
    mesh.next();
    assert_eq!(mesh.holder(other, 0), Some(key(1).public()), "it holds up nobody else");
    mesh.report(&key(2), attempt(blocker, 0, 0), success());
    mesh.next();
    assert_eq!(mesh.holder(job, 0), Some(key(2).public()));
}

#[test]
fn a_task_goes_back_if_the_other_claims_could_never_hold_it_or_are_gone() {
    let mut mesh = Mesh::new(genesis());
    mesh.claim(&key(1), offer(1, 0));
    mesh.claim(&key(2), Claim { resources: Resources { millicores: 999, memory_bytes: 999 }, ..offer(1, 0) });
    let job = mesh.submit(&key(100), 1, spec());
    mesh.next();
    mesh.report(&key(1), attempt(job, 0, 0), Verdict::Returned);
    mesh.next();
    assert_eq!(mesh.holder(job, 0), Some(key(1).public()), "2 is too small");
    mesh.claim(&key(2), Claim { slots: 0, ..offer(1, 0) });
    mesh.report(&key(1), attempt(job, 0, 1), Verdict::Returned);
    mesh.next();
    assert_eq!(mesh.holder(job, 0), None, "it was returned twice, and waits a moment");
    mesh.pass(50);
    assert_eq!(mesh.holder(job, 0), Some(key(1).public()), "2 is paused");
    // A claim that could hold it, but is full, and then leaves.
    mesh.claim(&key(2), offer(1, 0));
    mesh.submit(&key(100), 1, spec());
    mesh.next();
    mesh.report(&key(1), attempt(job, 0, 2), Verdict::Returned);
    mesh.next();
    mesh.pass(100);
    assert_eq!(mesh.holder(job, 0), None);
    mesh.drain(&key(2));
    mesh.next();
    assert_eq!(mesh.holder(job, 0), Some(key(1).public()));
}

#[test]
fn a_task_that_was_lost_everywhere_goes_where_it_was_lost_least_often() {
    let mut mesh = Mesh::new(genesis());
    let job = mesh.submit(&key(100), 1, spec());
    let mut lives = [1, 1];
    let mut went = Vec::new();
    let claim = |mesh: &mut Mesh, worker: u8, life: u64| {
        mesh.claim(&key(worker), Claim { incarnation: Incarnation(life), ..offer(1, 0) });
    };
    claim(&mut mesh, 1, 1);
    claim(&mut mesh, 2, 1);
    mesh.next();
    for _ in 0..6 {
        let holder = mesh.holder(job, 0).expect("someone holds it");
        let worker = if holder == key(1).public() { 1 } else { 2 };
        went.push(worker);
        let life = &mut lives[usize::from(worker) - 1];
        *life += 1;
        let life = *life;
        claim(&mut mesh, worker, life);
        mesh.next();
    }
    for pair in went.chunks(2) {
        assert_ne!(pair[0], pair[1], "{went:?}");
    }
}

#[test]
fn a_claim_and_its_attempt_that_run_out_together_cost_one_loss() {
    let mut genesis = genesis();
    genesis.ledger.allowance_ms = 10_000;
    let mut mesh = Mesh::new(genesis);
    mesh.claim(&key(1), Claim { stands_ms: 20_000, ..offer(1, 0) });
    let job = mesh.submit(&key(100), 1, spec());
    mesh.next();
    let applied = mesh.idle(20_000);
    assert_eq!(ends(&applied), [(0, 0, EndReason::ClaimEnded)]);
    assert_eq!(mesh.ledger.task(TaskId { job, index: 0 }).expect("a task").losses, 1);
}

#[test]
fn the_memory_of_attempts_is_bounded() {
    let mut mesh = Mesh::new(genesis());
    mesh.claim(&key(1), offer(1, 0));
    let job = mesh.submit(&key(100), 1, spec());
    mesh.next();
    for number in 0..100 {
        mesh.report(&key(1), attempt(job, 0, number), Verdict::Returned);
        mesh.claim(&key(1), offer(1, 0));
        mesh.next();
        // Longer than any wait after a return, and a stall, so that the claim stands on.
        mesh.pass(61_000);
    }
    let task = mesh.ledger.task(TaskId { job, index: 0 }).expect("a task");
    assert_eq!((task.past.len(), task.attempts), (crate::ledger::ATTEMPTS_KEPT, 101));
    assert_eq!(task.past.last().map(|past| past.number), Some(AttemptNumber(99)));
}

#[test]
fn what_runs_out_in_one_block_ends_by_id_claims_before_attempts() {
    let mut genesis = genesis();
    genesis.ledger.allowance_ms = 20_000;
    let mut mesh = Mesh::new(genesis);
    let expected = {
        let mut keys: Vec<_> = (1..=6).map(|worker| key(worker).public()).collect();
        keys.sort_unstable();
        keys
    };
    // The claim of the largest key runs out first, and its attempts are the youngest.
    let by_key = |public| (1..=6).map(key).find(|key| key.public() == public).expect("one of six");
    for (later, public) in expected.iter().rev().enumerate() {
        let stands_ms = 30_000 + later as u64;
        mesh.claim(&by_key(*public), Claim { stands_ms, ..offer(1, 0) });
    }
    let jobs: Vec<JobId> = (0..6).map(|_| mesh.submit(&key(100), 1, spec())).collect();
    mesh.next();
    // Renewed by four of them, whose attempts time out; the others' claims run out in the same block.
    for public in &expected[..4] {
        mesh.claim(&by_key(*public), offer(1, 0));
    }
    mesh.idle(29_900);
    let applied = mesh.pass(200);
    let ended = applied.events.iter().filter_map(|event| match event {
        LedgerEvent::Ended { attempt, worker, why, .. } => Some((*why, *attempt, *worker)),
        _ => None,
    });
    let ended: Vec<_> = ended.collect();
    let lost: Vec<_> = ended.iter().filter(|(why, ..)| *why == EndReason::ClaimEnded).map(|(.., key)| *key).collect();
    assert_eq!(lost, expected[4..], "claims by key");
    let late: Vec<_> = ended.iter().filter(|(why, ..)| *why == EndReason::TimedOut).map(|(_, id, _)| *id).collect();
    assert_eq!(late.len(), 4);
    let admitted = late.iter().map(|id| jobs.iter().position(|job| *job == id.task.job));
    assert!(!admitted.is_sorted(), "the order of ids is not that of admission");
    assert!(late.is_sorted(), "attempts by id");
    assert_eq!(ended.iter().position(|(why, ..)| *why == EndReason::TimedOut), Some(2), "claims first");
    assert_eq!(jobs.len(), ended.len());
}
