//! What is booked when; `random` holds all accounts against a bookkeeper's.

use super::mesh::*;
use crate::{
    ledger::{Account, Day, Ledger, RestoreError, Side},
    types::*,
};

const EVER: std::ops::RangeInclusive<Day> = Day(0)..=Day::MAX;

/// An attempt of 1000 millicores and 3 MiB, and what its worker says that it took.
fn task() -> TaskSpec {
    TaskSpec { resources: Resources { millicores: 1000, memory_bytes: 3 << 20 }, ..spec() }
}

fn ample(slots: u32, waiting: u32) -> Claim {
    Claim { resources: Resources { millicores: slots * 1000, memory_bytes: 1 << 40 }, ..offer(slots, waiting) }
}

fn success_of(cpu_us: u64) -> Verdict {
    let Verdict::Succeeded(_, output, usage, spawns) = success() else { unreachable!() };
    Verdict::Succeeded(0, output, Usage { cpu_us, ..usage }, spawns)
}

fn by_day(mesh: &Mesh, side: Side) -> Vec<(u32, Account)> {
    mesh.ledger.usage_by_day(side, None, EVER).map(|(day, account)| (day.0, account)).collect()
}

#[test]
fn an_attempt_is_booked_to_its_job_its_submitter_and_its_worker() {
    let mut mesh = Mesh::new(genesis());
    mesh.claim(&key(1), ample(1, 0));
    let job = mesh.submit(&key(100), 3, task());
    mesh.next();
    mesh.pass(700);
    mesh.report(&key(1), attempt(job, 0, 0), success_of(650_000));
    mesh.pass(300);
    let expected = Account {
        tasks_submitted: 3,
        attempts_leased: 2,
        attempts_succeeded: 1,
        cpu_us: 650_000,
        slot_ms: 1000,
        reserved_core_us: 1_000_000,
        reserved_mib_ms: 3000,
        output_bytes: 4,
        ..Account::default()
    };
    assert_eq!(*mesh.ledger.job(job).expect("known").usage, expected);
    assert_eq!(mesh.ledger.usage_by_key(Side::Submitter, EVER, None, 10), [(key(100).public(), expected)]);
    let of_worker = expected.of_both_sides();
    assert_eq!(mesh.ledger.usage_by_key(Side::Worker, EVER, None, 10), [(key(1).public(), of_worker)]);
}

#[test]
fn no_more_processor_time_is_booked_than_was_reserved() {
    let mut mesh = Mesh::new(genesis());
    mesh.claim(&key(1), ample(1, 1));
    let job = mesh.submit(&key(100), 2, task());
    mesh.next();
    mesh.pass(200);
    mesh.report(&key(1), attempt(job, 0, 0), success_of(u64::MAX));
    // It ran, but the ledger saw it wait: it had reserved nothing.
    mesh.report(&key(1), attempt(job, 1, 0), success_of(50_000));
    mesh.next();
    let account = *mesh.ledger.job(job).expect("known").usage;
    assert_eq!((account.attempts_succeeded, account.cpu_us, account.slot_ms), (2, 201_000, 201));
}

#[test]
fn a_span_that_crosses_midnight_is_booked_on_the_day_on_which_it_ends() {
    let mut genesis = genesis();
    genesis.time = BlockTime(Day(1).begins().0 - 500_000);
    let mut mesh = Mesh::new(genesis);
    mesh.claim(&key(1), ample(1, 0));
    let job = mesh.submit(&key(100), 1, task());
    mesh.next();
    mesh.report(&key(1), attempt(job, 0, 0), success_of(1000));
    mesh.pass(800);
    for side in [Side::Submitter, Side::Worker] {
        let [(first, begun), (second, ended)] = by_day(&mesh, side)[..] else { panic!("two days") };
        assert_eq!((first, begun.attempts_leased, begun.slot_ms), (0, 1, 0));
        assert_eq!((second, ended.attempts_leased, ended.slot_ms, ended.cpu_us), (1, 0, 800, 1000));
    }
}

