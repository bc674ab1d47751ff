//! `meshwork logs`: shows what programs wrote to standard output and standard error.

use clap::Args;
use meshwork_core::types::TaskId;
use serde::Serialize;

use super::verify::describe;
use crate::{
    client::Client,
    context::{Context, find_job},
    failure::Done,
    outcomes::{self, Outputs, Proved},
    output::{Listing, words::short},
};

/// What to show.
#[derive(Args, Debug)]
pub struct Options {
    /// A job's id or a task as JOB/INDEX; the first digits of the id are enough
    #[arg(value_name = "JOB[/INDEX]")]
    what: String,
    /// Show only standard output
    #[arg(long, conflicts_with = "stderr")]
    stdout: bool,
    /// Show only standard error
    #[arg(long)]
    stderr: bool,
}

/// What one task wrote.
#[derive(Serialize)]
struct Log {
    task: String,
    worker: String,
    outcome: String,
    stdout: Option<String>,
    stderr: Option<String>,
}

impl Listing for Log {
    const COLUMNS: &'static [&'static str] = &["task", "worker", "outcome"];
    fn row(&self) -> Vec<String> {
        vec![self.task.clone(), short(&self.worker), self.outcome.clone()]
    }
}

/// Shows what one task wrote, or all tasks of a job that have ended.
///
/// # Errors
/// The task has no outcome yet, or its output cannot be fetched.
pub async fn run(context: &Context, options: Options) -> Done {
    let client = context.settings.client()?;
    let (genesis, _) = context.settings.genesis_or_ask(&client).await?;
    let (digits, index) = match options.what.split_once('/') {
        Some((digits, index)) => (digits, Some(super::result::parse_index(index)?)),
        None => (options.what.as_str(), None),
    };
    let job = find_job(&client, digits).await?;
    let proved = match index {
        Some(index) => vec![outcomes::of_task(&client, TaskId { job, index }, &genesis).await?],
        None => outcomes::of_job(&client, job, &genesis).await?,
    };
    let mut logs = Vec::new();
    for one in &proved {
        let log = read(&client, one, &options).await?;
        if context.output.is_json() {
            logs.push(log);
        } else {
            show(context, &log, proved.len() > 1)?;
        }
    }
    if context.output.is_json() {
        return context.output.listing(&logs);
    }
    if proved.is_empty() {
        context.output.note("No task of this job has ended yet.");
    }
    Ok(())
}

async fn read(client: &Client, proved: &Proved, options: &Options) -> Done<Log> {
    let outputs = Outputs::of(client, &proved.outcome).await?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let stdout = match options.stderr {
        true => None,
        false => Some(text(outputs.read(client, &outputs.stdout).await?)),
    };
    let stderr = match options.stdout {
        true => None,
        false => Some(text(outputs.read(client, &outputs.stderr).await?)),
    };
    Ok(Log {
        task: proved.outcome.attempt.task.to_string(),
        worker: proved.outcome.worker.to_string(),
        outcome: describe(&proved.outcome.verdict),
        stdout,
        stderr,
    })
}

fn show(context: &Context, log: &Log, titled: bool) -> Done {
    if titled {
        context.output.lines(&format!("== {} ({} on {})", log.task, log.outcome, short(&log.worker)))?;
    } else {
        context.output.note(&format!("{} on {}", log.outcome, short(&log.worker)));
    }
    for text in [&log.stdout, &log.stderr].into_iter().flatten().filter(|text| !text.is_empty()) {
        context.output.bytes(text.as_bytes())?;
        if titled && !text.ends_with('\n') {
            context.output.lines("")?;
        }
    }
    Ok(())
}
