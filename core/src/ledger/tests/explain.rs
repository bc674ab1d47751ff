//! Why tasks wait and why they went where they did: one story for each thing that can be said.

use super::mesh::*;
use crate::{
    digest::Digest,
    ledger::{
        EndReason, Gone,
        explain::{
            LOOKS_MAX, NAMED_MAX,
            reasons::{
                Blocked, Claims, Explanation, Hindrance, LeaseStage, Leased, Need, NoOutcome, Precedence, Ready, Why,
            },
        },
        timeline::{Span, What},
    },
    types::*,
};

fn explain(mesh: &Mesh, job: JobId, index: u32) -> Explanation {
    let explanation = mesh.ledger.explain(TaskId { job, index }).expect("a task");
    assert_eq!((explanation.height, explanation.time), (mesh.ledger.height(), mesh.ledger.time()));
    explanation
}

fn blocked(mesh: &Mesh, job: JobId, index: u32) -> Blocked {
    match explain(mesh, job, index).why {
        Why::Blocked(blocked) => blocked,
        other => panic!("not blocked: {other:?}"),
    }
}

fn ready(mesh: &Mesh, job: JobId, index: u32) -> Ready {
    match explain(mesh, job, index).why {
        Why::Ready(ready) => *ready,
        other => panic!("not ready: {other:?}"),
    }
}

fn leased(mesh: &Mesh, job: JobId, index: u32) -> Leased {
    match explain(mesh, job, index).why {
        Why::Leased(leased) => *leased,
        other => panic!("not leased: {other:?}"),
    }
}

fn gone(mesh: &Mesh, job: JobId, index: u32) -> NoOutcome {
    match explain(mesh, job, index).why {
        Why::Gone(gone) => gone,
        other => panic!("not gone: {other:?}"),
    }
}

fn repeat(name: &str, count: u32) -> Array {
    Array { name: name.into(), ..Array::new(spec(), Tasks::Repeat(count)) }
}

fn submit(mesh: &mut Mesh, arrays: Vec<Array>) -> JobId {
    JobId(mesh.sign(&key(100), Action::Submit(Submit { arrays, ..Submit::named("job") })).0)
}

fn after(array: u16, each: bool, when: When) -> After {
    After { array, each, when }
}

fn with_policies(order: &[OrderPolicy], placement: &[PlacementPolicy]) -> Mesh {
    let mut genesis = genesis();
    genesis.schedule = ScheduleParameters { order: order.to_vec(), placement: placement.to_vec(), ..genesis.schedule };
    Mesh::new(genesis)
}

fn labelled(claim: Claim, labels: &[(&str, &str)]) -> Claim {
    let labels = labels.iter().map(|(label, value)| ((*label).to_owned(), (*value).to_owned()));
    Claim { labels: labels.collect(), ..claim }
}

#[test]
fn nothing_is_said_of_what_is_not_there() {
    let mut mesh = Mesh::new(genesis());
    let job = mesh.submit(&key(100), 1, spec());
    mesh.next();
    assert!(mesh.ledger.explain(TaskId { job, index: 1 }).is_none());
    assert!(mesh.ledger.explain(TaskId { job: JobId(Digest::ZERO), index: 0 }).is_none());
    assert!(mesh.ledger.timeline(JobId(Digest::ZERO), 0, 10).is_none());
}

#[test]
fn what_is_blocked_names_the_arrays_tasks_and_what_has_to_become_of_them() {
    let mut mesh = Mesh::new(genesis());
    mesh.claim(&key(1), offer(30, 0));
    let own = Part { after: Edges { any: vec![1], fail: (2..14).collect(), ok: vec![0] }, ..Part::default() };
    let arrays = vec![
        repeat("first", 14),
        Array { after: vec![after(0, false, When::Any)], ..repeat("all", 1) },
        Array { after: vec![after(0, true, When::Ok)], ..repeat("each", 14) },
        Array { tasks: std::sync::Arc::new(Tasks::Each(vec![own])), ..repeat("own", 1) },
    ];
    let job = submit(&mut mesh, arrays);
    mesh.next();
    mesh.report(&key(1), attempt(job, 0, 0), success());
    mesh.report(&key(1), attempt(job, 5, 0), failure());
    mesh.next();
    let all = blocked(&mesh, job, 14);
    assert_eq!((all.tasks, all.arrays.len()), (0, 1));
    let array = &all.arrays[0];
    assert_eq!((array.array, array.name.as_str(), array.when), (0, "first", When::Any));
    assert_eq!((array.tasks, array.ended, array.failed, array.gone), (14, 2, 1, 0));
    let each = blocked(&mesh, job, 16);
    assert_eq!((each.tasks, each.arrays.len()), (1, 0));
    assert_eq!((each.first_tasks[0].index, each.first_tasks[0].when), (1, When::Ok));
    let own = blocked(&mesh, job, 29);
    assert_eq!((own.tasks, own.first_tasks.len()), (12, 10), "ended ones are not waited for, and ten are named");
    assert_eq!((own.first_tasks[0].when, own.first_tasks[1].when), (When::Any, When::Fail));
    let missed = gone(&mesh, job, 20);
    assert_eq!((missed.how, missed.tasks[0].index, missed.tasks[0].when), (Gone::Skipped, 5, When::Ok));
}