#[test]
fn a_late_success_books_its_output_and_takes_nothing_back() {
    let mut mesh = Mesh::new(genesis());
    mesh.claim(&key(1), ample(1, 0));
    let job = mesh.submit(&key(100), 1, task());
    mesh.next();
    mesh.pass(1000);
    mesh.claim(&key(1), Claim { incarnation: Incarnation(2), ..ample(1, 0) });
    mesh.next();
    let lost = *mesh.ledger.job(job).expect("known").usage;
    assert_eq!((lost.attempts_lost, lost.lost_core_us, lost.attempts_leased), (1, 1_001_000, 2));
    mesh.report(&key(1), attempt(job, 0, 0), success_of(900_000));
    mesh.pass(100);
    let late = Account {
        late_successes: 1,
        output_bytes: 4,
        attempts_cancelled: 1,
        slot_ms: lost.slot_ms + 100,
        reserved_core_us: lost.reserved_core_us + 100_000,
        reserved_mib_ms: lost.reserved_mib_ms + 300,
        ..lost
    };
    assert_eq!(*mesh.ledger.job(job).expect("known").usage, late);
}

#[test]
fn what_failed_was_lost_time_and_what_was_stopped_was_not() {
    let mut mesh = Mesh::new(genesis());
    mesh.claim(&key(1), ample(2, 0));
    let job = mesh.submit(&key(100), 2, task());
    mesh.next();
    mesh.report(&key(1), attempt(job, 0, 0), failure());
    mesh.pass(100);
    mesh.cancel(&key(100), job);
    mesh.pass(100);
    let account = *mesh.ledger.job(job).expect("known").usage;
    assert_eq!((account.attempts_failed, account.attempts_cancelled), (1, 1));
    assert_eq!((account.slot_ms, account.lost_core_us), (300, 100_000));
}

#[test]
fn a_stall_of_the_network_is_nobodys_use() {
    let mut mesh = Mesh::new(genesis());
    mesh.claim(&key(1), ample(1, 0));
    let job = mesh.submit(&key(100), 1, task());
    mesh.next();
    mesh.report(&key(1), attempt(job, 0, 0), success());
    // The threshold is 2 seconds.
    mesh.pass(50_000);
    assert_eq!(mesh.ledger.job(job).expect("known").usage.slot_ms, 2000);
}

#[test]
fn accounts_outlive_their_jobs_by_the_days_that_are_kept() {
    let mut mesh = Mesh::new(genesis());
    mesh.submit(&key(100), 3, task());
    mesh.next();
    let day_ms = 86_400_000;
    mesh.pass(day_ms * 399);
    assert_eq!(by_day(&mesh, Side::Submitter), [(0, Account { tasks_submitted: 3, ..Account::default() })]);
    mesh.pass(day_ms);
    assert_eq!(by_day(&mesh, Side::Submitter), []);
}

#[test]
fn a_snapshot_whose_accounts_are_not_what_its_tasks_say_is_refused() {
    let mut mesh = Mesh::new(genesis());
    mesh.claim(&key(1), ample(1, 0));
    mesh.submit(&key(100), 2, task());
    mesh.next();
    let good = mesh.ledger.clone();
    let restore = |ledger: &Ledger| Ledger::restore(ledger.genesis().clone(), &ledger.snapshot()).map(|_| ());
    assert_eq!(restore(&good), Ok(()));
    let spoilt = |spoil: fn(&mut Account)| {
        let mut ledger = good.clone();
        let numbers: Vec<_> = ledger.records.jobs().keys().copied().collect();
        for number in numbers {
            spoil(&mut ledger.records.job_mut(number).expect("a job").record.usage);
        }
        restore(&ledger)
    };
    let wrong = Err(RestoreError::Inconsistent("a job's account is not what its tasks say"));
    assert_eq!(spoilt(|account| account.attempts_leased += 1), wrong);
    assert_eq!(spoilt(|account| account.attempts_succeeded += 1), wrong);
    assert_eq!(spoilt(|account| account.tasks_submitted -= 1), wrong);
    assert_eq!(spoilt(|account| account.cpu_us += 1), wrong);
}
