//! Selects tasks of a job, and asks the ledger to do something to them.

use std::time::Duration;

use clap::{Args, ValueEnum};
use meshwork_api::JobView;
use meshwork_core::types::{Action, Control, Directive, Filter, JobId, Selection};

use crate::{
    client::Client,
    context::{Context, find_job},
    failure::{Done, Failure},
    output::words::counts,
    submission,
};

/// Which tasks.
#[derive(Args, Debug)]
#[group(skip)]
pub struct Options {
    /// The job's id, or its first digits
    pub job: String,
    /// Only these tasks, by their index: 3,10-20. With --array, by their place in the array
    #[arg(long, value_name = "INDICES", value_delimiter = ',', value_parser = parse_range)]
    tasks: Vec<(u32, u32)>,
    /// Only the tasks of this array
    #[arg(long, value_name = "NAME")]
    array: Option<String>,
    /// Only tasks in this state. Repeat, or write several: ready,held
    #[arg(long, value_name = "STATE", value_enum, value_delimiter = ',')]
    only: Vec<State>,
}

/// The state of a task without an outcome.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum State {
    Blocked,
    Held,
    Ready,
    BackingOff,
    Waiting,
    Running,
}

impl From<State> for Filter {
    fn from(state: State) -> Self {
        match state {
            State::Blocked => Self::Blocked,
            State::Held => Self::Held,
            State::Ready => Self::Ready,
            State::BackingOff => Self::BackingOff,
            State::Waiting => Self::Waiting,
            State::Running => Self::Running,
        }
    }
}

fn parse_range(text: &str) -> Result<(u32, u32), String> {
    let number = |text: &str| text.trim().parse::<u32>().map_err(|_| "write indices such as 3 or 10-20".to_owned());
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (number(first)?, number(last)?);
    if first <= last { Ok((first, last)) } else { Err(format!("{first} is after {last}; write the lower one first")) }
}

/// Sorts ranges, and joins those that touch or overlap.
fn in_order(mut ranges: Vec<(u32, u32)>) -> Vec<(u32, u32)> {
    ranges.sort_unstable();
    let mut joined: Vec<(u32, u32)> = Vec::with_capacity(ranges.len());
    for (first, last) in ranges {
        match joined.last_mut() {
            Some(before) if first <= before.1.saturating_add(1) => before.1 = before.1.max(last),
            _ => joined.push((first, last)),
        }
    }
    joined
}

impl Options {
    async fn selection(&self, client: &Client, job: JobId) -> Done<Selection> {
        let mut ranges = in_order(self.tasks.clone());
        if let Some(name) = &self.array {
            let arrays = client.arrays(job).await?;
            let array = arrays.iter().find(|array| array.name == *name).ok_or_else(|| {
                Failure::usage(format!("Job {job} has no array {name:?}; `meshwork status {job}` lists them."))
            })?;
            let (first, last) = (array.first, array.first + array.tasks.saturating_sub(1));
            ranges = match ranges.is_empty() {
                true => vec![(first, last)],
                false => ranges.iter().map(|(a, b)| (first.saturating_add(*a), first.saturating_add(*b))).collect(),
            };
            if ranges.last().is_some_and(|(_, end)| *end > last) {
                return Err(Failure::usage(format!("Array {name:?} has {} tasks, from 0 on.", array.tasks)));
            }
        }
        if ranges.len() > Selection::RANGES_MAX {
            return Err(Failure::usage(format!(
                "These are {} ranges of tasks; name at most {} at a time.",
                ranges.len(),
                Selection::RANGES_MAX
            )));
        }
        Ok(Selection { ranges, only: self.only.iter().map(|state| Filter::from(*state)).collect() })
    }
}

/// A job after a directive was ordered for it.
pub struct Controlled {
    /// Its id.
    pub id: JobId,
    /// Whether the directive was for the whole job.
    pub is_all: bool,
    /// The job as it is now.
    pub job: JobView,
}

/// Gives a directive for tasks of a job, and waits until it is ordered. `what` describes it to people.
///
/// # Errors
/// The job belongs to another key, or the ledger finds the transaction void.
pub async fn control(context: &Context, options: &Options, directive: Directive, what: &str) -> Done<Controlled> {
    let key = context.settings.key()?;
    let client = context.settings.client()?;
    let id = find_job(&client, &options.job).await?;
    let job = client.job(id).await?;
    if job.submitter != key.public() {
        return Err(Failure::usage(format!(
            "Job {id} was submitted by {}, and only that key can {what} it; name its file with --key.",
            job.submitter
        )));
    }
    let which = options.selection(&client, id).await?;
    let is_all = which.is_all();
    if job.ended_us.is_some() {
        context.output.note(&format!("Job {id} had ended before."));
        return Ok(Controlled { id, is_all, job });
    }
    let action = Action::Control(Control { job: id, which, directive });
    let transaction = submission::sign_for(&client, action, &key).await?;
    submission::settle(&client, &transaction).await?;
    Ok(Controlled { id, is_all, job: client.job(id).await? })
}

/// Shows the job after the directive.
///
/// # Errors
/// Standard output cannot be written.
pub fn show(context: &Context, controlled: &Controlled) -> Done {
    let Controlled { id, job, .. } = controlled;
    let has_ended = if job.ended_us.is_some() { "has ended" } else { "now stands" };
    context.output.note(&format!("Job {id} {has_ended}: {}.", counts(&job.counts)));
    if context.output.is_json() { context.output.record(job) } else { Ok(()) }
}

/// How long the ledger may take to order a directive.
pub const ORDERED_WITHIN: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_and_put_in_order() {
        assert_eq!(parse_range("3"), Ok((3, 3)));
        assert_eq!(parse_range("10-20"), Ok((10, 20)));
        assert!(parse_range("20-10").is_err() && parse_range("a-b").is_err() && parse_range("-3").is_err());
        assert_eq!(in_order(vec![(7, 9), (1, 2), (3, 3), (8, 12)]), [(1, 3), (7, 12)]);
    }
}
