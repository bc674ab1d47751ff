//! Occurrences of recurring jobs: a cron expression in the form in which the ledger computes with it.
//!
//! Every peer must find the same occurrences for ever. So nothing here depends on a library, a clock, a machine
//! or a table of time zones. Occurrences are whole minutes of UTC by the Gregorian calendar, without leap
//! seconds, as Unix counts them. The cli parses the text that people write.

#[cfg(test)]
mod tests;

use std::{fmt, iter::successors, ops::RangeInclusive};

use serde_tuple::{Deserialize_tuple, Serialize_tuple};

use super::BlockTime;

const MINUTE_US: u64 = 60_000_000;
const DAY_MINUTES: u64 = 1440;

/// Sets of minutes, hours, days and months, each a bit set. An occurrence is each minute that is in all of
/// them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize_tuple, Deserialize_tuple)]
pub struct Cron {
    /// Minutes of the hour: bits 0 to 59.
    pub minutes: u64,
    /// Hours of the day: bits 0 to 23.
    pub hours: u32,
    /// Days of the month: bits 1 to 31, and bit 0 for a month's last day, whichever it is.
    pub days: u32,
    /// Months: bits 1 to 12.
    pub months: u16,
    /// Days of the week: bits 0, Sunday, to 6, Saturday.
    pub weekdays: u8,
    /// Whether a day must be among the days of the month *and* among the days of the week. Otherwise one of
    /// them is enough.
    pub both: bool,
}

/// A day of the Gregorian calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Date {
    year: u64,
    /// From 1.
    month: u32,
    /// From 1.
    day: u32,
    /// From 0, Sunday.
    weekday: u32,
}

impl Date {
    /// The date this many days after 1 January 1970 (H. Hinnant, "chrono-Compatible Low-Level Date Algorithms",
    /// `civil_from_days`). Years are counted from 1 March, so that a leap day is the last day of a year.
    const fn of(days: u64) -> Self {
        const FOUR_CENTURIES: u64 = 146_097;
        let since = days + 719_468;
        let (era, day_of_era) = (since / FOUR_CENTURIES, since % FOUR_CENTURIES);
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * day_of_year + 2) / 153;
        let day = (day_of_year - (153 * from_march + 2) / 5 + 1) as u32;
        let month = (if from_march < 10 { from_march + 3 } else { from_march - 9 }) as u32;
        let year = era * 400 + year_of_era + (month <= 2) as u64;
        Self { year, month, day, weekday: weekday(days) }
    }
}

/// A month of the Gregorian calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Month {
    /// Its first day, counted from 1 January 1970.
    first: u64,
    /// From 1.
    number: u32,
    /// How many days it has.
    days: u32,
}

impl Month {
    /// The month that a day is in.
    const fn with(day: u64) -> Self {
        let Date { year, month, day: of_month, .. } = Date::of(day);
        let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let days = match month {
            2 if is_leap => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        Self { first: day + 1 - of_month as u64, number: month, days }
    }

    fn next(&self) -> Option<Self> {
        Some(Self::with(self.first + u64::from(self.days)))
    }

    /// The month before, if that is not before 1970.
    fn previous(&self) -> Option<Self> {
        self.first.checked_sub(1).map(Self::with)
    }
}

/// The day of the week of a day, from 0, Sunday.
const fn weekday(day: u64) -> u32 {
    ((day + 4) % 7) as u32
}

impl Cron {
    /// Every minute.
    pub const ALWAYS: Self = Self {
        minutes: (1 << 60) - 1,
        hours: (1 << 24) - 1,
        days: Self::DAYS,
        months: 0x1ffe,
        weekdays: 0x7f,
        both: true,
    };
    const DAYS: u32 = !1;

    /// How many months the next occurrence is looked for in: those of 400 years, after which the calendar begins anew
    /// (they are whole weeks), and the one to start in. What does not occur in them never does. 29 February is a
    /// Monday once in 28 years, and once in 40 around a year such as 2100.
    const MONTHS_SEARCHED: usize = 400 * 12 + 1;
    /// The most days over which occurrences are counted. The ledger's times end before.
    const DAYS_COUNTED_MAX: u64 = 250_000;

