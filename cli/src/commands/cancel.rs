//! `meshwork cancel`: stop a job of one's own.

use std::time::Duration;

use clap::Args;
use meshwork_core::types::{Action, Cancel};

use super::{Context, find_job};
use crate::{
    failure::{Done, Failure},
    output::words::counts,
    submission, watch,
};

/// How long the ledger may take to order the cancellation.
const ORDERED_WITHIN: Duration = Duration::from_secs(60);

/// Which job to stop.
#[derive(Args, Debug)]
pub struct Options {
    /// The job's id, or its first digits
    job: String,
}

/// Stops a job: its tasks that have no outcome yet will have none.
///
/// # Errors
/// It is not one's own, or the network does not take the cancellation.
pub async fn run(context: &Context, options: Options) -> Done {
    let key = context.settings.key()?;
    let client = context.settings.client()?;
    let id = find_job(&client, &options.job).await?;
    let job = client.job(id).await?;
    if job.submitter != key.public() {
        return Err(Failure::usage(format!(
            "Job {id} was submitted by {}, and only that key can cancel it; name its file with --key.",
            job.submitter
        )));
    }
    if job.ended_us.is_some() {
        context.output.note(&format!("Job {id} had ended before."));
        return context.output.record(&job);
    }
    let network = client.status().await?.network;
    let transaction = submission::sign(Action::Cancel(Cancel { job: id }), submission::EXPIRY_DEFAULT, &key, &network);
    submission::post(&client, &transaction).await?;
    let ended = tokio::time::timeout(ORDERED_WITHIN, watch::until_ended(&client, id, None, |_| {})).await;
    let job = ended.map_err(|_| {
        Failure::failed(format!(
            "The cancellation of job {id} is on its way, but was not ordered within {} seconds; see `meshwork status`.",
            ORDERED_WITHIN.as_secs()
        ))
    })??;
    context.output.note(&format!("Job {id} has ended: {}.", counts(&job.counts)));
    if context.output.is_json() { context.output.record(&job) } else { Ok(()) }
}
