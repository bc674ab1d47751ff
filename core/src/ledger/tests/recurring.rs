//! Recurring jobs: each policy for itself. Time is virtual: a night passes in a few blocks.

use std::sync::Arc;

use super::mesh::*;
use crate::{
    ledger::{
        Applied, Ledger, LedgerEvent, PAST_KEPT, PastOccurrences, RecurringEndReason, RecurringState, Trust, bounds,
    },
    types::*,
};

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;

/// The tests' networks are founded at 00:16:40.
fn minute(minutes: u64) -> BlockTime {
    BlockTime(minutes * 60_000_000)
}

fn hour(hours: u64) -> BlockTime {
    minute(hours * 60)
}

/// At each full hour.
const HOURLY: Cron = Cron { minutes: 1, ..Cron::ALWAYS };

fn recurring(cron: Cron, catch_up: CatchUp, overlap: Overlap) -> Recurring {
    let job = Submit::new("again", spec(), Tasks::Repeat(1));
    Recurring { job, cron, catch_up, overlap, from: None, until: None, runs_max: None, deadline_ms: None }
}

fn plain() -> Recurring {
    recurring(HOURLY, CatchUp::Once, Overlap::Skip)
}

fn submit(mesh: &mut Mesh, recurring: Recurring) -> RecurringId {
    let id = mesh.sign(&key(100), Action::Recur(Recur::Submit(Box::new(recurring))));
    assert_eq!(result_of(&mesh.next(), id), Ok(()));
    RecurringId(id.0)
}

fn recur(mesh: &mut Mesh, by: u8, recur: Recur) -> Result<(), VoidReason> {
    let id = mesh.sign(&key(by), Action::Recur(recur));
    result_of(&mesh.next(), id)
}

/// A network that makes a block a minute until then, and one whenever something falls due.
fn until(mesh: &mut Mesh, occurrence: BlockTime) -> Applied {
    let mut all = Applied::default();
    while mesh.now < occurrence {
        let due = mesh.ledger.next_due().map_or(occurrence, |due| due.min(occurrence));
        let step_ms = due.micros_since(mesh.now).div_ceil(1000).clamp(1, MINUTE_MS);
        let applied = mesh.pass(step_ms);
        all.events.extend(applied.events);
    }
    all
}

/// The occurrences that were run.
fn runs(applied: &Applied) -> Vec<BlockTime> {
    let run = |event: &LedgerEvent| match event {
        LedgerEvent::RecurringRun { occurrence, .. } => Some(*occurrence),
        _ => None,
    };
    applied.events.iter().filter_map(run).collect()
}

/// Those that were not: the first and the last of each row, how many, and why.
fn skips(applied: &Applied) -> Vec<(BlockTime, BlockTime, u64, SkipReason)> {
    let skip = |event: &LedgerEvent| match event {
        LedgerEvent::RecurringSkipped { first, last, occurrences, why, .. } => {
            Some((*first, *last, *occurrences, *why))
        }
        _ => None,
    };
    applied.events.iter().filter_map(skip).collect()
}

fn past(ledger: &Ledger, id: RecurringId) -> Vec<PastOccurrences> {
    ledger.recurring_job(id).expect("there").past
}

fn job_at(id: RecurringId, occurrence: BlockTime) -> JobId {
    Occurrence { recurring: id, time: occurrence }.job()
}

/// Has the worker end what it holds, well.
fn work(mesh: &mut Mesh) -> Applied {
    mesh.claim(&key(1), offer(4, 0));
    for lease in mesh.ledger.leases_of(&key(1).public()) {
        mesh.report(&key(1), lease.attempt, success());
    }
    mesh.next()
}

