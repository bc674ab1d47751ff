//! `meshwork hold` and `meshwork release`: keep tasks from being leased, and allow it again.

use meshwork_core::types::Directive;

use super::selection::{self, Options};
use crate::{context::Context, failure::Done};

/// Holds tasks: the ledger leases none of them until they are released.
///
/// # Errors
/// The job belongs to another key, or none of the selected tasks is unfinished.
pub async fn hold(context: &Context, options: Options) -> Done {
    let controlled = selection::control(context, &options, Directive::Hold, "hold").await?;
    selection::show(context, &controlled)
}

/// Releases held tasks.
///
/// # Errors
/// The job belongs to another key, or none of the selected tasks is unfinished.
pub async fn release(context: &Context, options: Options) -> Done {
    let controlled = selection::control(context, &options, Directive::Release, "release").await?;
    selection::show(context, &controlled)
}
