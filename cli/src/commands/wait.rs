//! `meshwork wait`: waits until jobs have ended.

use std::time::Duration;

use clap::Args;
use meshwork_api::JobView;
use meshwork_core::types::JobId;

use crate::{
    client::Client,
    context::{Context, find_job},
    failure::{Done, Failure},
    submission::EXPIRY_DEFAULT,
    time::{milliseconds, now_us},
    watch,
};

/// What to wait for.
#[derive(Args, Debug)]
#[command(
    after_help = "Standard output gets the jobs as they ended. The exit status is 3 if tasks of one of them failed or \
were cancelled. Waiting goes on while the node is started anew."
)]
pub struct Options {
    /// Jobs, by their ids or the first digits of them
    #[arg(value_name = "JOB", required = true)]
    jobs: Vec<String>,
    /// Give up after this time; the jobs go on. Default: never
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    timeout: Option<Duration>,
}

/// Waits until all the jobs have ended, and shows how.
///
/// # Errors
/// A job is unknown, tasks of one did not succeed, or it took too long.
pub async fn run(context: &Context, options: Options) -> Done {
    let client = context.settings.client()?;
    let mut jobs = Vec::new();
    for digits in &options.jobs {
        jobs.push(find_job(&client, digits).await?);
    }
    let ended = async {
        let mut ended: Vec<JobView> = Vec::new();
        for job in jobs {
            ended.push(until_ended(context, &client, job).await?);
        }
        Done::Ok(ended)
    };
    let ended = match options.timeout {
        Some(timeout) => tokio::time::timeout(timeout, ended).await.unwrap_or_else(|_| {
            let after = humantime::format_duration(timeout);
            Err(Failure::failed(format!("Not all of them had ended after {after}; they go on.")))
        }),
        None => ended.await,
    }?;
    context.output.listing(&ended)?;
    let bad: Vec<Failure> = ended.iter().filter_map(|job| watch::all_succeeded(job).err()).collect();
    match &bad[..] {
        [] => Ok(()),
        [only] => Err(only.clone()),
        _ => Err(Failure::job(format!("{} of {} jobs did not succeed.", bad.len(), ended.len()))),
    }
}

/// Waits until a job has ended. Somebody may have submitted it a moment ago.
async fn until_ended(context: &Context, client: &Client, job: JobId) -> Done<JobView> {
    if client.job(job).await.is_err_and(|error| error.is_absent()) {
        context.output.note(&format!("Job {job} is not on the ledger yet; waiting for it."));
    }
    let expires_us = now_us().saturating_add(milliseconds(EXPIRY_DEFAULT).saturating_mul(1000));
    watch::until_ended_at_last(client, job, Some(expires_us), |silence| context.find_again(silence), |_| {}).await
}
