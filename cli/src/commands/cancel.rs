//! `meshwork cancel`: stops a job, or some of its tasks.

use meshwork_core::types::Directive;

use super::selection::{self, Controlled, ORDERED_WITHIN, Options};
use crate::{
    context::Context,
    failure::{Done, Failure},
    watch,
};

/// Stops tasks that have no outcome yet. If the whole job is cancelled, waits until it has ended.
///
/// # Errors
/// The job belongs to another key, or the network does not accept the cancellation.
pub async fn run(context: &Context, options: Options) -> Done {
    let mut controlled = selection::control(context, &options, Directive::Cancel, "cancel").await?;
    let Controlled { id, is_all, ref job } = controlled;
    if is_all && job.ended_us.is_none() {
        let client = context.settings.client()?;
        let ended = tokio::time::timeout(ORDERED_WITHIN, watch::until_ended(&client, id, None, |_| {})).await;
        controlled.job = ended.map_err(|_| {
            Failure::failed(format!("Job {id} is cancelled, and has not ended; see `meshwork status {id}`."))
        })??;
    }
    selection::show(context, &controlled)
}
