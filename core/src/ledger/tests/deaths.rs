//! Programs that end their hosts: deaths are counted, and what causes them runs alone and then no more.

use std::sync::Arc;

use super::mesh::*;
use crate::{
    digest::Digest,
    identity::SecretKey,
    ledger::{Applied, EndReason, Gone, IgnoredReason, Ledger, TaskStateView},
    types::*,
};

const ALONE: Verdict = Verdict::HostDied { alone: true };
const AMONG_OTHERS: Verdict = Verdict::HostDied { alone: false };
const ENDED_HOSTS: TaskStateView = TaskStateView::Gone(Gone::EndedHosts);

/// A network whose workers have claimed.
fn mesh_of(genesis: Genesis, workers: u8) -> Mesh {
    let mut mesh = Mesh::new(genesis);
    for worker in 1..=workers {
        mesh.claim(&key(worker), offer(1, 0));
    }
    mesh.next();
    mesh
}

fn worker_of(mesh: &Mesh, job: JobId, index: u32) -> SecretKey {
    let holder = mesh.holder(job, index).expect("it is leased");
    (1..=9).map(key).find(|key| key.public() == holder).expect("a worker")
}

/// The worker that holds a task dies of it.
fn dies(mesh: &mut Mesh, job: JobId, index: u32, verdict: &Verdict) -> Applied {
    let worker = worker_of(mesh, job, index);
    let number = mesh.ledger.task(TaskId { job, index }).expect("a task").attempts - 1;
    mesh.report(&worker, attempt(job, index, number), verdict.clone());
    mesh.next()
}

/// Whoever holds a task of this program of a job dies of it alone, one after the other, until that ends the program.
/// Returns how many have died.
fn condemn(mesh: &mut Mesh, job: JobId, program: &TaskSpec) -> usize {
    for died in 0..40 {
        let bad = (0..mesh.ledger.job(job).expect("a job").count).find(|index| {
            let task = mesh.ledger.task(TaskId { job, index: *index }).expect("a task");
            task.spec.program == program.program && matches!(task.state, TaskStateView::Leased { .. })
        });
        let Some(index) = bad else { return died };
        dies(mesh, job, index, &ALONE);
    }
    panic!("it goes on and on")
}

fn failures(applied: &Applied) -> Vec<Failure> {
    let failed = outcomes(applied).into_iter().filter_map(|outcome| match &outcome.verdict {
        Verdict::Failed(failure, ..) => Some(failure.clone()),
        _ => None,
    });
    failed.collect()
}

fn other_program() -> TaskSpec {
    TaskSpec { program: Program::Wasm(BlobRef { digest: Digest::of(b"other"), bytes: 10 }), ..spec() }
}

#[test]
fn a_task_of_which_three_different_workers_died_fails() {
    let mut mesh = mesh_of(genesis(), 5);
    let job = mesh.submit(&key(100), 1, spec());
    mesh.next();
    for times in 1..=2 {
        let before = mesh.holder(job, 0);
        let applied = dies(&mut mesh, job, 0, &ALONE);
        assert_eq!(ends(&applied), [(0, times - 1, EndReason::HostDied { alone: true })]);
        assert_eq!(failures(&applied), []);
        assert_ne!(mesh.holder(job, 0), before, "it goes elsewhere");
    }
    assert_eq!(mesh.ledger.task(TaskId { job, index: 0 }).expect("a task").losses, 2);
    assert_eq!(failures(&dies(&mut mesh, job, 0, &ALONE)), [Failure::EndedHosts]);
    assert!(mesh.ledger.job(job).expect("a job").ended.is_some());
}

#[test]
fn a_worker_that_dies_again_and_again_counts_once() {
    let mut mesh = mesh_of(genesis(), 1);
    let job = mesh.submit(&key(100), 1, spec());
    mesh.next();
    for _ in 0..10 {
        assert_eq!(failures(&dies(&mut mesh, job, 0, &ALONE)), []);
    }
    assert_eq!(mesh.holder(job, 0), Some(key(1).public()));
}

