//! What is executed, what is void, and what that promises.

use std::{collections::BTreeSet, sync::Arc};

use super::mesh::*;
use crate::{
    ledger::{Gone, LedgerEvent, TaskStateView, bounds},
    types::*,
};

/// What becomes of one submit on a fresh network.
fn verdict_on(genesis: Genesis, action: Action) -> Result<(), VoidReason> {
    let mut mesh = Mesh::new(genesis);
    let id = mesh.sign(&key(100), action);
    let applied = mesh.next();
    result_of(&applied, id)
}

fn with_spec(change: impl FnOnce(&mut TaskSpec)) -> Result<(), VoidReason> {
    let mut spec = spec();
    change(&mut spec);
    verdict_on(genesis(), array("job", 1, spec))
}

fn input(path: &str) -> Input {
    Input::blob(path, BlobRef { digest: crate::digest::Digest::ZERO, bytes: 1 })
}

#[test]
fn a_transaction_is_void_after_its_expiry_and_too_far_before_it() {
    let mesh = Mesh::new(genesis());
    let life_ms = mesh.ledger.genesis().ledger.transaction_life_ms_max;
    let at = mesh.now.plus_ms(1);
    let result = |expires| {
        let mut mesh = Mesh::of(mesh.ledger.clone());
        let id = mesh.sign_until(&key(1), array("job", 1, spec()), expires);
        result_of(&mesh.next(), id)
    };
    assert_eq!(result(BlockTime(at.0 - 1)), Err(VoidReason::Expired));
    assert_eq!(result(at), Ok(()));
    assert_eq!(result(at.plus_ms(life_ms)), Ok(()));
    assert_eq!(result(BlockTime(at.plus_ms(life_ms).0 + 1)), Err(VoidReason::Expired));
}

#[test]
fn nothing_is_executed_twice_and_what_was_void_stays_void() {
    let mut genesis = genesis();
    genesis.ledger.key_tasks_max = 5;
    let mut mesh = Mesh::new(genesis);
    let sign = |mesh: &Mesh, nonce| {
        let transaction = Transaction { nonce, expires: mesh.now.plus_ms(50_000), action: array("job", 3, spec()) };
        Arc::new(SignedTransaction::sign(transaction, &key(1), &mesh.ledger.network()))
    };
    let (first, second) = (sign(&mesh, 1), sign(&mesh, 2));
    mesh.add(Arc::clone(&first));
    mesh.add(Arc::clone(&second));
    let applied = mesh.next();
    assert_eq!(result_of(&applied, first.id()), Ok(()));
    assert_eq!(result_of(&applied, second.id()), Err(VoidReason::KeyTasksFull));
    // There is room again, yet neither comes back.
    mesh.cancel(&key(1), JobId(first.id().0));
    mesh.next();
    for transaction in [&first, &second] {
        assert!(mesh.ledger.was_executed(transaction.id()));
        assert_eq!(mesh.ledger.check(transaction, mesh.now), Err(VoidReason::Replayed));
        mesh.add(Arc::clone(transaction));
    }
    let applied = mesh.next();
    assert_eq!(result_of(&applied, first.id()), Err(VoidReason::Replayed));
    assert_eq!(result_of(&applied, second.id()), Err(VoidReason::Replayed));
    // To the last moment at which they could be executed.
    let rest_us = first.transaction().expires.micros_since(mesh.now);
    mesh.add(Arc::clone(&first));
    let applied = mesh.pass(rest_us / 1000);
    assert_eq!(mesh.now, first.transaction().expires);
    assert_eq!(result_of(&applied, first.id()), Err(VoidReason::Replayed));
    // Once they have expired, that alone keeps them out.
    mesh.next();
    assert!(!mesh.ledger.was_executed(first.id()));
    assert_eq!(mesh.ledger.check(&first, mesh.now), Err(VoidReason::Expired));
}

