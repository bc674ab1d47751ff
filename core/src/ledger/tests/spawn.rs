//! Tasks that ask for more of their own job, by their outcomes.

use std::sync::Arc;

use super::mesh::*;
use crate::{
    ledger::{Applied, Ledger, LedgerEvent},
    types::*,
};

/// A job of one task, which feeds others if it says so, and may ask for so many.
fn submit(mesh: &mut Mesh, spawns_max: u32, spec: TaskSpec, feeds: bool) -> JobId {
    let array = Array { feeds, name: "grow".into(), ..Array::new(spec, Tasks::Repeat(1)) };
    let submit = Submit { arrays: vec![array], spawns_max, ..Submit::named("job") };
    let job = JobId(mesh.sign(&key(100), Action::Submit(submit)).0);
    mesh.next();
    job
}

fn spawning() -> TaskSpec {
    TaskSpec { spawns: true, ..spec() }
}

fn spawns(count: u32) -> Vec<Spawn> {
    (0..count).map(|ask| Spawn { arguments: vec![ask.to_string()], ..Spawn::default() }).collect()
}

/// The first attempt of a task ends well and asks for so much.
fn ask(mesh: &mut Mesh, job: JobId, index: u32, spawns: Vec<Spawn>) -> Applied {
    let Verdict::Succeeded(_, output, usage, _) = success() else { unreachable!() };
    mesh.report(&key(1), attempt(job, index, 0), Verdict::Succeeded(0, output, usage, spawns));
    mesh.next()
}

fn failure_of(applied: &Applied) -> Option<Failure> {
    outcomes(applied).first().and_then(|outcome| match &outcome.verdict {
        Verdict::Failed(failure, ..) => Some(failure.clone()),
        _ => None,
    })
}

#[test]
fn what_is_asked_for_runs_with_its_own_arguments_and_may_ask_again() {
    let mut mesh = Mesh::new(genesis());
    mesh.claim(&key(1), offer(4, 0));
    let job = submit(&mut mesh, 10, spawning(), false);
    let applied = ask(&mut mesh, job, 0, spawns(2));
    assert!(applied.events.contains(&LedgerEvent::JobExtended { job, tasks: 3 }), "{:?}", applied.events);
    let own = |mesh: &Mesh, index| {
        let task = mesh.ledger.task(TaskId { job, index }).expect("a task");
        task.part.map(|part| part.arguments.clone()).expect("a part")
    };
    assert_eq!((own(&mesh, 1), own(&mesh, 2)), (vec!["0".to_owned()], vec!["1".to_owned()]));
    assert_eq!(mesh.held(&key(1)).len(), 2, "they run at once");
    ask(&mut mesh, job, 1, Vec::new());
    let restored = Ledger::restore(Arc::clone(mesh.ledger.genesis()), &mesh.ledger.snapshot()).expect("own snapshot");
    mesh.ledger = restored;
    ask(&mut mesh, job, 2, spawns(8));
    assert_eq!(mesh.ledger.job(job).expect("a job").count, 11);
    for index in 3..10 {
        ask(&mut mesh, job, index, Vec::new());
    }
    assert!(mesh.ledger.job(job).expect("a job").ended.is_none(), "one is owed");
    ask(&mut mesh, job, 10, Vec::new());
    let ended = mesh.ledger.job(job).expect("a job");
    assert_eq!((ended.counts.succeeded, ended.ended.is_some()), (11, true));
    assert_eq!(mesh.ledger.arrays(job).len(), 3);
}

#[test]
fn who_may_not_ask_or_asks_for_too_much_has_failed() {
    for (spec, spawns_max, count) in [(spec(), 10, 1), (spawning(), 0, 1), (spawning(), 3, 4)] {
        let mut mesh = Mesh::new(genesis());
        mesh.claim(&key(1), offer(1, 0));
        let job = submit(&mut mesh, spawns_max, spec, false);
        let applied = ask(&mut mesh, job, 0, spawns(count));
        assert_eq!(failure_of(&applied), Some(Failure::SpawnRefused));
        let job = mesh.ledger.job(job).expect("a job");
        assert_eq!((job.count, job.counts.failed, job.ended.is_some()), (1, 1, true));
    }
}

#[test]
fn the_bound_is_that_of_all_tasks_together_and_a_retry_may_ask_for_less() {
    let mut mesh = Mesh::new(genesis());
    mesh.claim(&key(1), offer(4, 0));
    let spec = TaskSpec { retry: Retry::of(1, 0), ..spawning() };
    let job = submit(&mut mesh, 3, spec, false);
    ask(&mut mesh, job, 0, spawns(2));
    let applied = ask(&mut mesh, job, 1, spawns(2));
    assert_eq!(outcomes(&applied).len(), 0, "the failure is forgiven");
    let Verdict::Succeeded(_, output, usage, _) = success() else { unreachable!() };
    mesh.report(&key(1), attempt(job, 1, 1), Verdict::Succeeded(0, output, usage, spawns(1)));
    mesh.next();
    assert_eq!(mesh.ledger.job(job).expect("a job").count, 4);
}