#[test]
fn a_death_counts_though_the_attempt_was_lost_by_it_before() {
    let mut mesh = mesh_of(genesis(), 4);
    let job = mesh.submit(&key(100), 1, spec());
    mesh.next();
    let mut applied = Applied::default();
    for number in 0..3 {
        let worker = worker_of(&mesh, job, 0);
        mesh.claim(&worker, Claim { incarnation: Incarnation(2), ..offer(1, 0) });
        assert_eq!(ends(&mesh.next()), [(0, number, EndReason::NewIncarnation)]);
        mesh.report(&worker, attempt(job, 0, number), ALONE);
        applied = mesh.next();
        assert_eq!(ignored(&applied), []);
    }
    assert_eq!(failures(&applied), [Failure::EndedHosts]);
    assert_eq!(ends(&applied), [(0, 3, EndReason::Superseded)]);
    assert_eq!(
        mesh.ledger.task(TaskId { job, index: 0 }).expect("a task").past[0].why,
        EndReason::HostDied { alone: true }
    );
}

#[test]
fn a_death_is_told_once_and_only_by_the_worker_that_had_the_attempt() {
    let mut mesh = mesh_of(genesis(), 2);
    let job = mesh.submit(&key(100), 1, spec());
    mesh.next();
    let worker = worker_of(&mesh, job, 0);
    let other = [key(1), key(2)].into_iter().find(|key| key.public() != worker.public()).expect("another");
    mesh.report(&other, attempt(job, 0, 0), ALONE);
    assert_eq!(ignored(&mesh.next()), [IgnoredReason::NotAssigned]);
    mesh.report(&worker, attempt(job, 0, 0), ALONE);
    mesh.report(&worker, attempt(job, 0, 0), ALONE);
    assert_eq!(ignored(&mesh.next()), [IgnoredReason::Repeated]);
    mesh.report(&worker, attempt(job, 0, 0), success());
    assert_eq!(ignored(&mesh.next()), [IgnoredReason::Repeated], "it cannot have ended well");
}

#[test]
fn what_workers_died_of_beside_other_things_runs_alone_and_only_then_fails() {
    let mut mesh = mesh_of(genesis(), 7);
    let job = mesh.submit(&key(100), 1, spec());
    mesh.next();
    for _ in 0..3 {
        assert!(!mesh.ledger.runs_alone(TaskId { job, index: 0 }));
        assert_eq!(failures(&dies(&mut mesh, job, 0, &AMONG_OTHERS)), []);
    }
    for _ in 0..2 {
        assert!(mesh.ledger.runs_alone(TaskId { job, index: 0 }));
        assert_eq!(failures(&dies(&mut mesh, job, 0, &ALONE)), []);
    }
    assert_eq!(failures(&dies(&mut mesh, job, 0, &ALONE)), [Failure::EndedHosts]);
}

#[test]
fn a_program_of_which_three_workers_died_takes_its_whole_array_with_it_and_nothing_else() {
    let mut mesh = mesh_of(genesis(), 4);
    let bad = mesh.submit(&key(100), 50, spec());
    mesh.next();
    let honest = mesh.submit(&key(101), 2, other_program());
    let same = mesh.submit(&key(102), 1, spec());
    mesh.next();
    for index in 0..3 {
        assert_eq!(failures(&dies(&mut mesh, bad, index, &ALONE)), [], "power may have failed");
    }
    assert!(mesh.ledger.runs_alone(TaskId { job: bad, index: 0 }));
    let died = 3 + condemn(&mut mesh, bad, &spec());
    assert!((6..=10).contains(&died), "three, and three more that began after that: {died}");
    let counts = mesh.ledger.job(bad).expect("a job").counts;
    assert!(counts.unfinished() == 0 && counts.failed >= 1 && counts.cancelled >= 40, "{counts:?}");
    mesh.next();
    assert!(mesh.holder(honest, 0).is_some() && mesh.holder(honest, 1).is_some());
    assert!(mesh.holder(same, 0).is_some(), "the same program may be harmless in another job");
    assert!(!mesh.ledger.runs_alone(TaskId { job: honest, index: 0 }));
}

