//! Tests the calendar, and occurrences, against the crates `chrono` and `croner`.

use chrono::{DateTime, Datelike, TimeDelta, Utc};
use croner::parser::{CronParser, Seconds, Year};
use proptest::prelude::*;

use super::*;

/// 1 January 2500: the ledger's times end there.
const DAYS: u64 = 193_579;

fn utc(time: BlockTime) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(i64::try_from(time.0).expect("within time")).expect("within time")
}

fn time(utc: DateTime<Utc>) -> BlockTime {
    BlockTime(u64::try_from(utc.timestamp_micros()).expect("since 1970"))
}

#[test]
fn every_day_from_1970_to_2500_is_that_of_another_calendar() {
    let mut day = DateTime::UNIX_EPOCH;
    for days in 0..DAYS {
        let date = Date::of(days);
        let other = (day.year() as u64, day.month(), day.day(), day.weekday().num_days_from_sunday());
        assert_eq!((date.year, date.month, date.day, date.weekday), other);
        day += TimeDelta::days(1);
    }
    assert_eq!((day.year(), day.ordinal()), (2500, 1));
}

fn theirs(text: &str) -> croner::Cron {
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    parser.parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// What `croner` reads in a text, except for `L`.
fn read(text: &str) -> Cron {
    let pattern = theirs(text).pattern;
    let bits = |values: Vec<u16>| values.into_iter().fold(0u64, |bits, value| bits | 1 << value);
    Cron {
        minutes: bits(pattern.minutes.values()),
        hours: bits(pattern.hours.values()) as u32,
        days: bits(pattern.days.values()) as u32,
        months: bits(pattern.months.values()) as u16,
        weekdays: bits(pattern.days_of_week.values()) as u8,
        both: pattern.is_dom_wildcard() || pattern.is_dow_wildcard() || pattern.matches_dom_and_dow(),
    }
}

/// Sets of the range: all of it, one value, some, or every nth.
fn bits(range: RangeInclusive<u32>) -> impl Strategy<Value = u64> {
    let (first, last) = (*range.start(), *range.end());
    let all = || range.clone().fold(0u64, |bits, value| bits | 1 << value);
    let full = all();
    prop_oneof![
        2 => Just(full),
        2 => (first..=last).prop_map(|value| 1 << value),
        1 => any::<u64>().prop_map(move |bits| if bits & full == 0 { full } else { bits & full }),
        1 => prop::collection::vec(first..=last, 1..4).prop_map(|values| values.iter().fold(0, |bits, value| bits | 1 << value)),
        1 => (2..=last).prop_map(move |step| (first..=last).step_by(step as usize).fold(0, |bits, value| bits | 1 << value)),
    ]
}

/// The days in which the calendar begins anew.
const CYCLE: u64 = 146_097;

/// The next occurrence, found by looking at each day of the calendar's cycle.
fn next_by_day(cron: &Cron, time: BlockTime) -> Option<BlockTime> {
    let from = time.0 / MINUTE_US + 1;
    let (first, start) = (from / DAY_MINUTES, (from % DAY_MINUTES) as u32);
    let of_day =
        |day: u64| cron.first_from(if day == first { start } else { 0 }).and_then(|minute| moment(day, minute));
    (first..=first + CYCLE).filter(|day| cron.is_of(*day)).find_map(of_day)
}

/// The last occurrence, likewise.
fn last_by_day(cron: &Cron, time: BlockTime) -> Option<BlockTime> {
    let until = time.0 / MINUTE_US;
    let (last, end) = (until / DAY_MINUTES, (until % DAY_MINUTES) as u32);
    let of_day = |day: u64| cron.last_to(if day == last { end } else { 1439 }).and_then(|minute| moment(day, minute));
    (0..=last).rev().filter(|day| cron.is_of(*day)).find_map(of_day)
}

fn cron() -> impl Strategy<Value = Cron> {
    let days = (bits(1..=31), prop::bool::weighted(0.15));
    (bits(0..=59), bits(0..=23), days, bits(1..=12), bits(0..=6), any::<bool>()).prop_map(
        |(minutes, hours, (days, last), months, weekdays, both)| Cron {
            minutes,
            hours: hours as u32,
            days: days as u32 | u32::from(last && days as u32 != Cron::DAYS),
            months: months as u16,
            weekdays: weekdays as u8,
            both,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn an_expression_is_read_as_it_was_written(cron in cron()) {
        let text = cron.to_string();
        let mut read = read(&text);
        // If one of the fields of days holds every day, both rules mean the same only if it is a star.
        prop_assert!(cron.is_sound());
        read.days |= cron.days & 1;
        prop_assert_eq!(read, cron, "{}", text);
    }

    #[test]
    fn moments_are_those_that_another_finds(cron in cron(), at in 0..DAYS * 86_400_000_000) {
        let theirs = theirs(&cron.to_string());
        let mut at = BlockTime(at);
        for _ in 0..4 {
            let before = cron.last_until(at);
            prop_assert_eq!(before, last_by_day(&cron, at));
            // Within a few years, the other finds what there is.
            let within = |found: &DateTime<Utc>| (utc(at) - *found).abs() < TimeDelta::days(8 * 366 - 1);
            let their_before = theirs.find_previous_occurrence(&utc(at), true).ok().filter(|moment| moment.year() >= 1970);
            prop_assert_eq!(before.map(utc).filter(within), their_before.filter(within));
            let next = cron.next_after(at);
            prop_assert_eq!(next, next_by_day(&cron, at), "{} after {}", cron, utc(at));
            let their_next = theirs.find_next_occurrence(&utc(at), false).ok();
            prop_assert_eq!(next.map(utc).filter(within), their_next.filter(within), "{} after {}", cron, utc(at));
            let Some(next) = next else { break };
            prop_assert_eq!(cron.last_until(BlockTime(next.0 - 1)), before);
            prop_assert_eq!(cron.count(at, next), 1);
            prop_assert_eq!(cron.count(at, BlockTime(next.0 - 1)), 0);
            at = next;
        }
    }

    #[test]
    fn moments_are_counted(cron in cron(), at in 0..DAYS * 86_400_000_000, later in 0..40 * 86_400_000_000u64) {
        let until = BlockTime(at + later);
        let (mut count, mut moment) = (0, BlockTime(at));
        while let Some(next) = cron.next_after(moment).filter(|next| *next <= until) {
            (count, moment) = (count + 1, next);
        }
        prop_assert_eq!(cron.count(BlockTime(at), until), count);
    }
}

fn at(text: &str) -> BlockTime {
    time(text.parse().expect("a moment"))
}

#[test]
fn what_people_write_is_what_comes() {
    let cases = [
        ("0 3 * * *", "2026-11-22T03:00:00Z", "2026-11-23T03:00:00Z"),
        ("0 3 * * *", "2026-11-22T02:59:59.999999Z", "2026-11-22T03:00:00Z"),
        ("*/15 9-17 * * MON-FRI", "2026-11-20T17:45:00Z", "2026-11-23T09:00:00Z"),
        ("0 0 29 2 *", "2096-03-01T00:00:00Z", "2104-02-29T00:00:00Z"),
        ("0 12 13 * FRI", "2026-11-09T00:00:00Z", "2026-11-13T12:00:00Z"),
        ("0 12 13 * +FRI", "2026-11-14T00:00:00Z", "2027-08-13T12:00:00Z"),
        ("30 4 1,15 * 5", "2026-11-16T00:00:00Z", "2026-11-20T04:30:00Z"),
        ("@yearly", "2026-11-22T00:00:00Z", "2027-01-01T00:00:00Z"),
        ("0 0 * * 7", "2026-11-22T00:00:00Z", "2026-11-29T00:00:00Z"),
        ("0 0 29 2 +MON", "2026-11-22T00:00:00Z", "2044-02-29T00:00:00Z"),
        ("0 0 29 2 +MON", "2072-02-29T00:00:00Z", "2112-02-29T00:00:00Z"),
    ];
    for (text, from, next) in cases {
        assert_eq!(read(text).next_after(at(from)).map(utc), Some(utc(at(next))), "{text}");
    }
    let last = Cron { days: 1, ..read("0 0 1 * *") };
    assert_eq!(last.to_string(), "0 0 L * *");
    assert_eq!(last.next_after(at("2028-02-01T00:00:00Z")), Some(at("2028-02-29T00:00:00Z")));
}

#[test]
fn what_never_comes_is_found_to_never_come() {
    assert_eq!(read("0 0 30 2 *").next_after(BlockTime(0)), None);
    assert_eq!(read("0 0 31 4,6,9,11 *").next_after(BlockTime(0)), None);
    assert_eq!(Cron::ALWAYS.next_after(BlockTime(u64::MAX)), None);
    assert_eq!(Cron::ALWAYS.last_until(BlockTime(u64::MAX)), Some(BlockTime(u64::MAX / MINUTE_US * MINUTE_US)));
    assert!(Cron::ALWAYS.count(BlockTime(0), BlockTime(u64::MAX)) > 0);
    assert_eq!(Cron::ALWAYS.count(BlockTime(60_000_000), BlockTime(59_999_999)), 0);
}

#[test]
fn bits_that_mean_nothing_are_unsound() {
    let good = Cron::ALWAYS;
    assert!(good.is_sound() && Cron { days: 1, ..good }.is_sound());
    for bad in [
        Cron { minutes: 1 << 60, ..good },
        Cron { hours: 1 << 24, ..good },
        Cron { months: 1, ..good },
        Cron { months: 1 << 13, ..good },
        Cron { weekdays: 1 << 7, ..good },
        Cron { minutes: 0, ..good },
        Cron { hours: 0, ..good },
        Cron { days: 0, ..good },
        Cron { months: 0, ..good },
        Cron { weekdays: 0, ..good },
    ] {
        assert!(!bad.is_sound(), "{bad:?}");
    }
}
