//! `meshwork workers`: lists the workers whose claims stand, or the track record of one.

use clap::Args;
use meshwork_core::identity::PublicKey;

use crate::{context::Context, failure::Done};

/// Which workers.
#[derive(Args, Debug)]
pub struct Options {
    /// Show what became of what this worker computed, by submitter and program
    #[arg(value_name = "WORKER")]
    worker: Option<PublicKey>,
}

/// Lists the workers whose claims stand, or one worker's track record.
///
/// # Errors
/// The node does not answer, or no claim of this worker stands.
pub async fn run(context: &Context, options: Options) -> Done {
    let client = context.settings.client()?;
    match options.worker {
        Some(worker) => context.output.listing(&client.records(worker).await?),
        None => context.output.listing(&client.workers().await?),
    }
}
