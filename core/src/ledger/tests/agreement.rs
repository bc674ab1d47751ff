//! Several workers compute a task, and the outcome is what enough of them say.

use std::sync::Arc;

use proptest::prelude::*;

use super::mesh::*;
use crate::{
    codec::ByteString,
    digest::Digest,
    identity::{SecretKey, Signature},
    ledger::{Applied, EndReason, IgnoredReason, Ledger, LedgerEvent, Owed, Stage, TaskStateView},
    types::*,
};

const ALLOWANCE_MS: u64 = 60_000;

pub(super) fn redundant(replicas: u8) -> TaskSpec {
    TaskSpec { redundancy: Some(Redundancy::of(replicas)), ..spec() }
}

pub(super) fn says(text: &str) -> Answer {
    let output = InlineOutput { stdout: text.as_bytes().into(), ..InlineOutput::default() };
    Answer::Succeeded(0, Output::Inline(output), Usage::default())
}

fn fails(failure: Failure) -> Answer {
    Answer::Failed(failure, Remains::default(), Usage::default())
}

/// The claim of a worker with one slot. Tasks go to worker 1 first, then to worker 2, and so on.
pub(super) fn slot(worker: u8) -> Claim {
    Claim { load: worker.into(), ..offer(1, 0) }
}

/// A network of so many workers, whose keys are 1, 2 and so on, and a job of one task.
pub(super) fn mesh_of(workers: u8, spec: TaskSpec) -> (Mesh, JobId) {
    let mut mesh = Mesh::new(genesis());
    for worker in 1..=workers {
        mesh.claim(&key(worker), slot(worker));
    }
    let job = mesh.submit(&key(100), 1, spec);
    mesh.next();
    (mesh, job)
}

/// The attempt of a task that a worker holds.
pub(super) fn held(mesh: &Mesh, worker: u8) -> Option<AttemptId> {
    mesh.ledger.leases_of(&key(worker).public()).first().map(|lease| lease.attempt)
}

pub(super) fn stage(mesh: &Mesh, worker: u8) -> Option<Stage> {
    mesh.ledger.leases_of(&key(worker).public()).first().map(|lease| lease.stage)
}

/// The workers that hold something.
pub(super) fn holders(mesh: &Mesh) -> Vec<u8> {
    (1..=9).filter(|worker| held(mesh, *worker).is_some()).collect()
}

fn committed(key: &SecretKey, attempt: &AttemptId, answer: &Answer) -> Verdict {
    let salt = Salt::of(key, attempt);
    Verdict::Committed(Answer::commitment(&answer.digest(), attempt, &key.public(), &salt))
}

fn revealed(key: &SecretKey, attempt: &AttemptId, answer: &Answer) -> Verdict {
    Verdict::Revealed(answer.clone(), Salt::of(key, attempt))
}

/// The worker reports its commitment to this answer.
pub(super) fn commit(mesh: &mut Mesh, worker: u8, answer: &Answer) {
    let attempt = held(mesh, worker).expect("it holds a replica");
    let verdict = committed(&key(worker), &attempt, answer);
    mesh.report(&key(worker), attempt, verdict);
}

pub(super) fn reveal(mesh: &mut Mesh, worker: u8, answer: &Answer) {
    let attempt = held(mesh, worker).expect("it holds a replica");
    let verdict = revealed(&key(worker), &attempt, answer);
    mesh.report(&key(worker), attempt, verdict);
}

/// These workers commit themselves to answers in one block, and reveal them in the next. What happened then.
pub(super) fn answer(mesh: &mut Mesh, answers: &[(u8, Answer)]) -> Applied {
    for (worker, answer) in answers {
        commit(mesh, *worker, answer);
    }
    mesh.next();
    for (worker, answer) in answers {
        reveal(mesh, *worker, answer);
    }
    mesh.next()
}

/// Who was asked for an answer in this block.
pub(super) fn asked(applied: &Applied) -> usize {
    applied.events.iter().filter(|event| matches!(event, LedgerEvent::RevealAsked { .. })).count()
}

/// The only outcome of a block, which its agreement supports.
pub(super) fn outcome(applied: &Applied) -> OutcomeReceipt {
    let outcomes = outcomes(applied);
    assert_eq!(outcomes.len(), 1, "one outcome");
    let agreement = outcomes[0].agreement.as_ref().expect("an agreement");
    assert!(agreement.supports(outcomes[0]), "{:?}", outcomes[0]);
    outcomes[0].clone()
}

