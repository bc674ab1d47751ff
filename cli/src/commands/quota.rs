//! `meshwork quota`: what a key may do, and how much of it is taken.

use clap::Args;
use meshwork_core::identity::PublicKey;

use crate::{context::Context, failure::Done};

/// Whose.
#[derive(Args, Debug)]
pub struct Options {
    /// The key; this home's without any
    #[arg(value_name = "KEY")]
    whose: Option<PublicKey>,
}

/// Shows it.
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
