//! `meshwork govern`: who the authorities are, and who they are to be.

use std::time::Duration;

use clap::{Args, Subcommand};
use meshwork_core::{
    identity::PublicKey,
    types::{Action, Change, Govern, TransactionId},
};
use meshwork_node::api::views::GovernanceView;

use super::{Context, genesis::NewAuthority};
use crate::{
    client::Client,
    failure::{Done, Failure},
    submission,
};

/// How long the ledger may take to order a transaction.
const ORDERED_WITHIN: Duration = Duration::from_secs(60);
/// How often it is looked at meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// What to do about the authorities.
#[derive(Subcommand, Debug)]
pub enum GovernCommand {
    /// Show the present authorities, those of the next epoch if a change is approved, and open proposals
    Show,
    /// Propose a change, and approve it oneself. It takes effect once a quorum of the present authorities has approved it
    Propose(Propose),
    /// Approve another authority's proposal
    Approve(Approve),
}

/// The change.
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
pub struct Propose {
    /// Add an authority, last in the order in which they lead. It must be up: it counts from its first view on
    #[arg(long, value_name = "NAME=KEY[@MULTIADDR[,MULTIADDR]]")]
    add: Option<NewAuthority>,
    /// Remove the authority with this key
    #[arg(long, value_name = "KEY")]
    remove: Option<PublicKey>,
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
/// One is no authority, or the network does not take what one says.
pub async fn run(context: &Context, command: GovernCommand) -> Done {
    let client = context.settings.client()?;
    match command {
        GovernCommand::Show => show(context, &client.governance().await?),
        GovernCommand::Propose(Propose { add, remove }) => {
            let add = add.map(|authority| Change::AddAuthority(authority.0));
            let change = add.or(remove.map(Change::RemoveAuthority));
            let change = change.ok_or_else(|| Failure::usage("Say whom to --add or to --remove."))?;
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

/// Signs it with the own key, hands it to the node, and waits until it shows.
async fn say(context: &Context, client: &Client, govern: Govern) -> Done {
    let key = context.settings.key()?;
    let network = client.status().await?.network;
    let approved = match &govern {
        Govern::Approve(id) => Some(*id),
        Govern::Propose(_) => None,
    };
    let transaction = submission::sign(Action::Govern(govern), submission::EXPIRY_DEFAULT, &key, &network);
    let id = approved.unwrap_or_else(|| transaction.id());
    let before = client.governance().await?;
    submission::post(client, &transaction).await?;
    let me = key.public();
    let settled = async {
        loop {
            let now = client.governance().await?;
            let open = now.proposals.iter().find(|proposal| proposal.id == id);
            // One that is open no more was approved just now, or in an epoch that is over.
            let gone = open.is_none() && (now.epoch > before.epoch || now.next != before.next);
            if gone || open.is_some_and(|proposal| proposal.approvals.contains(&me)) {
                return Ok::<_, Failure>(now);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    let governance = tokio::time::timeout(ORDERED_WITHIN, settled).await.map_err(|_| {
        Failure::failed(format!(
            "It is on its way, but was not ordered within {} seconds; see `meshwork govern show`.",
            ORDERED_WITHIN.as_secs()
        ))
    })??;
    let is_open = governance.proposals.iter().any(|proposal| proposal.id == id);
    context.output.note(&match is_open {
        true => format!("Others can approve it with `meshwork govern approve {id}`."),
        false => "It is approved, and takes effect with the next epoch.".to_owned(),
    });
    if context.output.is_json() { context.output.object(&governance) } else { context.output.lines(&id.to_string()) }
}
