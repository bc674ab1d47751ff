//! Checks that all peers have the same blocks and computed the same result at every height, and that no task's
//! outcome was accepted twice.

use std::collections::BTreeMap;

use futures::{StreamExt, TryStreamExt, stream};
use meshwork::{client::Client, failure::Done};
use meshwork_core::{digest::Digest, types::JobId};
use serde::Deserialize;

use crate::network::Network;

/// The most blocks that a node gives at once.
const PAGE: u64 = 256;

/// How many peers are asked at the same time.
const ASKED_AT_ONCE: usize = 3;

/// What a peer says of one height.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct AtHeight {
    height: u64,
    digest: Digest,
    /// The root over all receipts up to the height, as this peer executed it. Older nodes do not tell.
    root: Option<Digest>,
    /// The digest of the ledger's state after the height, as this peer executed it, at snapshot heights.
    state: Option<Digest>,
    /// The outcomes that were accepted there.
    outcomes: Option<Vec<Accepted>>,
}

/// An outcome that a peer says was accepted.
#[derive(Clone, Copy, Debug, Deserialize)]
struct Accepted {
    job: JobId,
    index: u32,
}

/// The result of comparing all peers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Compared {
    /// Heights that at least two peers have.
    pub heights: u64,
    /// Roots of receipts that at least two peers computed.
    pub roots: u64,
    /// State digests that at least two peers computed.
    pub states: u64,
    /// Peers.
    pub peers: usize,
    /// The newest height that was compared.
    pub to: u64,
    /// Where they differ, in words.
    pub differences: Vec<String>,
    /// How many outcomes were accepted for each task; nothing if no peer tells.
    pub accepted: Option<BTreeMap<(JobId, u32), u32>>,
}

impl Compared {
    /// For how many tasks an outcome was accepted, and for how many more than one, of one job or of all.
    /// Nothing if no peer tells.
    #[must_use]
    pub(crate) fn accepted(&self, only: Option<JobId>) -> Option<(u64, u64)> {
        let accepted = self.accepted.as_ref()?;
        let of_job = accepted.iter().filter(|((job, _), _)| only.is_none_or(|only| only == *job));
        Some(of_job.fold((0, 0), |(once, twice), (_, count)| (once + 1, twice + u64::from(*count > 1))))
    }

    /// Adds what was found above.
    pub(crate) fn extend(&mut self, above: Self) {
        self.heights += above.heights;
        self.roots += above.roots;
        self.states += above.states;
        self.peers = above.peers;
        self.to = above.to;
        self.differences.extend(above.differences);
        for (task, count) in above.accepted.into_iter().flatten() {
            *self.accepted.get_or_insert_default().entry(task).or_default() += count;
        }
    }
}

/// Compares all heights above one that peers have in common, and counts the outcomes accepted there.
///
/// # Errors
/// A peer that runs does not answer.
pub(crate) async fn compare(network: &Network, above: u64) -> Done<Compared> {
    let clients = network.clients();
    let mut to = u64::MAX;
    for (_, client) in &clients {
        to = to.min(client.status().await?.height.0);
    }
    let chains = stream::iter(clients).map(|(name, client)| async move {
        let chain = blocks(&client, above + 1, to).await?;
        Done::Ok((name, chain))
    });
    let chains: Vec<(String, Vec<AtHeight>)> = chains.buffered(ASKED_AT_ONCE).try_collect().await?;
    Ok(of(&chains, to))
}

async fn blocks(client: &Client, from: u64, to: u64) -> Done<Vec<AtHeight>> {
    let mut all = Vec::new();
    let mut next = from;
    while next <= to {
        let limit = PAGE.min(to + 1 - next);
        all.extend(client.ask::<Vec<AtHeight>>(&format!("/v1/blocks?from={next}&limit={limit}")).await?);
        next += limit;
    }
    Ok(all)
}

fn of(chains: &[(String, Vec<AtHeight>)], to: u64) -> Compared {
    let mut compared = Compared { peers: chains.len(), to, ..Compared::default() };
    let mut heights: BTreeMap<u64, Vec<(&str, &AtHeight)>> = BTreeMap::new();
    for (name, chain) in chains {
        for at in chain {
            heights.entry(at.height).or_default().push((name, at));
        }
    }
    for (height, all) in &heights {
        let mut count = |what: &str, value: fn(&AtHeight) -> Option<Digest>| {
            let known: Vec<(&str, Digest)> = all.iter().filter_map(|(name, at)| Some((*name, value(at)?))).collect();
            let Some((first, rest)) = known.split_first() else { return 0 };
            for other in rest.iter().filter(|other| other.1 != first.1) {
                compared
                    .differences
                    .push(format!("{} and {} differ in the {what} at height {height}", first.0, other.0));
            }
            u64::from(!rest.is_empty())
        };
        let found = (count("block", |at| Some(at.digest)), count("root", |at| at.root), count("state", |at| at.state));
        compared.heights += found.0;
        compared.roots += found.1;
        compared.states += found.2;
    }
    // If the root of a height is the same everywhere, so are its receipts. So one peer that tells of a height
    // is enough.
    for all in heights.values() {
        let Some(outcomes) = all.iter().find_map(|(_, at)| at.outcomes.as_ref()) else { continue };
        let accepted = compared.accepted.get_or_insert_default();
        for outcome in outcomes {
            *accepted.entry((outcome.job, outcome.index)).or_default() += 1;
        }
    }
    compared
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(height: u64, root: u8, outcomes: &[u32]) -> AtHeight {
        let accepted = |index: &u32| Accepted { job: JobId(Digest([1; 32])), index: *index };
        AtHeight {
            height,
            digest: Digest([9; 32]),
            root: Some(Digest([root; 32])),
            state: None,
            outcomes: Some(outcomes.iter().map(accepted).collect()),
        }
    }

    #[test]
    fn peers_that_differ_are_named_and_outcomes_counted_once_a_height() {
        let job = JobId(Digest([1; 32]));
        let same =
            [("a".to_owned(), vec![at(1, 1, &[0, 1]), at(2, 1, &[2])]), ("b".to_owned(), vec![at(1, 1, &[0, 1])])];
        let mut compared = of(&same, 2);
        assert_eq!((compared.heights, compared.roots, compared.states), (1, 1, 0));
        assert_eq!(compared.accepted(Some(job)), Some((3, 0)));
        assert_eq!(compared.accepted(Some(JobId(Digest([2; 32])))), Some((0, 0)));
        assert!(compared.differences.is_empty());
        assert_eq!(compared.accepted.as_ref().map(BTreeMap::len), Some(3));
        let other = [("a".to_owned(), vec![at(3, 1, &[4]), at(4, 1, &[4])]), ("b".to_owned(), vec![at(3, 2, &[4])])];
        let above = of(&other, 4);
        assert_eq!(
            (above.differences.as_slice(), above.accepted(None)),
            (["a and b differ in the root at height 3".to_owned()].as_slice(), Some((1, 1)))
        );
        compared.extend(above);
        assert_eq!(compared.accepted.and_then(|accepted| accepted.get(&(job, 4)).copied()), Some(2));
        assert_eq!((compared.to, compared.roots), (4, 2));
    }
}
