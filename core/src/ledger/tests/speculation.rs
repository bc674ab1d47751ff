//! Speculative attempts, beside those that take far longer than most.

use super::mesh::*;
use crate::{
    identity::SecretKey,
    ledger::{
        EndReason, IgnoredReason, Ledger, LedgerEvent, TaskStateView,
        explain::reasons::{SpeculationNow, Why},
        timeline::What,
    },
    types::*,
};

/// How long the program takes, as three attempts told.
const USUAL_MS: u64 = 2_000;

/// A network that knows how long the program takes, with these workers of one slot each.
fn taught(genesis: Genesis, workers: &[u8]) -> Mesh {
    let mut mesh = Mesh::new(genesis);
    mesh.claim(&key(50), offer(3, 0));
    let job = mesh.submit(&key(100), 3, spec());
    mesh.next();
    mesh.pass(USUAL_MS - 1);
    for index in 0..3 {
        mesh.report(&key(50), attempt(job, index, 0), success());
    }
    mesh.next();
    mesh.drain(&key(50));
    for worker in workers {
        mesh.claim(&key(*worker), offer(1, 1));
    }
    mesh.next();
    mesh
}

/// Three deviations of the first durations, which were alike, are left of what half of the first was taken for.
const SLOW_MS: u64 = 5_000;

/// The first worker has a task of this kind for so long that it is slow; the second has nothing to do.
fn slow_of(task: TaskSpec) -> (Mesh, JobId) {
    let mut mesh = taught(genesis(), &[1, 2]);
    let job = mesh.submit(&key(100), 1, task);
    mesh.next();
    assert_eq!(mesh.running(&key(1)) + mesh.running(&key(2)), 1);
    mesh.idle(SLOW_MS);
    (mesh, job)
}

fn slow() -> (Mesh, JobId) {
    slow_of(spec())
}

/// Who has the attempt, and who the speculative one.
fn holders(mesh: &Mesh, job: JobId) -> [SecretKey; 2] {
    let speculative =
        mesh.ledger.task(TaskId { job, index: 0 }).expect("a task").speculative.expect("a speculative attempt");
    assert_eq!(speculative.0, AttemptNumber(1));
    let seed_of = |public| (1..=9).map(key).find(|key| key.public() == public).expect("a worker");
    [mesh.holder(job, 0).map(seed_of).expect("a holder"), seed_of(speculative.1)]
}

fn speculation(mesh: &Mesh, job: JobId) -> SpeculationNow {
    match mesh.ledger.explain(TaskId { job, index: 0 }).expect("a task").why {
        Why::Leased(why) => why.speculation,
        other => panic!("it is not leased: {other:?}"),
    }
}

#[test]
fn a_slow_attempt_has_a_speculative_attempt_where_nothing_else_is_to_be_done_and_the_first_to_succeed_is_taken() {
    for first in [0, 1] {
        let (mut mesh, job) = slow();
        let holders = holders(&mesh, job);
        assert_eq!((mesh.held(&holders[0]), mesh.held(&holders[1])), (vec![(0, 0, true)], vec![(0, 1, true)]));
        let view = mesh.ledger.job(job).expect("a job");
        assert_eq!((view.counts.running, view.speculative, mesh.ledger.totals().ever.speculative), (1, 1, 1));
        let SpeculationNow::Speculated { attempt: 1, worker, .. } = speculation(&mesh, job) else {
            panic!("it has a speculative attempt")
        };
        assert_eq!(worker, holders[1].public());
        let [winner, loser] = [first, 1 - first];
        mesh.report(&holders[winner], attempt(job, 0, winner as u32), success());
        let applied = mesh.next();
        assert_eq!(outcomes(&applied)[0].worker, holders[winner].public());
        let ended = [(0, winner as u32, EndReason::Succeeded), (0, loser as u32, EndReason::Superseded)];
        assert_eq!(ends(&applied), ended);
        assert!(holders.iter().all(|holder| mesh.held(holder).is_empty()));
        assert_eq!(mesh.ledger.job(job).expect("a job").speculative, 0);
        assert_eq!(mesh.ledger.totals().ever.late, 0, "it was in time");
        mesh.report(&holders[loser], attempt(job, 0, loser as u32), success());
        assert_eq!(ignored(&mesh.next()), [IgnoredReason::TaskEnded]);
    }
}

