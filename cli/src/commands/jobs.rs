//! `meshwork jobs`: lists jobs, newest first.

use clap::Args;

use crate::{context::Context, failure::Done};

/// Which jobs to list.
#[derive(Args, Debug)]
pub struct Options {
    /// List only jobs of this home's key
    #[arg(long)]
    mine: bool,
}

/// Lists jobs.
///
/// # Errors
/// The node does not answer, or only this home's jobs are wanted and it has no key.
pub async fn run(context: &Context, options: Options) -> Done {
    let mut jobs = context.settings.client()?.jobs().await?;
    if options.mine {
        let key = context.settings.key()?.public();
        jobs.retain(|job| job.submitter == key);
    }
    context.output.listing(&jobs)
}
