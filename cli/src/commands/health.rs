//! `meshwork health`: checks a node, for a supervisor or whoever watches it. A restart mends neither a key in use twice nor
//! a second history: these need a person.

use std::time::Duration;

use clap::Args;

use crate::{
    client::ClientError,
    context::Context,
    failure::{Done, Failure},
    output::words::duration,
};

/// When a node counts as healthy.
#[derive(Args, Debug)]
pub struct Options {
    /// Time without an executed block after which the node counts as stuck. An idle network makes a block every
    /// second, unless its genesis says otherwise
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = humantime::parse_duration)]
    stuck_after: Duration,
}

/// Checks that the node answers, keeps executing blocks, and has no alarm.
///
/// # Errors
/// The node does not answer, is stuck, or has an alarm.
pub async fn run(context: &Context, options: Options) -> Done {
    let client = context.settings.client()?;
    let status = match client.status().await {
        // Whoever floods it must not make a supervisor restart it. This is answered always.
        Err(ClientError::Busy { .. }) if client.is_healthy().await => {
            return context.output.value("node", "healthy, but too busy to say more");
        }
        answer => answer?,
    };
    // A node that has just started has as long for its first block.
    let idle_ms = status.executed_ms_ago.unwrap_or(status.uptime_ms);
    if u128::from(idle_ms) > options.stuck_after.as_millis() {
        return Err(Failure::failed(format!(
            "The node is stuck: it is at height {} and has executed no block for {}, with {} peers connected; see whether enough \
             authorities are up, and whether it reaches them.",
            status.height,
            duration(idle_ms),
            status.peers
        )));
    }
    if !status.alarms.is_empty() {
        return Err(Failure::failed(format!("The node needs its operator: {}.", status.alarms.join("; "))));
    }
    if context.output.is_json() {
        return context.output.object(&status);
    }
    context.output.lines("healthy")
}
