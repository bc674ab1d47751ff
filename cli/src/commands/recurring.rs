//! `meshwork recurring`: jobs that run again and again.

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

/// Signs it with the own key, hands it to the node, and waits until it shows.
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