#[test]
fn that_too_few_workers_of_different_operators_claim_is_explained() {
    let could_join = |mesh: &Mesh, job| mesh.ledger.explain(TaskId { job, index: 0 }).expect("a task").could_join;
    let (mesh, job) = mesh_of(2, redundant(3));
    assert_eq!(could_join(&mesh, job), Some(0), "both workers have a part in the answer");
    let (mesh, job) = mesh_of(3, redundant(3));
    assert_eq!(could_join(&mesh, job), None, "no more are wanted");
    let mut mesh = Mesh::new(genesis());
    let labels = Labels::from([(Redundancy::OPERATOR.to_owned(), "one".to_owned())]);
    for worker in [1, 2] {
        mesh.claim(&key(worker), Claim { labels: labels.clone(), ..offer(1, 0) });
    }
    mesh.submit(&key(100), 2, spec());
    mesh.next();
    let job = mesh.submit(&key(100), 1, redundant(3));
    mesh.next();
    assert_eq!(could_join(&mesh, job), Some(1), "two of one operator count as one, and are busy");
    mesh.claim(&key(3), offer(1, 0));
    mesh.next();
    assert!(held(&mesh, 3).is_some());
    assert_eq!(could_join(&mesh, job), Some(1));
}

#[test]
fn replicas_go_to_different_workers_at_once_and_a_commitment_frees_its_worker() {
    let (mut mesh, job) = mesh_of(4, redundant(3));
    assert_eq!(holders(&mesh), [1, 2, 3]);
    commit(&mut mesh, 2, &says("42"));
    let other = mesh.submit(&key(100), 2, spec());
    let applied = mesh.next();
    assert_eq!((asked(&applied), mesh.running(&key(2))), (0, 1), "it holds something else by now");
    assert_eq!(mesh.held(&key(2)).len(), 2, "and its commitment");
    assert!(mesh.holder(other, 0).is_some() && mesh.holder(other, 1).is_some());
    let replicas = mesh.ledger.task(TaskId { job, index: 0 }).expect("a task").replicas.expect("replicas");
    assert_eq!((replicas.held, replicas.committed, replicas.asked, replicas.wanted), (2, 1, false, 3));
}

#[test]
fn answers_are_asked_for_once_all_have_committed_and_the_quorums_answer_is_the_outcome() {
    let (mut mesh, job) = mesh_of(3, redundant(3));
    commit(&mut mesh, 1, &says("lie"));
    commit(&mut mesh, 2, &says("42"));
    assert_eq!(asked(&mesh.next()), 0);
    commit(&mut mesh, 3, &says("42"));
    assert_eq!(asked(&mesh.next()), 3);
    reveal(&mut mesh, 3, &says("42"));
    reveal(&mut mesh, 2, &says("42"));
    assert!(outcomes(&mesh.next()).is_empty(), "whoever sees that it is outvoted must not get away with silence");
    reveal(&mut mesh, 1, &says("lie"));
    let outcome = outcome(&mesh.next());
    assert_eq!((outcome.attempt, outcome.worker), (attempt(job, 0, 1), key(2).public()));
    assert_eq!(outcome.verdict, Verdict::from(says("42")));
    let answers = outcome.agreement.expect("an agreement").answers;
    let expected = [(0, 1, "lie"), (1, 2, "42"), (2, 3, "42")].map(|(number, worker, text)| Answered {
        attempt: AttemptNumber(number),
        worker: key(worker).public(),
        answer: says(text).digest(),
    });
    assert_eq!(answers, expected);
}

#[test]
fn standard_error_is_no_part_of_what_must_be_the_same() {
    let noisy = |noise: &str| {
        let output = InlineOutput {
            stdout: b"42".as_slice().into(),
            stderr: noise.as_bytes().into(),
            ..InlineOutput::default()
        };
        Answer::Succeeded(0, Output::Inline(output), Usage::default())
    };
    let (mut mesh, _) = mesh_of(2, redundant(2));
    let applied = answer(&mut mesh, &[(1, noisy("here")), (2, noisy("there"))]);
    assert_eq!(outcome(&applied).verdict, Verdict::from(noisy("here")));
}

