//! Reports: whose word on what is taken.

use super::mesh::*;
use crate::{
    codec::ByteString,
    digest::Digest,
    identity::SecretKey,
    ledger::{EndReason, IgnoredReason, TaskStateView},
    types::*,
};

const MANIFEST: BlobRef = BlobRef { digest: Digest([7; 32]), bytes: 90 };

/// One worker that runs one task, which may be retried.
fn one_running() -> (Mesh, JobId) {
    let mut mesh = Mesh::new(genesis());
    mesh.claim(&key(1), offer(1, 0));
    let job = mesh.submit(&key(100), 1, TaskSpec { retry: Retry::of(3, 0), ..spec() });
    mesh.next();
    (mesh, job)
}

/// The same, lost by worker 1 and now with worker 2.
fn one_lost() -> (Mesh, JobId) {
    let (mut mesh, job) = one_running();
    mesh.drain(&key(1));
    mesh.claim(&key(2), offer(1, 0));
    mesh.next();
    assert_eq!(mesh.holder(job, 0), Some(key(2).public()));
    (mesh, job)
}

#[test]
fn only_the_worker_that_was_given_an_attempt_is_heard() {
    let (mut mesh, job) = one_running();
    mesh.claim(&key(2), offer(1, 0));
    mesh.report(&key(2), attempt(job, 0, 0), success());
    mesh.report(&key(1), attempt(job, 0, 1), success());
    mesh.report(&key(1), attempt(job, 1, 0), success());
    mesh.report(&key(1), attempt(JobId(Digest::ZERO), 0, 0), success());
    let applied = mesh.next();
    let expected = [
        IgnoredReason::NotAssigned,
        IgnoredReason::NotAssigned,
        IgnoredReason::UnknownTask,
        IgnoredReason::UnknownTask,
    ];
    assert_eq!(ignored(&applied), expected);
    assert_eq!(mesh.held(&key(1)), [(0, 0, true)]);
}

#[test]
fn a_task_that_nobody_was_given_has_no_outcome() {
    let mut mesh = Mesh::new(genesis());
    mesh.claim(&key(1), Claim { slots: 0, ..offer(1, 0) });
    let job = mesh.submit(&key(100), 2, spec());
    mesh.next();
    mesh.report(&key(1), attempt(job, 1, 0), success());
    assert_eq!(ignored(&mesh.next()), [IgnoredReason::NotAssigned]);
}

#[test]
fn items_are_judged_one_by_one_and_repeats_are_ignored() {
    let mut mesh = Mesh::new(genesis());
    mesh.claim(&key(1), offer(3, 0));
    let job = mesh.submit(&key(100), 3, spec());
    mesh.next();
    let item = |index, verdict| ReportItem { attempt: attempt(job, index, 0), verdict };
    let items =
        vec![item(0, success()), item(7, success()), item(0, failure()), item(1, failure()), item(2, success())];
    mesh.sign(&key(1), Action::Report(Report { items }));
    let applied = mesh.next();
    assert_eq!(outcomes(&applied).len(), 3);
    assert_eq!(ignored(&applied), [IgnoredReason::UnknownTask, IgnoredReason::Repeated]);
    mesh.report(&key(1), attempt(job, 0, 0), success());
    let applied = mesh.next();
    assert_eq!(ignored(&applied), [IgnoredReason::TaskEnded]);
    assert_eq!(mesh.ledger.totals().ever.succeeded, 2);
}

#[test]
fn a_report_of_too_many_items_is_void() {
    let mut genesis = genesis();
    genesis.ledger.report_items_max = 2;
    let mut mesh = Mesh::new(genesis);
    mesh.claim(&key(1), offer(1, 0));
    mesh.next();
    let items = |count| vec![ReportItem { attempt: attempt(JobId(Digest::ZERO), 0, 0), verdict: success() }; count];
    let two = mesh.sign(&key(1), Action::Report(Report { items: items(2) }));
    let three = mesh.sign(&key(1), Action::Report(Report { items: items(3) }));
    let applied = mesh.next();
    assert_eq!(result_of(&applied, two), Ok(()));
    assert_eq!(result_of(&applied, three), Err(VoidReason::Malformed));
}

#[test]
fn a_late_success_is_taken_while_the_task_is_owed_and_ends_what_replaced_it() {
    let (mut mesh, job) = one_lost();
    mesh.report(&key(1), attempt(job, 0, 0), success());
    let applied = mesh.next();
    assert_eq!(outcomes(&applied).len(), 1);
    assert_eq!(outcomes(&applied)[0].worker, key(1).public());
    assert_eq!(ends(&applied), [(0, 1, EndReason::Superseded)]);
    assert!(mesh.held(&key(2)).is_empty());
    mesh.report(&key(2), attempt(job, 0, 1), success());
    let applied = mesh.next();
    assert_eq!(ignored(&applied), [IgnoredReason::TaskEnded], "it has one outcome, and will have no other");
    assert!(outcomes(&applied).is_empty());
}

