//! When and how a job recurs, as people write it: cron expressions and policy names.

use croner::parser::{CronParser, Seconds, Year};
use meshwork_core::types::{BlockTime, CatchUp, Cron, Overlap, Recurring, Submit};

use crate::time::now_us;

/// A hint on how to write a cron expression.
pub const CRON_HINT: &str = "write minute, hour, day of the month, month and day of the week, in UTC, such as \"0 3 * * *\" or \
                             \"*/15 9-17 * * MON-FRI\", or @daily";

/// How many coming occurrences are shown before anything is sent.
pub const OCCURRENCES_SHOWN: usize = 5;

/// The catch-up policies, by name.
pub const CATCH_UP: [(&str, CatchUp); 3] = [("skip", CatchUp::Skip), ("once", CatchUp::Once), ("all", CatchUp::All)];

/// The overlap policies, by name.
pub const OVERLAP: [(&str, Overlap); 4] = [
    ("skip", Overlap::Skip),
    ("queue", Overlap::Queue),
    ("alongside", Overlap::Alongside),
    ("cancel", Overlap::Cancel),
];

/// When and how a job recurs.
#[derive(Clone, Debug)]
pub struct Recurrence {
    /// The occurrences.
    pub cron: Cron,
    /// What happens to missed occurrences.
    pub catch_up: CatchUp,
    /// What happens to an occurrence while the job of an earlier one still runs.
    pub overlap: Overlap,
    /// No occurrence is before this.
    pub from: Option<BlockTime>,
    /// No occurrence is after this.
    pub until: Option<BlockTime>,
    /// The most occurrences that run.
    pub runs_max: Option<u64>,
    /// How long after its occurrence a job should have ended, in milliseconds.
    pub deadline_ms: Option<u64>,
}

impl Recurrence {
    /// A recurring job with these rules.
    pub fn of(&self, job: Submit) -> Recurring {
        let Self { cron, catch_up, overlap, from, until, runs_max, deadline_ms } = *self;
        Recurring { job, cron, catch_up, overlap, from, until, runs_max, deadline_ms }
    }

    /// The next few occurrences.
    pub fn occurrences(&self) -> Vec<BlockTime> {
        let most = self
            .runs_max
            .map_or(OCCURRENCES_SHOWN, |runs| OCCURRENCES_SHOWN.min(usize::try_from(runs).unwrap_or(usize::MAX)));
        self.of(Submit::named("")).occurrences_after(BlockTime(now_us()), most)
    }
}

/// Parses a cron expression.
///
/// # Errors
/// The text is not a cron expression, the ledger has no form for it, or it never occurs; the message says which.
pub fn parse_cron(text: &str) -> Result<Cron, String> {
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    let pattern = parser.parse(text).map_err(|error| error.to_string().trim_end_matches('.').to_owned())?.pattern;
    // Of everything that depends on the month, the ledger knows only a month's last day.
    let days_text = pattern.as_str().split_whitespace().nth(2).unwrap_or_default();
    let is_last = pattern.days.has_modifiers();
    let unknown = days_text.contains('W') || days_text.split(',').any(|item| item.contains('L') && item != "L");
    if unknown || pattern.days_of_week.has_modifiers() {
        return Err("`W`, `#`, and `L` with anything else, have no meaning here".into());
    }
    let bits =
        |values: Vec<u16>| values.into_iter().filter(|value| *value < 64).fold(0u64, |bits, value| bits | 1 << value);
    let narrow = |bits: u64| u32::try_from(bits).unwrap_or_default();
    let cron = Cron {
        minutes: bits(pattern.minutes.values()),
        hours: narrow(bits(pattern.hours.values())),
        days: narrow(bits(pattern.days.values())) | u32::from(is_last),
        months: u16::try_from(bits(pattern.months.values())).unwrap_or_default(),
        weekdays: u8::try_from(bits(pattern.days_of_week.values())).unwrap_or_default(),
        both: pattern.is_dom_wildcard() || pattern.is_dow_wildcard() || pattern.matches_dom_and_dow(),
    };
    if !cron.is_sound() {
        return Err("a field of it is empty".into());
    }
    match cron.next_after(BlockTime(now_us())) {
        Some(_) => Ok(cron),
        None => Err("that never comes".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cron_expressions_are_read_into_what_the_ledger_computes_with() {
        for (text, as_read) in [
            ("0 3 * * *", "0 3 * * *"),
            ("*/15 9-17 * * MON-FRI", "*/15 9-17 * * 1-5"),
            ("0 0 1,15 jan,JUL *", "0 0 1,15 1,7 *"),
            ("0 12 13 * 5", "0 12 13 * 5"),
            ("0 12 13 * +5", "0 12 13 * +5"),
            ("30 4 * * 7", "30 4 * * 0"),
            ("0 0 L * *", "0 0 L * *"),
            ("0 0 15,L * ?", "0 0 15,L * *"),
            ("@daily", "0 0 * * *"),
            ("@hourly", "0 * * * *"),
        ] {
            let cron = parse_cron(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(cron.to_string(), as_read, "{text}");
            assert_eq!(parse_cron(as_read), Ok(cron), "{text}");
        }
    }

    #[test]
    fn what_the_ledger_has_no_form_for_is_refused() {
        for text in
            ["", "* * * *", "0 0 0 1 1 *", "60 * * * *", "0 0 * * 5#2", "0 0 * * 5L", "0 0 15W * *", "0 0 LW * *", "x"]
        {
            assert!(parse_cron(text).is_err(), "{text}");
        }
        assert_eq!(parse_cron("0 0 30 2 *"), Err("that never comes".into()));
    }
}