#[test]
fn a_recurring_job_runs_at_each_of_its_moments() {
    let mut mesh = Mesh::new(genesis());
    let id = submit(&mut mesh, recurring(HOURLY, CatchUp::Once, Overlap::Alongside));
    assert_eq!(mesh.ledger.next_due(), Some(hour(1)), "an idle network makes a block then");
    assert_eq!(runs(&until(&mut mesh, hour(3))), [hour(1), hour(2), hour(3)]);
    assert_eq!(mesh.ledger.next_due(), Some(hour(4)));
    let job = mesh.ledger.job(job_at(id, hour(2))).expect("a job like any other");
    assert_eq!((job.name, job.submitter, job.submitted), ("again", key(100).public(), hour(2)));
    assert_eq!(job.occurrence_of, Some(Occurrence { recurring: id, time: hour(2) }));
    let view = mesh.ledger.recurring_job(id).expect("there");
    assert_eq!((view.ran, view.skipped, view.next, view.live_jobs.len()), (3, 0, Some(hour(4)), 3));
    assert_eq!(view.past[1].became, Ok(job_at(id, hour(2))));
    mesh.claim(&key(1), offer(4, 0));
    mesh.next();
    assert_eq!(mesh.held(&key(1)).len(), 3, "its tasks are placed");
    mesh.cancel(&key(100), job_at(id, hour(2)));
    let applied = mesh.next();
    assert!(applied.events.contains(&LedgerEvent::JobEnded { job: job_at(id, hour(2)), cancelled: 1, skipped: 0 }));
}

#[test]
fn moments_are_from_one_time_to_another_and_so_many() {
    let mut mesh = Mesh::new(genesis());
    let bounded = |from, until, runs_max| Recurring {
        from,
        until,
        runs_max,
        ..recurring(HOURLY, CatchUp::Once, Overlap::Alongside)
    };
    let first = submit(&mut mesh, bounded(Some(hour(3)), Some(hour(5)), None));
    let second = submit(&mut mesh, bounded(None, None, Some(2)));
    let applied = until(&mut mesh, hour(8));
    let of = |wanted: RecurringId| -> Vec<BlockTime> {
        let run = |event: &LedgerEvent| match event {
            LedgerEvent::RecurringRun { recurring, occurrence, .. } if *recurring == wanted => Some(*occurrence),
            _ => None,
        };
        applied.events.iter().filter_map(run).collect()
    };
    assert_eq!(of(first), [hour(3), hour(4), hour(5)], "both ends are among them");
    assert_eq!(of(second), [hour(1), hour(2)]);
    for id in [first, second] {
        assert!(applied.events.contains(&LedgerEvent::RecurringEnded { recurring: id, why: RecurringEndReason::Over }));
    }
    assert_eq!(mesh.ledger.recurring().count(), 0, "what ended is forgotten after as long as a job is");
    assert!(applied.events.contains(&LedgerEvent::RecurringForgotten { recurring: first }));
    assert_eq!(recur(&mut mesh, 100, Recur::Delete(first)), Err(VoidReason::UnknownRecurring));
}

#[test]
fn what_was_missed_while_the_network_stood_is_caught_up_with_as_was_said() {
    let missed = SkipReason::Missed;
    for (catch_up, ran, skipped) in [
        (CatchUp::Skip, vec![], vec![(hour(1), hour(5), 5, missed)]),
        (CatchUp::Once, vec![hour(5)], vec![(hour(1), hour(4), 4, missed)]),
        (CatchUp::All, vec![hour(1), hour(2), hour(3), hour(4), hour(5)], vec![]),
    ] {
        let mut mesh = Mesh::new(genesis());
        let id = submit(&mut mesh, recurring(HOURLY, catch_up, Overlap::Alongside));
        let applied = mesh.pass(5 * HOUR_MS);
        assert_eq!((runs(&applied), skips(&applied)), (ran.clone(), skipped), "{catch_up:?}");
        let view = mesh.ledger.recurring_job(id).expect("there");
        assert_eq!((view.ran, view.ran + view.skipped), (ran.len() as u64, 5));
        assert_eq!(runs(&until(&mut mesh, hour(6))), [hour(6)], "then it goes on");
    }
}

#[test]
fn a_moment_is_missed_only_if_the_block_comes_more_than_a_minute_late() {
    for (late_us, ran) in [(60_000_000, vec![hour(1)]), (60_001_000, vec![])] {
        let mut mesh = Mesh::new(genesis());
        submit(&mut mesh, recurring(HOURLY, CatchUp::Skip, Overlap::Skip));
        let later_us = hour(1).micros_since(mesh.now) + late_us;
        assert_eq!(runs(&mesh.pass(later_us / 1000)), ran);
    }
}

