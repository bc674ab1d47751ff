//! Rules that a quorum changes at once: who may do what, how much of it, and by which policies it is scheduled.

use std::{collections::BTreeSet, sync::Arc};

use super::mesh::*;
use crate::{
    identity::PublicKey,
    ledger::{
        Gone, Ledger, LedgerEvent, RecurringState, TaskStateView,
        explain::reasons::{Hindrance, Why},
    },
    types::*,
};

/// Has the only authority there is change something, in a block of its own.
fn change(mesh: &mut Mesh, change: Change) -> Result<(), VoidReason> {
    let id = mesh.sign(&key(200), Action::Govern(Govern::Propose(change.clone())));
    let applied = mesh.next();
    let approved = LedgerEvent::ChangeApproved { proposal: id, change: Box::new(change) };
    assert_eq!(applied.events.contains(&approved), result_of(&applied, id).is_ok());
    result_of(&applied, id)
}

fn quota(limits: &[(KeyLimit, u64)]) -> Quota {
    limits.iter().copied().collect()
}

fn hindrance(mesh: &Mesh, job: JobId, index: u32) -> Hindrance {
    match mesh.ledger.explain(TaskId { job, index }).expect("a task").why {
        Why::Ready(ready) => ready.hindrance,
        why => panic!("not ready: {why:?}"),
    }
}

/// The ledger goes on as one that is restored from its snapshot now.
fn restart(mesh: &mut Mesh) {
    let genesis = Arc::clone(mesh.ledger.genesis());
    mesh.ledger = Ledger::restore(genesis, &mesh.ledger.snapshot()).expect("own snapshot");
}

#[test]
fn whatever_a_barred_submitter_has_unfinished_ends_and_its_room_is_free() {
    for restarts in [false, true] {
        let mut narrow = genesis();
        narrow.ledger.tasks_max = 6;
        let mut mesh = Mesh::new(narrow);
        mesh.claim(&key(1), offer(2, 0));
        let job = mesh.submit(&key(100), 6, spec());
        mesh.next();
        mesh.report(&key(1), attempt(job, 0, 0), success());
        mesh.next();
        let early = mesh.submit(&key(101), 6, spec());
        assert_eq!(result_of(&mesh.next(), TransactionId(early.0)), Err(VoidReason::TasksFull));
        assert_eq!(change(&mut mesh, Change::Bar(Permission::Submit, key(100).public())), Ok(()));
        if restarts {
            restart(&mut mesh);
        }
        let barred = TaskStateView::Gone(Gone::Barred);
        assert!(matches!(mesh.state(job, 0), TaskStateView::Done { succeeded: true, .. }), "an outcome stays");
        assert_eq!([1, 2, 5].map(|index| mesh.state(job, index)), [barred; 3], "what ran, waited and never began");
        let gone = mesh.ledger.explain(TaskId { job, index: 5 }).map(|explanation| explanation.why);
        assert!(matches!(gone, Some(Why::Gone(gone)) if gone.how == Gone::Barred));
        let used = mesh.ledger.quota_uses(&key(100).public()).map(|own| own.used);
        assert_eq!(used[..5], [0; 5], "all but what is stored for good");
        let (refused, other) = (mesh.submit(&key(100), 1, spec()), mesh.submit(&key(101), 6, spec()));
        let applied = mesh.next();
        assert_eq!(result_of(&applied, TransactionId(refused.0)), Err(VoidReason::NotPermitted));
        assert_eq!(result_of(&applied, TransactionId(other.0)), Ok(()));
        assert_eq!(mesh.holder(other, 0), Some(key(1).public()));
        assert_eq!(change(&mut mesh, Change::Permit(Permission::Submit, key(100).public())), Ok(()));
        assert_eq!(mesh.state(job, 5), barred, "what has ended stays so");
    }
}

