//! What waits for what: each rule for itself, and random graphs against a plain look at everything that is waited for.

use std::{collections::BTreeMap, sync::Arc};

use proptest::{collection::vec, prelude::*, sample};

use super::mesh::*;
use crate::{
    digest::Digest,
    ledger::{Applied, Gone, Ledger, LedgerEvent, TaskStateView},
    types::*,
};

fn job_of(arrays: Vec<Array>) -> Submit {
    Submit { arrays, ..Submit::new("job", spec(), Tasks::Repeat(1)) }
}

fn repeat(count: u32) -> Array {
    Array::new(spec(), Tasks::Repeat(count))
}

fn after(array: u16, each: bool, when: When) -> After {
    After { array, each, when }
}

fn submit(mesh: &mut Mesh, submit: Submit) -> JobId {
    JobId(mesh.sign(&key(100), Action::Submit(submit)).0)
}

fn states(ledger: &Ledger, job: JobId) -> Vec<TaskStateView> {
    let count = ledger.job(job).expect("a job").count;
    (0..count).map(|index| ledger.task(TaskId { job, index }).expect("a task").state).collect()
}

const SKIPPED: TaskStateView = TaskStateView::Gone(Gone::Skipped);

/// Lets the worker end what it holds of these tasks, well or badly.
fn end(mesh: &mut Mesh, job: JobId, tasks: impl IntoIterator<Item = (u32, bool)>) -> Applied {
    for (index, well) in tasks {
        mesh.report(&key(1), attempt(job, index, 0), if well { success() } else { failure() });
    }
    mesh.next()
}

#[test]
fn an_array_begins_when_all_of_those_before_it_have_ended_well() {
    let mut mesh = Mesh::new(genesis());
    mesh.claim(&key(1), offer(10, 0));
    let arrays = vec![repeat(2), Array { after: vec![after(0, false, When::Ok)], ..repeat(3) }];
    let job = submit(&mut mesh, job_of(arrays));
    mesh.next();
    assert_eq!(mesh.held(&key(1)).len(), 2);
    end(&mut mesh, job, [(0, true)]);
    assert_eq!(mesh.state(job, 2), TaskStateView::Blocked);
    end(&mut mesh, job, [(1, true)]);
    assert_eq!(mesh.held(&key(1)).len(), 3, "it is placed in the block that ends what it waited for");
}

#[test]
fn a_failure_skips_what_waits_for_success_and_all_that_waits_for_that() {
    let mut mesh = Mesh::new(genesis());
    mesh.claim(&key(1), offer(10, 0));
    let arrays = vec![
        repeat(1),
        Array { after: vec![after(0, false, When::Ok)], ..repeat(1) },
        Array { after: vec![after(1, false, When::Ok)], ..repeat(2) },
        Array { after: vec![after(1, false, When::Fail)], ..repeat(1) },
        Array { after: vec![after(1, false, When::Any)], ..repeat(1) },
        Array { after: vec![after(0, false, When::Fail)], ..repeat(1) },
    ];
    let job = submit(&mut mesh, job_of(arrays));
    mesh.next();
    end(&mut mesh, job, [(0, false)]);
    let states = states(&mesh.ledger, job);
    assert_eq!(states[1..5], [SKIPPED; 4], "what is skipped neither fails nor succeeds");
    assert!(matches!(states[5..], [TaskStateView::Leased { .. }, TaskStateView::Leased { .. }]));
    let applied = end(&mut mesh, job, [(5, true), (6, true)]);
    assert!(applied.events.contains(&LedgerEvent::JobEnded { job, cancelled: 0, skipped: 4 }));
    assert_eq!(mesh.ledger.totals().ever.skipped, 4);
}

#[test]
fn each_task_of_an_array_may_wait_for_the_one_in_its_place() {
    let mut mesh = Mesh::new(genesis());
    mesh.claim(&key(1), offer(10, 0));
    let job = submit(&mut mesh, job_of(vec![repeat(3), Array { after: vec![after(0, true, When::Ok)], ..repeat(3) }]));
    mesh.next();
    end(&mut mesh, job, [(1, true), (2, false)]);
    let states = states(&mesh.ledger, job);
    assert_eq!([states[3], states[5]], [TaskStateView::Blocked, SKIPPED]);
    assert!(matches!(states[4], TaskStateView::Leased { .. }));
}

