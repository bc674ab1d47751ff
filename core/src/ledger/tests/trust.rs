//! How room is shared out: what unproven keys may have together, and who is proven or vouched for.

use std::{collections::BTreeSet, sync::Arc};

use super::mesh::*;
use crate::{
    ledger::{Ledger, MERIT_DAYS, PROVEN_DAYS, Trust},
    types::*,
};

const DAY_MS: u64 = 24 * 3_600_000;

/// A genesis in which unproven keys have a quarter of everything, and key 150 has a quota.
fn shared() -> Genesis {
    let mut genesis = genesis();
    genesis.ledger.unproven_permille = 250;
    genesis.ledger.tasks_max = 40;
    genesis.ledger.recurring_max = 8;
    genesis.ledger.workers_max = 8;
    genesis.access.quotas.insert(key(150).public(), [(KeyLimit::Running, 1000)].into());
    genesis
}

fn submit(mesh: &mut Mesh, by: u8, count: u32) -> Result<(), VoidReason> {
    let job = mesh.submit(&key(by), count, spec());
    result_of(&mesh.next(), TransactionId(job.0))
}

fn claim(mesh: &mut Mesh, by: u8, offered: Claim) -> Result<(), VoidReason> {
    let id = mesh.claim(&key(by), offered);
    result_of(&mesh.next(), id)
}

fn change(mesh: &mut Mesh, change: Change) {
    let id = mesh.sign(&key(200), Action::Govern(Govern::Propose(change)));
    assert_eq!(result_of(&mesh.next(), id), Ok(()));
}

fn recurring() -> Action {
    Action::Recur(Recur::Submit(Box::new(Recurring {
        job: Submit::new("again", spec(), Tasks::Repeat(1)),
        cron: Cron::ALWAYS,
        catch_up: CatchUp::Skip,
        overlap: Overlap::Skip,
        from: None,
        until: None,
        runs_max: None,
        deadline_ms: None,
    })))
}

/// Lets a key submit a task, and another one run it, on so many days.
fn succeed(mesh: &mut Mesh, submitter: u8, worker: u8, days: u8) {
    for _ in 0..days {
        mesh.claim(&key(worker), offer(1, 0));
        let job = mesh.submit(&key(submitter), 1, spec());
        mesh.next();
        mesh.report(&key(worker), attempt(job, 0, 0), success());
        mesh.drain(&key(worker));
        assert_eq!(outcomes(&mesh.next()).len(), 1);
        mesh.pass(DAY_MS);
    }
}

fn trusts(mesh: &Mesh, by: u8) -> [Trust; 2] {
    [Permission::Submit, Permission::Work].map(|side| mesh.ledger.trust(side, &key(by).public()))
}

#[test]
fn however_many_unproven_keys_there_are_they_have_a_quarter_together() {
    let mut mesh = Mesh::new(shared());
    let results: Vec<_> = (1..=6).map(|by| submit(&mut mesh, by, 4)).collect();
    assert_eq!(results[..2], [Ok(()); 2]);
    assert!(results[2..].iter().all(|result| *result == Err(VoidReason::UnprovenFull)), "{results:?}");
    assert_eq!(submit(&mut mesh, 7, 2), Ok(()), "to the last of it");
    assert_eq!(submit(&mut mesh, 150, 30), Ok(()), "a key with a quota has what they have not");
    assert_eq!(submit(&mut mesh, 150, 1), Err(VoidReason::TasksFull));
}

#[test]
fn a_new_network_works_at_once_and_room_comes_back_as_tasks_end() {
    let mut mesh = Mesh::new(shared());
    mesh.claim(&key(1), offer(10, 0));
    for by in 100..110 {
        let job = mesh.submit(&key(by), 10, spec());
        assert_eq!(result_of(&mesh.next(), TransactionId(job.0)), Ok(()));
        for index in 0..10 {
            mesh.report(&key(1), attempt(job, index, 0), success());
        }
        mesh.next();
    }
}

#[test]
fn bytes_recurring_jobs_and_needs_are_shared_out_too() {
    let with = |change: fn(&mut LedgerLimits)| {
        let mut genesis = shared();
        change(&mut genesis.ledger);
        Mesh::new(genesis)
    };
    let mut mesh = with(|limits| limits.output_bytes_max = 4000);
    assert_eq!([submit(&mut mesh, 1, 1), submit(&mut mesh, 2, 1)], [Ok(()), Err(VoidReason::UnprovenFull)]);
    assert_eq!(submit(&mut mesh, 150, 3), Ok(()));
    let mut mesh = with(|limits| limits.definition_bytes_max = 1000);
    assert_eq!([submit(&mut mesh, 1, 1), submit(&mut mesh, 2, 1)], [Ok(()), Err(VoidReason::UnprovenFull)]);
    assert_eq!(submit(&mut mesh, 150, 1), Ok(()));
    let mut mesh = with(|_| {});
    let ids = [1, 2, 3, 150].map(|by| mesh.sign(&key(by), recurring()));
    let applied = mesh.next();
    assert_eq!(ids.map(|id| result_of(&applied, id)), [Ok(()), Ok(()), Err(VoidReason::UnprovenFull), Ok(())]);
    let mut mesh = with(|limits| limits.tasks_max = 1_000_000);
    let mut needs = |by: u8, memory_bytes| {
        let resources = Resources { millicores: 1, memory_bytes };
        let job = mesh.submit(&key(by), 1, TaskSpec { resources, ..spec() });
        result_of(&mesh.next(), TransactionId(job.0))
    };
    let results: Vec<_> = (0..1025).map(|number| needs(1 + (number / 64) as u8, number)).collect();
    assert!(results[..1024].iter().all(Result::is_ok));
    assert_eq!(results[1024], Err(VoidReason::UnprovenFull));
    assert_eq!(needs(100, 0), Ok(()), "what others need already is nothing more");
    assert_eq!(needs(150, 5000), Ok(()));
}

