//! What a submitter does to its tasks: each directive for itself, and all of them against a plain look at every task.

use std::collections::{BTreeMap, BTreeSet};

use proptest::{collection::vec, prelude::*, sample};

use super::mesh::*;
use crate::{
    ledger::{EndReason, Gone, Ledger, Stage, TaskStateView},
    types::*,
};

const CANCELLED: TaskStateView = TaskStateView::Gone(Gone::Cancelled);

fn range(first: u32, last: u32) -> Selection {
    Selection { ranges: vec![(first, last)], only: BTreeSet::new() }
}

fn control(mesh: &mut Mesh, job: JobId, which: Selection, directive: Directive) -> Result<(), VoidReason> {
    let id = mesh.control(&key(100), Control { job, which, directive });
    result_of(&mesh.next(), id)
}

/// One worker with this claim, and an array of so many tasks.
fn mesh_of(slots: u32, waiting: u32, tasks: u32) -> (Mesh, JobId) {
    let mut mesh = Mesh::new(genesis());
    mesh.claim(&key(1), offer(slots, waiting));
    let job = mesh.submit(&key(100), tasks, spec());
    mesh.next();
    (mesh, job)
}

fn priority(priority: i16) -> Directive {
    Directive::Amend(Amendment { priority: Some(priority), ..Amendment::default() })
}

fn millicores(millicores: u32) -> Directive {
    Directive::Amend(Amendment { millicores: Some(millicores), ..Amendment::default() })
}

#[test]
fn what_is_held_is_not_leased_until_it_is_let_go() {
    let (mut mesh, job) = mesh_of(0, 0, 6);
    control(&mut mesh, job, range(1, 3), Directive::Hold).expect("it is its own");
    mesh.claim(&key(1), offer(6, 0));
    mesh.next();
    assert_eq!(mesh.held(&key(1)), [(0, 0, true), (4, 0, true), (5, 0, true)]);
    assert_eq!(mesh.ledger.job(job).expect("a job").counts.held, 3);
    control(&mut mesh, job, range(2, 2), Directive::Release).expect("it is held");
    assert_eq!(mesh.held(&key(1)).last(), Some(&(2, 0, true)));
    control(&mut mesh, job, Selection::all(), Directive::Release).expect("some are held");
    assert_eq!(mesh.held(&key(1)).len(), 6);
}

#[test]
fn a_running_attempt_goes_on_and_is_held_once_it_comes_back() {
    let (mut mesh, job) = mesh_of(2, 0, 2);
    control(&mut mesh, job, Selection::all(), Directive::Hold).expect("it is its own");
    assert_eq!(mesh.running(&key(1)), 2);
    mesh.report(&key(1), attempt(job, 0, 0), success());
    mesh.report(&key(1), attempt(job, 1, 0), Verdict::Returned);
    mesh.next();
    assert!(matches!(mesh.state(job, 0), TaskStateView::Done { succeeded: true, .. }));
    assert_eq!(mesh.state(job, 1), TaskStateView::Held);
}

#[test]
fn what_is_added_to_a_job_that_is_held_is_held_too() {
    let mut mesh = Mesh::new(genesis());
    mesh.claim(&key(1), offer(4, 0));
    let open_until = Some(mesh.now.plus_ms(100_000));
    let job = JobId(mesh.sign(&key(100), Action::Submit(Submit { open_until, ..Submit::named("open") })).0);
    mesh.next();
    control(&mut mesh, job, Selection::all(), Directive::Hold).expect("it may be added to");
    let arrays = vec![Array::new(spec(), Tasks::Repeat(2))];
    mesh.sign(&key(100), Action::Extend(Extend { job, arrays, closes: true }));
    mesh.next();
    assert_eq!((mesh.state(job, 0), mesh.running(&key(1))), (TaskStateView::Held, 0));
    control(&mut mesh, job, Selection::all(), Directive::Release).expect("it is held");
    assert_eq!(mesh.running(&key(1)), 2);
}

