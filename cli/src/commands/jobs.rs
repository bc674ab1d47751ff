//! `meshwork jobs`: what was submitted, newest first.

use clap::Args;

use crate::{context::Context, failure::Done};

/// Which jobs to list.
#[derive(Args, Debug)]
pub struct Options {
    /// Only jobs of this home's key
    #[arg(long)]
    mine: bool,
}

/// Lists jobs.
///
/// # Errors
/// The node does not answer, or there is no key where only its jobs are asked for.
pub async fn run(context: &Context, options: Options) -> Done {
    let mut jobs = context.settings.client()?.jobs().await?;
    if options.mine {
        let key = context.settings.key()?.public();
        jobs.retain(|job| job.submitter == key);
    }
    context.output.listing(&jobs)
}
