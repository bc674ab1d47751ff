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

/// What happens to an occurrence while the job of an earlier one still runs. Without a word on it, it is skipped, or
/// queued where all missed occurrences are to run: those come at once, one after the other.
///
/// # Errors
/// Of the missed occurrences that are all to run, only one would. The message says what to write.
pub fn overlap_beside(catch_up: CatchUp, given: Option<Overlap>) -> Result<Overlap, String> {
    match (catch_up, given) {
        (CatchUp::All, None) => Ok(Overlap::Queue),
        (CatchUp::All, Some(Overlap::Skip | Overlap::Cancel)) => Err(
            "missed occurrences come all at once, so of \"all\" of them only one would run to its end: queue them, or run them alongside"
                .into(),
        ),
        (_, given) => Ok(given.unwrap_or_default()),
    }
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
    check_steps(pattern.as_str())?;
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

/// The fields of an expression: what each is called, and its least and largest number.
const FIELDS: [(&str, u32, u32); 5] =
    [("minutes", 0, 59), ("hours", 0, 23), ("days of the month", 1, 31), ("months", 1, 12), ("days of the week", 0, 7)];

/// Checks that each step leads to a second value of its field. `*/90` in the minutes is no way to say every 90 minutes:
/// it means minute 0 alone.
fn check_steps(text: &str) -> Result<(), String> {
    for (field, (called, least, largest)) in text.split_whitespace().zip(FIELDS) {
        for item in field.trim_start_matches('+').split(',') {
            let Some((range, step)) = item.split_once('/') else { continue };
            let number = |text: &str| number_of(text).filter(|number| (least..=largest).contains(number));
            let (from, to) = match range.split_once('-') {
                Some((from, to)) => (number(from), number(to)),
                // Day 7 of the week is day 0 again.
                None => (Some(least), Some(if largest == 7 { 6 } else { largest })),
            };
            let span = to.zip(from).map(|(to, from)| to.saturating_sub(from));
            if let (Some(span), Ok(step)) = (span, step.parse::<u32>())
                && step > span
            {
                return Err(format!(
                    "`{item}` has a step of {step}, which leads beyond the {called}, so that only the first value is left"
                ));
            }
        }
    }
    Ok(())
}

/// The number that a word of an expression stands for.
fn number_of(word: &str) -> Option<u32> {
    const MONTHS: [&str; 12] = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
    const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];
    let named = |names: &[&str], first: u32| {
        (first..).zip(names).find(|(_, name)| word.eq_ignore_ascii_case(name)).map(|(number, _)| number)
    };
    word.parse().ok().or_else(|| named(&MONTHS, 1)).or_else(|| named(&WEEKDAYS, 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_that_leads_beyond_its_field_is_refused() {
        for text in [
            "*/90 * * * *",
            "*/60 * * * *",
            "0 */24 * * *",
            "0 0 */31 * *",
            "0 0 1 */12 *",
            "0-10/15 * * * *",
            "0 0 * * MON-FRI/5",
        ] {
            assert!(parse_cron(text).expect_err(text).contains("step"), "{text}");
        }
        for text in ["*/59 * * * *", "0 */23 * * *", "0 0 */30 * *", "0 0 1 JAN-JUL/6 *", "0 0 * * MON-FRI/4"] {
            assert!(parse_cron(text).is_ok(), "{text}: {:?}", parse_cron(text));
        }
    }

    #[test]
    fn what_comes_once_in_decades_comes() {
        // 29 February on a Monday: not before 2044, however soon this is run.
        let cron = parse_cron("0 0 29 2 +MON").expect("good");
        let recurrence = Recurrence {
            cron,
            catch_up: CatchUp::Once,
            overlap: Overlap::Skip,
            from: None,
            until: None,
            runs_max: None,
            deadline_ms: None,
        };
        let occurrences = recurrence.occurrences();
        assert_eq!(occurrences.len(), OCCURRENCES_SHOWN);
        assert!(occurrences.is_sorted() && occurrences.windows(2).all(|pair| pair[0] != pair[1]), "{occurrences:?}");
        for occurrence in occurrences {
            let moment = crate::time::moment(occurrence.0);
            assert!(moment.contains("-02-29T00:00"), "{moment}");
        }
        assert_eq!(parse_cron("0 0 31 4,6,9,11 *"), Err("that never comes".into()));
    }

    #[test]
    fn all_missed_occurrences_run_only_if_they_may_wait_or_run_together() {
        assert_eq!(overlap_beside(CatchUp::All, None), Ok(Overlap::Queue));
        assert_eq!(overlap_beside(CatchUp::Once, None), Ok(Overlap::Skip));
        assert_eq!(overlap_beside(CatchUp::All, Some(Overlap::Alongside)), Ok(Overlap::Alongside));
        for alone in [Overlap::Skip, Overlap::Cancel] {
            assert!(overlap_beside(CatchUp::All, Some(alone)).expect_err("alone").contains("queue"));
            assert_eq!(overlap_beside(CatchUp::Once, Some(alone)), Ok(alone));
        }
    }

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