#[test]
fn only_what_was_named_is_cancelled_and_what_waited_for_its_success_is_skipped() {
    let mut mesh = Mesh::new(genesis());
    mesh.claim(&key(1), offer(2, 0));
    let first = Array::new(spec(), Tasks::Repeat(4));
    let after = After { array: 0, each: true, when: When::Ok };
    let second = Array { after: vec![after], ..first.clone() };
    let submit = Submit { arrays: vec![first, second], ..Submit::named("two") };
    let job = JobId(mesh.sign(&key(100), Action::Submit(submit)).0);
    mesh.next();
    let id = mesh.control(&key(100), Control { job, which: range(1, 2), directive: Directive::Cancel });
    let applied = mesh.next();
    result_of(&applied, id).expect("it is its own");
    assert_eq!(ends(&applied), [(1, 0, EndReason::Cancelled)]);
    let states: Vec<TaskStateView> = (0..8).map(|index| mesh.state(job, index)).collect();
    assert_eq!(states[1..3], [CANCELLED; 2]);
    assert_eq!(states[5..7], [TaskStateView::Gone(Gone::Skipped); 2]);
    assert_eq!((states[4], states[7]), (TaskStateView::Blocked, TaskStateView::Blocked));
    assert_eq!(mesh.held(&key(1)), [(0, 0, true), (3, 0, true)], "the next takes the place of what was stopped");
}

#[test]
fn only_what_stands_as_the_filter_says_is_meant() {
    let (mut mesh, job) = mesh_of(2, 1, 5);
    let which = Selection { only: [Filter::Ready, Filter::Waiting].into(), ..Selection::all() };
    control(&mut mesh, job, which.clone(), Directive::Cancel).expect("three wait");
    let states: Vec<TaskStateView> = (0..5).map(|index| mesh.state(job, index)).collect();
    assert_eq!(states[2..], [CANCELLED; 3]);
    assert!(states[..2].iter().all(|state| matches!(state, TaskStateView::Leased { .. })));
    assert_eq!(control(&mut mesh, job, which, Directive::Cancel), Err(VoidReason::NothingSelected));
}

#[test]
fn a_new_priority_goes_first_and_only_there() {
    let mut genesis = genesis();
    genesis.schedule.order = vec![OrderPolicy::Priority];
    let mut mesh = Mesh::new(genesis);
    let (first, second) = (mesh.submit(&key(100), 3, spec()), mesh.submit(&key(100), 3, spec()));
    mesh.next();
    control(&mut mesh, second, range(2, 2), priority(5)).expect("it is its own");
    mesh.claim(&key(1), offer(2, 0));
    mesh.next();
    assert!(mesh.holder(second, 2).is_some() && mesh.holder(first, 0).is_some());
}

#[test]
fn what_runs_keeps_what_it_was_given_and_what_waits_is_given_anew() {
    let (mut mesh, job) = mesh_of(2, 1, 3);
    assert_eq!((mesh.running(&key(1)), mesh.waiting(&key(1))), (2, 1));
    let id = mesh.control(&key(100), Control { job, which: Selection::all(), directive: millicores(500) });
    let applied = mesh.next();
    result_of(&applied, id).expect("it is its own");
    assert_eq!(ends(&applied), [(2, 0, EndReason::TakenBack)]);
    let task = |index| mesh.ledger.task(TaskId { job, index }).expect("a task");
    assert_eq!((task(0).resources.millicores, task(0).terms.resources.millicores), (1000, 500));
    assert_eq!(mesh.ledger.worker(&key(1).public()).expect("it stands").resources_free.millicores, 0);
    mesh.report(&key(1), attempt(job, 0, 0), success());
    mesh.next();
    assert_eq!(mesh.held(&key(1)), [(1, 0, true), (2, 1, true)]);
    assert_eq!(mesh.ledger.worker(&key(1).public()).expect("it stands").resources_free.millicores, 500);
}

