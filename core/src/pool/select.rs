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

impl Pool {
    /// The transactions that fit a block, in order. Leaves out those in `taken`, and those whose expiry is not
    /// within `timely`. A quarter of the block is reserved for strangers, and a quarter of what they or the others
    /// have is reserved for submitters; what is reserved in vain goes to whoever waits.
    #[must_use]
    pub fn select(
        &self,
        taken: &BTreeSet<TransactionId>,
        timely: &RangeInclusive<BlockTime>,
        bytes_max: usize,
        transactions_max: usize,
    ) -> Vec<Arc<SignedTransaction>> {
        let mut selection = Selection { pool: self, taken, timely, bytes: 0, chosen: Vec::new() };
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
}

impl Selection<'_> {
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
            if self.taken.contains(id) || !self.timely.contains(&transaction.transaction().expires) {
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
