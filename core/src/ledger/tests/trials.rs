//! Workers on trial: fresh ones, and those that lost an attempt, hold one attempt at a time until they deliver.

use std::sync::Arc;

use super::mesh::*;
use crate::{ledger::Ledger, types::*};

const WAIT_MS: u64 = 60_000;

/// A genesis in which workers are on trial.
fn tried() -> Genesis {
    let mut genesis = genesis();
    genesis.ledger.trial_wait_ms = WAIT_MS;
    genesis
}

fn brief() -> TaskSpec {
    TaskSpec { limits: Limits { wall_ms: 1000, ..spec().limits }, ..spec() }
}

/// Has a worker deliver a task, which ends its trial.
fn deliver(mesh: &mut Mesh, by: u8) {
    mesh.claim(&key(by), offer(1, 0));
    let job = mesh.submit(&key(120), 1, brief());
    mesh.next();
    assert_eq!(mesh.holder(job, 0), Some(key(by).public()));
    mesh.report(&key(by), attempt(job, 0, 0), success());
    assert_eq!(outcomes(&mesh.next()).len(), 1);
}

/// Has these workers renew their claims.
fn renew(mesh: &mut Mesh, workers: impl Iterator<Item = u8>, offered: &Claim) {
    for by in workers {
        mesh.claim(&key(by), offered.clone());
    }
}

/// Has a worker report on all that it runs.
fn report_all(mesh: &mut Mesh, by: u8, verdict: &Verdict) {
    for lease in mesh.ledger.leases_of(&key(by).public()) {
        mesh.report(&key(by), lease.attempt, verdict.clone());
    }
}

fn succeeded(mesh: &Mesh, job: JobId) -> u64 {
    mesh.ledger.job(job).expect("a job").counts.succeeded
}

#[test]
fn a_new_worker_holds_what_it_offers_and_after_its_first_loss_one_attempt_until_it_delivers() {
    let mut mesh = Mesh::new(tried());
    mesh.claim(&key(1), offer(4, 4));
    let job = mesh.submit(&key(100), 20, spec());
    mesh.next();
    assert_eq!(mesh.held(&key(1)).len(), 8);
    mesh.claim(&key(1), Claim { incarnation: Incarnation(2), ..offer(4, 4) });
    mesh.next();
    assert_eq!(mesh.held(&key(1)).len(), 1);
    let genesis = Arc::clone(mesh.ledger.genesis());
    mesh.ledger = Ledger::restore(genesis, &mesh.ledger.snapshot()).expect("own snapshot");
    report_all(&mut mesh, 1, &success());
    mesh.next();
    assert_eq!((succeeded(&mesh, job), mesh.held(&key(1)).len()), (1, 8));
}

#[test]
fn a_worker_that_lost_its_attempt_gets_one_at_a_time_and_then_none_for_a_while() {
    let mut mesh = Mesh::new(tried());
    deliver(&mut mesh, 1);
    let again = |incarnation| Claim { incarnation: Incarnation(incarnation), ..offer(3, 0) };
    mesh.claim(&key(1), again(1));
    mesh.submit(&key(100), 9, spec());
    mesh.next();
    assert_eq!(mesh.held(&key(1)).len(), 3);
    mesh.claim(&key(1), again(2));
    mesh.next();
    assert_eq!(mesh.held(&key(1)).len(), 1, "three were lost at once, which begins one trial");
    mesh.claim(&key(1), again(3));
    mesh.next();
    assert_eq!(mesh.held(&key(1)).len(), 0, "now the attempt of the trial is lost");
    for _ in 0..WAIT_MS / 10_000 {
        mesh.claim(&key(1), again(3));
        mesh.next();
        assert_eq!(mesh.held(&key(1)).len(), 0);
        mesh.idle(10_000);
    }
    mesh.claim(&key(1), again(3));
    mesh.next();
    assert_eq!(mesh.held(&key(1)).len(), 1, "it may try again");
    report_all(&mut mesh, 1, &success());
    mesh.next();
    assert_eq!(mesh.held(&key(1)).len(), 3);
}