#[test]
fn whom_it_is_not_for_and_what_makes_no_sense_is_void() {
    let (mut mesh, job) = mesh_of(1, 0, 3);
    let id = mesh.control(&key(101), Control { job, which: range(0, 0), directive: Directive::Hold });
    assert_eq!(result_of(&mesh.next(), id), Err(VoidReason::NotYours));
    assert_eq!(control(&mut mesh, job, range(3, 9), Directive::Hold), Err(VoidReason::NothingSelected));
    assert_eq!(control(&mut mesh, job, range(2, 1), Directive::Hold), Err(VoidReason::Malformed));
    let overlap = Selection { ranges: vec![(0, 1), (1, 2)], ..Selection::all() };
    assert_eq!(control(&mut mesh, job, overlap, Directive::Hold), Err(VoidReason::Malformed));
    let nothing = Directive::Amend(Amendment::default());
    assert_eq!(control(&mut mesh, job, Selection::all(), nothing), Err(VoidReason::Malformed));
    let past = Directive::Amend(Amendment { deadline: Some(Deadline::At(mesh.now)), ..Amendment::default() });
    assert_eq!(control(&mut mesh, job, Selection::all(), past), Err(VoidReason::DeadlinePassed));
}

#[test]
fn what_tasks_cost_by_standing_apart_is_the_submitters_and_bounded() {
    let mut genesis = genesis();
    genesis.ledger.key_definition_bytes_max = 4_000;
    let mut mesh = Mesh::new(genesis);
    let job = mesh.submit(&key(100), 1000, spec());
    mesh.next();
    let mut refused = None;
    for index in 0..100 {
        if let Err(why) = control(&mut mesh, job, range(2 * index, 2 * index), priority(1)) {
            refused.get_or_insert((index, why));
        }
    }
    assert!(refused.is_some_and(|(index, why)| index > 2 && why == VoidReason::KeyDefinitionsFull));
    control(&mut mesh, job, Selection::all(), priority(1)).expect("what stands alike again costs nothing");
    assert_eq!(mesh.ledger.records.jobs().values().next().expect("a job").record.segments.len(), 1);
    control(&mut mesh, job, range(7, 7), priority(2)).expect("there is room again");
}

/// What one who looks at every task for itself would do.
#[derive(Default)]
struct Plain {
    held: BTreeSet<u32>,
    terms: BTreeMap<u32, Terms>,
}

fn filter_of(state: TaskStateView) -> Option<Filter> {
    match state {
        TaskStateView::Blocked => Some(Filter::Blocked),
        TaskStateView::Held => Some(Filter::Held),
        TaskStateView::Ready => Some(Filter::Ready),
        TaskStateView::BackingOff { .. } => Some(Filter::BackingOff),
        TaskStateView::Leased { ends: None, .. } => Some(Filter::Waiting),
        TaskStateView::Leased { .. } => Some(Filter::Running),
        TaskStateView::Done { .. } | TaskStateView::Gone(_) => None,
    }
}

impl Plain {
    fn selected(ledger: &Ledger, job: JobId, which: &Selection) -> Vec<u32> {
        let count = ledger.job(job).expect("a job").count;
        let named = |index: &u32| which.ranges.is_empty() || which.ranges.iter().any(|(a, b)| (a..=b).contains(&index));
        let stands = |index: &u32| {
            let filter = filter_of(ledger.task(TaskId { job, index: *index }).expect("a task").state);
            filter.is_some_and(|filter| which.only.is_empty() || which.only.contains(&filter))
        };
        (0..count).filter(named).filter(stands).collect()
    }

    /// The tasks that must be cancelled afterwards.
    fn perform(&mut self, ledger: &Ledger, control: &Control) -> Vec<u32> {
        let Control { job, which, directive } = control;
        let selected = Self::selected(ledger, *job, which);
        match directive {
            Directive::Hold => self.held.extend(&selected),
            Directive::Release => self.held.retain(|index| !selected.contains(index)),
            Directive::Amend(amendment) => {
                for index in selected {
                    let terms = ledger.task(TaskId { job: *job, index }).expect("a task").terms;
                    self.terms.insert(index, terms.amended(amendment));
                }
            }
            Directive::Cancel => return selected,
        }
        Vec::new()
    }