#[test]
fn a_job_that_may_not_begin_says_for_which_jobs_or_until_when() {
    let mut mesh = Mesh::new(genesis());
    mesh.claim(&key(1), offer(10, 0));
    let first = mesh.submit(&key(100), 3, spec());
    let waits =
        Submit { after: vec![AfterJob { job: first, when: When::Fail }], ..Submit::new("b", spec(), Tasks::Repeat(1)) };
    let waits = JobId(mesh.sign(&key(100), Action::Submit(waits)).0);
    let opens = mesh.now.plus_ms(5_000);
    let times = Times { not_before: Some(opens), ..Times::default() };
    let later = Submit { times, ..Submit::new("c", spec(), Tasks::Repeat(1)) };
    let later = JobId(mesh.sign(&key(100), Action::Submit(later)).0);
    mesh.next();
    mesh.report(&key(1), attempt(first, 0, 0), success());
    mesh.next();
    let waits = blocked(&mesh, waits, 0);
    assert_eq!((waits.jobs[0].job, waits.jobs[0].when, waits.jobs[0].unfinished), (first, When::Fail, Some(2)));
    assert_eq!(blocked(&mesh, later, 0).not_before, Some(opens));
    let spans = |mesh: &Mesh| mesh.ledger.timeline(later, 0, 9).expect("a job").tasks[0].spans.clone();
    assert!(matches!(spans(&mesh)[..], [Span { to: None, what: What::Blocked, .. }]));
    mesh.idle(6_000);
    assert!(matches!(
        spans(&mesh)[..],
        [Span { to: Some(to), what: What::Blocked, .. }, .., Span { to: None, what: What::Running(_), .. }] if to == opens
    ));
}

#[test]
fn what_backs_off_says_until_when_and_after_what() {
    let mut mesh = Mesh::new(genesis());
    mesh.claim(&key(1), offer(1, 0));
    let recovery = [(Setback::Exited, Retry::of(2, 700))].into();
    let job = mesh.submit(&key(100), 1, TaskSpec { recovery, ..spec() });
    mesh.next();
    mesh.report(&key(1), attempt(job, 0, 0), failure());
    mesh.next();
    let Why::BackingOff(waits) = explain(&mesh, job, 0).why else { panic!("it backs off") };
    let after = waits.after.expect("an attempt");
    assert_eq!((waits.until, waits.failures), (mesh.now.plus_ms(700), 1));
    assert_eq!(waits.setbacks, [(Setback::Exited, 1)].into());
    assert_eq!((after.number, after.worker, after.why), (0, key(1).public(), EndReason::Failed));
}

#[test]
fn each_requirement_is_held_against_the_claims_by_itself_and_all_together() {
    let mut mesh = Mesh::new(genesis());
    mesh.claim(&key(1), labelled(offer(4, 0), &[("gpu", "a"), ("zone", "x")]));
    mesh.claim(&key(2), labelled(offer(1, 0), &[("gpu", "b")]));
    mesh.claim(&key(3), offer(0, 0));
    let mut needy = TaskSpec { resources: Resources { millicores: 3000, memory_bytes: 100 }, ..spec() };
    needy.labels.insert("gpu".into(), "b".into());
    let job = mesh.submit(&key(100), 1, needy);
    mesh.next();
    let ready = ready(&mesh, job, 0);
    assert_eq!(ready.hindrance, Hindrance::NoClaim);
    assert_eq!((ready.claims.standing, ready.claims.capable), (3, 0), "each is met by one, all by none");
    let met: Vec<(&Need, u32)> = ready.requirements.iter().map(|one| (&one.need, one.claims)).collect();
    assert_eq!(
        met,
        [
            (&Need::Slot, 2),
            (&Need::Millicores { needed: 3000, offered: 4000 }, 1),
            (&Need::Memory { needed: 100, offered: 400 }, 2),
            (&Need::Label { label: "gpu".into(), value: "b".into(), others: 1 }, 1),
        ]
    );
    assert_eq!((ready.ahead.tasks, ready.frees), (0, None));
}