#[test]
fn without_a_quorum_another_worker_is_asked_up_to_the_bound_and_then_the_task_fails_with_all_answers() {
    let (mut mesh, job) = mesh_of(4, redundant(2));
    assert_eq!(holders(&mesh), [1, 2]);
    assert!(outcomes(&answer(&mut mesh, &[(1, says("a")), (2, says("b"))])).is_empty());
    assert_eq!(holders(&mesh), [3], "a third worker");
    assert!(outcomes(&answer(&mut mesh, &[(3, says("c"))])).is_empty());
    assert_eq!(holders(&mesh), [4]);
    let failed = outcome(&answer(&mut mesh, &[(4, says("d"))]));
    assert!(matches!(failed.verdict, Verdict::Failed(Failure::Disagreed, ..)));
    assert_eq!(failed.agreement.expect("an agreement").answers.len(), 4);
    assert!(matches!(mesh.state(job, 0), TaskStateView::Done { succeeded: false, .. }));
}

#[test]
fn a_later_answer_decides_between_two() {
    let (mut mesh, _) = mesh_of(3, redundant(2));
    answer(&mut mesh, &[(1, says("a")), (2, says("b"))]);
    let outcome = outcome(&answer(&mut mesh, &[(3, says("b"))]));
    assert_eq!((outcome.worker, outcome.verdict), (key(2).public(), Verdict::from(says("b"))));
}

#[test]
fn two_answers_with_the_quorum_decide_nothing_while_they_have_the_same_number() {
    let spec = TaskSpec {
        redundancy: Some(Redundancy { replicas: 4, quorum: 2, replicas_max: 5, adaptive: false }),
        ..spec()
    };
    let (mut mesh, _) = mesh_of(5, spec);
    let tied = answer(&mut mesh, &[(1, says("a")), (2, says("b")), (3, says("a")), (4, says("b"))]);
    assert!(outcomes(&tied).is_empty());
    assert_eq!(outcome(&answer(&mut mesh, &[(5, says("b"))])).worker, key(2).public());
}

#[test]
fn whoever_reveals_another_answer_has_lost_the_attempt_and_gets_no_other() {
    let (mut mesh, _) = mesh_of(3, redundant(2));
    commit(&mut mesh, 1, &says("a"));
    commit(&mut mesh, 2, &says("b"));
    mesh.next();
    reveal(&mut mesh, 2, &says("a"));
    assert_eq!(ends(&mesh.next()), [(0, 1, EndReason::Mismatched)]);
    reveal(&mut mesh, 1, &says("a"));
    assert!(outcomes(&mesh.next()).is_empty(), "what it says now is worth nothing");
    assert_eq!(holders(&mesh), [3]);
    assert_eq!(outcome(&answer(&mut mesh, &[(3, says("a"))])).worker, key(1).public());
}

#[test]
fn whoever_keeps_its_answer_back_loses_the_attempt_and_gets_no_other() {
    let mut genesis = genesis();
    genesis.ledger.allowance_ms = 5_000;
    let mut mesh = Mesh::new(genesis);
    for worker in 1..=2 {
        mesh.claim(&key(worker), slot(worker));
    }
    mesh.submit(&key(100), 1, redundant(2));
    mesh.next();
    commit(&mut mesh, 1, &says("a"));
    commit(&mut mesh, 2, &says("a"));
    mesh.next();
    reveal(&mut mesh, 1, &says("a"));
    mesh.next();
    assert_eq!(ends(&mesh.idle(5_001)), [(0, 1, EndReason::Unrevealed)]);
    assert_eq!(holders(&mesh), [0; 0], "both have a part in the answer");
    mesh.claim(&key(3), slot(3));
    mesh.next();
    assert_eq!(holders(&mesh), [3]);
    assert_eq!(outcome(&answer(&mut mesh, &[(3, says("a"))])).worker, key(1).public());
}

#[test]
fn a_commitment_waits_for_others_as_long_as_its_workers_claim_stands() {
    let (mut mesh, _) = mesh_of(1, redundant(2));
    commit(&mut mesh, 1, &says("a"));
    mesh.next();
    for _ in 0..10 {
        mesh.claim(&key(1), slot(1));
        assert!(ends(&mesh.idle(30_000)).is_empty());
    }
    assert_eq!(stage(&mesh, 1), Some(Stage::Committed { asked: false }));
    assert_eq!(ends(&mesh.idle(60_000)), [(0, 0, EndReason::ClaimEnded)]);
    mesh.claim(&key(1), slot(1));
    mesh.next();
    assert_eq!(stage(&mesh, 1), Some(Stage::Running), "nothing was revealed, so it may compute it again");
}

