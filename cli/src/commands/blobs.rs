//! `meshwork blobs`: looks after the blobs that a node stores.

use clap::Subcommand;
use meshwork_api::VerifiedView;

use crate::{
    context::Context,
    failure::{Done, Failure},
    output::words::bytes,
};

/// The subcommands of `blobs`.
#[derive(Subcommand, Debug)]
pub enum BlobsCommand {
    /// Have the running node compare every blob that it stores with its digest.
    ///
    /// The node sets damaged ones aside, below its data directory in blobs/damaged, and fetches them again from other
    /// peers, as it does when it comes to use one. The exit status is 1 if there were any.
    Verify,
}

/// Runs a subcommand.
///
/// # Errors
/// The node does not answer, or some blobs were damaged.
pub async fn run(context: &Context, command: BlobsCommand) -> Done {
    match command {
        BlobsCommand::Verify => verify(context).await,
    }
}

async fn verify(context: &Context) -> Done {
    let client = context.settings.client()?;
    let mut all = VerifiedView::default();
    loop {
        let VerifiedView { checked, bytes, damaged, next } = client.verify_blobs(all.next).await?;
        all.checked += checked;
        all.bytes += bytes;
        all.damaged.extend(damaged);
        all.next = next;
        if next.is_none() {
            break;
        }
    }
    if context.output.is_json() {
        context.output.object(&all)?;
    } else if all.damaged.is_empty() {
        context.output.lines(&format!("all {} stored blobs ({}) are whole", all.checked, bytes(all.bytes)))?;
    } else {
        context.output.lines(&all.damaged.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))?;
    }
    match all.damaged.len() {
        0 => Ok(()),
        damaged => Err(Failure::failed(format!(
            "Of {} stored blobs ({}), {damaged} {} damaged, and set aside; what another peer has is fetched again. See to \
             the disk.",
            all.checked,
            bytes(all.bytes),
            if damaged == 1 { "is" } else { "are" }
        ))),
    }
}