#[test]
fn other_programs_of_the_job_go_on_and_what_is_added_of_the_bad_one_does_not() {
    let mut mesh = mesh_of(genesis(), 4);
    let array = |name: &str, count, spec| Array {
        name: name.into(),
        spec: Arc::new(spec),
        tasks: Arc::new(Tasks::Repeat(count)),
        after: Vec::new(),
        feeds: false,
    };
    let arrays = vec![array("bad", 5, spec()), array("good", 1, other_program())];
    let open_until = Some(mesh.now.plus_ms(600_000));
    let submit = Submit { arrays, open_until, ..Submit::new("job", spec(), Tasks::Repeat(1)) };
    let job = JobId(mesh.sign(&key(100), Action::Submit(submit)).0);
    mesh.next();
    condemn(&mut mesh, job, &spec());
    mesh.next();
    assert!(mesh.holder(job, 5).is_some());
    let arrays = vec![array("more", 3, spec()), array("fine", 1, other_program())];
    mesh.sign(&key(100), Action::Extend(Extend { job, arrays, closes: true }));
    mesh.next();
    assert_eq!([6, 7, 8].map(|index| mesh.state(job, index)), [ENDED_HOSTS; 3]);
    assert!(mesh.holder(job, 9).is_some());
    let genesis = Arc::clone(mesh.ledger.genesis());
    let restored = Ledger::restore(genesis, &mesh.ledger.snapshot()).expect("own snapshot");
    assert_eq!(restored.snapshot(), mesh.ledger.snapshot());
}

#[test]
fn a_success_takes_a_death_off_its_program() {
    let mut mesh = mesh_of(genesis(), 4);
    let job = mesh.submit(&key(100), 50, spec());
    mesh.next();
    for round in 0..10 {
        assert_eq!(failures(&dies(&mut mesh, job, 2 * round, &ALONE)), []);
        let index = 2 * round + 1;
        let worker = worker_of(&mesh, job, index);
        mesh.report(&worker, attempt(job, index, 0), success());
        mesh.next();
    }
    assert_eq!(mesh.ledger.job(job).expect("a job").counts.succeeded, 10);
}

#[test]
fn deaths_say_nothing_of_a_program_with_which_more_workers_live() {
    let mut mesh = mesh_of(genesis(), 9);
    let job = mesh.submit(&key(100), 50, spec());
    mesh.next();
    // Those that live renew their claims while they run it.
    mesh.idle(2_000);
    for worker in 4..=9 {
        mesh.claim(&key(worker), offer(1, 0));
    }
    mesh.next();
    for worker in [1, 2, 3] {
        let (index, ..) = mesh.held(&key(worker))[0];
        assert_eq!(failures(&dies(&mut mesh, job, index, &ALONE)), []);
    }
    assert_eq!(mesh.ledger.job(job).expect("a job").counts.unfinished(), 50);
}

#[test]
fn what_workers_on_trial_die_of_counts_only_where_there_is_nobody_else() {
    for tested in [true, false] {
        let mut genesis = genesis();
        (genesis.ledger.trial_wait_ms, genesis.ledger.deaths_max) = (1_000, 1);
        let mut mesh = Mesh::new(genesis);
        if tested {
            mesh.claim(&key(9), offer(1, 0));
            let first = mesh.submit(&key(100), 2, spec());
            mesh.next();
            mesh.report(&key(9), attempt(first, 0, 0), success());
            mesh.next();
            assert_eq!(mesh.holder(first, 1), Some(key(9).public()), "which makes it busy");
        }
        mesh.claim(&key(1), offer(1, 0));
        mesh.claim(&key(2), offer(1, 0));
        let job = mesh.submit(&key(101), 1, spec());
        mesh.next();
        let failures = failures(&dies(&mut mesh, job, 0, &ALONE));
        assert_eq!(failures.is_empty(), tested, "{failures:?}");
        assert_eq!(mesh.holder(job, 0), None, "it waits for the one that has delivered, or has failed");
    }
}

#[test]
fn a_rule_for_deaths_decides_what_follows_one() {
    let mut mesh = mesh_of(genesis(), 3);
    let recovery = [(Setback::HostDied, Retry::of(1, 500))].into();
    let job = mesh.submit(&key(100), 1, TaskSpec { recovery, ..spec() });
    mesh.next();
    dies(&mut mesh, job, 0, &AMONG_OTHERS);
    assert_eq!(mesh.state(job, 0), TaskStateView::BackingOff { until: mesh.now.plus_ms(500) });
    mesh.pass(500);
    assert_eq!(failures(&dies(&mut mesh, job, 0, &AMONG_OTHERS)), [Failure::Lost]);
}
