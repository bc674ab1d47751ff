//! Signs transactions and hands them to a node. The key never leaves this process.

use std::{sync::Arc, time::Duration};

use meshwork_core::{
    identity::{NetworkId, PublicKey, SecretKey},
    types::{
        Action, Array, BlockTime, JobId, KeyLimit, SignedTransaction, Submit, TaskSpec, Tasks, Transaction, VoidReason,
    },
};

use meshwork_api::TransactionView;

use crate::{
    client::Client,
    failure::{Done, Failure},
    output::{complain, governance::amount, words::duration},
    time::{CLOCKS_DIFFER_US, milliseconds, now_us, until_ms},
};

/// How long a transaction may wait to be ordered by default: half of what a default genesis allows, so that clock
/// differences do not matter.
pub const EXPIRY_DEFAULT: Duration = Duration::from_secs(5 * 60);

/// How often the node is asked whether a transaction is executed.
const ASK_INTERVAL: Duration = Duration::from_millis(50);

/// Signs an action.
pub fn sign(action: Action, expires_after: Duration, key: &SecretKey, network: &NetworkId) -> SignedTransaction {
    let expires = BlockTime(now_us()).plus_ms(milliseconds(expires_after));
    SignedTransaction::sign(Transaction { nonce: rand::random(), expires, action }, key, network)
}

/// Signs what a person wishes of the network that a node is of, to be ordered within [`EXPIRY_DEFAULT`].
///
/// # Errors
/// The node does not answer.
pub async fn sign_for(client: &Client, action: Action, key: &SecretKey) -> Done<SignedTransaction> {
    let network = client.status().await?.network;
    Ok(sign(action, EXPIRY_DEFAULT, key, &network))
}

/// Signs a job.
pub fn sign_job(
    name: &str,
    spec: Arc<TaskSpec>,
    tasks: Tasks,
    expires_after: Duration,
    key: &SecretKey,
    network: &NetworkId,
) -> SignedTransaction {
    let array = Array { name: String::new(), spec, tasks: Arc::new(tasks), after: Vec::new(), feeds: false };
    let submit = Submit { arrays: vec![array], ..Submit::named(name) };
    sign(Action::Submit(submit), expires_after, key, network)
}

/// The job that a signed submit creates.
pub fn job_of(transaction: &SignedTransaction) -> JobId {
    JobId(transaction.id().0)
}

/// Hands a signed transaction to a node.
///
/// # Errors
/// The node does not answer, or refuses it.
pub async fn post(client: &Client, transaction: &SignedTransaction) -> Done {
    let admissions = client.admit(std::slice::from_ref(transaction)).await?;
    let own = admissions.iter().find(|admission| admission.id == transaction.id());
    let refused =
        own.map_or((Some("it did not say why"), None), |admission| (admission.refused.as_deref(), admission.reason));
    let (Some(why), reason) = refused else {
        if let Some(end) = own.and_then(|admission| admission.misses_deadline_us) {
            let within = duration(until_ms(end));
            complain(&format!(
                "the deadline cannot be met: with the workers that stand, the job takes {within} at least, even if nothing else runs"
            ));
        }
        return Ok(());
    };
    let (base, why) = (client.base(), why.trim_end_matches('.'));
    let taken = taken(client, transaction.signer(), reason).await;
    Err(Failure::failed(format!("The node at {base} refused the transaction: {why}{taken}.")))
}

/// How much of the limit that makes its transaction void a key has used, and when some of it becomes free.
async fn taken(client: &Client, key: PublicKey, reason: Option<VoidReason>) -> String {
    let Some(limit) = reason.and_then(VoidReason::key_limit) else { return String::new() };
    let Ok(view) = client.key(key).await else { return String::new() };
    let Some(own) = view.limits.iter().find(|own| own.limit == limit) else { return String::new() };
    let first_end_us = view.first_end_us.filter(|_| limit != KeyLimit::DailyStoredBytes);
    let frees = match first_end_us {
        Some(end) => {
            let within = duration(until_ms(end));
            format!("; the first attempt of this key has to end in {within}")
        }
        None => String::new(),
    };
    format!(" ({} of {}{frees})", amount(limit, own.used), amount(limit, own.most))
}

/// Hands a signed transaction to a node, and waits until it is executed.
///
/// # Errors
/// The node does not answer or refuses it, the ledger finds it void, or it expires before it is ordered.
pub async fn settle(client: &Client, transaction: &SignedTransaction) -> Done {
    post(client, transaction).await?;
    let expires_us = transaction.transaction().expires.0;
    loop {
        match client.transaction(transaction.id()).await {
            Ok(TransactionView { void: None, .. }) => return Ok(()),
            Ok(TransactionView { void: Some(why), reason, .. }) => {
                let taken = taken(client, transaction.signer(), reason).await;
                let why = why.trim_end_matches('.');
                return Err(Failure::failed(format!("The ledger did not take it: {why}{taken}.")));
            }
            Err(error) if error.is_absent() => {}
            Err(error) => return Err(error.into()),
        }
        unless_expired(expires_us)?;
        tokio::time::sleep(ASK_INTERVAL).await;
    }
}

/// Nothing while a transaction may still be executed whose expiry, in microseconds since the Unix epoch, this is.
///
/// # Errors
/// It has expired, by whatever clock.
pub fn unless_expired(expires_us: u64) -> Done {
    if now_us() <= expires_us.saturating_add(CLOCKS_DIFFER_US) {
        return Ok(());
    }
    Err(Failure::failed(
        "The network did not execute it before its expiry; see `meshwork status` for the network's health.",
    ))
}
