//! Moments, days and spans of time: reads this machine's clock, and reads and writes times as people do.

use std::{
    fmt::Write,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use meshwork_core::{ledger::Day, types::BlockTime};

/// Seconds in a day.
const DAY_S: u64 = 86_400;

/// How far the clocks of this machine and of the network may be apart, in microseconds.
pub const CLOCKS_DIFFER_US: u64 = 2_000_000;

fn since_epoch_us(moment: SystemTime) -> Option<u64> {
    let since = moment.duration_since(UNIX_EPOCH).ok()?;
    Some(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}

/// Microseconds since the Unix epoch, by this machine's clock.
pub fn now_us() -> u64 {
    since_epoch_us(SystemTime::now()).unwrap_or_default()
}

/// The time left until a moment, in milliseconds; 0 once it has passed. The moment is in microseconds since the Unix
/// epoch.
pub fn until_ms(time_us: u64) -> u64 {
    time_us.saturating_sub(now_us()) / 1000
}

/// Whole milliseconds.
pub fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Parses a moment: a span from now on, or a date and time in UTC.
///
/// # Errors
/// The text is neither; the message says what to write.
pub fn parse_moment(text: &str) -> Result<BlockTime, String> {
    if let Ok(from_now) = humantime::parse_duration(text) {
        return Ok(BlockTime(now_us()).plus_ms(milliseconds(from_now)));
    }
    let moment = humantime::parse_rfc3339_weak(text).map_err(|_| {
        "write so long from now, such as 90m, or a moment in UTC, such as 2030-01-31T18:00:00Z".to_owned()
    })?;
    since_epoch_us(moment).map(BlockTime).ok_or_else(|| "that was before 1970".to_owned())
}

/// Writes a moment in UTC, to the second. The moment is in microseconds since the Unix epoch.
pub fn moment(time_us: u64) -> String {
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_micros(time_us)).to_string()
}

/// Writes a day in UTC as YYYY-MM-DD, or as its number if no calendar has it.
pub fn date(day: u32) -> String {
    let moment = UNIX_EPOCH.checked_add(Duration::from_secs(u64::from(day) * DAY_S));
    let mut text = String::new();
    match moment.map(|moment| write!(text, "{}", humantime::format_rfc3339_seconds(moment))) {
        Some(Ok(())) => text.chars().take_while(|character| *character != 'T').collect(),
        _ => format!("day {day}"),
    }
}

/// Parses a date.
///
/// # Errors
/// The text is not a date; the message says what to write.
pub fn parse_date(text: &str) -> Result<Day, String> {
    let moment = humantime::parse_rfc3339(&format!("{text}T00:00:00Z"))
        .map_err(|_| "write a day in UTC as YYYY-MM-DD, such as 2030-01-31".to_owned())?;
    let since = moment.duration_since(UNIX_EPOCH).map_err(|_| "that was before 1970".to_owned())?;
    Ok(Day(u32::try_from(since.as_secs() / DAY_S).unwrap_or(u32::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_written_and_read_as_dates() {
        assert_eq!((date(0), date(20_484)), ("1970-01-01".into(), "2026-01-31".into()));
        assert_eq!(date(u32::MAX), "day 4294967295");
        assert_eq!(parse_date("2026-01-31"), Ok(Day(20_484)));
        for text in ["", "2026", "2026-13-01", "31.1.2026", "1969-12-31", "2026-01-31T00:00:00Z"] {
            assert!(parse_date(text).is_err(), "{text}");
        }
    }

    #[test]
    fn moments_are_written_in_utc() {
        assert_eq!(moment(1_795_305_600_000_000), "2026-11-22T00:00:00Z");
    }
}