#[test]
fn a_job_waits_for_other_jobs_also_for_those_that_have_ended() {
    let mut mesh = Mesh::new(genesis());
    mesh.claim(&key(1), offer(10, 0));
    let [good, bad] = [1, 2].map(|count| submit(&mut mesh, job_of(vec![repeat(count)])));
    let waits = |job, when| Submit { after: vec![AfterJob { job, when }], ..job_of(vec![repeat(1)]) };
    let all = [When::Ok, When::Fail, When::Any];
    let before: Vec<JobId> = [good, bad]
        .iter()
        .flat_map(|job| all.map(|when| (*job, when)))
        .map(|(job, when)| submit(&mut mesh, waits(job, when)))
        .collect();
    mesh.next();
    assert!(before.iter().all(|job| mesh.state(*job, 0) == TaskStateView::Blocked));
    end(&mut mesh, good, [(0, true)]);
    end(&mut mesh, bad, [(0, true), (1, false)]);
    let later: Vec<JobId> = [good, bad]
        .iter()
        .flat_map(|job| all.map(|when| (*job, when)))
        .map(|(job, when)| submit(&mut mesh, waits(job, when)))
        .collect();
    mesh.next();
    for jobs in [before, later] {
        let skipped: Vec<bool> = jobs.iter().map(|job| mesh.state(*job, 0) == SKIPPED).collect();
        assert_eq!(skipped, [false, true, false, true, false, false]);
    }
    let unknown = waits(JobId(Digest::ZERO), When::Any);
    let id = mesh.sign(&key(100), Action::Submit(unknown));
    assert_eq!(result_of(&mesh.next(), id), Err(VoidReason::UnknownJob));
}

#[test]
fn a_long_chain_of_jobs_that_wait_in_vain_ends_in_one_block() {
    let mut mesh = Mesh::new(genesis());
    mesh.claim(&key(1), offer(1, 0));
    let first = submit(&mut mesh, job_of(vec![repeat(1)]));
    let mut last = first;
    for _ in 0..20_000 {
        last = submit(
            &mut mesh,
            Submit { after: vec![AfterJob { job: last, when: When::Ok }], ..job_of(vec![repeat(1)]) },
        );
    }
    mesh.next();
    end(&mut mesh, first, [(0, false)]);
    assert_eq!(mesh.state(last, 0), SKIPPED);
    assert_eq!(mesh.ledger.totals().tasks.unfinished(), 0);
}

#[test]
fn what_a_task_takes_of_another_it_waits_for_and_finds() {
    let mut mesh = Mesh::new(genesis());
    mesh.claim(&key(1), offer(10, 0));
    let take = |path: &str, of: Producer, file: Option<&str>| Input {
        path: path.into(),
        source: Source::Output(OutputOf { of, file: file.map(Into::into) }),
    };
    let taker = |inputs| Array::new(TaskSpec { inputs, ..spec() }, Tasks::Repeat(1));
    let producer = Array { feeds: true, ..repeat(2) };
    let arrays = vec![
        producer.clone(),
        taker(vec![take("all", Producer::All(0), None), take("sums", Producer::All(0), Some("sum"))]),
        taker(vec![take("one", Producer::Task(1), Some("sum"))]),
    ];
    let job = submit(&mut mesh, job_of(arrays));
    mesh.next();
    let stored = |mesh: &Mesh, index: u32| {
        let manifest = BlobRef { digest: Digest::of(&index.to_be_bytes()), bytes: 10 };
        let (attempt, height) = (attempt(job, index, 0), mesh.ledger.height());
        let statement = DeliveryStatement { attempt, manifest, stderr: None, bytes: 100, height };
        let delivery = statement.sign(&key(200), &mesh.ledger.network());
        Verdict::Succeeded(
            0,
            Output::Stored { manifest, stderr: None, bytes: 100, delivery },
            Usage::default(),
            Vec::new(),
        )
    };
    mesh.report(&key(1), attempt(job, 1, 0), success());
    assert_eq!(ignored(&mesh.next()), [crate::ledger::IgnoredReason::NotDelivered], "a small output is stored too");
    for index in [1, 0] {
        let verdict = stored(&mesh, index);
        mesh.report(&key(1), attempt(job, index, 0), verdict);
        mesh.next();
        let held: Vec<u32> = mesh.held(&key(1)).into_iter().map(|(index, _, _)| index).collect();
        assert_eq!(held, if index == 1 { vec![0, 3] } else { vec![3, 2] });
    }
    let paths = |index| {
        let taken = mesh.ledger.produced_inputs(TaskId { job, index });
        taken.into_iter().map(|taken| (taken.path, taken.file)).collect::<Vec<_>>()
    };
    let sum = || Some("sum".to_owned());
    assert_eq!(paths(3), [("one".into(), sum())]);
    let all =
        [("all/0".into(), None), ("all/1".into(), None), ("sums/0/sum".into(), sum()), ("sums/1/sum".into(), sum())];
    assert_eq!(paths(2), all);
    let restored = Ledger::restore(Arc::clone(mesh.ledger.genesis()), &mesh.ledger.snapshot()).expect("own snapshot");
    assert_eq!(
        restored.produced_inputs(TaskId { job, index: 2 }),
        mesh.ledger.produced_inputs(TaskId { job, index: 2 })
    );
}

