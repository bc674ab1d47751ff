//! `meshwork peers`: lists the peers that the node is connected to.

use crate::{context::Context, failure::Done};

/// Lists the peers that the node is connected to.
///
/// # Errors
/// The node does not answer.
pub async fn run(context: &Context) -> Done {
    let peers = context.settings.client()?.peers().await?;
    context.output.listing(&peers)
}