#[test]
fn what_a_key_may_have_bounds_what_its_tasks_ask_for() {
    let mut tight = genesis();
    tight.ledger.key_tasks_max = 2;
    let mut mesh = Mesh::new(tight);
    mesh.claim(&key(1), offer(1, 0));
    let job = submit(&mut mesh, 10, spawning(), false);
    assert_eq!(failure_of(&ask(&mut mesh, job, 0, spawns(2))), Some(Failure::SpawnRefused));
    let mut mesh = Mesh::new(mesh.ledger.genesis().as_ref().clone());
    mesh.claim(&key(1), offer(1, 0));
    let job = submit(&mut mesh, 10, spawning(), false);
    assert_eq!(failure_of(&ask(&mut mesh, job, 0, spawns(1))), None);
}

#[test]
fn a_late_success_asks_too_and_one_that_may_not_changes_nothing() {
    for (count, taken) in [(1, true), (2, false)] {
        let mut mesh = Mesh::new(genesis());
        mesh.claim(&key(1), offer(1, 0));
        let job = submit(&mut mesh, 1, spawning(), false);
        mesh.drain(&key(1));
        mesh.next();
        mesh.claim(&key(2), offer(1, 0));
        mesh.next();
        let applied = ask(&mut mesh, job, 0, spawns(count));
        assert_eq!((outcomes(&applied).len(), ignored(&applied).len()), (usize::from(taken), usize::from(!taken)));
        assert_eq!(mesh.holder(job, u32::from(taken)), Some(key(2).public()), "it runs what is owed");
    }
}

#[test]
fn what_is_asked_for_takes_what_the_asking_task_left() {
    let mut mesh = Mesh::new(genesis());
    mesh.claim(&key(1), offer(4, 0));
    let takes = |path: &str| vec![Spawn { inputs: vec![(path.into(), "part/1".into())], ..Spawn::default() }];
    // One that feeds nobody has left nothing that could be taken.
    let job = submit(&mut mesh, 10, spawning(), false);
    assert_eq!(failure_of(&ask(&mut mesh, job, 0, takes("in"))), Some(Failure::SpawnRefused));
    let job = submit(&mut mesh, 10, spawning(), true);
    let id = attempt(job, 0, 0);
    let stored = |spawns| {
        let Verdict::Succeeded(_, output, usage, _) =
            super::reports::stored(&mesh, id, &key(200), mesh.ledger.height())
        else {
            unreachable!()
        };
        Verdict::Succeeded(0, output, usage, spawns)
    };
    let verdict = stored(takes("in"));
    mesh.report(&key(1), id, verdict);
    mesh.next();
    let taken = mesh.ledger.produced_inputs(TaskId { job, index: 1 });
    assert_eq!((taken.len(), taken[0].path.as_str(), taken[0].file.as_deref()), (1, "in", Some("part/1")));
    assert!(mesh.holder(job, 1).is_some());
}

#[test]
fn more_than_one_outcome_may_ask_for_is_no_verdict() {
    let mut mesh = Mesh::new(genesis());
    mesh.claim(&key(1), offer(1, 0));
    let job = submit(&mut mesh, u32::MAX, spawning(), false);
    let long = vec![Spawn { arguments: vec!["x".repeat(Spawn::BYTES_MAX)], ..Spawn::default() }];
    for spawns in [spawns(Spawn::SPAWNS_MAX as u32 + 1), long] {
        let applied = ask(&mut mesh, job, 0, spawns);
        assert_eq!(ignored(&applied).len(), 1);
    }
}

#[test]
fn a_spawning_array_that_takes_from_the_same_place_of_another_is_void() {
    let mut mesh = Mesh::new(genesis());
    let first = Array { feeds: true, ..Array::new(spec(), Tasks::Repeat(1)) };
    let source = Source::Output(OutputOf { of: Producer::Same(0), file: None });
    let spec = TaskSpec { inputs: vec![Input { path: "x".into(), source }], ..spawning() };
    let arrays = vec![first, Array::new(spec, Tasks::Repeat(1))];
    let id = mesh.sign(&key(100), Action::Submit(Submit { arrays, spawns_max: 1, ..Submit::named("job") }));
    assert_eq!(result_of(&mesh.next(), id), Err(VoidReason::BadDependency));
}

#[test]
fn what_is_spawned_or_added_later_goes_behind_jobs_that_came_before_it() {
    let mut mesh = Mesh::new(genesis());
    mesh.claim(&key(1), offer(1, 0));
    let growing = submit(&mut mesh, 100, spawning(), false);
    let other = mesh.submit(&key(101), 3, spec());
    mesh.next();
    ask(&mut mesh, growing, 0, spawns(50));
    let mut order = Vec::new();
    for _ in 0..5 {
        let lease = mesh.ledger.leases_of(&key(1).public())[0].attempt;
        order.push(lease.task.job);
        mesh.report(&key(1), lease, success());
        mesh.next();
    }
    assert_eq!(order, [other, other, other, growing, growing]);
    let restored = Ledger::restore(Arc::clone(mesh.ledger.genesis()), &mesh.ledger.snapshot()).expect("own snapshot");
    let admission = |ledger: &Ledger, job, index| ledger.task(TaskId { job, index }).expect("a task").admission;
    assert!(admission(&restored, growing, 1) > admission(&restored, other, 0), "and still after a restart");
}