#[test]
fn what_does_not_stand_before_a_task_cannot_be_waited_for() {
    let part = |after: Edges| Tasks::Each(vec![Part::default(), Part { after, ..Part::default() }]);
    let ok = |tasks: &[u32]| Edges { ok: tasks.to_vec(), ..Edges::default() };
    let take = |of| {
        let input = Input { path: "in".into(), source: Source::Output(OutputOf { of, file: None }) };
        Array::new(TaskSpec { inputs: vec![input], ..spec() }, Tasks::Repeat(2))
    };
    let feeding = Array { feeds: true, ..repeat(2) };
    let good = [
        vec![Array::new(spec(), part(ok(&[0])))],
        vec![repeat(2), Array::new(spec(), part(ok(&[0, 1, 2])))],
        vec![feeding.clone(), take(Producer::Same(0))],
        vec![feeding.clone(), take(Producer::Task(1))],
    ];
    let bad = [
        vec![Array::new(spec(), part(ok(&[1])))],
        vec![Array::new(spec(), part(ok(&[7])))],
        vec![Array { after: vec![after(0, false, When::Ok)], ..repeat(2) }],
        vec![repeat(2), Array { after: vec![after(0, true, When::Ok)], ..repeat(3) }],
        vec![repeat(2), take(Producer::Same(0))],
        vec![feeding.clone(), take(Producer::Same(1))],
        vec![feeding.clone(), repeat(1), take(Producer::Task(2))],
        vec![repeat(3), feeding.clone(), take(Producer::Task(2))],
        vec![Array { feeds: true, ..repeat(3) }, take(Producer::Same(0))],
    ];
    let verdict = |arrays: Vec<Array>| {
        let mut mesh = Mesh::new(genesis());
        let id = mesh.sign(&key(100), Action::Submit(job_of(arrays)));
        result_of(&mesh.next(), id)
    };
    for arrays in good {
        assert_eq!(verdict(arrays), Ok(()));
    }
    for (at, arrays) in bad.into_iter().enumerate() {
        assert_eq!(verdict(arrays), Err(VoidReason::BadDependency), "{at}");
    }
    let many = vec![repeat(2), Array { after: vec![after(0, true, When::Ok); 64], ..repeat(2) }];
    assert_eq!(verdict(many), Ok(()));
    let wide = repeat(30_000);
    let too_many = vec![wide.clone(), Array { after: vec![after(0, true, When::Ok); 64], ..wide }];
    assert_eq!(verdict(too_many), Err(VoidReason::TooManyEdges));
}