#[test]
fn only_permitted_keys_submit_and_work() {
    let mut genesis = genesis();
    genesis.access.submitters = Some(BTreeSet::from([key(1).public()]));
    genesis.access.workers = Some(BTreeSet::from([key(2).public()]));
    let mut mesh = Mesh::new(genesis);
    let refused = [
        id_of(mesh.submit(&key(2), 1, spec())),
        mesh.claim(&key(1), offer(1, 0)),
        mesh.drain(&key(3)),
        mesh.report(&key(3), attempt(JobId(crate::digest::Digest::ZERO), 0, 0), success()),
    ];
    let taken = [id_of(mesh.submit(&key(1), 1, spec())), mesh.claim(&key(2), offer(1, 0))];
    let applied = mesh.next();
    assert!(refused.iter().all(|id| result_of(&applied, *id) == Err(VoidReason::NotPermitted)));
    assert!(taken.iter().all(|id| result_of(&applied, *id) == Ok(())));
}

#[test]
fn every_bound_of_the_genesis_has_its_reason() {
    let with = |change: fn(&mut LedgerLimits), tasks| {
        let mut genesis = genesis();
        change(&mut genesis.ledger);
        verdict_on(genesis, array("job", tasks, spec()))
    };
    type Change = fn(&mut LedgerLimits);
    let bounds: [(Change, VoidReason); 6] = [
        (|limits| limits.job_tasks_max = 10, VoidReason::TooManyTasks),
        (|limits| limits.key_tasks_max = 10, VoidReason::KeyTasksFull),
        (|limits| limits.tasks_max = 10, VoidReason::TasksFull),
        (|limits| limits.key_output_bytes_max = 10_000, VoidReason::KeyOutputFull),
        (|limits| limits.output_bytes_max = 10_000, VoidReason::OutputFull),
        (|limits| limits.output_bytes_max = 10_999, VoidReason::OutputFull),
    ];
    for (change, reason) in bounds {
        assert_eq!(with(change, 10), Ok(()), "{reason}");
        assert_eq!(with(change, 11), Err(reason));
    }
    assert_eq!(with(|_| {}, 0), Err(VoidReason::TooManyTasks));
    let huge = |spec: &mut TaskSpec| spec.limits.output_bytes = u64::MAX;
    assert_eq!(with_spec(huge), Err(VoidReason::KeyOutputFull));
    let tiny = |limits: &mut LedgerLimits| limits.transaction_bytes_max = 100;
    assert_eq!(with(tiny, 1), Err(VoidReason::Malformed));
}

#[test]
fn bounds_count_what_is_unfinished_and_no_more() {
    let mut genesis = genesis();
    genesis.ledger.key_tasks_max = 2;
    let mut mesh = Mesh::new(genesis);
    mesh.claim(&key(1), offer(2, 0));
    let job = mesh.submit(&key(100), 2, spec());
    mesh.next();
    mesh.report(&key(1), attempt(job, 0, 0), success());
    mesh.report(&key(1), attempt(job, 1, 0), failure());
    let more = mesh.submit(&key(100), 2, spec());
    assert_eq!(result_of(&mesh.next(), id_of(more)), Ok(()));
    let other = mesh.submit(&key(101), 2, spec());
    assert_eq!(result_of(&mesh.next(), id_of(other)), Ok(()), "another key has a bound of its own");
}

#[test]
fn different_needs_are_bounded_for_each_key() {
    let mut mesh = Mesh::new(genesis());
    let mut submit = |kind: usize| {
        let resources = Resources { millicores: kind as u32, memory_bytes: 0 };
        let id = id_of(mesh.submit(&key(100), 1, TaskSpec { resources, ..spec() }));
        (result_of(&mesh.next(), id), id)
    };
    let ids: Vec<_> = (0..bounds::KEY_NEEDS_MAX).map(&mut submit).collect();
    assert!(ids.iter().all(|(result, _)| result.is_ok()));
    assert_eq!(submit(bounds::KEY_NEEDS_MAX).0, Err(VoidReason::NeedsFull));
    assert_eq!(submit(0).0, Ok(()), "needs that are known cost nothing");
    mesh.cancel(&key(100), JobId(ids[7].1.0));
    let again =
        mesh.submit(&key(100), 1, TaskSpec { resources: Resources { millicores: 999, memory_bytes: 0 }, ..spec() });
    assert_eq!(result_of(&mesh.next(), id_of(again)), Ok(()));
}