#[test]
fn where_all_is_full_it_says_when_a_place_comes_free_at_the_latest() {
    let mut mesh = Mesh::new(genesis());
    mesh.claim(&key(1), offer(2, 1));
    mesh.claim(&key(2), Claim { resources: Resources::default(), ..offer(9, 0) });
    let job = mesh.submit(&key(100), 9, spec());
    mesh.next();
    let ready = ready(&mesh, job, 8);
    assert_eq!(ready.hindrance, Hindrance::Full);
    assert_eq!(ready.claims, Claims { standing: 2, capable: 1, full: 1, ..Claims::default() });
    let allowance_ms = mesh.ledger.genesis().ledger.allowance_ms;
    // What waits there gives its place back after the allowance, which is sooner than what runs has to end.
    assert_eq!(ready.frees, Some(mesh.now.plus_ms(allowance_ms)));
    assert_eq!((ready.ahead.tasks, ready.ahead.jobs, ready.ahead.submitters, ready.ahead.all), (5, 1, 1, true));
    assert_eq!(ready.ahead.first[0].by, Precedence::WithinJob);
}

#[test]
fn who_would_rather_not_go_back_says_where_and_why() {
    let mut mesh = Mesh::new(genesis());
    mesh.claim(&key(1), offer(1, 0));
    mesh.claim(&key(2), offer(1, 0));
    let other = mesh.submit(&key(100), 1, spec());
    let job = mesh.submit(&key(100), 1, spec());
    mesh.next();
    let holder = if mesh.holder(job, 0) == Some(key(1).public()) { key(1) } else { key(2) };
    let incarnation = Incarnation(2);
    mesh.claim(&holder, Claim { incarnation, ..offer(1, 0) });
    mesh.next();
    let ready = ready(&mesh, job, 0);
    assert_eq!(ready.hindrance, Hindrance::Avoidance);
    let expected = Claims { standing: 2, capable: 2, avoided: 1, avoided_open: 1, full: 1, open: 0 };
    assert_eq!(ready.claims, expected);
    let avoided = ready.avoids[0];
    assert_eq!((avoided.worker, avoided.attempts), (holder.public(), 1));
    assert_eq!((avoided.last, avoided.stands), (EndReason::NewIncarnation, true));
    // Once the other place is free it goes there, and says where it would not go.
    let elsewhere = if holder.public() == key(1).public() { key(2) } else { key(1) };
    mesh.report(&elsewhere, attempt(other, 0, 0), success());
    mesh.next();
    let leased = leased(&mesh, job, 0);
    assert_eq!((leased.worker, leased.attempt), (elsewhere.public(), 1));
    assert_eq!(leased.avoids, [avoided]);
}