#[test]
fn a_graph_of_a_hundred_thousand_tasks_is_admitted_and_run() {
    const TASKS: u32 = 100_000;
    let mut mesh = Mesh::new(genesis());
    mesh.claim(
        &key(1),
        Claim { resources: Resources { millicores: u32::MAX, memory_bytes: u64::MAX }, ..offer(4000, 0) },
    );
    // Each task waits for two before it, and so many stand side by side; it comes in parts that fit a transaction.
    let part = |index: u32| {
        let before = if index < 1000 { Vec::new() } else { vec![index - 1000, index - 1 - index % 1000] };
        Part { after: Edges { ok: before, ..Edges::default() }, ..Part::default() }
    };
    let array = |from: u32| Array::new(spec(), Tasks::Each((from..from + 20_000).map(part).collect()));
    let open = Submit { open_until: Some(mesh.now.plus_ms(600_000)), ..job_of(vec![array(0)]) };
    let job = submit(&mut mesh, open);
    for from in (20_000..TASKS).step_by(20_000) {
        let extend = Extend { job, arrays: vec![array(from)], closes: from + 20_000 == TASKS };
        mesh.sign(&key(100), Action::Extend(extend));
    }
    let applied = mesh.next();
    assert!(applied.receipts.iter().all(|receipt| matches!(receipt, Receipt::Transaction(r) if r.result.is_ok())));
    assert_eq!(mesh.ledger.job(job).expect("a job").count, TASKS);
    let mut rounds = 0;
    while mesh.ledger.job(job).expect("a job").ended.is_none() {
        let held = mesh.ledger.leases_of(&key(1).public());
        let item = |lease: &crate::ledger::LeaseView| ReportItem { attempt: lease.attempt, verdict: success() };
        for items in held.chunks(1000) {
            mesh.sign(&key(1), Action::Report(Report { items: items.iter().map(item).collect() }));
        }
        mesh.next();
        rounds += 1;
        assert!(rounds <= 110, "a hundred rows, one after the other");
    }
    assert_eq!(mesh.ledger.totals().ever.succeeded, u64::from(TASKS));
}

#[test]
fn nothing_begins_before_its_time_and_all_ends_when_its_time_is_over() {
    let mut mesh = Mesh::new(genesis());
    mesh.claim(&key(1), Claim { stands_ms: 600_000, ..offer(10, 0) });
    let now = mesh.now;
    let unwatched = Array { spec: Arc::new(TaskSpec { speculation: false, ..spec() }), ..repeat(2) };
    let with = |times| Submit { times, ..job_of(vec![unwatched.clone()]) };
    let late = submit(&mut mesh, with(Times { not_before: Some(now.plus_ms(5_000)), ..Times::default() }));
    let brief = submit(&mut mesh, with(Times { run_ms_max: Some(3_000), ..Times::default() }));
    let mortal = submit(&mut mesh, with(Times { live_ms_max: Some(4_000), ..Times::default() }));
    mesh.next();
    assert_eq!(states(&mesh.ledger, late), [TaskStateView::Blocked; 2]);
    assert_eq!(mesh.ledger.next_due(), Some(mesh.now.plus_ms(3_000)));
    mesh.report(&key(1), attempt(brief, 0, 0), success());
    mesh.pass(2_999);
    assert!(matches!(mesh.state(brief, 1), TaskStateView::Leased { .. }));
    mesh.next();
    assert!(matches!(mesh.state(brief, 0), TaskStateView::Done { succeeded: true, .. }));
    assert_eq!(mesh.state(brief, 1), TaskStateView::Gone(Gone::Expired));
    assert!(matches!(mesh.state(mortal, 0), TaskStateView::Leased { .. }));
    mesh.pass(1_000);
    assert_eq!(states(&mesh.ledger, mortal), [TaskStateView::Gone(Gone::Expired); 2]);
    mesh.pass(1_000);
    assert!(states(&mesh.ledger, late).iter().all(|state| matches!(state, TaskStateView::Leased { .. })));
}

