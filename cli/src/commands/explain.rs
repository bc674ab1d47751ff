//! `meshwork explain`: explains why a task waits, or why it was placed where it is.

use clap::Args;
use meshwork_core::types::TaskId;

use super::result::parse_index;
use crate::{
    context::{Context, find_job},
    failure::{Done, Failure},
};

/// Which task to explain.
#[derive(Args, Debug)]
pub struct Options {
    /// The task, as JOB/INDEX; the first digits of the job's id are enough
    #[arg(value_name = "JOB/INDEX")]
    task: String,
}

/// Shows why a task is where it is. Every peer at the same height says the same.
///
/// # Errors
/// The node does not answer, or knows no such task.
pub async fn run(context: &Context, options: Options) -> Done {
    let client = context.settings.client()?;
    let Some((digits, index)) = options.task.split_once('/') else {
        let task = &options.task;
        return Err(Failure::usage(format!("{task:?} is not a task; write JOB/0 or the like for the first of a job.")));
    };
    let index = parse_index(index)?;
    let job = find_job(&client, digits).await?;
    context.output.record(&client.explanation(TaskId { job, index }).await?)
}