#[test]
fn unproven_workers_leave_places_and_a_claim_without_slots_takes_none() {
    let mut mesh = Mesh::new(shared());
    let idle = Claim { slots: 0, resources: Resources { millicores: 0, memory_bytes: 0 }, ..offer(1, 0) };
    for by in 1..=6 {
        assert_eq!(claim(&mut mesh, by, idle.clone()), Ok(()));
    }
    assert_eq!([7, 8].map(|by| claim(&mut mesh, by, offer(1, 0))), [Ok(()); 2]);
    assert_eq!(claim(&mut mesh, 1, offer(1, 0)), Err(VoidReason::UnprovenFull));
    assert_eq!([7, 8].map(|by| claim(&mut mesh, by, offer(2, 1))), [Ok(()); 2], "each may be renewed");
    assert_eq!(claim(&mut mesh, 9, idle.clone()), Err(VoidReason::UnprovenFull), "nor are more remembered than that");
    assert_eq!(claim(&mut mesh, 150, offer(1, 0)), Ok(()));
    assert_eq!(claim(&mut mesh, 7, idle), Ok(()));
    assert_eq!(claim(&mut mesh, 1, offer(1, 0)), Ok(()), "there is a place again");
}

#[test]
fn successes_on_different_days_prove_submitter_and_worker_and_nobody_proves_itself() {
    let mut mesh = Mesh::new(shared());
    succeed(&mut mesh, 1, 1, PROVEN_DAYS + 1);
    assert_eq!(trusts(&mesh, 1), [Trust::Unproven; 2]);
    succeed(&mut mesh, 1, 2, PROVEN_DAYS - 1);
    assert_eq!((trusts(&mesh, 1), trusts(&mesh, 2)), ([Trust::Unproven; 2], [Trust::Unproven; 2]));
    succeed(&mut mesh, 1, 2, 1);
    assert_eq!(trusts(&mesh, 1), [Trust::Proven, Trust::Unproven]);
    assert_eq!(trusts(&mesh, 2), [Trust::Unproven, Trust::Proven]);
    assert_eq!(submit(&mut mesh, 1, 31), Err(VoidReason::KeptForVouched), "a quarter is kept");
    assert_eq!(submit(&mut mesh, 1, 30), Ok(()));
    assert_eq!(submit(&mut mesh, 3, 1), Err(VoidReason::KeptForVouched));
    assert_eq!(submit(&mut mesh, 150, 10), Ok(()));
    mesh.pass(u64::from(MERIT_DAYS) * DAY_MS);
    assert_eq!(trusts(&mesh, 1), [Trust::Unproven; 2], "long without a success");
}

#[test]
fn what_a_key_has_is_counted_with_its_present_trust() {
    let mut mesh = Mesh::new(shared());
    assert_eq!(submit(&mut mesh, 1, 10), Ok(()));
    mesh.sign(&key(1), recurring());
    assert_eq!(claim(&mut mesh, 1, offer(1, 0)), Ok(()));
    assert_eq!(submit(&mut mesh, 2, 1), Err(VoidReason::UnprovenFull));
    change(&mut mesh, Change::SetQuota(key(1).public(), [(KeyLimit::Tasks, 100)].into()));
    assert_eq!(trusts(&mesh, 1), [Trust::Vouched; 2]);
    assert_eq!(submit(&mut mesh, 2, 10), Ok(()), "the share is free");
    assert_eq!([3, 4].map(|by| claim(&mut mesh, by, offer(1, 0))), [Ok(()); 2]);
    // As one who is unproven again, key 1 keeps what it has, and the share is overdrawn.
    change(&mut mesh, Change::SetQuota(key(1).public(), Quota::new()));
    assert_eq!(submit(&mut mesh, 1, 1), Err(VoidReason::UnprovenFull));
    let genesis = Arc::clone(mesh.ledger.genesis());
    mesh.ledger = Ledger::restore(genesis, &mesh.ledger.snapshot()).expect("own snapshot");
    assert_eq!(submit(&mut mesh, 1, 1), Err(VoidReason::UnprovenFull));
}

#[test]
fn a_quorum_changes_the_share_and_where_keys_are_listed_all_are_vouched_for() {
    let mut mesh = Mesh::new(shared());
    change(&mut mesh, Change::SetLimit(Limit::Network(NetworkLimit::UnprovenPermille), 500));
    assert_eq!([submit(&mut mesh, 1, 20), submit(&mut mesh, 2, 1)], [Ok(()), Err(VoidReason::UnprovenFull)]);
    let mut listed = shared();
    listed.access.submitters = Some(BTreeSet::from([key(1).public()]));
    let mut mesh = Mesh::new(listed);
    assert_eq!(trusts(&mesh, 1), [Trust::Vouched, Trust::Unproven]);
    assert_eq!(submit(&mut mesh, 1, 40), Ok(()));
}