#[test]
fn catching_up_with_all_has_a_bound_and_takes_as_many_blocks_as_it_needs() {
    let mut mesh = Mesh::new(genesis());
    let id = submit(&mut mesh, recurring(Cron::ALWAYS, CatchUp::All, Overlap::Cancel));
    let first = minute(mesh.now.0 / 60_000_000 + 1);
    let applied = mesh.pass(7 * HOUR_MS);
    let then = mesh.now;
    let late = |occurrence: &BlockTime| then.micros_since(*occurrence) > 60_000_000;
    let (skipped, mut ran) = (skips(&applied), runs(&applied));
    assert_eq!(ran.len(), bounds::OCCURRENCES_MAX);
    assert_eq!(mesh.ledger.next_due(), Some(BlockTime(mesh.now.0 + 1)), "the next block comes at once");
    assert_eq!(skipped.len(), 1);
    assert_eq!((skipped[0].0, skipped[0].3), (first, SkipReason::Missed));
    while mesh.ledger.next_due().is_some_and(|due| due.micros_since(mesh.now) < 1000) {
        ran.extend(runs(&mesh.next()));
    }
    assert_eq!(ran.iter().filter(|occurrence| late(occurrence)).count() as u64, bounds::CATCH_UP_MAX);
    assert_eq!(ran[0].0, skipped[0].1.0 + 60_000_000, "each occurrence is in one of the two");
    assert!(ran.windows(2).all(|two| two[1].0 == two[0].0 + 60_000_000));
    assert_eq!(skipped[0].2 + ran.len() as u64, 7 * 60);
    let view = mesh.ledger.recurring_job(id).expect("there");
    assert_eq!((view.past.len(), view.live_jobs.len()), (PAST_KEPT, 1));
}

#[test]
fn while_it_is_paused_nothing_runs_and_what_was_missed_is_caught_up_with() {
    let missed = SkipReason::Missed;
    for (catch_up, ran, skipped) in [
        (CatchUp::Skip, vec![], vec![(hour(2), hour(4), 3, missed)]),
        (CatchUp::Once, vec![hour(4)], vec![(hour(2), hour(3), 2, missed)]),
        (CatchUp::All, vec![hour(2), hour(3), hour(4)], vec![]),
    ] {
        let mut mesh = Mesh::new(genesis());
        let id = submit(&mut mesh, recurring(HOURLY, catch_up, Overlap::Alongside));
        until(&mut mesh, hour(1));
        assert_eq!(recur(&mut mesh, 100, Recur::Pause(id)), Ok(()));
        assert_eq!(recur(&mut mesh, 100, Recur::Pause(id)), Ok(()), "what is paused may be paused");
        assert_eq!(mesh.ledger.next_due(), None, "nothing is awaited");
        assert_eq!(runs(&until(&mut mesh, BlockTime(hour(4).0 + 1000))), []);
        assert_eq!(mesh.ledger.recurring_job(id).expect("there").state, RecurringState::Paused);
        mesh.sign(&key(100), Action::Recur(Recur::Resume(id)));
        let applied = mesh.next();
        assert_eq!(
            (runs(&applied), skips(&applied)),
            (ran, skipped),
            "a pause of an occurrence misses that occurrence"
        );
        assert_eq!(mesh.ledger.recurring_job(id).expect("there").state, RecurringState::Active);
        assert_eq!(runs(&until(&mut mesh, hour(5))), [hour(5)]);
    }
}

#[test]
fn a_moment_is_skipped_while_the_run_before_has_not_ended() {
    let mut mesh = Mesh::new(genesis());
    let id = submit(&mut mesh, plain());
    let applied = until(&mut mesh, hour(3));
    assert_eq!(runs(&applied), [hour(1)]);
    let overlap = SkipReason::Overlap;
    assert_eq!(skips(&applied), [(hour(2), hour(2), 1, overlap), (hour(3), hour(3), 1, overlap)]);
    let rows = past(&mesh.ledger, id);
    assert_eq!(rows.len(), 2, "occurrences in a row that were skipped for one reason are one line");
    assert_eq!((rows[1].first, rows[1].last, rows[1].occurrences), (hour(2), hour(3), 2));
    work(&mut mesh);
    work(&mut mesh);
    assert!(mesh.ledger.job(job_at(id, hour(1))).is_some_and(|job| job.ended.is_some()));
    assert_eq!(runs(&until(&mut mesh, hour(4))), [hour(4)]);
}