#[test]
fn workers_of_one_operator_count_as_one() {
    let mut mesh = Mesh::new(genesis());
    let of = |worker: u8, operator: &str| {
        let labels = Labels::from([(Redundancy::OPERATOR.to_owned(), operator.to_owned())]);
        Claim { labels, ..slot(worker) }
    };
    for (worker, operator) in [(1, "x"), (2, "x"), (3, "y")] {
        mesh.claim(&key(worker), of(worker, operator));
    }
    mesh.submit(&key(100), 1, redundant(3));
    mesh.next();
    assert_eq!(holders(&mesh), [1, 3]);
    mesh.claim(&key(4), slot(4));
    mesh.next();
    assert_eq!(holders(&mesh), [1, 3, 4], "who names no operator is one of its own");
}

#[test]
fn no_single_workers_invented_failure_fails_a_task() {
    let (mut mesh, _) = mesh_of(3, redundant(3));
    let good = || says("42");
    let applied = answer(&mut mesh, &[(1, fails(Failure::Exited(1))), (2, good()), (3, good())]);
    assert_eq!(outcome(&applied).verdict, Verdict::from(good()));
}

#[test]
fn a_failure_on_which_workers_agree_is_final() {
    let spec = TaskSpec { retry: Retry::of(5, 10), ..redundant(3) };
    let (mut mesh, _) = mesh_of(3, spec);
    let trapped = |text: &str| fails(Failure::Trapped(text.into()));
    let applied = answer(&mut mesh, &[(1, trapped("here")), (2, says("42")), (3, trapped("there"))]);
    let outcome = outcome(&applied);
    assert_eq!((outcome.worker, outcome.verdict), (key(1).public(), Verdict::from(trapped("here"))));
    let status = |status| fails(Failure::Exited(status)).digest();
    assert_ne!(status(1), status(2), "the status with which a program ends is part of the answer");
}

#[test]
fn what_a_program_left_is_part_of_the_answer_however_it_ended() {
    let left = |stdout: &[u8], stderr: &[u8]| {
        Output::Inline(InlineOutput { stdout: stdout.into(), stderr: stderr.into(), ..InlineOutput::default() })
    };
    let exited = |stdout: &[u8], stderr: &[u8]| {
        Answer::Failed(Failure::Exited(10), Remains::whole(left(stdout, stderr)), Usage::default())
    };
    assert_eq!(exited(b"a", b"x").digest(), exited(b"a", b"y").digest(), "standard error is no part of it");
    assert_ne!(exited(b"a", b"").digest(), exited(b"b", b"").digest());
    assert_ne!(exited(b"a", b"").digest(), fails(Failure::Exited(10)).digest());
    let succeeded = |status| Answer::Succeeded(status, left(b"a", b""), Usage::default());
    assert_ne!(succeeded(0).digest(), succeeded(10).digest());
    assert_ne!(succeeded(10).digest(), exited(b"a", b"").digest());

    let (mut mesh, _) = mesh_of(3, redundant(3));
    let answers = [(1, exited(b"lie", b"")), (2, exited(b"42", b"")), (3, exited(b"42", b""))];
    let applied = answer(&mut mesh, &answers);
    let outcome = outcome(&applied);
    assert_eq!(outcome.verdict, Verdict::from(exited(b"42", b"")));
    assert!(outcome.agreement.as_ref().is_some_and(|agreement| agreement.supports(&outcome)));
}

