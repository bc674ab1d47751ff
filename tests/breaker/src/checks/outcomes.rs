//! Checks that every task of a job has one outcome, that every peer has it at the same place, and that its
//! proof holds.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use meshwork::{
    client::Client,
    failure::{Done, Failure},
    outcomes,
};
use meshwork_core::types::{JobId, Verdict};

use crate::{hosts::Role, network::Network};

/// The most tasks that a node gives at once.
const PAGE: u32 = 1000;

/// How long a peer may take until it has executed what others have.
const CAUGHT_UP_WITHIN: Duration = Duration::from_secs(60);

/// Where the receipt of each task is: height and place, by the task's index.
type Places = BTreeMap<u32, (u64, u32)>;

/// What the check found of a job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcomes {
    /// Tasks without an outcome on some peer.
    pub lost: u64,
    /// Tasks whose outcome is at different places on different peers.
    pub differing: u64,
    /// Tasks that failed, by how.
    pub failed: BTreeMap<String, u64>,
    /// Receipts whose proof holds against the genesis.
    pub verified: u64,
    /// Peers that were asked.
    pub peers: usize,
}

/// Checks a job with `tasks` tasks on every peer that knows it. Verifies all proofs of one peer that keeps
/// everything; the peers take turns.
///
/// # Errors
/// A peer does not answer, or a proof does not hold.
pub(crate) async fn examine(network: &Network, job: JobId, tasks: u32, turn: usize) -> Done<Outcomes> {
    let (workers, others): (Vec<_>, Vec<_>) = network
        .clients()
        .into_iter()
        .partition(|(name, _)| network.member(name).is_ok_and(|member| member.role == Role::Worker));
    let mut found = Outcomes::default();
    let mut first: Option<Places> = None;
    for (name, client) in others.iter().chain(&workers) {
        let ended = first.as_ref().and_then(|first| first.values().map(|(height, _)| *height).max());
        let Some(places) = places(name, client, job, ended).await? else { continue };
        found.peers += 1;
        found.lost = found.lost.max(u64::from(tasks).saturating_sub(places.len() as u64));
        match &first {
            None => first = Some(places),
            Some(first) => {
                found.differing += first.iter().filter(|(index, place)| places.get(index) != Some(place)).count() as u64
            }
        }
    }
    let Some((_, client)) = others.get(turn % others.len().max(1)) else {
        return Err(Failure::failed("Nobody runs."));
    };
    let proved = outcomes::of_job(client, job, network.genesis()).await?;
    found.verified = proved.len() as u64;
    for one in &proved {
        if let Verdict::Failed(failure, ..) = &one.outcome.verdict {
            *found.failed.entry(failure.to_string()).or_default() += 1;
        }
    }
    let misplaced = |one: &&outcomes::Proved| {
        let place = first.as_ref().and_then(|first| first.get(&one.outcome.attempt.task.index));
        place != Some(&(one.proof.height.0, one.proof.index))
    };
    found.differing += proved.iter().filter(misplaced).count() as u64;
    Ok(found)
}

/// Where the receipts of a job's tasks are, according to one peer, once it has executed the job's end. Nothing
/// if the peer has executed this height and does not know the job: it began with a snapshot that had forgotten
/// the job.
async fn places(name: &str, client: &Client, job: JobId, forgotten_from: Option<u64>) -> Done<Option<Places>> {
    let until = Instant::now() + CAUGHT_UP_WITHIN;
    loop {
        let is_known = match client.job(job).await {
            Ok(view) if view.ended_us.is_some() => break,
            Ok(_) => true,
            Err(error) if error.is_absent() => false,
            Err(error) => return Err(error.into()),
        };
        if let Some(from) = forgotten_from.filter(|_| !is_known)
            && client.status().await?.height.0 >= from
        {
            return Ok(None);
        }
        if Instant::now() > until {
            return Err(Failure::failed(format!("{name} does not come to the end of job {job}.")));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let mut places = Places::new();
    let mut from = 0;
    loop {
        let page = client.tasks(job, from, PAGE, None).await?;
        let Some(last) = page.last() else { return Ok(Some(places)) };
        from = last.index + 1;
        places.extend(page.iter().filter_map(|task| Some((task.index, (task.receipt?.height.0, task.receipt?.index)))));
    }
}