#[test]
fn a_moment_can_be_queued_until_the_run_before_has_ended() {
    let mut mesh = Mesh::new(genesis());
    let id = submit(&mut mesh, recurring(HOURLY, CatchUp::Once, Overlap::Queue));
    assert_eq!(runs(&until(&mut mesh, hour(3))), [hour(1), hour(2), hour(3)]);
    let begun = |mesh: &Mesh| [1, 2, 3].map(|at| mesh.ledger.job(job_at(id, hour(at))).expect("there").began.is_some());
    mesh.claim(&key(1), offer(4, 0));
    mesh.next();
    assert_eq!(begun(&mesh), [true, false, false]);
    work(&mut mesh);
    assert_eq!(begun(&mesh), [true, true, false], "one after the other");
    mesh.cancel(&key(100), job_at(id, hour(2)));
    mesh.next();
    assert_eq!(begun(&mesh), [true, true, true], "in whatever way the one before ended");
}

#[test]
fn a_moment_can_cancel_what_runs() {
    let mut mesh = Mesh::new(genesis());
    let id = submit(&mut mesh, recurring(HOURLY, CatchUp::Once, Overlap::Cancel));
    let applied = until(&mut mesh, hour(2));
    assert_eq!(runs(&applied), [hour(1), hour(2)]);
    assert!(applied.events.contains(&LedgerEvent::JobEnded { job: job_at(id, hour(1)), cancelled: 1, skipped: 0 }));
    assert_eq!(mesh.ledger.recurring_job(id).expect("there").live_jobs, [job_at(id, hour(2))]);
}

#[test]
fn as_many_runs_as_there_may_be_are_never_exceeded() {
    let mut mesh = Mesh::new(genesis());
    let id = submit(&mut mesh, recurring(HOURLY, CatchUp::Once, Overlap::Queue));
    let most = bounds::LIVE_OCCURRENCES_MAX as u64;
    let applied = until(&mut mesh, hour(most + 2));
    assert_eq!(runs(&applied).len() as u64, most);
    let why = SkipReason::TooManyOccurrences;
    assert_eq!(skips(&applied), [1, 2].map(|at| (hour(most + at), hour(most + at), 1, why)));
    assert_eq!(mesh.ledger.recurring_job(id).expect("there").live_jobs.len() as u64, most);
}

#[test]
fn where_a_bound_is_full_the_moment_is_skipped_and_the_record_says_why() {
    let mut genesis = genesis();
    genesis.ledger.key_tasks_max = 2;
    let mut mesh = Mesh::new(genesis);
    let id = submit(&mut mesh, recurring(HOURLY, CatchUp::Once, Overlap::Alongside));
    let other = mesh.submit(&key(100), 2, spec());
    mesh.next();
    let applied = until(&mut mesh, hour(1));
    let why = SkipReason::Void(VoidReason::KeyTasksFull);
    assert_eq!(skips(&applied), [(hour(1), hour(1), 1, why)]);
    assert_eq!(past(&mesh.ledger, id)[0].became, Err(why));
    mesh.cancel(&key(100), other);
    assert_eq!(runs(&until(&mut mesh, hour(2))), [hour(2)], "the next occurrence is tried again");
    let mut late = Recurring { deadline_ms: Some(1), ..recurring(HOURLY, CatchUp::Once, Overlap::Skip) };
    late.job.name = "late".into();
    submit(&mut mesh, late);
    let applied = mesh.pass(HOUR_MS + 1000);
    assert!(skips(&applied).contains(&(hour(3), hour(3), 1, SkipReason::Void(VoidReason::DeadlinePassed))));
}

#[test]
fn a_run_goes_on_when_its_recurring_job_is_deleted() {
    let mut mesh = Mesh::new(genesis());
    let id = submit(&mut mesh, plain());
    until(&mut mesh, hour(1));
    mesh.claim(&key(1), offer(1, 0));
    mesh.next();
    assert_eq!(recur(&mut mesh, 100, Recur::Delete(id)), Ok(()));
    let view = mesh.ledger.recurring_job(id).expect("remembered for a while");
    assert_eq!((view.state, view.next, view.recurring.job.arrays.len()), (RecurringState::Deleted, None, 0));
    assert_eq!(recur(&mut mesh, 100, Recur::Resume(id)), Err(VoidReason::RecurringEnded));
    work(&mut mesh);
    let job = mesh.ledger.job(job_at(id, hour(1))).expect("a job");
    assert_eq!((job.counts.succeeded, job.ended.is_some()), (1, true));
    assert_eq!(runs(&until(&mut mesh, hour(3))), []);
    assert!(mesh.ledger.recurring_job(id).is_none());
}