#[test]
fn an_open_job_is_added_to_until_it_is_closed_or_its_time_is_over() {
    let mut mesh = Mesh::new(genesis());
    mesh.claim(&key(1), offer(10, 0));
    let until = Some(mesh.now.plus_ms(10_000));
    let job = submit(&mut mesh, Submit { open_until: until, ..job_of(vec![repeat(1)]) });
    let timed = submit(&mut mesh, Submit { open_until: until, ..job_of(Vec::new()) });
    mesh.next();
    end(&mut mesh, job, [(0, false)]);
    assert_eq!(mesh.ledger.job(job).expect("a job").ended, None, "more may come");
    let more = |job, after, closes| Action::Extend(Extend { job, arrays: vec![Array { after, ..repeat(1) }], closes });
    let stranger = mesh.sign(&key(101), more(job, Vec::new(), false));
    let vain = mesh.sign(&key(100), more(job, vec![after(0, false, When::Ok)], false));
    let heals = mesh.sign(&key(100), more(job, vec![after(0, false, When::Fail)], true));
    let closed = mesh.sign(&key(100), more(job, Vec::new(), false));
    let applied = mesh.next();
    assert_eq!(result_of(&applied, stranger), Err(VoidReason::NotYours));
    assert_eq!([vain, heals].map(|id| result_of(&applied, id)), [Ok(()), Ok(())]);
    assert_eq!(result_of(&applied, closed), Err(VoidReason::JobClosed));
    assert_eq!(mesh.state(job, 1), SKIPPED);
    let applied = end(&mut mesh, job, [(2, true)]);
    assert!(applied.events.contains(&LedgerEvent::JobEnded { job, cancelled: 0, skipped: 1 }));
    let applied = mesh.idle(10_000);
    assert!(applied.events.contains(&LedgerEvent::JobClosed { job: timed }));
    assert!(mesh.ledger.job(timed).expect("a job").ended.is_some());
}

/// What one task waits for, written out.
#[derive(Clone, Copy, Debug)]
enum Waits {
    Task(u32, When),
    Array(usize, When),
}

