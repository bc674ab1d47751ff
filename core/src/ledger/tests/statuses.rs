//! The statuses that a task counts as successes, and what remains of a program that failed.

use std::collections::BTreeSet;

use super::mesh::*;
use crate::{
    codec::ByteString,
    digest::Digest,
    ledger::{Applied, IgnoredReason, Owed, TaskStateView},
    types::*,
};

/// A task on one worker that counts these statuses as successes and forgives so many failures.
fn running(success: &[i32], retries: u32) -> (Mesh, JobId) {
    let mut mesh = Mesh::new(genesis());
    mesh.claim(&key(1), offer(1, 0));
    let spec = TaskSpec { success: success.iter().copied().collect(), retry: Retry::of(retries, 0), ..spec() };
    let job = mesh.submit(&key(100), 1, spec);
    mesh.next();
    mesh.next();
    (mesh, job)
}

fn inline(stdout: &[u8]) -> Output {
    Output::Inline(InlineOutput { stdout: stdout.into(), ..InlineOutput::default() })
}

fn succeeded(status: i32) -> Verdict {
    Verdict::Succeeded(status, inline(b"UNSAT"), Usage::default(), Vec::new())
}

fn failed(failure: Failure, remains: Remains) -> Verdict {
    Verdict::Failed(failure, remains, Usage::default())
}

/// An output that the authority holds, or somebody of whom nobody knows.
fn stored(mesh: &Mesh, attempt: AttemptId, holder: u8) -> Output {
    let (manifest, height) = (BlobRef { digest: Digest::of(b"left"), bytes: 10 }, mesh.ledger.height());
    let statement = DeliveryStatement { attempt, manifest, stderr: None, bytes: 50, height };
    let delivery = statement.sign(&key(holder), &mesh.ledger.network());
    Output::Stored { manifest, stderr: None, bytes: 50, delivery }
}

fn says(mesh: &mut Mesh, job: JobId, number: u32, verdict: &Verdict) -> Applied {
    mesh.report(&key(1), attempt(job, 0, number), verdict.clone());
    mesh.next()
}

fn verdict_of(applied: &Applied) -> Option<&Verdict> {
    applied.receipts.iter().rev().find_map(|receipt| match receipt {
        Receipt::Outcome(outcome) => Some(&outcome.verdict),
        Receipt::Transaction(_) => None,
    })
}

#[test]
fn a_status_is_a_success_if_its_task_says_so_and_the_receipt_shows_it() {
    for (status, success) in [(10, vec![0, 10, 20]), (20, vec![0, 10, 20]), (-1, vec![-1]), (0, vec![0])] {
        let (mut mesh, job) = running(&success, 0);
        let applied = says(&mut mesh, job, 0, &succeeded(status));
        assert_eq!(verdict_of(&applied), Some(&succeeded(status)));
        assert!(matches!(mesh.state(job, 0), TaskStateView::Done { succeeded: true, .. }));
    }
}

#[test]
fn no_worker_decides_which_statuses_are_successes() {
    let exited = |status| failed(Failure::Exited(status), Remains::default());
    for verdict in [succeeded(1), succeeded(0), exited(10)] {
        let (mut mesh, job) = running(&[10], 0);
        assert_eq!(ignored(&says(&mut mesh, job, 0, &verdict)), [IgnoredReason::Malformed], "{verdict:?}");
    }
    let (mut mesh, job) = running(&[10], 0);
    assert_eq!(verdict_of(&says(&mut mesh, job, 0, &exited(0))), Some(&exited(0)));
}

#[test]
fn at_least_one_status_means_success_and_not_too_many_do() {
    let many = |count: i32| (0..count).collect::<BTreeSet<i32>>();
    for (success, is_good) in [(many(0), false), (many(1), true), (many(256), true), (many(257), false)] {
        let mut mesh = Mesh::new(genesis());
        let job = mesh.submit(&key(100), 1, TaskSpec { success, ..spec() });
        mesh.next();
        assert_eq!(mesh.ledger.job(job).is_some(), is_good);
    }
}

#[test]
fn what_a_failed_program_left_is_in_the_receipt_and_owed_if_another_holds_it() {
    let (mut mesh, job) = running(&[0], 0);
    let id = attempt(job, 0, 0);
    let remains = |output| Remains { output: Some(output), stderr_tail: ByteString::from(&b"the end"[..]) };
    let unknown = failed(Failure::Exited(10), remains(stored(&mesh, id, 9)));
    assert_eq!(ignored(&says(&mut mesh, job, 0, &unknown)), [IgnoredReason::NotDelivered]);
    let good = failed(Failure::Exited(10), remains(stored(&mesh, id, 200)));
    assert_eq!(verdict_of(&says(&mut mesh, job, 0, &good)), Some(&good));
    assert!(matches!(mesh.ledger.owed(id, &Digest::of(b"left")), Owed::IfOutput { .. }));
}

#[test]
fn only_the_last_failure_of_a_task_leaves_anything() {
    let (mut mesh, job) = running(&[0], 1);
    let manifest = Digest::of(b"left");
    for number in [0, 1] {
        let id = attempt(job, 0, number);
        assert_eq!(mesh.ledger.owed(id, &manifest), Owed::Undecided);
        let verdict = failed(Failure::Trapped("there".into()), Remains::whole(stored(&mesh, id, 200)));
        says(&mut mesh, job, number, &verdict);
        mesh.idle(1000);
    }
    assert_eq!(mesh.ledger.owed(attempt(job, 0, 0), &manifest), Owed::Nobody);
    assert!(matches!(mesh.ledger.owed(attempt(job, 0, 1), &manifest), Owed::IfOutput { .. }));
}

