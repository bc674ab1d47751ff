//! `meshwork logs`: shows what programs wrote to standard output and standard error.

use clap::Args;
use meshwork_api::{JobView, TaskCounts, outcome_in_words};
use meshwork_core::types::TaskId;
use serde::{Serialize, Serializer, ser::SerializeMap};

use crate::{
    client::Client,
    context::{Context, find_job},
    failure::Done,
    outcomes::{self, Outputs, Proved},
    output::{
        Listing,
        words::{self, short},
    },
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
    #[serde(flatten, serialize_with = "stdout_as_json")]
    stdout: Option<Vec<u8>>,
    #[serde(flatten, serialize_with = "stderr_as_json")]
    stderr: Option<Vec<u8>>,
}

fn stdout_as_json<S: Serializer>(bytes: &Option<Vec<u8>>, serializer: S) -> Result<S::Ok, S::Error> {
    as_json("stdout", "stdout_hex", bytes.as_deref(), serializer)
}

fn stderr_as_json<S: Serializer>(bytes: &Option<Vec<u8>>, serializer: S) -> Result<S::Ok, S::Error> {
    as_json("stderr", "stderr_hex", bytes.as_deref(), serializer)
}

/// A stream as the text that it is, or as good as it can be. JSON has no bytes: those that are no text are given in
/// hexadecimal digits too.
fn as_json<S: Serializer>(
    text: &'static str,
    hex: &'static str,
    bytes: Option<&[u8]>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(None)?;
    map.serialize_entry(text, &bytes.map(String::from_utf8_lossy))?;
    if let Some(bytes) = bytes.filter(|bytes| std::str::from_utf8(bytes).is_err()) {
        map.serialize_entry(hex, &hex::encode(bytes))?;
    }
    map.end()
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
        context.output.listing(&logs)?;
    }
    if index.is_none() {
        tell_of_others(context, &client.job(job).await?, proved.len());
    }
    Ok(())
}

/// Says why some tasks of a job have nothing to show.
fn tell_of_others(context: &Context, job: &JobView, shown: usize) {
    let TaskCounts { cancelled, skipped, .. } = job.counts;
    if cancelled + skipped > 0 {
        let without = words::counts(&TaskCounts { cancelled, skipped, ..TaskCounts::default() });
        context.output.note(&format!(
            "Of {} tasks, {without}: those left nothing; `meshwork status {}` shows which.",
            job.tasks,
            short(&job.id)
        ));
    } else if shown == 0 {
        context.output.note("No task of this job has ended yet.");
    }
}

async fn read(client: &Client, proved: &Proved, options: &Options) -> Done<Log> {
    let outputs = Outputs::of(client, &proved.outcome).await?;
    let stdout = match options.stderr {
        true => None,
        false => Some(outputs.read(client, &outputs.stdout).await?),
    };
    let stderr = match options.stdout {
        true => None,
        false => Some(outputs.read(client, &outputs.stderr).await?),
    };
    Ok(Log {
        task: proved.outcome.attempt.task.to_string(),
        worker: proved.outcome.worker.to_string(),
        outcome: outcome_in_words(&proved.outcome.verdict),
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
    for bytes in [&log.stdout, &log.stderr].into_iter().flatten().filter(|bytes| !bytes.is_empty()) {
        context.output.program_bytes(bytes)?;
        if titled && !bytes.ends_with(b"\n") {
            context.output.lines("")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_has_bytes_that_are_no_text_in_hexadecimal_digits() {
        let log = |stdout: Option<&[u8]>| Log {
            task: "t/0".into(),
            worker: "w".into(),
            outcome: "succeeded".into(),
            stdout: stdout.map(<[u8]>::to_vec),
            stderr: Some(b"fine".to_vec()),
        };
        let json = |log: &Log| serde_json::to_value(log).expect("JSON");
        let bytes = json(&log(Some(b"a\xff")));
        assert_eq!((&bytes["stdout"], &bytes["stdout_hex"]), (&"a\u{fffd}".into(), &"61ff".into()));
        assert_eq!((&bytes["stderr"], bytes.get("stderr_hex")), (&"fine".into(), None));
        assert_eq!(json(&log(None))["stdout"], serde_json::Value::Null);
    }
}