#[test]
fn what_a_barred_worker_holds_goes_to_others() {
    let mut mesh = Mesh::new(genesis());
    mesh.claim(&key(1), offer(1, 1));
    let job = mesh.submit(&key(100), 2, spec());
    mesh.next();
    mesh.claim(&key(2), offer(2, 0));
    mesh.next();
    assert_eq!(mesh.held(&key(1)).len(), 2);
    assert_eq!(change(&mut mesh, Change::Bar(Permission::Work, key(1).public())), Ok(()));
    assert_eq!((mesh.held(&key(1)).len(), mesh.held(&key(2)).len()), (0, 2));
    let (claim, report) = (mesh.claim(&key(1), offer(1, 1)), mesh.report(&key(1), attempt(job, 0, 0), success()));
    let applied = mesh.next();
    assert_eq!(result_of(&applied, claim), Err(VoidReason::NotPermitted));
    assert_eq!(result_of(&applied, report), Err(VoidReason::NotPermitted));
    assert_eq!(change(&mut mesh, Change::Permit(Permission::Work, key(1).public())), Ok(()));
    let claim = mesh.claim(&key(1), offer(1, 1));
    assert_eq!(result_of(&mesh.next(), claim), Ok(()));
}

#[test]
fn where_the_genesis_lists_keys_barring_takes_one_off_and_permitting_adds_one() {
    let mut listed = genesis();
    listed.access.submitters = Some(BTreeSet::from([key(100).public()]));
    let mut mesh = Mesh::new(listed);
    for (seed, by) in [(101, Change::Permit as fn(Permission, PublicKey) -> Change), (100, Change::Bar)] {
        assert_eq!(change(&mut mesh, by(Permission::Submit, key(seed).public())), Ok(()));
        assert_eq!(change(&mut mesh, by(Permission::Submit, key(seed).public())), Err(VoidReason::NothingToChange));
    }
    let (old, new) = (mesh.submit(&key(100), 1, spec()), mesh.submit(&key(101), 1, spec()));
    let applied = mesh.next();
    assert_eq!(result_of(&applied, TransactionId(old.0)), Err(VoidReason::NotPermitted));
    assert_eq!(result_of(&applied, TransactionId(new.0)), Ok(()));
}

#[test]
fn workers_hold_no_more_of_a_submitters_tasks_than_its_quota_has_it() {
    for restarts in [false, true] {
        let mut mesh = Mesh::new(genesis());
        mesh.claim(&key(1), offer(2, 2));
        mesh.claim(&key(2), offer(2, 0));
        assert_eq!(change(&mut mesh, Change::SetQuota(key(100).public(), quota(&[(KeyLimit::Running, 3)]))), Ok(()));
        let job = mesh.submit(&key(100), 9, spec());
        let other = mesh.submit(&key(101), 9, spec());
        mesh.next();
        let of = |mesh: &Mesh, job| (0..9).filter(|index| mesh.holder(job, *index).is_some()).count();
        assert_eq!((of(&mesh, job), of(&mesh, other)), (3, 3), "others take what it may not");
        assert_eq!(hindrance(&mesh, job, 3), Hindrance::Quota);
        if restarts {
            restart(&mut mesh);
        }
        mesh.drain(&key(1));
        mesh.next();
        assert_eq!(of(&mesh, job) + of(&mesh, other), 2);
        mesh.claim(&key(3), offer(8, 0));
        mesh.next();
        assert_eq!((of(&mesh, job), of(&mesh, other)), (3, 7));
        // Fewer than it has: nothing is taken from it, and nothing is given to it until enough have ended.
        assert_eq!(change(&mut mesh, Change::SetQuota(key(100).public(), quota(&[(KeyLimit::Running, 1)]))), Ok(()));
        assert_eq!(of(&mesh, job), 3);
        let held = (0..9).find(|index| mesh.holder(job, *index).is_some()).expect("three are held");
        let holder = if mesh.holder(job, held) == Some(key(2).public()) { key(2) } else { key(3) };
        let number = match mesh.state(job, held) {
            TaskStateView::Leased { attempt, .. } => attempt.0,
            state => panic!("{state:?}"),
        };
        mesh.report(&holder, attempt(job, held, number), success());
        mesh.next();
        assert_eq!((of(&mesh, job), of(&mesh, other)), (2, 8), "what came free goes to the other");
        assert_eq!(change(&mut mesh, Change::SetQuota(key(100).public(), Quota::new())), Ok(()));
        mesh.claim(&key(4), offer(8, 0));
        mesh.next();
        assert_eq!((of(&mesh, job), of(&mesh, other)), (8, 9), "each key's limit is far away");
        assert_eq!(mesh.ledger.quota_uses(&key(100).public()).map(|own| own.used)[..2], [8, 8]);
    }
}