#[test]
fn a_late_success_is_taken_of_a_task_that_waits_to_be_placed() {
    let (mut mesh, job) = one_running();
    mesh.drain(&key(1));
    mesh.next();
    assert_eq!(mesh.state(job, 0), TaskStateView::Ready);
    mesh.report(&key(1), attempt(job, 0, 0), success());
    mesh.claim(&key(2), offer(1, 0));
    assert_eq!(outcomes(&mesh.next()).len(), 1);
    assert!(mesh.held(&key(2)).is_empty());
    assert_eq!(mesh.ledger.totals().tasks.unfinished(), 0);
}

#[test]
fn a_late_success_is_taken_of_a_task_that_backs_off() {
    let mut mesh = Mesh::new(genesis());
    mesh.claim(&key(1), offer(1, 0));
    let job = mesh.submit(&key(100), 1, TaskSpec { retry: Retry::of(3, 9_000), ..spec() });
    mesh.next();
    mesh.drain(&key(1));
    mesh.claim(&key(2), offer(1, 0));
    mesh.next();
    mesh.report(&key(2), attempt(job, 0, 1), failure());
    mesh.next();
    assert!(matches!(mesh.state(job, 0), TaskStateView::BackingOff { .. }));
    mesh.report(&key(1), attempt(job, 0, 0), success());
    assert_eq!(outcomes(&mesh.next()).len(), 1);
    assert!(mesh.idle(10_000).events.iter().all(|event| !format!("{event:?}").contains("Leased")));
}

#[test]
fn a_late_failure_or_return_changes_nothing_and_is_recorded() {
    for verdict in [failure(), Verdict::Returned] {
        let (mut mesh, job) = one_lost();
        mesh.report(&key(1), attempt(job, 0, 0), verdict);
        let applied = mesh.next();
        assert_eq!(ignored(&applied), [IgnoredReason::Late]);
        assert_eq!(mesh.held(&key(2)), [(0, 1, true)]);
        assert_eq!(mesh.ledger.task(TaskId { job, index: 0 }).expect("a task").failures, 0);
        assert_eq!(mesh.ledger.totals().ever.ignored, 1);
    }
}

#[test]
fn what_a_worker_said_of_an_attempt_it_cannot_take_back() {
    for verdict in [failure(), Verdict::Returned] {
        let (mut mesh, job) = one_running();
        mesh.report(&key(1), attempt(job, 0, 0), verdict);
        mesh.next();
        mesh.report(&key(1), attempt(job, 0, 0), success());
        assert_eq!(ignored(&mesh.next()), [IgnoredReason::Repeated]);
    }
}

#[test]
fn an_output_on_the_ledger_is_bounded_and_so_is_what_a_failure_says() {
    let long = |bytes: usize| ByteString::from(vec![0; bytes]);
    let most = LedgerLimits::default().inline_bytes_max;
    let inline = |stdout: ByteString, files: Vec<(String, ByteString)>| {
        Verdict::Succeeded(
            0,
            Output::Inline(InlineOutput { stdout, stderr: long(0), files, empty_folders: Vec::new() }),
            Usage::default(),
            Vec::new(),
        )
    };
    let with_folders = |folders: &[&str]| {
        let empty_folders = folders.iter().map(|folder| (*folder).to_owned()).collect();
        let output = InlineOutput { empty_folders, ..InlineOutput::default() };
        Verdict::Succeeded(0, Output::Inline(output), Usage::default(), Vec::new())
    };
    let failed = |failure, stderr| Verdict::Failed(failure, Remains::tail(stderr), Usage::default());
    // An array of four, a byte string of three header bytes, one of one, two empty lists.
    let refused = [
        inline(long(most - 6), Vec::new()),
        inline(long(0), vec![("../escape".into(), long(1))]),
        inline(long(0), vec![("a".into(), long(1)), ("a".into(), long(2))]),
        with_folders(&["../escape"]),
        with_folders(&["a", "a"]),
        failed(Failure::Exited(1), long(most + 1)),
        failed(Failure::Trapped("x".repeat(257)), long(0)),
        failed(Failure::BadModule("x".repeat(257)), long(0)),
        failed(Failure::BadInput("x".repeat(257)), long(0)),
        failed(Failure::Lost, long(0)),
    ];
    for verdict in refused {
        let (mut mesh, job) = one_running();
        mesh.report(&key(1), attempt(job, 0, 0), verdict.clone());
        assert_eq!(ignored(&mesh.next()), [IgnoredReason::Malformed], "{verdict:?}");
        assert_eq!(mesh.held(&key(1)), [(0, 0, true)], "its attempt lives on");
    }
    let taken = [
        inline(long(most - 7), Vec::new()),
        failed(Failure::Exited(1), long(most)),
        failed(Failure::Trapped("x".repeat(256)), long(0)),
    ];
    for verdict in taken {
        let (mut mesh, job) = one_running();
        mesh.report(&key(1), attempt(job, 0, 0), verdict.clone());
        assert!(ignored(&mesh.next()).is_empty(), "{verdict:?}");
    }
}

