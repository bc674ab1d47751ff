//! `meshwork cancel`: stop a job of one's own, or tasks of it.

use meshwork_core::types::Directive;

use super::selection::{self, Controlled, ORDERED_WITHIN, Options};
use crate::{
    context::Context,
    failure::{Done, Failure},
    watch,
};

/// Stops tasks: those without an outcome will have none. Of a whole job, waits until it has ended.
///
/// # Errors
/// It is not one's own, or the network does not take the cancellation.
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
