//! `meshwork hold` and `meshwork release`: keep tasks of one's own from being leased, and let them go again.

use meshwork_core::types::Directive;

use super::selection::{self, Options};
use crate::{context::Context, failure::Done};

/// Holds tasks: what no worker has yet is not leased until it is let go.
///
/// # Errors
/// The job is not one's own, or none of the named tasks is unfinished.
pub async fn hold(context: &Context, options: Options) -> Done {
    let controlled = selection::control(context, &options, Directive::Hold, "hold").await?;
    selection::show(context, &controlled)
}

/// Lets held tasks go.
///
/// # Errors
/// The job is not one's own, or none of the named tasks is unfinished.
pub async fn release(context: &Context, options: Options) -> Done {
    let controlled = selection::control(context, &options, Directive::Release, "release").await?;
    selection::show(context, &controlled)
}