#[test]
fn what_is_not_slow_has_no_speculative_attempt() {
    let mut mesh = taught(genesis(), &[1, 2]);
    let job = mesh.submit(&key(100), 1, spec());
    mesh.next();
    assert!(matches!(speculation(&mesh, job), SpeculationNow::Watched { .. }));
    mesh.idle(USUAL_MS * 2 - 100);
    assert_eq!(mesh.ledger.totals().ever.speculative, 0);
}

#[test]
fn nothing_is_known_to_be_slow_before_three_attempts_have_told() {
    let mut mesh = Mesh::new(genesis());
    for worker in [1, 2, 3, 4] {
        mesh.claim(&key(worker), offer(1, 0));
    }
    let job = mesh.submit(&key(100), 3, spec());
    mesh.next();
    mesh.idle(1_000);
    let slowest = TaskId { job, index: 2 };
    for index in [0, 1] {
        let by = (1..=4).map(key).find(|key| Some(key.public()) == mesh.holder(job, index)).expect("a holder");
        mesh.report(&by, attempt(job, index, 0), success());
    }
    mesh.idle(6_000);
    assert_eq!(mesh.ledger.task(slowest).expect("a task").speculative, None);
    let other = mesh.submit(&key(100), 1, spec());
    mesh.next();
    let by = (1..=4).map(key).find(|key| Some(key.public()) == mesh.holder(other, 0)).expect("a holder");
    mesh.report(&by, attempt(other, 0, 0), success());
    mesh.idle(2_000);
    assert!(
        mesh.ledger.task(slowest).expect("a task").speculative.is_some(),
        "it has run for far longer than three others"
    );
}

#[test]
fn a_submitter_that_wants_no_speculative_attempts_has_none() {
    let (mesh, job) = slow_of(TaskSpec { speculation: false, ..spec() });
    assert_eq!(speculation(&mesh, job), SpeculationNow::Unwatched);
    assert_eq!(mesh.ledger.totals().ever.speculative, 0);
}

#[test]
fn a_speculative_attempt_goes_nowhere_that_something_ready_could_go_and_never_waits() {
    let mut mesh = taught(genesis(), &[1]);
    let job = mesh.submit(&key(100), 1, spec());
    mesh.next();
    mesh.idle(SLOW_MS);
    assert_eq!(speculation(&mesh, job), SpeculationNow::Slow, "there is only the worker that has it");
    let other = mesh.submit(&key(101), 1, TaskSpec { speculation: false, ..spec() });
    mesh.claim(&key(2), offer(1, 2));
    mesh.next();
    assert_eq!((mesh.running(&key(1)), mesh.waiting(&key(1))), (1, 0));
    assert_eq!(mesh.holder(other, 0), Some(key(2).public()));
    mesh.idle(1_000);
    assert_eq!(
        speculation(&mesh, job),
        SpeculationNow::Slow,
        "there is a waiting place, but none for speculative attempts"
    );
    mesh.report(&key(2), attempt(other, 0, 0), success());
    mesh.next();
    assert_eq!(mesh.held(&key(2)), [(0, 1, true)]);
}