fn met(when: When, states: &[Option<Fate>]) -> Option<bool> {
    let ended: Vec<Fate> = states.iter().flatten().copied().collect();
    let all = ended.len() == states.len();
    match when {
        When::Ok if ended.iter().any(|fate| *fate != Fate::Well) => Some(false),
        When::Ok | When::Any => all.then_some(true),
        When::Fail => all.then(|| ended.contains(&Fate::Failed)),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Well,
    Failed,
    Gone,
}

#[derive(Clone, Debug)]
struct Plan {
    arrays: Vec<Array>,
    waits: Vec<Vec<Waits>>,
    firsts: Vec<u32>,
}

/// An array as it is drawn: how many tasks, whom it waits for, and single edges.
type Drawn = (u32, Vec<(usize, bool, When)>, Vec<(usize, usize, When)>);

fn plan(drawn: Vec<Drawn>) -> Plan {
    let mut plan = Plan { arrays: Vec::new(), waits: Vec::new(), firsts: Vec::new() };
    for (count, afters, edges) in drawn {
        let (first, known) = (plan.waits.len() as u32, plan.arrays.len());
        let mut waits = vec![Vec::new(); count as usize];
        let mut after = Vec::new();
        for (array, each, when) in afters {
            let Some(array) = array.checked_rem(known) else { continue };
            let each = each && plan.arrays[array].tasks.count() == count as usize;
            after.push(After { array: array as u16, each, when });
            for (place, waits) in waits.iter_mut().enumerate() {
                waits.push(if each {
                    Waits::Task(plan.firsts[array] + place as u32, when)
                } else {
                    Waits::Array(array, when)
                });
            }
        }
        let mut parts = vec![Part::default(); count as usize];
        for (place, task, when) in &edges {
            let place = place % count as usize;
            let before = first as usize + place;
            let Some(task) = task.checked_rem(before) else { continue };
            let edges = &mut parts[place].after;
            match when {
                When::Ok => edges.ok.push(task as u32),
                When::Any => edges.any.push(task as u32),
                When::Fail => edges.fail.push(task as u32),
            }
            waits[place].push(Waits::Task(task as u32, *when));
        }
        let tasks = if edges.is_empty() { Tasks::Repeat(count) } else { Tasks::Each(parts) };
        plan.arrays.push(Array { after, ..Array::new(spec(), tasks) });
        plan.firsts.push(first);
        plan.waits.extend(waits);
    }
    plan
}

fn drawn() -> impl Strategy<Value = Drawn> {
    let when = || sample::select(vec![When::Ok, When::Ok, When::Any, When::Fail]);
    (1..5u32, vec((0..9usize, any::<bool>(), when()), 0..3), vec((0..9usize, 0..50usize, when()), 0..4))
}

proptest! {
    #[test]
    fn a_task_may_begin_just_when_all_that_it_waits_for_has_come_to_be(
        drawn in vec(drawn(), 1..7),
        at_first in 1..7usize,
        verdicts in vec((any::<prop::sample::Index>(), prop::bool::weighted(0.75), any::<bool>()), 60),
    ) {
        let plan = plan(drawn);
        let at_first = at_first.min(plan.arrays.len());
        let genesis = Arc::new(genesis());
        let mut mesh = Mesh::of(Ledger::new(Arc::clone(&genesis)));
        mesh.claim(&key(1), offer(200, 0));
        let open_until = (at_first < plan.arrays.len()).then(|| mesh.now.plus_ms(600_000));
        let job = submit(&mut mesh, Submit { open_until, ..job_of(plan.arrays[..at_first].to_vec()) });
        let mut added = at_first;
        let mut fates: BTreeMap<u32, Fate> = BTreeMap::new();
        for (which, well, restores) in verdicts {
            mesh.next();
            if restores {
                let restored = Ledger::restore(Arc::clone(&genesis), &mesh.ledger.snapshot());
                let restored = restored.map_err(|error| TestCaseError::fail(error.to_string()))?;
                prop_assert_eq!(restored.snapshot(), mesh.ledger.snapshot());
                mesh.ledger = restored;
            }
            let states = states(&mesh.ledger, job);
            // Whoever waits in vain is gone, and whoever waits for that may be, too.
            loop {
                let fate = |task: u32| fates.get(&task).copied();
                let judge = |waits: &Waits| match waits {
                    Waits::Task(task, when) => met(*when, &[fate(*task)]),
                    Waits::Array(array, when) => {
                        let first = plan.firsts[*array];
                        let tasks = first..first + plan.arrays[*array].tasks.count() as u32;
                        met(*when, &tasks.map(fate).collect::<Vec<_>>())
                    }
                };
                let judged = |task: u32| plan.waits[task as usize].iter().map(judge);
                let vain: Vec<u32> = (0..states.len() as u32)
                    .filter(|task| !fates.contains_key(task) && judged(*task).any(|judged| judged == Some(false)))
                    .collect();
                if vain.is_empty() {
                    super::random::check_counts_of_arrays(&mesh.ledger, job);
                    for (task, state) in (0u32..).zip(&states) {
                        let may_begin = judged(task).all(|judged| judged == Some(true));
                        let waits = |judged| plan.waits[task as usize].iter().filter(move |waits| judge(waits) == judged);
                        let named = |judged| waits(judged).map(|waits| match waits {
                            Waits::Task(task, when) => (None, *task, *when),
                            Waits::Array(array, when) => (Some(*array as u16), 0, *when),
                        });
                        let id = TaskId { job, index: task };
                        super::explained::check_waits(&mesh.ledger, id, named(None).collect(), named(Some(false)).collect());
                        match fates.get(&task) {
                            Some(Fate::Gone) => prop_assert_eq!(*state, SKIPPED, "{}", task),
                            Some(_) => prop_assert!(matches!(state, TaskStateView::Done { .. }), "{}", task),
                            None if may_begin => prop_assert!(matches!(state, TaskStateView::Leased { .. }), "{task} {state:?}"),
                            None => prop_assert_eq!(*state, TaskStateView::Blocked, "{}", task),
                        }
                    }
                    break;
                }
                fates.extend(vain.into_iter().map(|task| (task, Fate::Gone)));
            }
            let held: Vec<AttemptId> = mesh.ledger.leases_of(&key(1).public()).iter().map(|lease| lease.attempt).collect();
            if added < plan.arrays.len() && (held.is_empty() || !well) {
                added += 1;
                let arrays = vec![plan.arrays[added - 1].clone()];
                mesh.sign(&key(100), Action::Extend(Extend { job, arrays, closes: added == plan.arrays.len() }));
            } else if !held.is_empty() {
                let attempt = *which.get(&held);
                fates.insert(attempt.task.index, if well { Fate::Well } else { Fate::Failed });
                mesh.report(&key(1), attempt, if well { success() } else { failure() });
            }
        }
        mesh.next();
        let view = mesh.ledger.job(job).expect("a job");
        prop_assert_eq!(view.ended.is_some(), view.counts.unfinished() == 0 && view.open_until.is_none());
    }
}