#[test]
fn only_its_submitter_changes_it_and_only_submitters_have_any() {
    let mut permitted = genesis();
    permitted.access.submitters = Some([key(100).public(), key(101).public()].into());
    let mut mesh = Mesh::new(permitted);
    let id = submit(&mut mesh, plain());
    for change in [Recur::Pause(id), Recur::Resume(id), Recur::Delete(id)] {
        assert_eq!(recur(&mut mesh, 101, change.clone()), Err(VoidReason::NotYours));
        assert_eq!(recur(&mut mesh, 102, change), Err(VoidReason::NotPermitted));
    }
    assert_eq!(recur(&mut mesh, 102, Recur::Submit(Box::new(plain()))), Err(VoidReason::NotPermitted));
    let unknown = RecurringId(crate::digest::Digest::ZERO);
    assert_eq!(recur(&mut mesh, 100, Recur::Pause(unknown)), Err(VoidReason::UnknownRecurring));
}

#[test]
fn recurring_jobs_are_bounded_in_number_and_bytes() {
    let mut small = genesis();
    small.ledger.key_recurring_max = 2;
    small.ledger.recurring_max = 3;
    let mut mesh = Mesh::new(small);
    let try_submit = |mesh: &mut Mesh, by| recur(mesh, by, Recur::Submit(Box::new(plain())));
    let first = submit(&mut mesh, plain());
    let bytes = mesh.ledger.index.quotas().outstanding().of(Trust::Unproven).definition_bytes;
    assert!(bytes > 100, "its definition counts as long as it is there");
    assert_eq!(try_submit(&mut mesh, 100), Ok(()));
    assert_eq!(try_submit(&mut mesh, 100), Err(VoidReason::KeyRecurringFull));
    assert_eq!(try_submit(&mut mesh, 101), Ok(()));
    assert_eq!(try_submit(&mut mesh, 102), Err(VoidReason::RecurringFull));
    assert_eq!(recur(&mut mesh, 100, Recur::Delete(first)), Ok(()));
    assert_eq!(try_submit(&mut mesh, 102), Ok(()));
    let mut small = genesis();
    small.ledger.key_definition_bytes_max = 2 * bytes - 1;
    let mut mesh = Mesh::new(small);
    let id = submit(&mut mesh, plain());
    assert_eq!(try_submit(&mut mesh, 100), Err(VoidReason::KeyDefinitionsFull));
    let full = SkipReason::Void(VoidReason::KeyDefinitionsFull);
    assert_eq!(skips(&until(&mut mesh, hour(1))), [(hour(1), hour(1), 1, full)], "and each run's counts too");
    assert_eq!(recur(&mut mesh, 100, Recur::Delete(id)), Ok(()));
    assert_eq!(mesh.ledger.index.quotas().outstanding().of(Trust::Unproven).definition_bytes, 0);
}

#[test]
fn what_cannot_recur_is_void() {
    let mut mesh = Mesh::new(genesis());
    let check = |change: &dyn Fn(&mut Recurring), why| {
        let mut wrong = plain();
        change(&mut wrong);
        assert_eq!(recur(&mut mesh, 100, Recur::Submit(Box::new(wrong))), Err(why));
    };
    let mut check = check;
    let occurrence = Some(hour(9));
    check(&|wrong| wrong.cron.minutes = 0, VoidReason::Malformed);
    check(&|wrong| wrong.job.open_until = occurrence, VoidReason::Malformed);
    check(&|wrong| wrong.job.times.deadline = occurrence, VoidReason::Malformed);
    check(&|wrong| wrong.job.times.not_before = occurrence, VoidReason::Malformed);
    let after = AfterJob { job: JobId(crate::digest::Digest::ZERO), when: When::Any };
    check(&|wrong| wrong.job.after.push(after), VoidReason::Malformed);
    check(&|wrong| wrong.runs_max = Some(0), VoidReason::Malformed);
    check(&|wrong| wrong.deadline_ms = Some(0), VoidReason::Malformed);
    check(&|wrong| wrong.until = Some(BlockTime(bounds::TIME_MAX.0 + 1)), VoidReason::Malformed);
    check(&|wrong| wrong.job.arrays.clear(), VoidReason::TooManyTasks);
    check(&|wrong| wrong.until = Some(minute(59)), VoidReason::NeverRuns);
    let never = Cron { days: 1 << 30, months: 1 << 2, ..HOURLY };
    check(&|wrong| wrong.cron = never, VoidReason::NeverRuns);
}