#[test]
fn fields_that_make_no_sense_are_refused() {
    let malformed = Err(VoidReason::Malformed);
    for path in ["", "/", "/out/x", "/a/../b", "../x", "a/../../x", "a//b", "a/.", "a/", "a\0b"] {
        assert_eq!(with_spec(|spec| spec.inputs = vec![input(path)]), malformed, "{path:?}");
    }
    assert_eq!(with_spec(|spec| spec.inputs = vec![input("a/b..c/.d"), input("a/e")]), Ok(()));
    assert_eq!(with_spec(|spec| spec.inputs = vec![input("a"), input("a")]), malformed);
    assert_eq!(with_spec(|spec| spec.inputs = vec![input("a/b"), input("a")]), malformed);
    assert_eq!(with_spec(|spec| spec.inputs = vec![input("a"), input("a/b")]), malformed);
    assert_eq!(with_spec(|spec| spec.limits.wall_ms = 0), malformed);
    assert_eq!(with_spec(|spec| spec.limits.wall_ms = 24 * 3_600_000 + 1), malformed);
    assert_eq!(with_spec(|spec| spec.retry.retries = 101), malformed);
    assert_eq!(with_spec(|spec| spec.retry.delay_ms = u64::MAX), malformed);
    assert_eq!(with_spec(|spec| drop(spec.environment.insert("A=B".into(), String::new()))), malformed);
    assert_eq!(with_spec(|spec| drop(spec.labels.insert("a".repeat(200), String::new()))), malformed);
    assert_eq!(with_spec(|spec| spec.arguments = vec!["a\0".into()]), malformed);
    assert_eq!(verdict_on(genesis(), array(&"n".repeat(129), 1, spec())), malformed);
    let mut common = spec();
    common.inputs = vec![input("common/a")];
    let each = |paths: &[&str]| {
        let part = |path: &&str| Part { inputs: vec![input(path)], ..Part::default() };
        let tasks = Tasks::Each(paths.iter().map(part).collect());
        verdict_on(genesis(), Action::Submit(Submit::new("job", common.clone(), tasks)))
    };
    assert_eq!(each(&["b", "b"]), Ok(()), "two tasks may each have a file of one name");
    assert_eq!(each(&["b", "common/a"]), malformed);
    assert_eq!(each(&["common"]), malformed);
}

#[test]
fn an_array_of_a_hundred_thousand_tasks_is_one_record_until_they_differ() {
    let mut mesh = Mesh::new(genesis());
    let job = mesh.submit(&key(100), 100_000, spec());
    mesh.claim(&key(1), offer(3, 0));
    mesh.next();
    assert_eq!(mesh.ledger.job(job).map(|job| job.counts.ready), Some(99_997));
    assert!(mesh.ledger.snapshot().len() < 2_000, "{}", mesh.ledger.snapshot().len());
    assert_eq!(mesh.state(job, 99_999), TaskStateView::Ready);
    assert!(mesh.ledger.task(TaskId { job, index: 100_000 }).is_none());
}