    fn check(&self, ledger: &Ledger, job: JobId) {
        for index in 0..ledger.job(job).expect("a job").count {
            let task = ledger.task(TaskId { job, index }).expect("a task");
            match task.state {
                TaskStateView::Ready => assert!(!self.held.contains(&index), "{index} is held, and ready"),
                TaskStateView::Held => assert!(self.held.contains(&index), "{index} is not held, and not ready"),
                _ => {}
            }
            let asked = self.terms.get(&index).copied().unwrap_or_else(|| Terms::of(task.spec, None));
            assert_eq!(task.terms, asked, "{index}");
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Control(Selection, Directive),
    Report(usize, u8),
    Wait(u64),
}

fn selection() -> impl Strategy<Value = Selection> {
    use Filter::{BackingOff, Blocked, Held, Ready, Running, Waiting};
    let ranges = sample::subsequence((0..30).collect::<Vec<u32>>(), 0..=6)
        .prop_map(|ends| ends.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect::<Vec<_>>());
    let only = sample::subsequence(vec![Blocked, Held, Ready, BackingOff, Waiting, Running], 0..=3);
    (ranges, prop::bool::ANY, only).prop_map(|(ranges, filters, only)| Selection {
        ranges,
        only: if filters { only.into_iter().collect() } else { BTreeSet::new() },
    })
}

fn directive() -> impl Strategy<Value = Directive> {
    prop_oneof![
        3 => Just(Directive::Hold),
        3 => Just(Directive::Release),
        1 => Just(Directive::Cancel),
        1 => (-2..3i16).prop_map(priority),
        1 => sample::select(vec![0, 500, 1000, 1500]).prop_map(millicores),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (selection(), directive()).prop_map(|(which, directive)| Step::Control(which, directive)),
        3 => (0..5usize, 0..3u8).prop_map(|(which, verdict)| Step::Report(which, verdict)),
        1 => (1..3_000u64).prop_map(Step::Wait),
    ]
}

/// Three arrays of ten tasks: one that waits for nothing, one each of which waits for one of those, and one that waits
/// for all.
fn three_arrays() -> Submit {
    let retry = TaskSpec { retry: Retry::of(2, 1_000), ..spec() };
    let array = |after: Option<After>| Array {
        after: after.into_iter().collect(),
        ..Array::new(retry.clone(), Tasks::Repeat(10))
    };
    let each = After { array: 0, each: true, when: When::Any };
    let all = After { array: 0, each: false, when: When::Ok };
    Submit { arrays: vec![array(None), array(Some(each)), array(Some(all))], ..Submit::named("three") }
}

proptest! {
    #[test]
    fn every_directive_does_what_is_said_to_each_task(steps in vec(step(), 1..30)) {
        let mut mesh = Mesh::new(genesis());
        mesh.claim(&key(1), Claim { stands_ms: 10_000_000, ..offer(3, 2) });
        let job = JobId(mesh.sign(&key(100), Action::Submit(three_arrays())).0);
        mesh.next();
        let mut plain = Plain::default();
        for step in steps {
            let mut cancelled = Vec::new();
            match step {
                Step::Control(which, directive) => {
                    let control = Control { job, which, directive };
                    let selected = Plain::selected(&mesh.ledger, job, &control.which);
                    let expected = plain.perform(&mesh.ledger, &control);
                    let id = mesh.control(&key(100), control.clone());
                    let result = result_of(&mesh.next(), id);
                    let ends_all = control.which.is_all() && control.directive == Directive::Cancel;
                    prop_assert_eq!(result.is_ok(), ends_all || !selected.is_empty());
                    cancelled = expected;
                }
                Step::Report(which, verdict) => {
                    let live = mesh.ledger.leases_of(&key(1).public());
                    if let Some(lease) = live.get(which % live.len().max(1)).filter(|lease| lease.stage == Stage::Running) {
                        let verdict = [success(), failure(), Verdict::Returned][usize::from(verdict)].clone();
                        mesh.report(&key(1), lease.attempt, verdict);
                    }
                    mesh.next();
                }
                Step::Wait(ms) => drop(mesh.idle(ms)),
            }
            for index in cancelled {
                prop_assert_eq!(mesh.state(job, index), CANCELLED);
            }
            plain.check(&mesh.ledger, job);
            let restored = Ledger::restore(std::sync::Arc::clone(mesh.ledger.genesis()), &mesh.ledger.snapshot());
            prop_assert_eq!(restored.expect("own snapshot").snapshot(), mesh.ledger.snapshot());
        }
    }
}