#[test]
fn many_that_fall_due_at_once_are_spread_over_blocks_the_earliest_first() {
    let mut genesis = genesis();
    genesis.ledger.key_recurring_max = 1000;
    let mut mesh = Mesh::new(genesis);
    let count = bounds::BLOCK_OCCURRENCES_MAX + 10;
    for _ in 0..count {
        mesh.sign(&key(100), Action::Recur(Recur::Submit(Box::new(plain()))));
    }
    mesh.next();
    let applied = until(&mut mesh, hour(1));
    assert_eq!(runs(&applied).len(), bounds::BLOCK_OCCURRENCES_MAX);
    assert_eq!(mesh.ledger.next_due(), Some(BlockTime(mesh.now.0 + 1)));
    assert_eq!(runs(&mesh.next()).len(), 10);
    assert_eq!(mesh.ledger.next_due(), Some(hour(2)));
    assert_eq!(mesh.ledger.recurring().filter(|recurring| recurring.ran == 1).count(), count);
}

#[test]
fn a_block_runs_no_more_than_its_transactions_could_define() {
    let mut genesis = genesis();
    genesis.consensus.block_bytes_max = 1;
    let mut mesh = Mesh::new(genesis);
    for _ in 0..3 {
        submit(&mut mesh, plain());
    }
    assert_eq!(runs(&until(&mut mesh, hour(1))).len(), 1, "one at least");
    assert_eq!([runs(&mesh.next()).len(), runs(&mesh.next()).len(), runs(&mesh.next()).len()], [1, 1, 0]);
}

#[test]
fn a_restored_ledger_runs_the_same_moments() {
    let mut mesh = Mesh::new(genesis());
    mesh.claim(&key(1), offer(2, 0));
    let all = [Overlap::Skip, Overlap::Queue, Overlap::Alongside, Overlap::Cancel];
    let ids = all.map(|overlap| submit(&mut mesh, recurring(HOURLY, CatchUp::All, overlap)));
    let ends = Recurring { runs_max: Some(2), ..recurring(HOURLY, CatchUp::All, Overlap::Alongside) };
    let ends = submit(&mut mesh, ends);
    until(&mut mesh, hour(2));
    assert_eq!(recur(&mut mesh, 100, Recur::Pause(ids[0])), Ok(()));
    assert_eq!(recur(&mut mesh, 100, Recur::Delete(ids[3])), Ok(()));
    assert_eq!(mesh.ledger.recurring_job(ends).expect("kept").state, RecurringState::Ended);
    let genesis = Arc::clone(mesh.ledger.genesis());
    let mut twin = Ledger::restore(genesis, &mesh.ledger.snapshot()).expect("own snapshot");
    assert_eq!(twin.snapshot(), mesh.ledger.snapshot());
    assert_eq!(twin.index.quotas().outstanding(), mesh.ledger.index.quotas().outstanding());
    for later_ms in [HOUR_MS, 5 * HOUR_MS, 1, 1, HOUR_MS] {
        if later_ms == 5 * HOUR_MS {
            mesh.sign(&key(100), Action::Recur(Recur::Resume(ids[0])));
        }
        assert_eq!(twin.next_due(), mesh.ledger.next_due());
        let block = mesh.block(later_ms);
        assert_eq!(twin.apply(&block), mesh.ledger.apply(&block));
        assert_eq!(twin.state_digest(), mesh.ledger.state_digest());
    }
    assert!(mesh.ledger.recurring_job(ids[0]).is_some_and(|view| view.past.len() > 1));
}

#[test]
fn ids_of_runs_differ_from_each_other_and_from_transactions() {
    let run =
        |digest, occurrence| Occurrence { recurring: RecurringId(crate::digest::Digest::of(digest)), time: occurrence };
    let ids = [run(b"a", hour(1)), run(b"a", hour(2)), run(b"b", hour(1))].map(|run| run.job());
    assert!(ids[0] != ids[1] && ids[0] != ids[2] && ids[1] != ids[2]);
}
