//! `meshwork recurring`: jobs that run again and again.

use std::time::Duration;

use clap::{Args, Subcommand};
use meshwork_core::types::{Action, Recur, RecurringId};
use meshwork_node::api::views::{RecurringState, RecurringView};

use super::Context;
use crate::{
    client::Client,
    failure::{Done, Failure},
    submission,
};

/// How long the ledger may take to order a transaction.
const ORDERED_WITHIN: Duration = Duration::from_secs(60);
/// How often it is looked at meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// What to do about recurring jobs.
#[derive(Subcommand, Debug)]
pub enum RecurringCommand {
    /// List recurring jobs, newest first
    List(List),
    /// Show one: its next moments, and what became of the last ones
    Show(Which),
    /// Have one of one's own run no more until it is resumed. What runs goes on
    Pause(Which),
    /// Have it run again; what it missed meanwhile is caught up with as it says itself
    Resume(Which),
    /// End one of one's own. What runs goes on
    Delete(Which),
}

/// Which to list.
#[derive(Args, Debug)]
pub struct List {
    /// Only those of this home's key
    #[arg(long)]
    mine: bool,
}

/// Which recurring job.
#[derive(Args, Debug)]
pub struct Which {
    /// Its id, or its first digits
    recurring: String,
}

/// Runs the command.
///
/// # Errors
/// It is not one's own, or the network does not take what one says.
pub async fn run(context: &Context, command: RecurringCommand) -> Done {
    let client = context.settings.client()?;
    match command {
        RecurringCommand::List(List { mine }) => {
            let mut all = client.recurring().await?;
            if mine {
                let key = context.settings.key()?.public();
                all.retain(|recurring| recurring.submitter == key);
            }
            context.output.listing(&all)
        }
        RecurringCommand::Show(Which { recurring }) => show(context, &find(&client, &recurring).await?),
        RecurringCommand::Pause(Which { recurring }) => {
            change(context, &client, &recurring, Recur::Pause, RecurringState::Paused).await
        }
        RecurringCommand::Resume(Which { recurring }) => {
            change(context, &client, &recurring, Recur::Resume, RecurringState::Active).await
        }
        RecurringCommand::Delete(Which { recurring }) => {
            change(context, &client, &recurring, Recur::Delete, RecurringState::Deleted).await
        }
    }
}

fn show(context: &Context, recurring: &RecurringView) -> Done {
    context.output.record(recurring)?;
    if context.output.is_json() || recurring.past.is_empty() {
        return Ok(());
    }
    context.output.lines("")?;
    context.output.listing(&recurring.past)
}

/// The recurring job whose id starts with these digits.
async fn find(client: &Client, digits: &str) -> Done<RecurringView> {
    const DIGITS_MIN: usize = 4;
    if let Ok(id) = digits.parse::<RecurringId>() {
        return Ok(client.recurring_job(id).await?);
    }
    if digits.len() < DIGITS_MIN || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(Failure::usage(format!(
            "{digits:?} is not a recurring job: write its id, or at least the first {DIGITS_MIN} digits of it; \
             `meshwork recurring list` lists them."
        )));
    }
    let digits = digits.to_ascii_lowercase();
    let mut found = client.recurring().await?;
    found.retain(|recurring| recurring.id.to_string().starts_with(&digits));
    match found.len() {
        1 => Ok(found.remove(0)),
        0 => Err(Failure::usage(format!(
            "No recurring job's id starts with {digits}; `meshwork recurring list` lists them."
        ))),
        count => Err(Failure::usage(format!("{count} recurring jobs' ids start with {digits}; write more digits."))),
    }
}

/// Signs it with the own key, hands it to the node, and waits until it shows.
async fn change(
    context: &Context,
    client: &Client,
    digits: &str,
    how: fn(RecurringId) -> Recur,
    wanted: RecurringState,
) -> Done {
    let key = context.settings.key()?;
    let before = find(client, digits).await?;
    let id = before.id;
    if before.submitter != key.public() {
        return Err(Failure::usage(format!(
            "Recurring job {id} was submitted by {}, and only that key can change it; name its file with --key.",
            before.submitter
        )));
    }
    if before.ended_us.is_some() {
        return Err(Failure::usage(format!("Recurring job {id} has ended; submit another.")));
    }
    let network = client.status().await?.network;
    let transaction = submission::sign(Action::Recur(how(id)), submission::EXPIRY_DEFAULT, &key, &network);
    submission::post(client, &transaction).await?;
    let settled = async {
        loop {
            let now = client.recurring_job(id).await?;
            // One that is resumed may end at once, by its last moment.
            if now.state == wanted || now.ended_us.is_some() {
                return Ok::<_, Failure>(now);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    let now = tokio::time::timeout(ORDERED_WITHIN, settled).await.map_err(|_| {
        Failure::failed(format!(
            "It is on its way, but was not ordered within {} seconds; see `meshwork recurring show {id}`.",
            ORDERED_WITHIN.as_secs()
        ))
    })??;
    context.output.record(&now)
}