#[test]
fn a_late_success_ends_the_trial() {
    let mut mesh = Mesh::new(tried());
    mesh.claim(&key(1), offer(2, 0));
    let job = mesh.submit(&key(100), 5, spec());
    mesh.next();
    mesh.claim(&key(1), Claim { incarnation: Incarnation(2), ..offer(2, 0) });
    mesh.next();
    assert_eq!(mesh.held(&key(1)).len(), 1);
    mesh.report(&key(1), attempt(job, 0, 0), success());
    mesh.next();
    assert_eq!((succeeded(&mesh, job), mesh.held(&key(1)).len()), (1, 2));
}

#[test]
fn new_workers_that_never_report_stall_each_task_once_at_most() {
    let mut mesh = Mesh::new(tried());
    deliver(&mut mesh, 1);
    let job = mesh.submit(&key(100), 40, brief());
    renew(&mut mesh, 2..80, &offer(64, 0));
    renew(&mut mesh, 1..2, &offer(2, 0));
    mesh.next();
    assert!((2..80).all(|by| mesh.held(&key(by)).len() <= 1));
    for _ in 0..100 {
        renew(&mut mesh, 2..80, &offer(64, 0));
        renew(&mut mesh, 1..2, &offer(2, 0));
        report_all(&mut mesh, 1, &success());
        mesh.pass(1000);
    }
    assert_eq!(succeeded(&mesh, job), 40, "all are done after 100 s by one honest worker of two slots");
}

#[test]
fn new_workers_that_always_fail_end_no_task() {
    let mut mesh = Mesh::new(tried());
    deliver(&mut mesh, 1);
    let job = mesh.submit(&key(100), 40, brief());
    for _ in 0..60 {
        renew(&mut mesh, 2..80, &offer(64, 0));
        renew(&mut mesh, 1..2, &offer(2, 0));
        report_all(&mut mesh, 1, &success());
        (2..80).for_each(|by| report_all(&mut mesh, by, &failure()));
        mesh.pass(1000);
    }
    assert_eq!(succeeded(&mesh, job), 40);
}

/// Has every new worker fail what it holds until the task has failed. Returns how often it was tried.
fn failures_until_the_end(workers: u8, retry: Retry) -> usize {
    let mut mesh = Mesh::new(tried());
    let job = mesh.submit(&key(100), 1, TaskSpec { retry, ..spec() });
    let mut failures = 0;
    while mesh.ledger.job(job).is_none_or(|job| job.counts.failed == 0) && failures < 20 {
        renew(&mut mesh, 1..workers + 1, &offer(1, 0));
        mesh.pass(1000);
        for by in 1..workers + 1 {
            failures += mesh.held(&key(by)).len();
            report_all(&mut mesh, by, &failure());
        }
        mesh.pass(1);
    }
    failures
}

#[test]
fn the_first_three_failures_at_new_workers_count_for_nothing_while_there_is_somebody_else() {
    assert_eq!(failures_until_the_end(1, Retry::default()), 1, "nobody else could say otherwise");
    assert_eq!(failures_until_the_end(2, Retry::default()), 2);
    assert_eq!(failures_until_the_end(9, Retry::default()), 4);
    assert_eq!(failures_until_the_end(9, Retry::of(2, 0)), 6, "retries are spent on top of those");
}

#[test]
fn a_worker_that_has_delivered_goes_before_a_new_one_and_its_failure_is_final() {
    let mut mesh = Mesh::new(tried());
    deliver(&mut mesh, 1);
    mesh.claim(&key(2), offer(1, 0));
    mesh.claim(&key(1), Claim { load: 1000, ..offer(1, 0) });
    let job = mesh.submit(&key(100), 1, spec());
    mesh.next();
    assert_eq!(mesh.holder(job, 0), Some(key(1).public()), "though it is busy");
    mesh.report(&key(1), attempt(job, 0, 0), failure());
    assert_eq!(outcomes(&mesh.next()).len(), 1);
}
