//! How accounts are written.

use meshwork_node::api::views::AccountView;

use super::words::{bytes, duration};

/// The columns of an account, for people.
pub const COLUMNS: [&str; 13] = [
    "tasks",
    "attempts",
    "ok",
    "failed",
    "lost",
    "returned",
    "cancelled",
    "cpu",
    "held",
    "cores",
    "memory",
    "wasted",
    "output",
];

/// An account for people, by [`COLUMNS`].
pub fn cells(account: &AccountView) -> [String; 13] {
    [
        account.tasks_submitted.to_string(),
        account.attempts_leased.to_string(),
        account.attempts_succeeded.to_string(),
        account.attempts_failed.to_string(),
        account.attempts_lost.to_string(),
        account.attempts_returned.saturating_add(account.attempts_yielded).to_string(),
        account.attempts_cancelled.to_string(),
        duration(account.cpu_us / 1000),
        duration(account.slot_ms),
        duration(account.reserved_core_us / 1000),
        memory_time(account.reserved_mib_ms),
        duration(account.lost_core_us / 1000),
        bytes(account.output_bytes),
    ]
}

/// All figures of an account with the names that scripts know them by, units last.
pub const fn figures(account: &AccountView) -> [(&'static str, u64); 15] {
    let AccountView {
        tasks_submitted,
        attempts_leased,
        attempts_succeeded,
        attempts_failed,
        attempts_lost,
        attempts_returned,
        attempts_yielded,
        attempts_cancelled,
        late_successes,
        cpu_us,
        slot_ms,
        reserved_core_us,
        reserved_mib_ms,
        lost_core_us,
        output_bytes,
    } = *account;
    [
        ("tasks_submitted", tasks_submitted),
        ("attempts_leased", attempts_leased),
        ("attempts_succeeded", attempts_succeeded),
        ("attempts_failed", attempts_failed),
        ("attempts_lost", attempts_lost),
        ("attempts_returned", attempts_returned),
        ("attempts_yielded", attempts_yielded),
        ("attempts_cancelled", attempts_cancelled),
        ("late_successes", late_successes),
        ("cpu_us", cpu_us),
        ("slot_ms", slot_ms),
        ("reserved_core_us", reserved_core_us),
        ("reserved_mib_ms", reserved_mib_ms),
        ("lost_core_us", lost_core_us),
        ("output_bytes", output_bytes),
    ]
}

/// Memory times time, in the unit that suits it.
fn memory_time(mib_ms: u64) -> String {
    const MIB_MS_OF_GIB_HOUR: f64 = 1024.0 * 3_600_000.0;
    let gib_hours = mib_ms as f64 / MIB_MS_OF_GIB_HOUR;
    if gib_hours >= 1.0 { format!("{gib_hours:.1} GiB·h") } else { format!("{:.1} MiB·s", mib_ms as f64 / 1000.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_times_time_is_written_in_the_unit_that_suits_it() {
        assert_eq!(memory_time(1500), "1.5 MiB·s");
        assert_eq!(memory_time(1024 * 3_600_000 * 5 / 2), "2.5 GiB·h");
    }

    #[test]
    fn the_names_of_figures_are_those_of_the_api() {
        let account = AccountView { cpu_us: 7, output_bytes: 9, ..AccountView::default() };
        let json = serde_json::to_value(account).expect("JSON");
        let names = figures(&account);
        assert_eq!(json.as_object().map(serde_json::Map::len), Some(names.len()));
        assert!(names.iter().all(|(name, figure)| json[*name].as_u64() == Some(*figure)), "{json}");
    }
}