    /// Whether no bit is set that means nothing, and at least one of each kind is set.
    #[must_use]
    pub const fn is_sound(&self) -> bool {
        let Self { minutes, hours, days, months, weekdays, both: _ } = *self;
        let all = Self::ALWAYS;
        minutes & !all.minutes == 0
            && hours & !all.hours == 0
            && months & !all.months == 0
            && weekdays & !all.weekdays == 0
            && minutes != 0
            && hours != 0
            && days != 0
            && months != 0
            && weekdays != 0
    }

    /// The first occurrence after this time; `None` if it never occurs again.
    #[must_use]
    pub fn next_after(&self, time: BlockTime) -> Option<BlockTime> {
        let from = time.0 / MINUTE_US + 1;
        let (first, start) = (from / DAY_MINUTES, (from % DAY_MINUTES) as u32);
        let months = successors(Some(Month::with(first)), Month::next).take(Self::MONTHS_SEARCHED);
        let found = months.flat_map(|month| self.days_in(&month)).filter(|day| *day >= first).find_map(|day| {
            let minute = self.first_from(if day == first { start } else { 0 })?;
            Some((day, minute))
        });
        found.and_then(|(day, minute)| moment(day, minute))
    }

    /// The last occurrence at or before this time; `None` if there was none since 1970.
    #[must_use]
    pub fn last_until(&self, time: BlockTime) -> Option<BlockTime> {
        let until = time.0 / MINUTE_US;
        let (last, end) = (until / DAY_MINUTES, (until % DAY_MINUTES) as u32);
        let months = successors(Some(Month::with(last)), Month::previous).take(Self::MONTHS_SEARCHED);
        let found = months.flat_map(|month| self.days_in(&month).rev()).filter(|day| *day <= last).find_map(|day| {
            let minute = self.last_to(if day == last { end } else { DAY_MINUTES as u32 - 1 })?;
            Some((day, minute))
        });
        found.and_then(|(day, minute)| moment(day, minute))
    }

    /// How many occurrences come after `after`, up to and including `until`.
    #[must_use]
    pub fn count(&self, after: BlockTime, until: BlockTime) -> u64 {
        let (from, to) = (after.0 / MINUTE_US + 1, until.0 / MINUTE_US);
        if to < from {
            return 0;
        }
        let (first, last) = (from / DAY_MINUTES, (to / DAY_MINUTES).min(from / DAY_MINUTES + Self::DAYS_COUNTED_MAX));
        let whole = u64::from(self.minutes.count_ones() * self.hours.count_ones());
        let days = (first..=last).filter(|day| self.is_of(*day)).map(|day| {
            let start = if day == first { (from % DAY_MINUTES) as u32 } else { 0 };
            let end = if day == to / DAY_MINUTES { (to % DAY_MINUTES) as u32 } else { DAY_MINUTES as u32 - 1 };
            if start == 0 && end == DAY_MINUTES as u32 - 1 { whole } else { self.count_in_day(start..=end) }
        });
        days.sum()
    }

    /// Whether a day, counted from 1 January 1970, has occurrences.
    fn is_of(&self, days: u64) -> bool {
        let date = Date::of(days);
        if self.months >> date.month & 1 == 0 {
            return false;
        }
        let is_last = || Date::of(days + 1).day == 1;
        let of_month = self.days >> date.day & 1 == 1 || self.days & 1 == 1 && is_last();
        let of_week = self.weekdays >> date.weekday & 1 == 1;
        if self.both { of_month && of_week } else { of_month || of_week }
    }

