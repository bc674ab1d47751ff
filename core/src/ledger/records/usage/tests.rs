//! The bounds of what is kept, and that nothing of it is lost to the sums.

use std::collections::BTreeMap;

use super::{days::DayBook, *};
use crate::{identity::SecretKey, ledger::Ledger};

const EVER: std::ops::RangeInclusive<Day> = Day(0)..=Day::MAX;

/// Names in order, none of which anybody signs with.
fn name(number: u32) -> PublicKey {
    let mut bytes = [0; 32];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    PublicKey(bytes)
}

/// A lease to each of so many keys, of a task of its own.
fn book(days: &mut Days, today: u32, keys: std::ops::Range<u32>) {
    for key in keys {
        days.enter(Day(today), name(key), Some(name(key)), &UsageEntry::Lease);
    }
}

fn total(days: &Days, side: Side) -> u64 {
    days.range(EVER).map(|(_, book)| book.side(side).total().attempts_leased).sum()
}

fn named(days: &Days, day: u32) -> usize {
    days.range(Day(day)..=Day(day)).map(|(_, book)| book.side(Side::Worker).keys.len()).sum()
}

fn is_restored(days: &Days, today: u32) {
    let restored = Days::restored(days.records().clone(), Day(today)).expect("own records");
    assert_eq!((restored.records(), restored.accounts), (days.records(), days.accounts));
}

#[test]
fn a_crowd_of_keys_fills_its_own_day_and_no_other() {
    let mut days = Days::default();
    book(&mut days, 3, 0..100);
    book(&mut days, 4, 0..40_000);
    assert_eq!((named(&days, 3), named(&days, 4)), (100, DAY_ACCOUNTS_MAX / 2));
    assert_eq!(total(&days, Side::Submitter), 40_100);
    assert_eq!(total(&days, Side::Worker), 40_100);
    is_restored(&days, 4);
}

#[test]
fn the_oldest_day_is_folded_first_and_its_sum_stays() {
    let mut days = Days::default();
    let each = (DAY_ACCOUNTS_MAX / 2) as u32;
    for day in 0..4 {
        book(&mut days, day, 0..each);
    }
    assert_eq!(days.accounts, ACCOUNTS_MAX);
    book(&mut days, 4, 0..1);
    assert_eq!(days.accounts, ACCOUNTS_MAX - DAY_ACCOUNTS_MAX + 2);
    assert_eq!((0..5).map(|day| named(&days, day)).collect::<Vec<_>>(), [0, 8192, 8192, 8192, 1]);
    assert_eq!(total(&days, Side::Submitter), u64::from(4 * each + 1));
    is_restored(&days, 4);
}

#[test]
fn what_cannot_have_been_booked_is_refused() {
    let with = |spoil: fn(&mut BTreeMap<Day, DayBook>)| {
        let mut days = Days::default();
        book(&mut days, 500, 0..3);
        let mut records = days.records().clone();
        spoil(&mut records);
        Days::restored(records, Day(500)).map(|_| ())
    };
    assert_eq!(with(|_| {}), Ok(()));
    assert!(with(|books| drop(books.insert(Day(501), DayBook::default()))).is_err());
    assert!(with(|books| drop(books.insert(Day(100), DayBook::default()))).is_err());
    assert_eq!(with(|books| drop(books.insert(Day(101), DayBook::default()))), Ok(()));
    let lopsided = |books: &mut BTreeMap<Day, DayBook>| {
        let mut days = Days::default();
        days.enter(Day(500), name(0), None, &UsageEntry::Lease);
        books.append(&mut days.records().clone());
    };
    assert!(with(lopsided).is_err());
    let boundless = |books: &mut BTreeMap<Day, DayBook>| {
        let mut days = Days::default();
        let entry = UsageEntry::Success { output_bytes: u64::MAX, is_late: false };
        days.enter(Day(500), name(0), Some(name(0)), &entry);
        books.append(&mut days.records().clone());
    };
    assert!(with(boundless).is_err());
}

#[test]
fn keys_are_given_in_pages_that_hold_each_of_them_once() {
    let genesis = std::sync::Arc::new(crate::types::Genesis {
        name: "test".into(),
        time: crate::types::BlockTime(0),
        authorities: vec![crate::types::Authority {
            name: "a".into(),
            key: SecretKey::from_seed([1; 32]).public(),
            addresses: Vec::new(),
        }],
        access: crate::types::Access::default(),
        consensus: crate::types::ConsensusParameters::default(),
        ledger: crate::types::LedgerLimits::default(),
        schedule: crate::types::ScheduleParameters::default(),
    });
    let mut ledger = Ledger::new(genesis);
    for (day, keys) in [(1, 0..10), (2, 5..17), (4, 3..4)] {
        book(ledger.records.usage_mut(), day, keys);
    }
    let (mut paged, mut after) = (Vec::new(), None);
    loop {
        let page = ledger.usage_by_key(Side::Worker, Day(1)..=Day(2), after, 4);
        assert!(page.len() <= 4);
        let Some((last, _)) = page.last() else { break };
        after = Some(*last);
        paged.extend(page);
    }
    assert_eq!(paged, ledger.usage_by_key(Side::Worker, Day(1)..=Day(2), None, 100));
    let leased: Vec<u64> = paged.iter().map(|(_, account)| account.attempts_leased).collect();
    assert_eq!(leased, (0..17).map(|key| if (5..10).contains(&key) { 2 } else { 1 }).collect::<Vec<_>>());
    assert_eq!(
        ledger.usage_by_day(Side::Worker, Some(name(3)), EVER).map(|(day, _)| day.0).collect::<Vec<_>>(),
        [1, 4]
    );
    assert_eq!(ledger.usage_by_day(Side::Worker, None, Day(4)..=Day(2)).count(), 0);
}
