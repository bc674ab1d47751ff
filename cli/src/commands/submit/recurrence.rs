//! The flags that make a program's job recur.

use clap::Args;
use meshwork_core::types::{BlockTime, CatchUp, Cron, Overlap};

use crate::{
    failure::{Done, Failure},
    parse::named,
    recurrence::{self, CATCH_UP, CRON_HINT, OVERLAP, Recurrence},
    time::parse_moment,
};

fn cron(text: &str) -> Result<Cron, String> {
    recurrence::parse_cron(text).map_err(|why| format!("{why}; {CRON_HINT}"))
}

fn catch_up(text: &str) -> Result<CatchUp, String> {
    named(text, &CATCH_UP)
}

fn overlap(text: &str) -> Result<Overlap, String> {
    named(text, &OVERLAP)
}

/// When and how a program recurs.
#[derive(Args, Debug)]
#[command(next_help_heading = "Recurring jobs")]
#[group(id = "recurrence")]
pub(super) struct Options {
    /// Run the job again and again, by this cron expression in UTC, such as "0 3 * * *"
    #[arg(long, value_name = "EXPRESSION", value_parser = cron)]
    cron: Option<Cron>,
    /// What to do with missed occurrences: skip them, run the last once, or run all (up to a bound)
    #[arg(long, value_name = "POLICY", requires = "cron", default_value = "once", value_parser = catch_up)]
    catch_up: CatchUp,
    /// What to do with an occurrence while an earlier one's job still runs: skip or queue it, run it alongside, or
    /// cancel the earlier job. Default: skip, or queue with `--catch-up all`
    #[arg(long, value_name = "POLICY", requires = "cron", value_parser = overlap)]
    overlap: Option<Overlap>,
    /// No occurrence before this: a time from now, or a time in UTC
    #[arg(long, value_name = "TIME", requires = "cron", value_parser = parse_moment)]
    from: Option<BlockTime>,
    /// No occurrence after this: a time from now, or a time in UTC
    #[arg(long, value_name = "TIME", requires = "cron", value_parser = parse_moment)]
    until: Option<BlockTime>,
    /// The most occurrences that run
    #[arg(long, value_name = "N", requires = "cron", value_parser = clap::value_parser!(u64).range(1..))]
    runs: Option<u64>,
}

impl Options {
    /// When and how it recurs, if it does.
    ///
    /// # Errors
    /// The policies cannot both be meant, or no occurrence is left.
    pub(super) fn recurrence(&self) -> Done<Option<Recurrence>> {
        let Some(cron) = self.cron else { return Ok(None) };
        let overlap = recurrence::overlap_beside(self.catch_up, self.overlap)
            .map_err(|why| Failure::usage(format!("--catch-up and --overlap: {why}.")))?;
        let recurrence = Recurrence {
            cron,
            catch_up: self.catch_up,
            overlap,
            from: self.from,
            until: self.until,
            runs_max: self.runs,
            deadline_ms: None,
        };
        match recurrence.occurrences().first() {
            Some(_) => Ok(Some(recurrence)),
            None => Err(Failure::usage("No occurrence is left: look at --cron, --from and --until.")),
        }
    }
}
