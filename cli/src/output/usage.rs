//! Formats usage accounts.

use meshwork_api::AccountView;

use super::words::{bytes, duration};

/// A column of an account: its name, and what stands in it.
type Column = (&'static str, fn(&AccountView) -> String);

/// The columns of an account, for people.
pub const COLUMNS: [Column; 13] = [
    ("tasks", |account| account.tasks_submitted.to_string()),
    ("attempts", |account| account.attempts_leased.to_string()),
    ("ok", |account| account.attempts_succeeded.to_string()),
    ("failed", |account| account.attempts_failed.to_string()),
    ("lost", |account| account.attempts_lost.to_string()),
    ("returned", |account| account.attempts_returned.saturating_add(account.attempts_preempted).to_string()),
    ("cancelled", |account| account.attempts_cancelled.to_string()),
    ("cpu", |account| duration(account.cpu_us / 1000)),
    ("held", |account| duration(account.slot_ms)),
    ("cores", |account| duration(account.reserved_core_us / 1000)),
    ("memory", |account| memory_time(account.reserved_mib_ms)),
    ("wasted", |account| duration(account.lost_core_us / 1000)),
    ("output", |account| bytes(account.output_bytes)),
];

/// Memory times time, in a suitable unit.
fn memory_time(mib_ms: u64) -> String {
    const MIB_MS_OF_GIB_HOUR: f64 = 1024.0 * 3_600_000.0;
    let gib_hours = mib_ms as f64 / MIB_MS_OF_GIB_HOUR;
    if gib_hours >= 1.0 { format!("{gib_hours:.1} GiB·h") } else { format!("{:.1} MiB·s", mib_ms as f64 / 1000.0) }
}

#[cfg(test)]
mod tests {
    use meshwork_core::ledger::Account;

    use super::*;

    #[test]
    fn memory_times_time_is_written_in_the_unit_that_suits_it() {
        assert_eq!(memory_time(1500), "1.5 MiB·s");
        assert_eq!(memory_time(1024 * 3_600_000 * 5 / 2), "2.5 GiB·h");
    }

    #[test]
    fn the_names_of_figures_are_those_of_the_api() {
        let account = Account { cpu_us: 7, output_bytes: 9, ..Account::default() };
        let json = serde_json::to_value(AccountView::from(account)).expect("JSON");
        assert_eq!(json.as_object().map(serde_json::Map::len), Some(Account::NAMES.len()));
        let mut named = Account::NAMES.iter().zip(account.figures());
        assert!(named.all(|(name, figure)| json[*name].as_u64() == Some(figure)), "{json}");
    }
}