#[test]
fn those_ahead_are_counted_by_job_with_what_puts_them_there() {
    let mut mesh = with_policies(&[OrderPolicy::Priority, OrderPolicy::Shortest], &[PlacementPolicy::LeastLoaded]);
    mesh.claim(&key(1), offer(1, 0));
    let running = mesh.submit(&key(100), 1, TaskSpec { priority: 9, ..spec() });
    let sized = |priority, expected_ms| TaskSpec { priority, expected_ms, ..spec() };
    let same = mesh.submit(&key(101), 40, sized(0, 50));
    let mine = mesh.submit(&key(100), 3_000, sized(0, 50));
    let short = mesh.submit(&key(102), 7, sized(0, 10));
    let high = mesh.submit(&key(101), 3, sized(2, 500));
    let huge = mesh.submit(
        &key(103),
        5,
        TaskSpec { resources: Resources { millicores: 64_000, memory_bytes: 0 }, ..sized(5, 1) },
    );
    mesh.submit(&key(103), 5, sized(-1, 1));
    mesh.next();
    assert!(mesh.holder(running, 0).is_some());
    let ahead = ready(&mesh, mine, 2_000).ahead;
    let first: Vec<(JobId, u64, Precedence)> = ahead.first.iter().map(|job| (job.job, job.tasks, job.by)).collect();
    assert_eq!(
        first,
        [
            (high, 3, Precedence::Policy(OrderPolicy::Priority)),
            (short, 7, Precedence::Policy(OrderPolicy::Shortest)),
            (same, 40, Precedence::Admission),
            (mine, 2_000, Precedence::WithinJob),
        ]
    );
    assert_eq!((ahead.tasks, ahead.jobs, ahead.submitters, ahead.all), (2_050, 4, 3, true));
    assert_eq!(ready(&mesh, high, 0).ahead.tasks, 0, "what fits nowhere is ahead of nobody");
    assert_eq!(ready(&mesh, huge, 0).hindrance, Hindrance::NoClaim);
}

#[test]
fn a_million_tasks_ahead_are_counted_by_what_stands_for_them_and_too_many_jobs_not_to_the_end() {
    let mut mesh = Mesh::new(genesis());
    mesh.claim(&key(1), offer(1, 0));
    for _ in 0..10 {
        mesh.submit(&key(100), 100_000, spec());
    }
    let mine = mesh.submit(&key(101), 1, spec());
    mesh.next();
    let ahead = ready(&mesh, mine, 0).ahead;
    assert_eq!((ahead.tasks, ahead.jobs, ahead.all), (999_999, 10, true));
    for _ in 0..LOOKS_MAX {
        mesh.submit(&key(102), 1, spec());
    }
    let last = mesh.submit(&key(102), 1, spec());
    mesh.next();
    let ahead = ready(&mesh, last, 0).ahead;
    assert_eq!((ahead.jobs as usize, ahead.all), (LOOKS_MAX, false), "what was looked at, and there are more");
    assert!(ahead.tasks > 999_999 && ahead.first.len() == NAMED_MAX && ahead.first[9].tasks == 100_000);
}

#[test]
fn a_spent_slice_puts_others_ahead_and_says_who_makes_room_when() {
    let mut mesh = with_policies(&[OrderPolicy::Fair], &[PlacementPolicy::LeastLoaded]);
    let slice_ms = mesh.ledger.genesis().schedule.slice_ms;
    mesh.claim(&key(1), offer(3, 0));
    let expected =
        |expected_ms| TaskSpec { expected_ms, limits: Limits { wall_ms: 200_000, ..spec().limits }, ..spec() };
    // One submitter is there that has had next to nothing, and one that has had far more than its slice.
    mesh.submit(&key(101), 1, expected(1));
    mesh.submit(&key(100), 1, expected(100_000));
    let resumable = || TaskSpec { checkpoints: true, ..expected(100_000) };
    let first = mesh.submit(&key(100), 2, resumable());
    mesh.next();
    let began = mesh.now;
    let second = mesh.submit(&key(101), 2, resumable());
    mesh.next();
    let mine = ready(&mesh, first, 1);
    assert_eq!((mine.ahead.tasks, mine.ahead.first[0].job), (2, second));
    assert_eq!(mine.ahead.first[0].by, Precedence::Policy(OrderPolicy::Fair));
    let share = mine.share.expect("there are shares");
    assert!(share.spent && share.left_ms <= 0 && share.turn > share.round, "{share:?}");
    assert_eq!((share.slice_ends, share.preemption), (None, None), "nobody has had more than it");
    let theirs = ready(&mesh, second, 0);
    assert_eq!(theirs.ahead.tasks, 0);
    let share = theirs.share.expect("there are shares");
    assert!(!share.spent, "{share:?}");
    assert_eq!(share.slice_ends, Some(began.plus_ms(slice_ms)));
    // When the slice is over the attempt is asked, and both sides say so.
    mesh.claim(&key(1), offer(3, 0));
    mesh.idle(slice_ms + 1_000);
    let asked = ready(&mesh, second, 1).share.expect("shares").preemption.expect("it was asked");
    assert_eq!((asked.job, asked.index, asked.worker), (first, 0, key(1).public()));
    let by = leased(&mesh, first, 0).preemption.expect("it was asked");
    assert_eq!((by.by, by.until), (key(101).public(), asked.until));
}

