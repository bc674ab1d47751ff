//! `meshwork result`: fetches results with their proofs, checks both, and writes them to files.

use std::path::{Path, PathBuf};

use clap::Args;
use meshwork_api::{TaskCounts, outcome_in_words};
use meshwork_core::{
    codec,
    types::{JobId, TaskId, Verdict},
};
use serde::Serialize;

use super::result_directory;
use crate::{
    client::Client,
    context::{Context, find_job},
    failure::{Done, Failure},
    outcomes::{self, Outputs, Proved},
    output::{
        Listing, table,
        words::{self, bytes, short},
    },
    settings::Trust,
};

/// What to fetch, and where to write it.
#[derive(Args, Debug)]
pub struct Options {
    /// The job's id, or its first digits
    job: String,
    /// Fetch only this task's result
    #[arg(long, value_name = "INDEX")]
    index: Option<u32>,
    /// Write each task's output below DIR/INDEX: stdout, stderr, and its files below out
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Save the task's proof to FILE, for `meshwork verify`
    #[arg(long, value_name = "FILE", requires = "index")]
    proof: Option<PathBuf>,
    /// Save every task's proof as DIR/INDEX.proof
    #[arg(long, value_name = "DIR", conflicts_with = "index")]
    proofs: Option<PathBuf>,
}

/// A proved result.
#[derive(Serialize)]
struct ResultView {
    task: String,
    outcome: String,
    succeeded: bool,
    /// The status with which the program ended, if it came to that.
    status: Option<i32>,
    attempt: u32,
    worker: String,
    height: u64,
    verified: bool,
    stdout_bytes: u64,
    stderr_bytes: u64,
    files: Vec<FileView>,
    empty_folders: Vec<String>,
}

#[derive(Serialize)]
struct FileView {
    path: String,
    bytes: u64,
}

impl Listing for ResultView {
    const COLUMNS: &'static [&'static str] =
        &["task", "outcome", "attempt", "worker", "height", "stdout", "stderr", "files"];
    fn row(&self) -> Vec<String> {
        let index = self.task.rsplit('/').next().unwrap_or_default();
        let files = self.files.iter().map(|file| format!("{} ({})", file.path, bytes(file.bytes)));
        let files: Vec<String> = files.chain(self.empty_folders.iter().map(|folder| format!("{folder}/"))).collect();
        vec![
            index.to_owned(),
            self.outcome.clone(),
            self.attempt.to_string(),
            short(&self.worker),
            self.height.to_string(),
            bytes(self.stdout_bytes),
            bytes(self.stderr_bytes),
            files.join(", "),
        ]
    }
}

/// Parses a task's index in its job.
///
/// # Errors
/// The text is not a number.
pub fn parse_index(text: &str) -> Done<u32> {
    text.parse()
        .map_err(|_| Failure::usage(format!("{text:?} is not a task's place in its job; write JOB/17 or the like.")))
}

/// Fetches results, checks each proof and each digest, and writes the tasks' output.
///
/// # Errors
/// The job has not ended, a proof does not hold, content cannot be fetched or written, or a task failed.
pub async fn run(context: &Context, options: Options) -> Done {
    let client = context.settings.client()?;
    let (genesis, trust) = context.settings.genesis_or_ask(&client).await?;
    let job = find_job(&client, &options.job).await?;
    let proved = match options.index {
        Some(index) => vec![outcomes::of_task(&client, TaskId { job, index }, &genesis).await?],
        None => outcomes::of_job(&client, job, &genesis).await?,
    };
    for directory in [&options.out, &options.proofs].into_iter().flatten() {
        result_directory::claim(directory, job)?;
    }
    save_proofs(&options, &proved)?;
    let views = fetch(context, &client, &options, &proved).await?;
    if trust == Trust::Node {
        context.output.note(
            "The proofs were checked against the genesis that this same node gave; name your own copy with --genesis, or \
             the network's id in the configuration, to trust no node.",
        );
    }
    if options.index.is_none() {
        check_complete(&client, job, proved.len()).await?;
    }
    let failed = views.iter().filter(|view| !view.succeeded).count();
    match failed {
        0 => Ok(()),
        _ => Err(Failure::job(format!(
            "{failed} of {} tasks failed; `meshwork logs {}` shows what they said.",
            views.len(),
            short(&job)
        ))),
    }
}

