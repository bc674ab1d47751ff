//! Signs transactions and hands them to a node. The key never leaves this process.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use meshwork_api::{StatusView, TransactionView};
use meshwork_core::{
    identity::{NetworkId, PublicKey, SecretKey},
    ledger::bounds,
    types::{
        Action, Array, BlockTime, JobId, KeyLimit, LedgerLimits, SignedTransaction, Submit, TaskSpec, Tasks,
        Transaction, TransactionId, VoidReason,
    },
};

use crate::{
    client::{Client, ClientError},
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

/// Checks an action before it is signed, as every ledger with these limits will.
///
/// # Errors
/// A field exceeds a bound, or makes no sense; the sentence names it, its value and the bound.
pub fn check(action: &Action, limits: &LedgerLimits) -> Done {
    bounds::check_action(limits, action).map_err(|unsound| {
        let sentence = unsound.to_string();
        let mut letters = sentence.chars();
        let first: String = letters.next().into_iter().flat_map(char::to_uppercase).collect();
        Failure::usage(format!("{first}{} on this network; nothing was submitted.", letters.as_str()))
    })
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
    let more = more(client, transaction.signer(), reason).await;
    Err(Failure::failed(format!("The node at {base} refused the transaction: {why}{more}.")))
}

/// What this machine and the node know besides the reason for which a key's transaction is void.
async fn more(client: &Client, key: PublicKey, reason: Option<VoidReason>) -> String {
    match reason {
        Some(VoidReason::Expired) => match client.status().await {
            Ok(status) => wrong_clock(now_us(), &status),
            Err(_) => String::new(),
        },
        _ => taken(client, key, reason).await,
    }
}

/// Whose clock is wrong, and by how much, if one is. This machine's clock dated the transaction, and the node's said
/// that it is no longer, or not yet, to be taken.
fn wrong_clock(now_us: u64, status: &StatusView) -> String {
    let off = |ahead_ms: i64| match ahead_ms {
        0.. => format!("{} ahead of", duration(ahead_ms.unsigned_abs())),
        _ => format!("{} behind", duration(ahead_ms.unsigned_abs())),
    };
    // Without a block for long, nobody knows what time the network has.
    let network_us = status.time_us.saturating_add(status.executed_ms_ago.unwrap_or_default().saturating_mul(1000));
    let ahead_us = i64::try_from(i128::from(now_us) - i128::from(network_us)).unwrap_or(i64::MAX);
    if ahead_us.unsigned_abs() > CLOCKS_DIFFER_US && status.executed_ms_ago.is_some() {
        return format!("; the clock of this machine is {} the network's: set it right", off(ahead_us / 1000));
    }
    match status.clock_off_ms {
        Some(ahead_ms) => format!("; the clock of the node's machine is {} the network's: set it right", off(ahead_ms)),
        None => "; this machine's clock is right, so see --expires".into(),
    }
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
    while !is_executed(client, transaction.id(), transaction.signer()).await?? {
        unless_expired(expires_us)?;
        tokio::time::sleep(ASK_INTERVAL).await;
    }
    Ok(())
}

/// Whether a transaction of this key is executed by now.
///
/// # Errors
/// Without: the node cannot say. Within: the ledger finds it void.
async fn is_executed(client: &Client, id: TransactionId, key: PublicKey) -> Result<Done<bool>, ClientError> {
    match client.transaction(id).await {
        Ok(TransactionView { void: None, .. }) => Ok(Ok(true)),
        Ok(TransactionView { void: Some(why), reason, .. }) => {
            let more = more(client, key, reason).await;
            let why = why.trim_end_matches('.');
            Ok(Err(Failure::failed(format!("The ledger did not take it: {why}{more}."))))
        }
        Err(error) if error.is_absent() => Ok(Ok(false)),
        Err(error) => Err(error),
    }
}

/// How long a transaction that a node accepted may take to be executed before a person is told that it is not yet.
/// A network in order needs less.
const EXECUTED_WITHIN: Duration = Duration::from_secs(2);

/// Waits a moment for a transaction that a node accepted, and returns whether it is executed. The node alone can lose
/// it; the network that has executed it cannot.
///
/// # Errors
/// The ledger finds it void.
pub async fn is_on_ledger(client: &Client, id: TransactionId, key: PublicKey) -> Done<bool> {
    let until = Instant::now() + EXECUTED_WITHIN;
    loop {
        match is_executed(client, id, key).await {
            // It was accepted, whatever became of the node since.
            Err(_) => return Ok(false),
            Ok(Ok(false)) if Instant::now() < until => tokio::time::sleep(ASK_INTERVAL).await,
            Ok(answer) => return answer,
        }
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

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use meshwork_api::{Keep, Role, TaskCounts};
    use meshwork_core::types::Height;

    pub(crate) fn status(time_us: u64, executed_ms_ago: Option<u64>, clock_off_ms: Option<i64>) -> StatusView {
        StatusView {
            network_name: "test".into(),
            network: NetworkId([0; 32]),
            key: crate::keys::generate().public(),
            version: String::new(),
            role: Role::Follower,
            height: Height(1),
            time_us,
            executed_ms_ago,
            clock_off_ms,
            keep: Keep::Full,
            blocks_from: None,
            disk_free_bytes: 0,
            takes_more: true,
            confinement_lacks: Vec::new(),
            syncing: None,
            epoch: 0,
            view: 0,
            finality_ms_p50: None,
            finality_ms_p99: None,
            apart: None,
            peers: 0,
            workers: 0,
            tasks: TaskCounts::default(),
            tasks_ended: 0,
            alarms: Vec::new(),
            convicted: Vec::new(),
            pool: 0,
            uptime_ms: 0,
        }
    }

    #[test]
    fn a_wrong_clock_is_told_with_whose_it_is_and_by_how_much() {
        let hour = 3_600_000_000;
        let own = wrong_clock(10 * hour, &status(11 * hour - 1_000_000, Some(1000), None));
        assert!(own.contains("this machine is 1h behind"), "{own}");
        let own = wrong_clock(12 * hour, &status(11 * hour, Some(0), Some(5000)));
        assert!(own.contains("this machine is 1h ahead"), "{own}");
        let nodes = wrong_clock(11 * hour, &status(11 * hour, Some(0), Some(-600_000)));
        assert!(nodes.contains("node's machine is 10m behind"), "{nodes}");
        assert!(wrong_clock(11 * hour, &status(11 * hour, Some(0), None)).contains("--expires"));
    }
}