#[test]
fn a_lease_says_what_spoke_for_its_claim_and_when_it_times_out() {
    let policies = [PlacementPolicy::Locality, PlacementPolicy::LeastLoaded];
    let mut mesh = with_policies(&[OrderPolicy::Fifo], &policies);
    let large = BlobRef { digest: Digest::of(b"large"), bytes: Claim::BLOB_BYTES_MIN };
    let near = Claim { blobs: [large.digest].into(), ..offer(2, 1) };
    mesh.claim(&key(1), labelled(near, &[("zone", "x"), ("disk", "ssd")]));
    mesh.claim(&key(2), labelled(offer(2, 0), &[("zone", "y")]));
    let pair = |label: &str, value: &str| (label.to_owned(), value.to_owned());
    let wishes = TaskSpec {
        inputs: vec![Input::blob("in", large)],
        prefers: vec![pair("disk", "ssd"), pair("disk", "tape")],
        spread: Some("zone".into()),
        ..spec()
    };
    let job = mesh.submit(&key(100), 3, wishes);
    mesh.next();
    let lease = leased(&mesh, job, 0);
    assert_eq!((lease.worker, lease.standing, lease.capable), (key(1).public(), 2, 2));
    assert_eq!(lease.prefers.iter().map(|wish| wish.met).collect::<Vec<_>>(), [true, false]);
    assert_eq!(lease.input.map(|input| (input.digest, input.cached)), Some((large.digest, true)));
    assert_eq!(lease.placement, policies);
    let spread = lease.spread.expect("it is spread");
    assert_eq!((spread.label.as_str(), spread.value.as_deref(), spread.values), ("zone", Some("x"), 2));
    let allowance_ms = mesh.ledger.genesis().ledger.allowance_ms;
    let ends = mesh.now.plus_ms(10_000 + allowance_ms);
    assert_eq!(lease.stage, LeaseStage::Running { since: mesh.now, ends });
    let waiting = mesh.submit(&key(100), 2, spec());
    mesh.next();
    mesh.next();
    let waits = (0..2)
        .map(|index| leased(&mesh, waiting, index))
        .find(|lease| matches!(lease.stage, LeaseStage::Waiting { .. }));
    let waits = waits.expect("one waits at its worker");
    let since = waits.leased;
    assert_eq!(waits.stage, LeaseStage::Waiting { ends: since.plus_ms(allowance_ms) });
}

#[test]
fn what_is_done_or_gone_says_by_whom_and_how() {
    let mut mesh = Mesh::new(genesis());
    mesh.claim(&key(1), offer(2, 0));
    let job = mesh.submit(&key(100), 2, spec());
    mesh.next();
    mesh.report(&key(1), attempt(job, 0, 0), success());
    mesh.next();
    let (done_at, height) = (mesh.now, mesh.ledger.height());
    mesh.cancel(&key(100), job);
    mesh.next();
    let Why::Done(done) = explain(&mesh, job, 0).why else { panic!("it is done") };
    assert_eq!((done.succeeded, done.attempt, done.worker), (true, 0, Some(key(1).public())));
    assert_eq!((done.height, done.ended), (height, Some(done_at)));
    let gone = gone(&mesh, job, 1);
    assert_eq!((gone.how, gone.arrays.len(), gone.tasks.len()), (Gone::Cancelled, 0, 0));
}

#[test]
fn a_skipped_array_names_what_it_waited_for_in_vain_while_its_job_goes_on() {
    let mut mesh = Mesh::new(genesis());
    mesh.claim(&key(1), offer(10, 0));
    let arrays = vec![repeat("bad", 2), Array { after: vec![after(0, false, When::Ok)], ..repeat("next", 1) }];
    let job = submit(&mut mesh, arrays);
    mesh.next();
    mesh.report(&key(1), attempt(job, 0, 0), failure());
    mesh.next();
    let missed = gone(&mesh, job, 2);
    assert_eq!((missed.arrays[0].name.as_str(), missed.arrays[0].when, missed.arrays[0].failed), ("bad", When::Ok, 1));
    mesh.report(&key(1), attempt(job, 1, 0), success());
    mesh.next();
    assert_eq!(gone(&mesh, job, 2).arrays, [], "what an ended job waited for is not kept");
}