#[test]
fn a_held_task_has_no_speculative_attempt_and_a_quota_counts_speculative_attempts() {
    for held in [true, false] {
        let mut mesh = taught(genesis(), &[1, 2]);
        let job = mesh.submit(&key(100), 1, spec());
        mesh.next();
        if held {
            mesh.control(&key(100), Control { job, which: Selection::default(), directive: Directive::Hold });
        } else {
            let quota = [(KeyLimit::Running, 1)].into();
            mesh.sign(&key(200), Action::Govern(Govern::Propose(Change::SetQuota(key(100).public(), quota))));
        }
        mesh.next();
        mesh.idle(SLOW_MS);
        assert_eq!((speculation(&mesh, job), mesh.ledger.totals().ever.speculative), (SpeculationNow::Slow, 0));
        if held {
            mesh.control(&key(100), Control { job, which: Selection::default(), directive: Directive::Release });
        } else {
            let quota = [(KeyLimit::Running, 2)].into();
            mesh.sign(&key(200), Action::Govern(Govern::Propose(Change::SetQuota(key(100).public(), quota))));
        }
        mesh.next();
        assert!(matches!(speculation(&mesh, job), SpeculationNow::Speculated { .. }));
        assert_eq!(mesh.ledger.index.quotas().leased_of(&key(100).public()), 2);
    }
}

#[test]
fn a_task_goes_on_with_what_is_left_when_its_attempt_or_the_speculative_attempt_is_lost_and_has_no_other_speculative_attempt()
 {
    for lost in [0, 1] {
        let (mut mesh, job) = slow();
        let holders = holders(&mesh, job);
        mesh.claim(&key(3), offer(1, 0));
        mesh.drain(&holders[lost]);
        let applied = mesh.next();
        assert_eq!(ends(&applied), [(0, lost as u32, EndReason::Drained)]);
        let left = &holders[1 - lost];
        assert_eq!(mesh.holder(job, 0), Some(left.public()));
        let task = mesh.ledger.task(TaskId { job, index: 0 }).expect("a task");
        assert_eq!((task.speculative, task.losses, task.attempts), (None, 1, 2));
        assert!(mesh.idle(4_000).events.iter().all(|event| !matches!(event, LedgerEvent::Leased { .. })));
        assert_eq!(speculation(&mesh, job), SpeculationNow::Unwatched);
        // A late success of the one that was lost is as good.
        mesh.report(&holders[lost], attempt(job, 0, lost as u32), success());
        let applied = mesh.next();
        assert_eq!(ends(&applied), [(0, 1 - lost as u32, EndReason::Superseded)]);
        assert_eq!(outcomes(&applied)[0].worker, holders[lost].public());
        assert_eq!(mesh.ledger.totals().ever.late, 1);
    }
}

#[test]
fn a_task_is_placed_again_once_both_are_lost() {
    let (mut mesh, job) = slow();
    let holders = holders(&mesh, job);
    mesh.drain(&holders[0]);
    mesh.drain(&holders[1]);
    mesh.claim(&key(3), offer(1, 0));
    mesh.next();
    assert_eq!(mesh.held(&key(3)), [(0, 2, true)]);
    assert_eq!(mesh.ledger.task(TaskId { job, index: 0 }).expect("a task").losses, 2);
}

#[test]
fn a_failure_of_the_program_is_the_tasks_but_what_the_machine_may_be_to_blame_for_is_not_while_another_lives() {
    let (mut mesh, job) = slow();
    let [first, second] = holders(&mesh, job);
    let timed_out = Verdict::Failed(Failure::Exceeded(TaskLimit::Time(10_000)), Remains::default(), Usage::default());
    mesh.report(&first, attempt(job, 0, 0), timed_out);
    let applied = mesh.next();
    assert_eq!((ends(&applied), outcomes(&applied).len()), (vec![(0, 0, EndReason::Failed)], 0));
    assert_eq!(mesh.holder(job, 0), Some(second.public()));
    mesh.report(&second, attempt(job, 0, 1), success());
    assert_eq!(outcomes(&mesh.next())[0].worker, second.public());

    let (mut mesh, job) = slow();
    let [_, second] = holders(&mesh, job);
    mesh.report(&second, attempt(job, 0, 1), failure());
    let applied = mesh.next();
    assert_eq!(ends(&applied), [(0, 1, EndReason::Failed), (0, 0, EndReason::Superseded)]);
    assert!(matches!(mesh.state(job, 0), TaskStateView::Done { succeeded: false, .. }));

    let (mut mesh, job) = slow_of(TaskSpec { retry: Retry::of(1, 0), ..spec() });
    let [first, second] = holders(&mesh, job);
    mesh.report(&second, attempt(job, 0, 1), failure());
    assert_eq!(outcomes(&mesh.next()).len(), 0, "one failure is forgiven");
    assert_eq!(mesh.holder(job, 0), Some(first.public()));
    mesh.report(&first, attempt(job, 0, 0), failure());
    assert_eq!(outcomes(&mesh.next()).len(), 1, "a second is not");
}

