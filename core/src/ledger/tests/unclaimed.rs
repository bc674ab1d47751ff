//! Tasks that no claim could ever hold end after long.

use std::sync::Arc;

use super::mesh::*;
use crate::{
    ledger::{
        Gone, Ledger, TaskStateView,
        explain::reasons::{Hindrance, Why},
    },
    types::*,
};

const MOST_MS: u64 = 600_000;

/// A network in which tasks that nobody can run end after ten minutes, with a worker of one core.
fn short() -> Mesh {
    let mut genesis = genesis();
    genesis.ledger.unclaimed_ms_max = MOST_MS;
    let mut mesh = Mesh::new(genesis);
    mesh.claim(&key(1), offer(1, 0));
    mesh.next();
    mesh
}

fn large() -> TaskSpec {
    TaskSpec { resources: Resources { millicores: 9_000, memory_bytes: 100 }, ..spec() }
}

/// Lets time pass while the worker goes on claiming.
fn wait(mesh: &mut Mesh, ms: u64, claim: &Claim) {
    for _ in 0..ms / 30_000 {
        mesh.claim(&key(1), claim.clone());
        mesh.idle(30_000);
    }
}

fn ended(mesh: &Mesh, job: JobId) -> u64 {
    let unclaimed = TaskStateView::Gone(Gone::Unclaimed);
    (0..mesh.ledger.job(job).expect("a job").count).filter(|index| mesh.state(job, *index) == unclaimed).count() as u64
}

#[test]
fn a_task_that_no_claim_could_hold_ends_and_says_before_when() {
    let mut mesh = short();
    let job = mesh.submit(&key(100), 5, large());
    let submitted = mesh.now;
    wait(&mut mesh, MOST_MS / 2, &offer(1, 0));
    let genesis = Arc::clone(mesh.ledger.genesis());
    mesh.ledger = Ledger::restore(genesis, &mesh.ledger.snapshot()).expect("own snapshot");
    let Some(Why::Ready(why)) = mesh.ledger.explain(TaskId { job, index: 0 }).map(|said| said.why) else {
        panic!("it waits")
    };
    let ends = why.ends.expect("it will end");
    assert_eq!(why.hindrance, Hindrance::NoClaim);
    assert!(ends >= submitted.plus_ms(MOST_MS) && ends <= submitted.plus_ms(MOST_MS + MOST_MS / 50), "{ends:?}");
    wait(&mut mesh, MOST_MS / 2, &offer(1, 0));
    wait(&mut mesh, MOST_MS / 10, &offer(1, 0));
    assert_eq!(ended(&mesh, job), 5);
    assert!(mesh.ledger.job(job).expect("a job").ended.is_some(), "and so its job has");
}

#[test]
fn a_claim_that_comes_in_time_begins_the_wait_anew_and_other_tasks_wait_as_long_as_they_must() {
    let mut mesh = short();
    let job = mesh.submit(&key(100), 2, large());
    let other = mesh.submit(&key(100), 3, spec());
    wait(&mut mesh, MOST_MS * 9 / 10, &offer(1, 0));
    // It takes one of the two, and the other one waits for a place.
    mesh.claim(&key(1), Claim { slots: 1, ..offer(9, 0) });
    mesh.next();
    wait(&mut mesh, MOST_MS / 2, &offer(1, 0));
    assert_eq!((ended(&mesh, job), ended(&mesh, other)), (0, 0));
    wait(&mut mesh, MOST_MS, &offer(1, 0));
    assert_eq!(ended(&mesh, other), 0, "there is a claim for those, however long they wait");
    assert!(ended(&mesh, job) >= 1);
}

#[test]
fn what_is_owed_to_dependents_is_settled_and_a_genesis_can_let_tasks_wait_for_ever() {
    let mut mesh = short();
    let first = Array { name: "first".into(), ..Array::new(large(), Tasks::Repeat(1)) };
    let after = vec![After { array: 0, each: false, when: When::Ok }];
    let second = Array { name: "second".into(), after, ..Array::new(spec(), Tasks::Repeat(1)) };
    let submit = Submit { arrays: vec![first, second], ..Submit::named("chain") };
    let job = JobId(mesh.sign(&key(100), Action::Submit(submit)).0);
    wait(&mut mesh, MOST_MS + MOST_MS / 10, &offer(1, 0));
    assert_eq!(mesh.state(job, 1), TaskStateView::Gone(Gone::Skipped));
    let mut genesis = genesis();
    genesis.ledger.unclaimed_ms_max = 0;
    let mut patient = Mesh::new(genesis);
    let job = patient.submit(&key(100), 1, large());
    wait(&mut patient, 2 * MOST_MS, &offer(1, 0));
    assert_eq!(patient.state(job, 0), TaskStateView::Ready);
}

#[test]
fn each_task_waits_its_own_time_and_none_while_the_network_stands_still() {
    let mut mesh = short();
    let early = mesh.submit(&key(100), 1, large());
    wait(&mut mesh, MOST_MS * 9 / 10, &offer(1, 0));
    let late = mesh.submit(&key(100), 1, large());
    wait(&mut mesh, MOST_MS / 5, &offer(1, 0));
    assert_eq!((ended(&mesh, early), ended(&mesh, late)), (1, 0));
    mesh.pass(10 * MOST_MS);
    mesh.next();
    assert_eq!(ended(&mesh, late), 0, "nobody could claim meanwhile");
}

#[test]
fn a_state_whose_segments_were_cut_by_it_can_be_restored() {
    let mut mesh = short();
    mesh.claim(&key(1), offer(9, 0));
    let job = mesh.submit(&key(100), 4, large());
    mesh.next();
    assert_eq!(mesh.held(&key(1)).len(), 1);
    mesh.claim(&key(1), offer(1, 0));
    wait(&mut mesh, MOST_MS + MOST_MS / 10, &offer(1, 0));
    assert!(ended(&mesh, job) >= 3);
    let genesis = Arc::clone(mesh.ledger.genesis());
    Ledger::restore(genesis, &mesh.ledger.snapshot()).expect("own snapshot");
}
