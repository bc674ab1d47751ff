//! `meshwork recurring`: lists and controls recurring jobs.

use std::time::Duration;

use clap::{Args, Subcommand};
use meshwork_api::{RecurringState, RecurringView};
use meshwork_core::types::{Action, Recur, RecurringId};

use crate::{
    client::Client,
    context::{Context, Named, find},
    failure::{Done, Failure},
    submission,
};

/// How long the ledger may take to order a transaction.
const ORDERED_WITHIN: Duration = Duration::from_secs(60);
/// How often the command looks whether it did.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// The subcommands of `recurring`.
#[derive(Subcommand, Debug)]
pub enum RecurringCommand {
    /// List recurring jobs, newest first
    List(List),
    /// Show a recurring job: its next occurrences, and what happened to the last ones
    Show(Which),
    /// Pause your recurring job until it is resumed.
    ///
    /// Jobs that it has already started go on.
    Pause(Which),
    /// Resume your recurring job.
    ///
    /// Its catch-up policy decides about the occurrences that it missed.
    Resume(Which),
    /// Delete your recurring job.
    ///
    /// Jobs that it has already started go on.
    Delete(Which),
}

/// Which recurring jobs to list.
#[derive(Args, Debug)]
pub struct List {
    /// List only recurring jobs of this home's key
    #[arg(long)]
    mine: bool,
}

/// Which recurring job.
#[derive(Args, Debug)]
pub struct Which {
    /// The recurring job's id, or its first digits
    recurring: String,
}

/// Runs the command.
///
/// # Errors
/// The recurring job belongs to another key, or the network does not accept the transaction.
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
        RecurringCommand::Show(Which { recurring }) => show(context, &find_recurring(&client, &recurring).await?),
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

const RECURRING: Named = Named {
    one: "recurring job",
    of_one: "recurring job's id",
    of_several: "recurring jobs' ids",
    listed: "`meshwork recurring list` lists them",
};

/// The recurring job whose id starts with these digits.
async fn find_recurring(client: &Client, digits: &str) -> Done<RecurringView> {
    let all = async { Ok(client.recurring().await?.iter().map(|recurring| recurring.id).collect()) };
    Ok(client.recurring_job(find(&RECURRING, digits, all).await?).await?)
}

/// Signs the change with this home's key, hands it to the node, and waits until it shows.
async fn change(
    context: &Context,
    client: &Client,
    digits: &str,
    how: fn(RecurringId) -> Recur,
    wanted: RecurringState,
) -> Done {
    let key = context.settings.key()?;
    let before = find_recurring(client, digits).await?;
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
    let transaction = submission::sign_for(client, Action::Recur(how(id)), &key).await?;
    submission::post(client, &transaction).await?;
    let settled = async {
        loop {
            let now = client.recurring_job(id).await?;
            // A resumed job may end at once, with its last occurrence.
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
