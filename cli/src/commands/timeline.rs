//! `meshwork timeline`: shows when a job's tasks waited, where they ran and how they ended.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use meshwork_api::{LIST_MAX, TimelineView};
use meshwork_core::types::JobId;

use crate::{
    client::Client,
    context::{Context, find_job},
    failure::{Done, Failure},
    output::gantt::{self, Lanes},
};

/// What to show.
#[derive(Args, Debug)]
pub struct Options {
    /// The job's id, or its first digits
    job: String,
    /// Show at most this many tasks of the job
    #[arg(long, value_name = "N", default_value_t = 50)]
    tasks: u32,
    /// Show the job's tasks from this index on
    #[arg(long, value_name = "INDEX", default_value_t = 0)]
    from: u32,
    /// Also draw the timeline as an SVG picture
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// What a row of the picture stands for
    #[arg(long, value_enum, default_value_t = By::Task, requires = "svg")]
    by: By,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum By {
    /// One task
    Task,
    /// One worker; tasks that it held at the same time are drawn side by side
    Worker,
}

/// Shows the times of a job's tasks, and draws them.
///
/// # Errors
/// The node does not answer, knows no such job or has forgotten its times, or the picture cannot be written.
pub async fn run(context: &Context, options: Options) -> Done {
    let client = context.settings.client()?;
    let job = find_job(&client, &options.job).await?;
    let timeline = fetch(&client, job, options.from, options.tasks).await?;
    if let Some(path) = &options.svg {
        let lanes = match options.by {
            By::Task => Lanes::Tasks,
            By::Worker => Lanes::Workers,
        };
        let picture = gantt::draw(&timeline, lanes);
        std::fs::write(path, picture).map_err(|error| Failure::file("write", path, &error))?;
    }
    if context.output.is_json() {
        return context.output.object(&timeline);
    }
    context.output.record(&timeline)?;
    context.output.lines("")?;
    context.output.listing(&timeline.tasks)?;
    let shown = u32::try_from(timeline.tasks.len()).unwrap_or(u32::MAX);
    let rest = timeline.count.saturating_sub(shown);
    if rest > 0 {
        context.output.note(&format!("({rest} more tasks; see --from and --tasks)"));
    }
    if let Some(path) = &options.svg {
        context.output.note(&format!("The picture is in {}.", path.display()));
    }
    Ok(())
}

/// Fetches the tasks' times, in as many answers as it takes.
async fn fetch(client: &Client, job: JobId, from: u32, tasks: u32) -> Done<TimelineView> {
    let mut timeline = client.timeline(job, from, tasks.min(LIST_MAX)).await?;
    loop {
        let got = u32::try_from(timeline.tasks.len()).unwrap_or(u32::MAX);
        let next = from.saturating_add(got);
        if got >= tasks || next >= timeline.count {
            return Ok(timeline);
        }
        let more = client.timeline(job, next, (tasks - got).min(LIST_MAX)).await?;
        if more.tasks.is_empty() {
            return Ok(timeline);
        }
        let mut all = timeline.tasks;
        all.extend(more.tasks.iter().cloned());
        timeline = TimelineView { tasks: all, ..more };
    }
}
