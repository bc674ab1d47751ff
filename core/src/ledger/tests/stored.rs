//! What keys may make every peer store for good in a day.

use std::sync::Arc;

use super::mesh::*;
use crate::{
    ledger::{Ledger, Trust},
    types::*,
};

const DAY_MS: u64 = 24 * 3_600_000;

/// A network in which one key may store so much in a day, and all keys together four times as much.
fn with(key_daily_stored_bytes_max: u64) -> Mesh {
    let mut genesis = genesis();
    genesis.ledger.key_daily_stored_bytes_max = key_daily_stored_bytes_max;
    genesis.ledger.daily_stored_bytes_max = 4 * key_daily_stored_bytes_max;
    Mesh::new(genesis)
}

fn submit(mesh: &mut Mesh, by: u8, tasks: u32) -> (JobId, Result<(), VoidReason>) {
    let job = mesh.submit(&key(by), tasks, spec());
    let applied = mesh.next();
    (job, result_of(&applied, TransactionId(job.0)))
}

fn stored(mesh: &Mesh, by: u8) -> u64 {
    mesh.ledger.records.stored().of(&key(by).public())
}

#[test]
fn a_key_stores_no_more_in_a_day_than_it_may_and_has_room_again_the_next_day() {
    let mut mesh = with(100_000);
    assert_eq!(submit(&mut mesh, 100, 60).1, Ok(()));
    assert_eq!(submit(&mut mesh, 100, 60).1, Err(VoidReason::KeyDailyStoredFull));
    assert_eq!(submit(&mut mesh, 101, 60).1, Ok(()), "another key has its own");
    mesh.pass(DAY_MS);
    assert_eq!(submit(&mut mesh, 100, 60).1, Ok(()));
}

#[test]
fn what_tasks_did_not_use_is_given_back_on_the_day_of_their_admission() {
    let mut mesh = with(100_000);
    mesh.claim(&key(1), offer(2, 0));
    let (job, _) = submit(&mut mesh, 100, 60);
    let before = stored(&mesh, 100);
    mesh.report(&key(1), attempt(job, 0, 0), success());
    mesh.next();
    let left = mesh.ledger.genesis().ledger.inline_bytes_max as u64 - b"done".len() as u64;
    assert_eq!(stored(&mesh, 100), before - left, "a receipt and four bytes");
    mesh.cancel(&key(100), job);
    mesh.next();
    assert!(stored(&mesh, 100) < before / 20, "no receipt of a cancelled task is stored");
    let restored = Ledger::restore(Arc::clone(mesh.ledger.genesis()), &mesh.ledger.snapshot()).expect("own snapshot");
    assert_eq!(restored.records.stored(), mesh.ledger.records.stored());
}

#[test]
fn yesterdays_tasks_give_nothing_back_today() {
    let mut mesh = with(200_000);
    let (job, _) = submit(&mut mesh, 100, 60);
    mesh.pass(DAY_MS);
    assert_eq!(submit(&mut mesh, 100, 60).1, Ok(()));
    let today = stored(&mesh, 100);
    mesh.cancel(&key(100), job);
    mesh.next();
    assert_eq!(stored(&mesh, 100), today);
}

#[test]
fn new_keys_together_store_a_part_and_a_vouched_key_goes_on() {
    let mut genesis = genesis();
    genesis.ledger.daily_stored_bytes_max = 400_000;
    genesis.ledger.unproven_permille = 250;
    genesis.access.quotas.insert(key(120).public(), Quota::from([(KeyLimit::DailyStoredBytes, 90_000)]));
    let mut mesh = Mesh::new(genesis);
    assert_eq!(submit(&mut mesh, 100, 60).1, Ok(()));
    assert_eq!(submit(&mut mesh, 101, 60).1, Err(VoidReason::DailyStoredFull));
    assert_eq!(mesh.ledger.trust(Permission::Submit, &key(120).public()), Trust::Vouched);
    assert_eq!(submit(&mut mesh, 120, 60).1, Ok(()));
    assert_eq!(submit(&mut mesh, 120, 20).1, Err(VoidReason::KeyDailyStoredFull), "by its own quota");
}

#[test]
fn a_full_day_keeps_nobody_from_cancelling_or_from_what_was_promised() {
    let mut mesh = with(100_000);
    mesh.claim(&key(1), offer(1, 0));
    let array = Array::new(TaskSpec { spawns: true, ..spec() }, Tasks::Repeat(30));
    let submit_it = Submit { arrays: vec![array], spawns_max: 40, ..Submit::named("grows") };
    let job = JobId(mesh.sign(&key(100), Action::Submit(submit_it.clone())).0);
    mesh.next();
    assert_eq!(submit(&mut mesh, 100, 40).1, Ok(()), "what may be spawned was looked at, and not yet charged");
    let again = mesh.sign(&key(100), Action::Submit(Submit { spawns_max: 41, ..submit_it }));
    let applied = mesh.next();
    assert_eq!(result_of(&applied, again), Err(VoidReason::KeyDailyStoredFull));
    let spawns: Vec<Spawn> = (0..40).map(|at| Spawn { arguments: vec![at.to_string()], ..Spawn::default() }).collect();
    let Verdict::Succeeded(_, output, usage, _) = success() else { unreachable!() };
    mesh.report(&key(1), attempt(job, 0, 0), Verdict::Succeeded(0, output, usage, spawns));
    mesh.next();
    assert_eq!(mesh.ledger.job(job).expect("a job").count, 70);
    assert_eq!(submit(&mut mesh, 100, 1).1, Err(VoidReason::KeyDailyStoredFull), "which was charged");
    let which = Selection { ranges: vec![(5, 6)], ..Selection::all() };
    let cancel = mesh.control(&key(100), Control { job, which, directive: Directive::Cancel });
    let applied = mesh.next();
    assert_eq!(result_of(&applied, cancel), Ok(()));
}