#[test]
fn a_failure_that_is_stored_is_agreed_on_with_the_end_of_one_workers_standard_error() {
    let (mut mesh, job) = mesh_of(2, redundant(2));
    let left = |mesh: &Mesh, worker: u8| {
        let attempt = held(mesh, worker).expect("a replica");
        let (manifest, stderr) = (BlobRef { digest: Digest::of(b"left"), bytes: 10 }, BlobRef::of(b"of one"));
        let (bytes, stderr, height) = (50, Some(stderr), mesh.ledger.height());
        let statement = DeliveryStatement { attempt, manifest, stderr, bytes, height };
        let delivery = statement.sign(&key(200), &mesh.ledger.network());
        let output = Some(Output::Stored { manifest, stderr, bytes, delivery });
        let remains = Remains { output, stderr_tail: ByteString::from(&b"one"[..]) };
        Answer::Failed(Failure::Exited(10), remains, Usage::default())
    };
    let answers = [(1, left(&mesh, 1)), (2, left(&mesh, 2))];
    let applied = answer(&mut mesh, &answers);
    let Verdict::Failed(_, remains, _) = &outcome(&applied).verdict else { panic!("it failed") };
    assert!(matches!(remains.output, Some(Output::Stored { stderr: None, .. })));
    assert_eq!(&*remains.stderr_tail, b"one");
    assert_eq!(mesh.ledger.owed(attempt(job, 0, 0), &Digest::of(b"left")), Owed::Compared);
}

#[test]
fn what_may_be_the_machines_fault_fails_a_task_once_a_quorum_has_seen_it() {
    let timed_out =
        || Verdict::Failed(Failure::Exceeded(TaskLimit::Time(10_000)), Remains::default(), Usage::default());
    let (mut mesh, _) = mesh_of(4, redundant(3));
    let first = held(&mesh, 1).expect("a replica");
    mesh.report(&key(1), first, timed_out());
    assert!(outcomes(&mesh.next()).is_empty());
    assert_eq!(holders(&mesh), [2, 3, 4], "it goes to another worker");
    let second = held(&mesh, 3).expect("a replica");
    mesh.report(&key(3), second, timed_out());
    let applied = mesh.next();
    let failed = outcomes(&applied);
    assert!(matches!(failed[..], [OutcomeReceipt { verdict: Verdict::Failed(Failure::Exceeded(_), ..), .. }]));
    assert!(ends(&applied).contains(&(0, 1, EndReason::Superseded)), "the others end with it");
}

#[test]
fn nothing_else_is_taken_from_a_replica() {
    let (mut mesh, _) = mesh_of(2, redundant(2));
    let attempt = held(&mesh, 1).expect("a replica");
    let says_now = |mesh: &mut Mesh, verdict: Verdict| {
        mesh.report(&key(1), attempt, verdict);
        ignored(&mesh.next())
    };
    assert_eq!(says_now(&mut mesh, success()), [IgnoredReason::Malformed]);
    assert_eq!(says_now(&mut mesh, failure()), [IgnoredReason::Malformed]);
    let early = revealed(&key(1), &attempt, &says("a"));
    assert_eq!(says_now(&mut mesh, early.clone()), [IgnoredReason::NotAsked]);
    let commitment = committed(&key(1), &attempt, &says("a"));
    assert_eq!(says_now(&mut mesh, commitment.clone()), []);
    assert_eq!(says_now(&mut mesh, commitment), [IgnoredReason::Repeated]);
    assert_eq!(says_now(&mut mesh, early), [IgnoredReason::NotAsked]);
    let (mut mesh, _) = mesh_of(1, spec());
    let attempt = held(&mesh, 1).expect("an attempt");
    mesh.report(&key(1), attempt, committed(&key(1), &attempt, &says("a")));
    assert_eq!(ignored(&mesh.next()), [IgnoredReason::Malformed], "a task without replicas needs no commitment");
}

#[test]
fn a_late_answer_of_a_lost_replica_changes_nothing() {
    let (mut mesh, _) = mesh_of(2, redundant(2));
    let attempt = held(&mesh, 1).expect("a replica");
    mesh.drain(&key(1));
    mesh.next();
    mesh.report(&key(1), attempt, committed(&key(1), &attempt, &says("a")));
    assert_eq!(ignored(&mesh.next()), [IgnoredReason::Late]);
}

#[test]
fn a_commitment_of_a_lost_worker_is_replaced_before_anything_is_revealed() {
    let (mut mesh, _) = mesh_of(3, redundant(2));
    commit(&mut mesh, 1, &says("a"));
    mesh.next();
    mesh.drain(&key(1));
    let applied = mesh.next();
    assert_eq!((ends(&applied), holders(&mesh)), (vec![(0, 0, EndReason::Drained)], vec![2, 3]));
    assert_eq!(outcome(&answer(&mut mesh, &[(2, says("b")), (3, says("b"))])).worker, key(2).public());
}

