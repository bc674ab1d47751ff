//! `meshwork quota`: shows what a key may do, and how much of its quota is used.

use clap::Args;
use meshwork_core::identity::PublicKey;

use crate::{context::Context, failure::Done};

/// Which key.
#[derive(Args, Debug)]
pub struct Options {
    /// The key. Default: this home's key
    #[arg(value_name = "KEY")]
    whose: Option<PublicKey>,
}

/// Shows the quota.
///
/// # Errors
/// The node does not answer, or there is no key.
pub async fn run(context: &Context, options: Options) -> Done {
    let key = match options.whose {
        Some(key) => key,
        None => context.settings.key()?.public(),
    };
    let view = context.settings.client()?.key(key).await?;
    if context.output.is_json() {
        return context.output.object(&view);
    }
    context.output.record(&view)?;
    context.output.listing(&view.limits)
}
