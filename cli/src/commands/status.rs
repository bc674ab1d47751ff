//! `meshwork status`: shows the node and the mesh, or one job.

use clap::Args;

use crate::{
    context::{Context, find_job},
    failure::Done,
};

/// What to show.
#[derive(Args, Debug)]
pub struct Options {
    /// A job's id, or its first digits. Default: show the node and the mesh
    job: Option<String>,
    /// Show at most this many tasks of the job
    #[arg(long, value_name = "N", default_value_t = 50)]
    tasks: u32,
    /// Show the job's tasks from this index on
    #[arg(long, value_name = "INDEX", default_value_t = 0)]
    from: u32,
}

/// Shows the node and the mesh, or one job with its tasks.
///
/// # Errors
/// The node does not answer, or knows no such job.
pub async fn run(context: &Context, options: Options) -> Done {
    let client = context.settings.client()?;
    let Some(digits) = options.job else {
        return context.output.record(&client.status().await?);
    };
    let id = find_job(&client, &digits).await?;
    let job = client.job(id).await?;
    let tasks = client.tasks(id, options.from, options.tasks, None).await?;
    let arrays = client.arrays(id).await?;
    // The line of an only array would repeat the job's.
    let shown = if arrays.len() > 1 || context.output.is_json() { &arrays[..] } else { &[] };
    context.output.record_with(&job, ("arrays", shown), ("task_list", &tasks))?;
    let shown = options.from.saturating_add(u32::try_from(tasks.len()).unwrap_or(u32::MAX));
    if !context.output.is_json() && shown < job.tasks {
        context.output.note(&format!("({} more tasks; see --from and --tasks)", job.tasks - shown));
    }
    Ok(())
}