#[test]
fn an_attempt_that_runs_out_leaves_its_speculative_attempt_and_a_speculative_attempt_has_its_own_time() {
    let (mut mesh, job) = slow();
    let [_, second] = holders(&mesh, job);
    let mut next_end = || loop {
        for worker in [1, 2] {
            mesh.claim(&key(worker), offer(1, 1));
        }
        let ended = ends(&mesh.pass(1_000));
        if !ended.is_empty() {
            return (ended, mesh.now, mesh.holder(job, 0));
        }
    };
    let (ended, first_end, holder) = next_end();
    assert_eq!((ended, holder), (vec![(0, 0, EndReason::TimedOut)], Some(second.public())));
    let (ended, second_end, _) = next_end();
    assert_eq!(ended, [(0, 1, EndReason::TimedOut)]);
    assert!(second_end.micros_since(first_end) >= 4_000_000, "it began later by what made the first one slow");
}

#[test]
fn a_cancelled_task_ends_with_all_its_attempts_and_a_worker_that_starts_anew_loses_only_its_own() {
    let (mut mesh, job) = slow();
    mesh.cancel(&key(100), job);
    assert_eq!(ends(&mesh.next()), [(0, 1, EndReason::Cancelled), (0, 0, EndReason::Cancelled)]);

    let (mut mesh, job) = slow();
    let [first, second] = holders(&mesh, job);
    mesh.claim(&first, Claim { incarnation: Incarnation(2), ..offer(1, 0) });
    assert_eq!(ends(&mesh.next()), [(0, 0, EndReason::NewIncarnation)]);
    assert_eq!((mesh.running(&first), mesh.running(&second)), (0, 1));
}

#[test]
fn a_speculative_attempt_is_shown_beside_the_slow_one_and_survives_a_restart() {
    let (mut mesh, job) = slow();
    let [first, second] = holders(&mesh, job);
    let restored = Ledger::restore(mesh.ledger.genesis().clone(), &mesh.ledger.snapshot()).expect("own snapshot");
    assert_eq!(restored.state_digest(), mesh.ledger.state_digest());
    mesh.ledger = restored;
    assert_eq!(holders(&mesh, job).map(|holder| holder.public()), [first.public(), second.public()]);
    mesh.drain(&first);
    mesh.pass(500);
    mesh.report(&second, attempt(job, 0, 1), success());
    mesh.pass(500);
    let timeline = mesh.ledger.timeline(job, 0, 1).expect("a job");
    let task = &timeline.tasks[0];
    let [speculative] = &task.speculative[..] else { panic!("one speculative attempt: {task:?}") };
    let ran = task.spans.last().expect("it ran");
    assert!(matches!(ran.what, What::Running(own) if own.worker == first.public() && !own.accepted));
    assert!(matches!(speculative.what, What::Running(own) if own.worker == second.public() && own.accepted));
    assert!(
        ran.from < speculative.from
            && Some(speculative.from) < ran.to
            && ran.to < speculative.to
            && speculative.to == Some(mesh.now)
    );
    assert_eq!(task.forgotten(), 0);
}
