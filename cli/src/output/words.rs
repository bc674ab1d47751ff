//! Formats single values for people.

use std::time::Duration;

use bytesize::ByteSize;
use meshwork_api::{RecurringState, TaskCounts, TaskState};

/// The first digits of an id: enough to tell it apart. Commands accept them.
pub fn short(id: &impl ToString) -> String {
    id.to_string().chars().take(12).collect()
}

/// Bytes in a suitable unit.
pub fn bytes(count: u64) -> String {
    ByteSize(count).to_string()
}

/// Milliseconds in suitable units.
pub fn duration(ms: u64) -> String {
    let coarse = match ms {
        0..10_000 => ms,
        _ => ms / 1000 * 1000,
    };
    humantime::format_duration(Duration::from_millis(coarse)).to_string()
}

/// How long before now a block time was.
pub fn ago(time_us: u64, now_us: u64) -> String {
    format!("{} ago", duration(now_us.saturating_sub(time_us) / 1000 / 1000 * 1000))
}

/// A task's state, as the documentation calls it.
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
        TaskState::Barred => "submitter barred",
        TaskState::EndedHosts => "program ended its hosts",
        TaskState::Unclaimed => "no claim could hold it",
    }
}

/// A recurring job's state.
pub const fn recurring_state(state: RecurringState) -> &'static str {
    match state {
        RecurringState::Active => "active",
        RecurringState::Paused => "paused",
        RecurringState::Ended => "ended",
        RecurringState::Deleted => "deleted",
        RecurringState::Barred => "submitter barred",
    }
}

/// The counts of tasks that are not zero.
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
    fn values_are_written_for_people() {
        assert_eq!(duration(1500), "1s 500ms");
        assert_eq!(duration(61_500), "1m 1s");
        assert_eq!(ago(1_000_000, 4_500_000), "3s ago");
        assert_eq!(counts(&TaskCounts::default()), "none");
        assert_eq!(counts(&TaskCounts { ready: 2, failed: 1, ..TaskCounts::default() }), "2 ready, 1 failed");
    }
}
