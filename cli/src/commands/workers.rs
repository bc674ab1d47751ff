//! `meshwork workers`: lists the workers whose claims stand.

use crate::{context::Context, failure::Done};

/// Lists the workers whose claims stand.
///
/// # Errors
/// The node does not answer.
pub async fn run(context: &Context) -> Done {
    let workers = context.settings.client()?.workers().await?;
    context.output.listing(&workers)
}