#[test]
fn numbers_that_make_no_sense_and_programs_that_cannot_be_compared_are_refused() {
    let mut mesh = Mesh::new(genesis());
    let of = |replicas, quorum, replicas_max| TaskSpec {
        redundancy: Some(Redundancy { replicas, quorum, replicas_max, adaptive: false }),
        ..spec()
    };
    let mut refused = |spec: TaskSpec| {
        let id = mesh.sign(&key(100), array("job", 1, spec));
        result_of(&mesh.next(), id)
    };
    for bad in [of(1, 1, 1), of(3, 1, 3), of(3, 4, 4), of(3, 2, 2), of(3, 2, 17)] {
        assert_eq!(refused(bad), Err(VoidReason::Malformed));
    }
    assert_eq!(refused(TaskSpec { checkpoints: true, ..of(2, 2, 2) }), Err(VoidReason::RedundancyExcludes));
    assert_eq!(refused(TaskSpec { spawns: true, ..of(2, 2, 2) }), Err(VoidReason::RedundancyExcludes));
    assert_eq!(refused(of(16, 16, 16)), Ok(()));
}

#[test]
fn a_task_of_which_nothing_was_leased_has_no_state_of_its_own() {
    let mut mesh = Mesh::new(genesis());
    for worker in 1..=3 {
        mesh.claim(&key(worker), slot(worker));
    }
    mesh.submit(&key(100), 1000, redundant(3));
    mesh.next();
    let states = mesh.ledger.records.jobs().values().map(|job| job.record.states.len()).sum::<usize>();
    assert_eq!(states, 1, "three workers hold replicas of one task");
}

#[test]
fn a_committed_attempt_cannot_be_given_back_and_keeps_a_worker_on_trial_from_another() {
    let mut genesis = genesis();
    genesis.ledger.trial_wait_ms = 10_000;
    let mut mesh = Mesh::new(genesis);
    let worker = key(1);
    mesh.claim(&worker, Claim { waiting: 0, ..slot(1) });
    mesh.submit(&key(100), 3, redundant(2));
    mesh.next();
    // It loses one, and holds one at a time from then on.
    mesh.claim(&worker, Claim { incarnation: Incarnation(2), ..slot(1) });
    mesh.next();
    commit(&mut mesh, 1, &says("a"));
    mesh.next();
    let attempt = held(&mesh, 1).expect("its replica, which waits for another worker's");
    let holds = |mesh: &Mesh| {
        let leases = mesh.ledger.records.worker(&worker.public()).expect("known").leases();
        (leases.running().len() + leases.waiting().len(), leases.committed().len())
    };
    assert_eq!(holds(&mesh), (0, 1), "its slot is free, and it gets nothing");
    mesh.report(&worker, attempt, Verdict::Returned);
    mesh.next();
    assert_eq!(holds(&mesh), (0, 1), "it has only its answer left to give");
}

#[test]
fn one_who_names_the_right_output_with_a_wrong_size_does_not_agree() {
    let stored = |bytes| {
        let manifest = BlobRef { digest: Digest::of(b"manifest"), bytes };
        let delivery = Delivery { holder: key(1).public(), height: Height(1), signature: Signature([0; 64]) };
        Answer::Succeeded(0, Output::Stored { manifest, stderr: None, bytes, delivery }, Usage::default())
    };
    assert_ne!(stored(7).digest(), stored(8).digest());
    assert_eq!(
        stored(7).digest(),
        Answer::digest_of_success(0, &BlobRef { digest: Digest::of(b"manifest"), bytes: 7 })
    );
}

#[test]
fn commitments_do_not_count_towards_the_quota_of_leases() {
    let mut genesis = genesis();
    genesis.ledger.key_running_max = 1;
    let mut mesh = Mesh::new(genesis);
    for worker in 1..=2 {
        mesh.claim(&key(worker), slot(worker));
    }
    mesh.submit(&key(100), 1, redundant(2));
    mesh.next();
    assert_eq!(holders(&mesh), [1]);
    commit(&mut mesh, 1, &says("a"));
    mesh.next();
    assert_eq!(holders(&mesh), [1, 2], "or the task could never end");
}