#[test]
fn limits_change_for_one_key_for_each_and_for_all() {
    let mut mesh = Mesh::new(genesis());
    let submit = |mesh: &mut Mesh, by, count| {
        let job = mesh.submit(&key(by), count, spec());
        result_of(&mesh.next(), TransactionId(job.0))
    };
    assert_eq!(change(&mut mesh, Change::SetLimit(Limit::Key(KeyLimit::Tasks), 5)), Ok(()));
    assert_eq!(change(&mut mesh, Change::SetQuota(key(101).public(), quota(&[(KeyLimit::Tasks, 7)]))), Ok(()));
    assert_eq!((submit(&mut mesh, 100, 6), submit(&mut mesh, 100, 5)), (Err(VoidReason::KeyTasksFull), Ok(())));
    assert_eq!((submit(&mut mesh, 101, 8), submit(&mut mesh, 101, 7)), (Err(VoidReason::KeyTasksFull), Ok(())));
    assert_eq!(change(&mut mesh, Change::SetLimit(Limit::Network(NetworkLimit::Tasks), 12)), Ok(()));
    assert_eq!(submit(&mut mesh, 102, 1), Err(VoidReason::TasksFull));
    let mut limits = quota(&[(KeyLimit::OutputBytes, 999), (KeyLimit::DefinitionBytes, 1 << 20)]);
    assert_eq!(change(&mut mesh, Change::SetLimit(Limit::Network(NetworkLimit::Tasks), 100)), Ok(()));
    assert_eq!(change(&mut mesh, Change::SetQuota(key(102).public(), limits.clone())), Ok(()));
    assert_eq!(submit(&mut mesh, 102, 1), Err(VoidReason::KeyOutputFull));
    limits.insert(KeyLimit::OutputBytes, 1000);
    limits.insert(KeyLimit::DefinitionBytes, 10);
    assert_eq!(change(&mut mesh, Change::SetQuota(key(102).public(), limits)), Ok(()));
    assert_eq!(submit(&mut mesh, 102, 1), Err(VoidReason::KeyDefinitionsFull));
    restart(&mut mesh);
    assert_eq!(submit(&mut mesh, 102, 1), Err(VoidReason::KeyDefinitionsFull));
    assert_eq!(submit(&mut mesh, 103, 6), Err(VoidReason::KeyTasksFull));
}

#[test]
fn a_full_list_takes_no_more_keys_and_can_be_made_shorter() {
    let number = |number: u32| {
        let mut bytes = [9; 32];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        PublicKey(bytes)
    };
    let mut full = genesis();
    full.access.submitters = Some((0..Access::KEYS_MAX as u32).map(number).collect());
    let mut mesh = Mesh::new(full);
    let permit = |key| Change::Permit(Permission::Submit, key);
    assert_eq!(change(&mut mesh, permit(key(100).public())), Err(VoidReason::RulesFull));
    assert_eq!(change(&mut mesh, Change::Bar(Permission::Submit, number(0))), Ok(()));
    assert_eq!(change(&mut mesh, permit(key(100).public())), Ok(()));
}

#[test]
fn the_genesis_gives_quotas_too() {
    let mut own = genesis();
    own.access.quotas.insert(key(100).public(), quota(&[(KeyLimit::Tasks, 2)]));
    let mut mesh = Mesh::new(own);
    let job = mesh.submit(&key(100), 3, spec());
    assert_eq!(result_of(&mesh.next(), TransactionId(job.0)), Err(VoidReason::KeyTasksFull));
}