/// What the program of [`stored`] wrote to standard error.
const STDERR: Option<BlobRef> = Some(BlobRef { digest: Digest([8; 32]), bytes: 20 });

/// A success whose output a holder signed for, at a height.
pub(super) fn stored(mesh: &Mesh, attempt: AttemptId, holder: &SecretKey, height: Height) -> Verdict {
    let statement = DeliveryStatement { attempt, manifest: MANIFEST, stderr: STDERR, bytes: 1000, height };
    let delivery = statement.sign(holder, &mesh.ledger.network());
    Verdict::Succeeded(
        0,
        Output::Stored { manifest: MANIFEST, stderr: STDERR, bytes: 1000, delivery },
        Usage::default(),
        Vec::new(),
    )
}

#[test]
fn a_large_output_needs_the_word_of_an_authority_or_of_a_worker_that_stood() {
    let (mesh, job) = one_running();
    let verdict_on = |prepare: &dyn Fn(&mut Mesh) -> Verdict| {
        let mut mesh = Mesh::of(mesh.ledger.clone());
        mesh.next();
        let verdict = prepare(&mut mesh);
        mesh.report(&key(1), attempt(job, 0, 0), verdict);
        let applied = mesh.next();
        assert_eq!(outcomes(&applied).is_empty(), mesh.held(&key(1)) == [(0, 0, true)], "taken, or it lives on");
        ignored(&applied).first().copied()
    };
    let not_delivered = Some(IgnoredReason::NotDelivered);
    let (authority, holder, id) = (key(200), key(2), attempt(job, 0, 0));
    let good = |mesh: &mut Mesh| stored(mesh, id, &authority, mesh.ledger.height());
    assert_eq!(verdict_on(&good), None);
    assert_eq!(verdict_on(&|mesh| stored(mesh, id, &authority, Height(0))), None);
    let ahead = |mesh: &mut Mesh| stored(mesh, id, &authority, mesh.ledger.height().next());
    assert_eq!(verdict_on(&ahead), not_delivered, "of a height that nobody had executed");
    assert_eq!(verdict_on(&|mesh| stored(mesh, id, &holder, mesh.ledger.height())), not_delivered, "a stranger's");
    assert_eq!(verdict_on(&|mesh| stored(mesh, id, &key(1), mesh.ledger.height())), not_delivered, "its own");
    let other = attempt(job, 0, 1);
    assert_eq!(verdict_on(&|mesh| stored(mesh, other, &authority, Height(1))), not_delivered, "of another attempt");
    let forged = |mesh: &mut Mesh| {
        let mut verdict = stored(mesh, id, &authority, Height(1));
        if let Verdict::Succeeded(_, Output::Stored { bytes, .. }, ..) = &mut verdict {
            *bytes += 1;
        }
        verdict
    };
    assert_eq!(verdict_on(&forged), not_delivered);
    let other_words = |mesh: &mut Mesh| {
        let mut verdict = stored(mesh, id, &authority, Height(1));
        if let Verdict::Succeeded(_, Output::Stored { stderr, .. }, ..) = &mut verdict {
            *stderr = None;
        }
        verdict
    };
    assert_eq!(verdict_on(&other_words), not_delivered, "the holder signed for another standard error");
    let stood = |mesh: &mut Mesh| {
        mesh.claim(&holder, offer(1, 0));
        mesh.next();
        let verdict = stored(mesh, id, &holder, mesh.ledger.height());
        mesh.drain(&holder);
        mesh.next();
        verdict
    };
    assert_eq!(verdict_on(&stood), None, "it stood when it signed");
    let stood_not = |mesh: &mut Mesh| {
        stood(mesh);
        stored(mesh, id, &holder, mesh.ledger.height())
    };
    assert_eq!(verdict_on(&stood_not), not_delivered, "it stood no more");
}

#[test]
fn a_stored_output_is_no_larger_than_was_promised() {
    let (mut mesh, job) = one_running();
    let id = attempt(job, 0, 0);
    let all = 1000 + crate::ledger::bounds::MANIFEST_BYTES_MAX;
    // More than all, and less than its parts.
    for (bytes, stderr) in
        [(all + 1, None), (MANIFEST.bytes + 19, STDERR), (all, Some(BlobRef { bytes: all, ..MANIFEST }))]
    {
        let statement = DeliveryStatement { attempt: id, manifest: MANIFEST, stderr, bytes, height: Height(1) };
        let delivery = statement.sign(&key(200), &mesh.ledger.network());
        let output = Output::Stored { manifest: MANIFEST, stderr, bytes, delivery };
        mesh.report(&key(1), id, Verdict::Succeeded(0, output, Usage::default(), Vec::new()));
        assert_eq!(ignored(&mesh.next()), [IgnoredReason::Malformed], "{bytes}");
    }
}