#[test]
fn what_a_failure_left_is_nobodys_while_the_task_is_tried_again() {
    let (mut mesh, job) = running(&[0], 1);
    let id = attempt(job, 0, 0);
    let verdict = failed(Failure::Exited(1), Remains::whole(stored(&mesh, id, 200)));
    says(&mut mesh, job, 0, &verdict);
    assert_eq!(mesh.ledger.owed(id, &Digest::of(b"left")), Owed::Nobody);
    assert_eq!(mesh.ledger.owed(attempt(job, 0, 1), &Digest::of(b"left")), Owed::Undecided);
}

#[test]
fn what_remains_on_the_ledger_is_bounded_like_an_output_and_says_nothing_twice() {
    let most = LedgerLimits::default().inline_bytes_max;
    let text = |bytes: usize| vec![b'x'; bytes];
    let with_tail = |output| Remains { output: Some(output), stderr_tail: ByteString::from(&b"end"[..]) };
    let refused = [
        failed(Failure::Exited(1), Remains::whole(inline(&text(most)))),
        failed(Failure::Exited(1), Remains::tail(text(most + 1))),
        failed(Failure::Exited(1), with_tail(inline(b"all"))),
        // Its program never ran.
        failed(Failure::BadModule("no _start".into()), Remains::whole(inline(b"all"))),
    ];
    for verdict in refused {
        let (mut mesh, job) = running(&[0], 0);
        assert_eq!(ignored(&says(&mut mesh, job, 0, &verdict)), [IgnoredReason::Malformed], "{verdict:?}");
    }
    for remains in [Remains::whole(inline(&text(most / 2))), Remains::tail(text(most)), Remains::default()] {
        let (mut mesh, job) = running(&[0], 0);
        let verdict = failed(Failure::Exceeded(TaskLimit::Time(10_000)), remains);
        assert_eq!(verdict_of(&says(&mut mesh, job, 0, &verdict)), Some(&verdict));
    }
}

#[test]
fn how_each_attempt_failed_is_remembered() {
    let (mut mesh, job) = running(&[0], 2);
    let limit = TaskLimit::Memory(100, MemoryUse::Temporary);
    let failures = [Failure::Exited(7), Failure::Exceeded(limit), Failure::Trapped("there".into())];
    for (number, failure) in (0..).zip(failures) {
        says(&mut mesh, job, number, &failed(failure, Remains::default()));
        mesh.idle(1000);
    }
    let task = mesh.ledger.task(TaskId { job, index: 0 }).expect("a task");
    let kinds: Vec<_> = task.past.iter().map(|past| past.failure).collect();
    let expected = [FailureKind::Exited(7), FailureKind::Exceeded(limit), FailureKind::Other(Setback::Trapped)];
    assert_eq!(kinds, expected.map(Some));
}

#[test]
fn it_is_known_before_whether_a_failure_would_be_the_last() {
    let (mut mesh, job) = running(&[0], 1);
    assert!(!mesh.ledger.would_end(attempt(job, 0, 0), Setback::Exited), "one is forgiven");
    says(&mut mesh, job, 0, &failed(Failure::Exited(1), Remains::default()));
    mesh.idle(1000);
    assert!(mesh.ledger.would_end(attempt(job, 0, 1), Setback::Exited));
    assert!(!mesh.ledger.would_end(attempt(job, 0, 0), Setback::Exited), "it has ended");

    let mut mesh = Mesh::new(genesis());
    mesh.claim(&key(1), offer(1, 0));
    let recovery = [(Setback::OutOfMemory, Retry::of(1, 0)), (Setback::Trapped, Retry::of(0, 0))].into();
    let job = mesh.submit(&key(100), 1, TaskSpec { recovery, retry: Retry::of(1, 0), ..spec() });
    mesh.next();
    let memory = Failure::Exceeded(TaskLimit::Memory(100, MemoryUse::Own));
    for (number, failure, setback, ends) in [
        (0, memory.clone(), Setback::OutOfMemory, false),
        (1, Failure::Exited(1), Setback::Exited, false),
        (2, memory, Setback::OutOfMemory, true),
    ] {
        assert!(mesh.ledger.would_end(attempt(job, 0, number), Setback::Trapped), "it has a rule of its own");
        assert_eq!(mesh.ledger.would_end(attempt(job, 0, number), setback), ends);
        let applied = says(&mut mesh, job, number, &failed(failure, Remains::default()));
        assert_eq!(verdict_of(&applied).is_some(), ends);
        mesh.idle(1000);
    }
}

#[test]
fn what_may_be_the_machines_fault_ends_a_task_with_replicas_only_with_a_quorum() {
    let mut mesh = Mesh::new(genesis());
    for worker in 1..=4 {
        mesh.claim(&key(worker), Claim { load: worker.into(), ..offer(1, 0) });
    }
    let job = mesh.submit(&key(100), 1, TaskSpec { redundancy: Some(Redundancy::of(3)), ..spec() });
    mesh.next();
    assert!(!mesh.ledger.would_end(attempt(job, 0, 0), Setback::TimedOut));
    says(&mut mesh, job, 0, &failed(Failure::Exceeded(TaskLimit::Time(1)), Remains::default()));
    assert!(mesh.ledger.would_end(attempt(job, 0, 1), Setback::TimedOut));
}