#[test]
fn other_policies_put_what_waits_in_another_order_at_once() {
    for restarts in [false, true] {
        let mut mesh = Mesh::new(genesis());
        let low = mesh.submit(&key(100), 1, spec());
        let high = mesh.submit(&key(100), 1, TaskSpec { priority: 5, ..spec() });
        mesh.next();
        let schedule = ScheduleParameters {
            order: vec![OrderPolicy::Priority],
            placement: vec![PlacementPolicy::Pack],
            ..ScheduleParameters::default()
        };
        assert_eq!(change(&mut mesh, Change::SetSchedule(Box::new(schedule.clone()))), Ok(()));
        let again = change(&mut mesh, Change::SetSchedule(Box::new(schedule)));
        assert_eq!(again, Err(VoidReason::NothingToChange));
        if restarts {
            restart(&mut mesh);
        }
        mesh.claim(&key(1), offer(1, 0));
        mesh.next();
        assert_eq!((mesh.holder(high, 0), mesh.holder(low, 0)), (Some(key(1).public()), None));
    }
}

#[test]
fn shares_begin_with_what_workers_hold_and_end_when_nothing_looks_at_them() {
    let mut mesh = Mesh::new(genesis());
    mesh.claim(&key(1), offer(1, 0));
    let greedy = mesh.submit(&key(100), 3, spec());
    mesh.next();
    let now = mesh.ledger.rules().schedule().clone();
    let fair = ScheduleParameters { order: vec![OrderPolicy::Fair], slice_ms: 1_000, ..now };
    let modest = mesh.submit(&key(101), 3, spec());
    assert_eq!(change(&mut mesh, Change::SetSchedule(Box::new(fair.clone()))), Ok(()));
    mesh.report(&key(1), attempt(greedy, 0, 0), success());
    mesh.pass(10_000);
    assert_eq!(mesh.holder(modest, 0), Some(key(1).public()), "the other has had something");
    let fifo = ScheduleParameters { order: vec![OrderPolicy::Fifo], ..fair };
    assert_eq!(change(&mut mesh, Change::SetSchedule(Box::new(fifo))), Ok(()));
    mesh.report(&key(1), attempt(modest, 0, 0), success());
    mesh.next();
    assert_eq!(mesh.holder(greedy, 1), Some(key(1).public()));
    restart(&mut mesh);
}

#[test]
fn a_schedule_that_no_genesis_could_have_is_void() {
    let mut mesh = Mesh::new(genesis());
    let none = ScheduleParameters { placement: Vec::new(), ..ScheduleParameters::default() };
    assert_eq!(change(&mut mesh, Change::SetSchedule(Box::new(none))), Err(VoidReason::Malformed));
}

#[test]
fn a_barred_submitters_recurring_jobs_end_and_nobody_elses_do() {
    let mut mesh = Mesh::new(genesis());
    let recurring = Recurring {
        job: Submit::new("again", spec(), Tasks::Repeat(1)),
        cron: Cron::ALWAYS,
        catch_up: CatchUp::Skip,
        overlap: Overlap::Skip,
        from: None,
        until: None,
        runs_max: None,
        deadline_ms: None,
    };
    let ids = [100, 101].map(|by| mesh.sign(&key(by), Action::Recur(Recur::Submit(Box::new(recurring.clone())))));
    mesh.next();
    assert_eq!(change(&mut mesh, Change::Bar(Permission::Submit, key(100).public())), Ok(()));
    let applied = mesh.idle(60_000);
    let states = ids.map(|id| mesh.ledger.recurring_job(RecurringId(id.0)).expect("it is kept").state);
    assert_eq!(states, [RecurringState::Barred, RecurringState::Active]);
    let ran = applied.events.iter().filter(|event| matches!(event, LedgerEvent::RecurringRun { .. }));
    assert_eq!(ran.count(), 1, "only the other's occurrence is run");
    restart(&mut mesh);
}
