//! How single values are written for people.

use std::{
    fmt::Write,
    time::{Duration, UNIX_EPOCH},
};

use bytesize::ByteSize;
use meshwork_core::ledger::Day;
use meshwork_node::api::views::{RecurringState, TaskCounts, TaskState};

/// Seconds in a day.
const DAY_S: u64 = 86_400;

/// The first digits of an id: enough to tell it apart, and commands take them back.
pub fn short(id: &impl ToString) -> String {
    id.to_string().chars().take(12).collect()
}

/// Bytes in the unit that suits them.
pub fn bytes(count: u64) -> String {
    ByteSize(count).to_string()
}

/// Milliseconds in the units that suit them.
pub fn duration(ms: u64) -> String {
    let coarse = match ms {
        0..10_000 => ms,
        _ => ms / 1000 * 1000,
    };
    humantime::format_duration(Duration::from_millis(coarse)).to_string()
}

/// A day of UTC as YYYY-MM-DD; one that no calendar has as its number.
pub fn date(day: u32) -> String {
    let moment = UNIX_EPOCH.checked_add(Duration::from_secs(u64::from(day) * DAY_S));
    let mut text = String::new();
    match moment.map(|moment| write!(text, "{}", humantime::format_rfc3339_seconds(moment))) {
        Some(Ok(())) => text.chars().take_while(|character| *character != 'T').collect(),
        _ => format!("day {day}"),
    }
}

/// The day that a person means.
///
/// # Errors
/// It is none; the text says what to write.
pub fn parse_date(text: &str) -> Result<Day, String> {
    let moment = humantime::parse_rfc3339(&format!("{text}T00:00:00Z"))
        .map_err(|_| "write a day in UTC as YYYY-MM-DD, such as 2030-01-31".to_owned())?;
    let since = moment.duration_since(UNIX_EPOCH).map_err(|_| "that was before 1970".to_owned())?;
    Ok(Day(u32::try_from(since.as_secs() / DAY_S).unwrap_or(u32::MAX)))
}

/// How long ago a block time was, seen from now.
pub fn ago(time_us: u64, now_us: u64) -> String {
    format!("{} ago", duration(now_us.saturating_sub(time_us) / 1000 / 1000 * 1000))
}

/// Microseconds since the Unix epoch, by this machine's clock.
pub fn now_us() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_micros()).unwrap_or(u64::MAX)
}

/// A state as the ledger's documents call it.
pub const fn state(state: TaskState) -> &'static str {
    match state {
        TaskState::Blocked => "blocked",
        TaskState::Held => "held",
        TaskState::Ready => "ready",
        TaskState::BackingOff => "backing off",
        TaskState::Waiting => "waiting",
        TaskState::Running => "running",
        TaskState::Succeeded => "succeeded",
        TaskState::Failed => "failed",
        TaskState::Cancelled => "cancelled",
        TaskState::Skipped => "skipped",
        TaskState::Expired => "expired",
    }
}

/// How a recurring job stands.
pub const fn recurring_state(state: RecurringState) -> &'static str {
    match state {
        RecurringState::Active => "active",
        RecurringState::Paused => "paused",
        RecurringState::Ended => "ended",
        RecurringState::Deleted => "deleted",
    }
}

/// Counts of tasks, those that are not zero.
pub fn counts(counts: &TaskCounts) -> String {
    let TaskCounts { blocked, held, ready, running, waiting, succeeded, failed, cancelled, skipped } = *counts;
    let named = [
        (ready, "ready"),
        (waiting, "waiting"),
        (running, "running"),
        (succeeded, "succeeded"),
        (failed, "failed"),
        (cancelled, "cancelled"),
        (skipped, "skipped"),
        (blocked, "blocked"),
        (held, "held"),
    ];
    let parts: Vec<String> =
        named.iter().filter(|(count, _)| *count > 0).map(|(count, name)| format!("{count} {name}")).collect();
    if parts.is_empty() { "none".into() } else { parts.join(", ") }
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
    fn values_are_written_for_people() {
        assert_eq!(duration(1500), "1s 500ms");
        assert_eq!(duration(61_500), "1m 1s");
        assert_eq!(ago(1_000_000, 4_500_000), "3s ago");
        assert_eq!(counts(&TaskCounts::default()), "none");
        assert_eq!(counts(&TaskCounts { ready: 2, failed: 1, ..TaskCounts::default() }), "2 ready, 1 failed");
    }
}