/// Shows the results, and writes them if asked to. The output of a single task goes to standard output as it is, and
/// nothing else does then.
async fn fetch(context: &Context, client: &Client, options: &Options, proved: &[Proved]) -> Done<Vec<ResultView>> {
    let mut views = Vec::with_capacity(proved.len());
    for one in proved {
        let outputs = Outputs::of(client, &one.outcome).await?;
        if let Some(directory) = &options.out {
            let index = one.outcome.attempt.task.index;
            for (name, place) in outputs.write(client, &directory.join(index.to_string())).await? {
                let written = place.path.display();
                context
                    .output
                    .note(&format!("This system has no file named {name:?}; that of task {index} is {written}."));
            }
        }
        views.push(view(one, &outputs));
        if proved.len() == 1 && options.out.is_none() && !context.output.is_json() {
            let stdout = outputs.read(client, &outputs.stdout).await?;
            context.output.bytes(&stdout)?;
            if stdout.is_empty() {
                context.output.note(&table(&views));
            }
            return Ok(views);
        }
    }
    context.output.listing(&views)?;
    match &options.out {
        Some(directory) if !context.output.is_json() => {
            context.output.note(&format!("{} proofs hold; the files are in {}.", proved.len(), directory.display()));
        }
        _ => {}
    }
    Ok(views)
}

fn view(proved: &Proved, outputs: &Outputs) -> ResultView {
    let outcome = &proved.outcome;
    ResultView {
        task: outcome.attempt.task.to_string(),
        outcome: outcome_in_words(&outcome.verdict),
        succeeded: matches!(outcome.verdict, Verdict::Succeeded(..)),
        status: outcome.verdict.status(),
        attempt: outcome.attempt.number.0,
        worker: outcome.worker.to_string(),
        height: outcome.height.0,
        // A proof that does not hold never gets this far.
        verified: true,
        stdout_bytes: outputs.stdout.bytes(),
        stderr_bytes: outputs.stderr.bytes(),
        files: outputs
            .files
            .iter()
            .map(|(path, content)| FileView { path: path.clone(), bytes: content.bytes() })
            .collect(),
        empty_folders: outputs.empty_folders.clone(),
    }
}

fn save_proofs(options: &Options, proved: &[Proved]) -> Done {
    if let (Some(path), [one]) = (&options.proof, proved) {
        save(path, one)?;
    }
    if let Some(directory) = &options.proofs {
        std::fs::create_dir_all(directory).map_err(|error| Failure::file("create", directory, &error))?;
        for one in proved {
            save(&directory.join(format!("{}.proof", one.outcome.attempt.task.index)), one)?;
        }
    }
    Ok(())
}

fn save(path: &Path, proved: &Proved) -> Done {
    std::fs::write(path, codec::encode(&proved.proof)).map_err(|error| Failure::file("write", path, &error))
}

async fn check_complete(client: &Client, job: JobId, proved: usize) -> Done {
    let view = client.job(job).await?;
    if proved as u64 == u64::from(view.tasks) {
        return Ok(());
    }
    let digits = short(&job);
    let view_of_tasks = format!("`meshwork status {digits}` shows which");
    // Only a task that ran to its end has an outcome.
    let TaskCounts { succeeded, failed, cancelled, skipped, .. } = view.counts;
    Err(if view.ended_us.is_some() && proved as u64 == succeeded + failed {
        let without = words::counts(&TaskCounts { cancelled, skipped, ..TaskCounts::default() });
        Failure::job(format!("Only {proved} of {} tasks have an outcome: {without}; {view_of_tasks}.", view.tasks))
    } else {
        let so_far = words::counts(&view.counts);
        Failure::job(format!(
            "Only {proved} of {} tasks have a proved outcome yet ({so_far}); wait, and see `meshwork status {digits}`.",
            view.tasks
        ))
    })
}