    /// The days of a month that have occurrences, each counted from 1 January 1970.
    fn days_in(&self, month: &Month) -> impl DoubleEndedIterator<Item = u64> + use<> {
        let Month { first, number, days } = *month;
        let all = u32::MAX >> (31 - days) & Self::DAYS;
        let of_month = self.days | (self.days & 1) << days;
        // Weeks one after the other, from the day of the week that the month begins with.
        let weeks = (0..6).fold(0u64, |weeks, week| weeks | u64::from(self.weekdays) << (7 * week));
        let of_week = (weeks >> weekday(first) << 1) as u32;
        let of_both = if self.both { of_month & of_week } else { of_month | of_week };
        let found = if self.months >> number & 1 == 1 { of_both & all } else { 0 };
        (1..=31u64).filter(move |day| found >> day & 1 == 1).map(move |day| first + day - 1)
    }

    /// The first minute of an occurrence within a day, from this minute on.
    fn first_from(&self, start: u32) -> Option<u32> {
        (start / 60..24).filter(|hour| self.hours >> hour & 1 == 1).find_map(|hour| {
            let from = if hour == start / 60 { start % 60 } else { 0 };
            let rest = self.minutes >> from;
            (rest != 0).then(|| hour * 60 + from + rest.trailing_zeros())
        })
    }

    /// The last minute of an occurrence within a day, up to this minute.
    fn last_to(&self, end: u32) -> Option<u32> {
        (0..=end / 60).rev().filter(|hour| self.hours >> hour & 1 == 1).find_map(|hour| {
            let to = if hour == end / 60 { end % 60 } else { 59 };
            let rest = self.minutes & (u64::MAX >> (63 - to));
            rest.checked_ilog2().map(|minute| hour * 60 + minute)
        })
    }

    fn count_in_day(&self, minutes: RangeInclusive<u32>) -> u64 {
        let is_of = |minute: &u32| self.hours >> (minute / 60) & 1 == 1 && self.minutes >> (minute % 60) & 1 == 1;
        minutes.filter(is_of).count() as u64
    }
}

/// The time of this minute of this day; `None` beyond the end of time.
fn moment(day: u64, minute: u32) -> Option<BlockTime> {
    (day * DAY_MINUTES + u64::from(minute)).checked_mul(MINUTE_US).map(BlockTime)
}

/// One field of the text: `*`, or numbers and ranges of them, or a step through all.
fn field(bits: u64, range: RangeInclusive<u32>, star: bool) -> String {
    let values: Vec<u32> = range.clone().filter(|value| bits >> value & 1 == 1).collect();
    if values.len() == range.clone().count() {
        return if star { "*".into() } else { format!("{}-{}", range.start(), range.end()) };
    }
    if let [first, second, .., last] = values[..]
        && star
        && first == *range.start()
        && second - first > 1
        && last + (second - first) > *range.end()
        && values.windows(2).all(|pair| pair[1] - pair[0] == second - first)
    {
        return format!("*/{}", second - first);
    }
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for value in values {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == value => *last = value,
            _ => runs.push((value, value)),
        }
    }
    let text = |(first, last): &(u32, u32)| match last - first {
        0 => first.to_string(),
        1 => format!("{first},{last}"),
        _ => format!("{first}-{last}"),
    };
    runs.iter().map(text).collect::<Vec<_>>().join(",")
}

/// Writes a cron expression of five fields. A `+` before the days of the week says that a day must be among
/// these *and* among the days of the month, where both are restricted.
impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { minutes, hours, days, months, weekdays, both } = *self;
        // A star in one of the two fields of days means that only the other counts.
        let mut of_month = field(u64::from(days & Self::DAYS), 1..=31, both);
        if days & 1 == 1 && days & Self::DAYS != Self::DAYS {
            of_month =
                if of_month.is_empty() { "L".into() } else { format!("{},L", field(days.into(), 1..=31, false)) };
        }
        let of_week = field(weekdays.into(), 0..=6, both);
        let plus = if both && of_month != "*" && of_week != "*" { "+" } else { "" };
        let (minutes, hours) = (field(minutes, 0..=59, true), field(hours.into(), 0..=23, true));
        write!(f, "{minutes} {hours} {of_month} {} {plus}{of_week}", field(months.into(), 1..=12, true))
    }
}