#[test]
fn only_its_submitter_cancels_a_job_and_what_is_done_stays_done() {
    let mut mesh = Mesh::new(genesis());
    mesh.claim(&key(1), offer(2, 1));
    let job = mesh.submit(&key(100), 6, spec());
    mesh.next();
    mesh.report(&key(1), attempt(job, 0, 0), success());
    mesh.next();
    let theirs = mesh.cancel(&key(101), job);
    let unknown = mesh.cancel(&key(100), JobId(crate::digest::Digest::ZERO));
    let applied = mesh.next();
    assert_eq!(result_of(&applied, theirs), Err(VoidReason::NotYours));
    assert_eq!(result_of(&applied, unknown), Err(VoidReason::UnknownJob));
    let own = mesh.cancel(&key(100), job);
    let applied = mesh.next();
    assert_eq!(result_of(&applied, own), Ok(()));
    assert_eq!(ends(&applied).len(), 3, "{:?}", applied.events);
    assert!(applied.events.contains(&LedgerEvent::JobEnded { job, cancelled: 5, skipped: 0 }));
    assert!(mesh.held(&key(1)).is_empty());
    let view = mesh.ledger.job(job).expect("it is kept");
    assert_eq!((view.counts.succeeded, view.counts.cancelled, view.counts.unfinished()), (1, 5, 0));
    assert_eq!(mesh.state(job, 1), TaskStateView::Gone(Gone::Cancelled));
    assert_eq!(mesh.state(job, 5), TaskStateView::Gone(Gone::Cancelled));
    // A late word on a cancelled task is too late; cancelling again changes nothing.
    mesh.report(&key(1), attempt(job, 1, 0), success());
    mesh.cancel(&key(100), job);
    let applied = mesh.next();
    assert!(outcomes(&applied).is_empty());
    assert_eq!(mesh.ledger.totals().tasks.cancelled, 5);
}

#[test]
fn an_ended_job_is_kept_for_a_while_and_then_forgotten() {
    let mut mesh = Mesh::new(genesis());
    mesh.claim(&key(1), offer(1, 0));
    let job = mesh.submit(&key(100), 1, spec());
    mesh.next();
    mesh.report(&key(1), attempt(job, 0, 0), success());
    assert!(mesh.next().events.contains(&LedgerEvent::JobEnded { job, cancelled: 0, skipped: 0 }));
    let retention_ms = mesh.ledger.genesis().ledger.retention_ms;
    mesh.pass(retention_ms - 1);
    assert!(mesh.ledger.job(job).is_some());
    assert!(mesh.next().events.contains(&LedgerEvent::JobForgotten { job }));
    assert!(mesh.ledger.job(job).is_none());
    assert_eq!(mesh.ledger.totals().tasks.all(), 0);
    assert_eq!(mesh.ledger.totals().ever.succeeded, 1);
}

#[test]
fn receipts_come_in_order_and_grow_the_history() {
    let mut mesh = Mesh::new(genesis());
    mesh.claim(&key(1), offer(1, 0));
    let job = mesh.submit(&key(100), 1, spec());
    let mut tree = crate::merkle::Frontier::default();
    let mut grow = |applied: &crate::ledger::Applied| {
        let leaves: Vec<_> = applied.receipts.iter().map(Receipt::digest).collect();
        let mut nodes = Vec::new();
        tree.append(&crate::merkle::root(&leaves), |position, node| nodes.push((position, node)));
        assert_eq!(nodes, applied.history);
        tree.root()
    };
    let applied = mesh.next();
    assert_eq!(grow(&applied), mesh.ledger.receipts_root());
    let report = mesh.report(&key(1), attempt(job, 0, 0), success());
    let applied = mesh.next();
    assert_eq!(grow(&applied), mesh.ledger.receipts_root());
    assert!(matches!(&applied.receipts[0], Receipt::Transaction(receipt) if receipt.id == report));
    let TaskStateView::Done { succeeded: true, height, receipt, .. } = mesh.state(job, 0) else { panic!("not done") };
    assert_eq!((height, receipt), (mesh.ledger.height(), 1));
    let outcome = &applied.receipts[receipt as usize];
    assert!(matches!(outcome, Receipt::Outcome(outcome) if outcome.attempt == attempt(job, 0, 0)));
    let applied = mesh.next();
    assert_eq!(grow(&applied), mesh.ledger.receipts_root());
}

/// A job's id is that of the transaction that submitted it.
fn id_of(job: JobId) -> TransactionId {
    TransactionId(job.0)
}
