//! Fills a block from the pool.

use std::{collections::BTreeSet, ops::RangeInclusive, sync::Arc};

use super::{
    Pool, PoolEntry,
    order::{Class, Lane, Place, Signer},
};
use crate::{
    invariant::known,
    types::{BlockTime, SignedTransaction, TransactionId},
};

/// Every so many blocks one may begin with a large transaction.
const LARGE_EVERY: u64 = 4;
/// A transaction is large if it takes more than one in so many parts of a block, which is the least that a lane has.
const LEAST_SHARE: usize = 16;

impl Pool {
    /// The transactions that fit a block, in order. Leaves out those in `taken`, and those whose expiry is not
    /// within `timely`. A quarter of the block is reserved for strangers, and a quarter of what they or the others
    /// have is reserved for submitters; what is reserved in vain goes to whoever waits. A transaction may be larger than
    /// all that is reserved for its lane, so one block in [`LARGE_EVERY`] begins with the first of a lane, if it is
    /// large.
    #[must_use]
    pub fn select(
        &self,
        taken: &BTreeSet<TransactionId>,
        timely: &RangeInclusive<BlockTime>,
        bytes_max: usize,
        transactions_max: usize,
    ) -> Vec<Arc<SignedTransaction>> {
        let mut selection = Selection { pool: self, taken, timely, bytes: 0, chosen: Vec::new(), large: None };
        if self.settled.is_multiple_of(LARGE_EVERY) {
            selection.begin_with_large(bytes_max, transactions_max);
        }
        let mut behind = Vec::new();
        for lane in Lane::ALL {
            let up_to = |most: usize, now: usize| {
                let of_both = if lane.of == Signer::Stranger { most } else { most - most / 4 };
                let left = of_both.saturating_sub(now);
                if lane.class == Class::Workers { now + left - left / 4 } else { now + left }
            };
            let most = (up_to(bytes_max, selection.bytes), up_to(transactions_max, selection.chosen.len()));
            behind.extend(selection.add(self.order.range(lane.places()), most.0, most.1));
        }
        selection.add(behind.into_iter(), bytes_max, transactions_max);
        selection.chosen
    }
}

/// A block that is being filled.
struct Selection<'a> {
    pool: &'a Pool,
    taken: &'a BTreeSet<TransactionId>,
    timely: &'a RangeInclusive<BlockTime>,
    bytes: usize,
    chosen: Vec<Arc<SignedTransaction>>,
    /// The one that the block begins with out of turn.
    large: Option<TransactionId>,
}

impl Selection<'_> {
    /// Adds the first transaction of a lane, if it is large. Lanes take turns.
    fn begin_with_large(&mut self, bytes_max: usize, transactions_max: usize) {
        let pool = self.pool;
        let turn = (pool.settled / LARGE_EVERY % Lane::ALL.len() as u64) as usize;
        let first = |lane: Lane| pool.order.range(lane.places()).find(|(_, id)| !self.taken.contains(id));
        let is_large = |(_, id): &(&Place, &TransactionId)| {
            pool.entries.get(id).is_some_and(|entry| entry.transaction.wire_bytes() > bytes_max / LEAST_SHARE)
        };
        let mut lanes = Lane::ALL.into_iter().cycle().skip(turn).take(Lane::ALL.len()).filter_map(first);
        if let Some(large) = lanes.find(is_large) {
            self.add(std::iter::once(large), bytes_max, transactions_max);
            self.large = Some(*large.1).filter(|_| !self.chosen.is_empty());
        }
    }

    /// Adds the transactions that fit. Returns those, of the ones it looked at, that only the bounds keep out.
    fn add<'a>(
        &mut self,
        places: impl Iterator<Item = (&'a Place, &'a TransactionId)>,
        bytes_max: usize,
        transactions_max: usize,
    ) -> Vec<(&'a Place, &'a TransactionId)> {
        let mut behind = Vec::new();
        for (place, id) in places {
            let Some(PoolEntry { transaction, .. }) = known(self.pool.entries.get(id)) else { continue };
            if self.taken.contains(id)
                || self.large == Some(*id)
                || !self.timely.contains(&transaction.transaction().expires)
            {
                continue;
            }
            let larger = self.bytes + transaction.wire_bytes();
            if larger > bytes_max || self.chosen.len() >= transactions_max {
                behind.push((place, id));
                if behind.len() > transactions_max {
                    break;
                }
                continue;
            }
            self.bytes = larger;
            self.chosen.push(Arc::clone(transaction));
        }
        behind
    }
}
