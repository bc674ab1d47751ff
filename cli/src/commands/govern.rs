//! `meshwork govern`: shows the authorities and the rules in force, and changes them.

mod change;

use clap::{Args, Subcommand};
use meshwork_api::GovernanceView;
use meshwork_core::types::{Action, Govern, TransactionId};

use self::change::Propose;
use crate::{
    client::Client,
    context::Context,
    failure::{Done, Failure},
    submission,
};

/// The subcommands of `govern`.
#[derive(Subcommand, Debug)]
pub enum GovernCommand {
    /// Show the authorities now and in the next epoch, the rules in force, and open proposals
    Show,
    /// Propose a change, and approve it yourself.
    ///
    /// The change takes effect once a quorum of the present authorities has approved it: with the next epoch if it
    /// adds or removes an authority, otherwise at once.
    Propose(Box<Propose>),
    /// Approve another authority's proposal
    Approve(Approve),
}

/// Which proposal.
#[derive(Args, Debug)]
pub struct Approve {
    /// The proposal's id, or its first digits
    proposal: String,
}

/// Runs the command.
///
/// # Errors
/// This home's key is not an authority's, or the network does not accept the transaction.
pub async fn run(context: &Context, command: GovernCommand) -> Done {
    let client = context.settings.client()?;
    match command {
        GovernCommand::Show => show(context, &client.governance().await?),
        GovernCommand::Propose(propose) => {
            let change = propose.change(&client.governance().await?.rules.schedule)?;
            say(context, &client, Govern::Propose(change)).await
        }
        GovernCommand::Approve(Approve { proposal }) => {
            let id = find(&client.governance().await?, &proposal)?;
            say(context, &client, Govern::Approve(id)).await
        }
    }
}

fn show(context: &Context, governance: &GovernanceView) -> Done {
    let output = context.output;
    if output.is_json() {
        return output.object(governance);
    }
    output.lines(&format!("Epoch {}, since height {}:", governance.epoch, governance.since))?;
    output.listing(&governance.authorities)?;
    if let Some(next) = &governance.next {
        output.lines("\nApproved for the next epoch, which begins after the next gate:")?;
        output.listing(next)?;
    }
    output.lines("\nIn force:")?;
    output.record(&governance.rules)?;
    if !governance.proposals.is_empty() {
        output.lines("\nProposed:")?;
        output.listing(&governance.proposals)?;
    }
    Ok(())
}

fn find(governance: &GovernanceView, digits: &str) -> Done<TransactionId> {
    let digits = digits.to_ascii_lowercase();
    let ids = governance.proposals.iter().map(|proposal| proposal.id);
    let found: Vec<TransactionId> = ids.filter(|id| id.to_string().starts_with(&digits)).collect();
    match found[..] {
        [id] => Ok(id),
        [] => Err(Failure::usage(format!("No open proposal's id starts with {digits}; see `meshwork govern show`."))),
        _ => Err(Failure::usage(format!("{} proposals' ids start with {digits}; write more digits.", found.len()))),
    }
}

/// Signs the transaction with this home's key, hands it to the node, and waits until it is executed.
async fn say(context: &Context, client: &Client, govern: Govern) -> Done {
    let key = context.settings.key()?;
    let approved = match &govern {
        Govern::Approve(id) => Some(*id),
        Govern::Propose(_) => None,
    };
    let transaction = submission::sign_for(client, Action::Govern(govern), &key).await?;
    let id = approved.unwrap_or_else(|| transaction.id());
    submission::settle(client, &transaction).await?;
    let governance = client.governance().await?;
    let is_open = governance.proposals.iter().any(|proposal| proposal.id == id);
    context.output.note(&match is_open {
        true => format!("Others can approve it with `meshwork govern approve {id}`."),
        false => "It is approved: what changes of the authorities does with the next epoch, all else now.".to_owned(),
    });
    if context.output.is_json() { context.output.object(&governance) } else { context.output.lines(&id.to_string()) }
}