#[test]
fn what_the_losers_left_is_kept_until_the_job_is_forgotten() {
    let (mut mesh, job) = mesh_of(3, redundant(3));
    answer(&mut mesh, &[(1, says("lie")), (2, says("42")), (3, says("42"))]);
    let manifest = Digest::of(b"what it left");
    assert_eq!(mesh.ledger.owed(attempt(job, 0, 0), &manifest), Owed::Compared);
    assert!(matches!(mesh.ledger.owed(attempt(job, 0, 1), &manifest), Owed::IfOutput { .. }));
    assert_eq!(mesh.ledger.owed(attempt(job, 0, 9), &manifest), Owed::Nobody);
}

#[test]
fn a_cancelled_task_leaves_nothing_with_its_workers() {
    let (mut mesh, job) = mesh_of(3, redundant(3));
    commit(&mut mesh, 2, &says("a"));
    mesh.next();
    mesh.cancel(&key(100), job);
    assert_eq!(ends(&mesh.next()).len(), 3);
    assert_eq!(holders(&mesh), [0; 0]);
}

#[test]
fn what_feeds_others_is_stored_and_passes_on_the_output_that_was_agreed_on() {
    let mut mesh = Mesh::new(genesis());
    for worker in 1..=3 {
        mesh.claim(&key(worker), slot(worker));
    }
    let first = Array { feeds: true, ..Array::new(redundant(2), Tasks::Repeat(1)) };
    let taken = Source::Output(OutputOf { of: Producer::Task(0), file: None });
    let inputs = vec![Input { path: "it".into(), source: taken }];
    let second = Array::new(TaskSpec { inputs, ..spec() }, Tasks::Repeat(1));
    let submit = Submit { arrays: vec![first, second], ..Submit::new("job", spec(), Tasks::Repeat(1)) };
    let job = JobId(mesh.sign(&key(100), Action::Submit(submit)).0);
    mesh.next();
    let stored = |mesh: &Mesh, worker: u8| {
        let attempt = held(mesh, worker).expect("a replica");
        let (manifest, bytes, height) = (BlobRef { digest: Digest::of(b"left"), bytes: 10 }, 50, mesh.ledger.height());
        let statement = DeliveryStatement { attempt, manifest, stderr: None, bytes, height };
        let delivery = statement.sign(&key(200), &mesh.ledger.network());
        Answer::Succeeded(0, Output::Stored { manifest, stderr: None, bytes, delivery }, Usage::default())
    };
    let answers = [stored(&mesh, 1), stored(&mesh, 2)];
    commit(&mut mesh, 1, &answers[0]);
    commit(&mut mesh, 2, &says("inline"));
    mesh.next();
    reveal(&mut mesh, 2, &says("inline"));
    assert_eq!(ignored(&mesh.next()), [IgnoredReason::NotDelivered], "others could not take what is not stored");
    mesh.claim(&key(1), slot(1));
    reveal(&mut mesh, 1, &answers[0]);
    mesh.next();
    mesh.drain(&key(2));
    mesh.next();
    let third = stored(&mesh, 3);
    let applied = answer(&mut mesh, &[(3, third)]);
    assert_eq!(outcome(&applied).worker, key(1).public());
    let produced = mesh.ledger.produced_inputs(TaskId { job, index: 1 });
    assert_eq!(produced.first().map(|input| input.manifest.digest), Some(Digest::of(b"left")));
}

#[test]
fn a_restored_ledger_goes_on_alike_at_every_stage() {
    let (mut mesh, _) = mesh_of(5, redundant(3));
    let genesis = Arc::clone(mesh.ledger.genesis());
    let mut twin = Ledger::restore(Arc::clone(&genesis), &mesh.ledger.snapshot()).expect("own snapshot");
    let mut go_on = |mesh: &mut Mesh| {
        let block = mesh.block(1);
        let applied = mesh.ledger.apply(&block);
        assert_eq!(applied, twin.apply(&block));
        twin = Ledger::restore(Arc::clone(&genesis), &mesh.ledger.snapshot()).expect("own snapshot");
        assert_eq!(mesh.ledger.state_digest(), twin.state_digest());
        applied
    };
    for (worker, text) in [(1, "a"), (2, "b"), (3, "c")] {
        commit(&mut mesh, worker, &says(text));
        go_on(&mut mesh);
    }
    for (worker, text) in [(3, "c"), (1, "a"), (2, "b")] {
        reveal(&mut mesh, worker, &says(text));
        go_on(&mut mesh);
    }
    commit(&mut mesh, 4, &says("c"));
    go_on(&mut mesh);
    reveal(&mut mesh, 4, &says("c"));
    let applied = go_on(&mut mesh);
    let outcome = outcome(&applied);
    assert_eq!(outcome.worker, key(3).public());
}

#[test]
fn time_for_an_answer_is_the_allowance() {
    let (mut mesh, _) = mesh_of(2, redundant(2));
    commit(&mut mesh, 1, &says("a"));
    commit(&mut mesh, 2, &says("a"));
    mesh.next();
    let due = mesh.ledger.next_due().expect("claims and answers are due");
    assert!(due <= mesh.now.plus_ms(ALLOWANCE_MS));
    let lease = mesh.ledger.leases_of(&key(1).public())[0];
    assert_eq!(lease.stage, Stage::Committed { asked: true });
}

/// What a worker answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    Honest,
    /// It says what all of its kind say.
    Colludes,
    /// It says that the program failed.
    Fails,
    /// It says what was revealed before, or else anything.
    Copies,
}

impl Manner {
    fn answer(self, seen: &[Answer]) -> Answer {
        match self {
            Self::Honest => says("42"),
            Self::Colludes => says("lie"),
            Self::Fails => fails(Failure::Exited(1)),
            Self::Copies => seen.last().cloned().unwrap_or_else(|| says("whatever")),
        }
    }
}

/// Two of seven workers are no good, and workers do what they do in any order: they commit themselves, reveal, keep
/// silent, leave, come back.
fn try_to_deceive(bad: [Manner; 2], story: &[(u8, u8, u64)]) {
    let mut genesis = genesis();
    genesis.ledger.allowance_ms = 5_000;
    let mut mesh = Mesh::new(genesis);
    let manner = |worker: u8| bad.get(usize::from(worker) - 1).copied().unwrap_or(Manner::Honest);
    for worker in 1..=7 {
        mesh.claim(&key(worker), slot(worker));
    }
    mesh.submit(&key(100), 3, redundant(5));
    mesh.next();
    let mut said: std::collections::BTreeMap<AttemptId, Answer> = std::collections::BTreeMap::new();
    let mut seen = Vec::new();
    let mut all = Vec::new();
    let ending = (0..140u64).map(|step| ((step % 7) as u8 + 1, 0, 50));
    for (worker, does, later_ms) in story.iter().copied().chain(ending) {
        let by = key(worker);
        for lease in mesh.ledger.leases_of(&by.public()) {
            let attempt = lease.attempt;
            match (does, lease.stage) {
                (0..6, Stage::Running) => {
                    let answer = said.entry(attempt).or_insert_with(|| manner(worker).answer(&seen)).clone();
                    mesh.report(&by, attempt, committed(&by, &attempt, &answer));
                }
                (0..5, Stage::Committed { asked: true }) => {
                    let answer = said[&attempt].clone();
                    mesh.report(&by, attempt, revealed(&by, &attempt, &answer));
                    seen.push(answer);
                }
                _ => {}
            }
        }
        if does == 7 {
            mesh.drain(&by);
        }
        mesh.claim(&by, slot(worker));
        let applied = if later_ms > 1_000 { mesh.idle(later_ms) } else { mesh.pass(later_ms) };
        all.extend(outcomes(&applied).into_iter().cloned());
    }
    // Whoever was silent for too long gets no other replica, and then there may be too few.
    let was_silent = story.iter().any(|(.., later_ms)| *later_ms >= 5_000);
    assert!(all.len() == 3 || was_silent, "each task has its outcome");
    for outcome in all {
        assert!(outcome.agreement.as_ref().is_some_and(|agreement| agreement.supports(&outcome)));
        let is_right = outcome.verdict == Verdict::from(says("42"));
        // Honest workers may be lost too often for an answer; a wrong one is never taken.
        let is_none = matches!(outcome.verdict, Verdict::Failed(Failure::Disagreed | Failure::Lost, ..));
        assert!(is_right || is_none, "{outcome:?}");
    }
}

fn manner() -> impl Strategy<Value = Manner> {
    prop::sample::select(vec![Manner::Colludes, Manner::Fails, Manner::Copies])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn two_liars_among_five_replicas_deceive_nobody(
        bad in [manner(), manner()],
        story in prop::collection::vec((1..=7u8, 0..9u8, prop_oneof![9 => 1..100u64, 1 => 5_000..8_000u64]), 0..80),
    ) {
        try_to_deceive(bad, &story);
    }
}
