//! Transactions that wait to be ordered: checked by the strict rule, bounded, each once.
//!
//! Workers' transactions (claims, reports, drains) go before submitters', because leases depend on them.
//! Authorities' go with the workers'. Within each lane the order is that of arrival. The pool knows nothing of
//! views or peers.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
    sync::Arc,
};

use thiserror::Error;

use crate::{
    identity::PublicKey,
    invariant::known,
    types::{Action, Block, BlockTime, Height, SignedTransaction, TransactionId, VoidReason},
};

/// The most transactions that wait.
pub const TRANSACTIONS_MAX: usize = 65_536;
/// The most bytes of the transactions that wait.
pub const BYTES_MAX: usize = 128 << 20;
/// The most transactions of one signer that wait.
pub const KEY_TRANSACTIONS_MAX: usize = 8_192;

/// The most worker transactions of one signer that wait. An honest worker has a few reports on their way, and a
/// claim every few seconds.
pub const KEY_WORKER_TRANSACTIONS_MAX: usize = 64;

/// Why a transaction is refused.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Refusal {
    /// It is here already.
    #[error("it waits here already")]
    Known,
    /// The signature is not the signer's.
    #[error("its signature is not good on this network")]
    BadSignature,
    /// The ledger would find it void.
    #[error("{0}")]
    Void(#[from] VoidReason),
    /// As many of this signer's transactions wait as is allowed.
    #[error("as many transactions of this key wait as may; send it again when some have been ordered")]
    KeyFull,
    /// As many transactions wait as the pool can hold.
    #[error("as many transactions wait as this peer can hold; send it again later")]
    Full,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    Workers,
    Submitters,
}

impl Class {
    const fn of(transaction: &SignedTransaction) -> Self {
        match transaction.transaction().action {
            Action::Claim(_) | Action::Report(_) | Action::Drain(_) | Action::Govern(_) => Self::Workers,
            Action::Submit(_) | Action::Extend(_) | Action::Control(_) | Action::Recur(_) => Self::Submitters,
        }
    }
}

type Arrival = (Class, u64);

#[derive(Debug)]
struct PoolEntry {
    transaction: Arc<SignedTransaction>,
    arrival: Arrival,
    /// The height of a block here that holds the transaction and may still become final.
    in_flight: Option<Height>,
}

/// Transactions that wait to be ordered.
#[derive(Debug, Default)]
pub struct Pool {
    entries: BTreeMap<TransactionId, PoolEntry>,
    order: BTreeMap<Arrival, TransactionId>,
    /// The places of transactions that came in at this peer.
    local: BTreeMap<Arrival, TransactionId>,
    by_signer: BTreeMap<PublicKey, usize>,
    bytes: usize,
    arrivals: u64,
    in_flight: BTreeSet<TransactionId>,
    by_expiry: BTreeSet<(BlockTime, TransactionId)>,
}

impl Pool {
    /// How many transactions wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether a transaction waits that no block here holds.
    #[must_use]
    pub fn has_work(&self) -> bool {
        self.entries.len() > self.in_flight.len()
    }

    /// Whether a transaction waits that is not among these.
    #[must_use]
    pub fn has_more_than(&self, taken: &BTreeSet<TransactionId>) -> bool {
        let here = taken.iter().filter(|id| self.entries.contains_key(id)).count();
        self.entries.len() > here
    }

    /// Whether exactly this transaction, signature included, was checked and waits here.
    #[must_use]
    pub fn holds(&self, transaction: &SignedTransaction) -> bool {
        self.entries.get(&transaction.id()).is_some_and(|entry| entry.transaction.envelope() == transaction.envelope())
    }

    /// Whether the pool has capacity for a transaction that it does not hold yet.
    ///
    /// # Errors
    /// The pool holds the transaction, or has no capacity for it.
    pub fn admits(&self, transaction: &SignedTransaction) -> Result<(), Refusal> {
        if self.entries.contains_key(&transaction.id()) {
            return Err(Refusal::Known);
        }
        let of_key_max = match Class::of(transaction) {
            Class::Workers => KEY_WORKER_TRANSACTIONS_MAX,
            Class::Submitters => KEY_TRANSACTIONS_MAX,
        };
        if self.by_signer.get(&transaction.signer()).is_some_and(|count| *count >= of_key_max) {
            return Err(Refusal::KeyFull);
        }
        if self.entries.len() >= TRANSACTIONS_MAX || self.bytes + transaction.wire_bytes() > BYTES_MAX {
            return Err(Refusal::Full);
        }
        Ok(())
    }

    /// Takes a transaction whose signature has been checked by the strict rule.
    ///
    /// # Errors
    /// See [`Pool::admits`].
    pub fn insert(&mut self, transaction: Arc<SignedTransaction>, local: bool) -> Result<(), Refusal> {
        self.admits(&transaction)?;
        let arrival = (Class::of(&transaction), self.arrivals);
        self.arrivals += 1;
        self.bytes += transaction.wire_bytes();
        self.by_expiry.insert((transaction.transaction().expires, transaction.id()));
        *self.by_signer.entry(transaction.signer()).or_default() += 1;
        self.order.insert(arrival, transaction.id());
        if local {
            self.local.insert(arrival, transaction.id());
        }
        self.entries.insert(transaction.id(), PoolEntry { transaction, arrival, in_flight: None });
        Ok(())
    }

    fn remove(&mut self, id: TransactionId) {
        let Some(entry) = self.entries.remove(&id) else { return };
        self.order.remove(&entry.arrival);
        self.local.remove(&entry.arrival);
        self.bytes -= entry.transaction.wire_bytes();
        self.in_flight.remove(&id);
        self.by_expiry.remove(&(entry.transaction.transaction().expires, id));
        let signer = entry.transaction.signer();
        if let Some(count) = self.by_signer.get_mut(&signer) {
            *count -= 1;
            if *count == 0 {
                self.by_signer.remove(&signer);
            }
        }
    }

    /// The transactions that fit a block, in order. Leaves out those in `taken`, and those whose expiry is not
    /// within `timely`. A quarter of the block is reserved for submitters while any of theirs wait.
    #[must_use]
    pub fn select(
        &self,
        taken: &BTreeSet<TransactionId>,
        timely: &RangeInclusive<BlockTime>,
        bytes_max: usize,
        transactions_max: usize,
    ) -> Vec<Arc<SignedTransaction>> {
        let share = |most: usize| most - most / 4;
        let mut selection = Selection { pool: self, taken, timely, bytes: 0, chosen: Vec::new() };
        let (workers, submitters) = ((Class::Workers, 0)..(Class::Submitters, 0), (Class::Submitters, 0)..);
        let behind = selection.add(self.order.range(workers), share(bytes_max), share(transactions_max));
        selection.add(self.order.range(submitters), bytes_max, transactions_max);
        selection.add(behind.into_iter(), bytes_max, transactions_max);
        selection.chosen
    }

    /// Notes that a block holds these transactions and may become final.
    pub fn mark_in_flight(&mut self, block: &Block) {
        for transaction in &block.transactions {
            if let Some(entry) = self.entries.get_mut(&transaction.id()) {
                entry.in_flight = Some(block.header.height);
                self.in_flight.insert(transaction.id());
            }
        }
    }

    /// Handles a final block. Its transactions wait no longer, and those of a block that lost to it wait again.
    /// Expired transactions are dropped. So are those that expire after `latest`: they came in while a clock
    /// was wrong, and no block could hold them.
    pub fn settle(&mut self, block: &Block, latest: BlockTime) {
        for transaction in &block.transactions {
            self.remove(transaction.id());
        }
        let Self { entries, in_flight, .. } = self;
        in_flight.retain(|id| {
            let Some(entry) = known(entries.get_mut(id)) else { return false };
            let lost = entry.in_flight.is_none_or(|height| height <= block.header.height);
            if lost {
                entry.in_flight = None;
            }
            !lost
        });
        while let Some((expires, id)) = self.by_expiry.first().copied()
            && expires < block.header.time
        {
            self.remove(id);
        }
        while let Some((expires, id)) = self.by_expiry.last().copied()
            && expires > latest
        {
            self.remove(id);
        }
    }

    /// The transactions from this peer that wait outside every block, oldest first, up to `bytes_max` bytes.
    #[must_use]
    pub fn local_waiting(&self, bytes_max: usize) -> Vec<Arc<SignedTransaction>> {
        let mut bytes = 0;
        let waiting = self.local.values().filter_map(|id| self.entries.get(id));
        waiting
            .filter(|entry| entry.in_flight.is_none())
            .map(|entry| Arc::clone(&entry.transaction))
            .take_while(|transaction| {
                bytes += transaction.wire_bytes();
                bytes <= bytes_max
            })
            .collect()
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
        arrivals: impl Iterator<Item = (&'a Arrival, &'a TransactionId)>,
        bytes_max: usize,
        transactions_max: usize,
    ) -> Vec<(&'a Arrival, &'a TransactionId)> {
        let mut behind = Vec::new();
        for (arrival, id) in arrivals {
            let Some(PoolEntry { transaction, .. }) = known(self.pool.entries.get(id)) else { continue };
            if self.taken.contains(id) || !self.timely.contains(&transaction.transaction().expires) {
                continue;
            }
            let larger = self.bytes + transaction.wire_bytes();
            if larger > bytes_max || self.chosen.len() >= transactions_max {
                behind.push((arrival, id));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        digest::Digest,
        identity::{NetworkId, SecretKey},
        types::{Control, Drain, Epoch, Header, JobId, Role, Transaction, View},
    };

    fn transaction(nonce: u64, action: Action, expires: u64) -> Arc<SignedTransaction> {
        let transaction = Transaction { nonce, expires: BlockTime(expires), action };
        Arc::new(SignedTransaction::sign(transaction, &SecretKey::from_seed([1; 32]), &NetworkId([0; 32])))
    }

    fn cancel(nonce: u64) -> Arc<SignedTransaction> {
        transaction(nonce, Action::Control(Control::cancel(JobId(Digest::ZERO))), 100)
    }

    fn block(height: u64, time: u64, transactions: Vec<Arc<SignedTransaction>>) -> Block {
        let header = Header {
            epoch: Epoch(0),
            role: Role::Inner,
            view: View(height),
            height: Height(height),
            parent: Digest::ZERO,
            time: BlockTime(time),
            transactions: Block::transactions_digest(&transactions),
            final_height: Height(0),
            result_height: Height(0),
            result: Digest::ZERO,
            snapshots: Vec::new(),
        };
        Block { header, transactions }
    }

    fn always() -> RangeInclusive<BlockTime> {
        BlockTime(0)..=BlockTime(u64::MAX)
    }

    fn all(pool: &Pool) -> Vec<Arc<SignedTransaction>> {
        pool.select(&BTreeSet::new(), &always(), usize::MAX, usize::MAX)
    }

    #[test]
    fn workers_go_first_and_each_lane_keeps_its_order() {
        let mut pool = Pool::default();
        let drain = transaction(9, Action::Drain(Drain { sequence: 1 }), 100);
        let (first, second) = (cancel(1), cancel(2));
        for transaction in [&first, &second, &drain] {
            pool.insert(Arc::clone(transaction), false).expect("room");
        }
        assert_eq!(pool.insert(Arc::clone(&first), false), Err(Refusal::Known));
        assert_eq!(all(&pool), [drain, first, second]);
    }

    #[test]
    fn what_is_final_goes_and_what_lost_its_place_waits_again() {
        let mut pool = Pool::default();
        let (kept, lost) = (cancel(1), cancel(2));
        for transaction in [&kept, &lost] {
            pool.insert(Arc::clone(transaction), true).expect("room");
        }
        pool.mark_in_flight(&block(5, 10, vec![Arc::clone(&kept), Arc::clone(&lost)]));
        assert!(!pool.has_work() && pool.local_waiting(usize::MAX).is_empty());
        pool.settle(&block(4, 9, Vec::new()), BlockTime(u64::MAX));
        assert!(!pool.has_work());
        pool.settle(&block(5, 10, vec![Arc::clone(&kept)]), BlockTime(u64::MAX));
        assert!(pool.has_work());
        assert_eq!(all(&pool), [Arc::clone(&lost)]);
        assert_eq!(pool.local_waiting(usize::MAX), [lost]);
    }

    #[test]
    fn what_has_expired_goes_and_leaves_nothing_behind() {
        let mut pool = Pool::default();
        pool.insert(cancel(1), false).expect("room");
        pool.settle(&block(1, 100, Vec::new()), BlockTime(u64::MAX));
        assert_eq!(pool.len(), 1);
        pool.settle(&block(2, 101, Vec::new()), BlockTime(u64::MAX));
        assert!(pool.is_empty() && pool.bytes == 0 && pool.by_signer.is_empty() && pool.order.is_empty());
    }

    #[test]
    fn blocks_are_filled_within_their_bounds_without_what_is_taken() {
        let mut pool = Pool::default();
        let transactions: Vec<_> = (0..10).map(cancel).collect();
        for transaction in &transactions {
            pool.insert(Arc::clone(transaction), false).expect("room");
        }
        let taken = BTreeSet::from([transactions[0].id()]);
        assert_eq!(pool.select(&taken, &always(), usize::MAX, 3), transactions[1..4]);
        let bytes_max = 2 * transactions[0].wire_bytes() + 20;
        assert_eq!(pool.select(&taken, &always(), bytes_max, 9).len(), 2);
        assert!(pool.select(&taken, &(BlockTime(101)..=BlockTime(900)), usize::MAX, 9).is_empty());
    }

    #[test]
    fn a_quarter_of_a_block_is_kept_for_submitters() {
        let mut pool = Pool::default();
        for sequence in 0..20 {
            pool.insert(transaction(100 + sequence, Action::Drain(Drain { sequence }), 100), false).expect("room");
        }
        let drains = |chosen: &[Arc<SignedTransaction>]| {
            chosen.iter().filter(|one| matches!(one.transaction().action, Action::Drain(_))).count()
        };
        let select = |pool: &Pool| pool.select(&BTreeSet::new(), &always(), usize::MAX, 8);
        assert_eq!(drains(&select(&pool)), 8, "nobody else waits");
        for nonce in 0..20 {
            pool.insert(cancel(nonce), false).expect("room");
        }
        assert_eq!((drains(&select(&pool)), select(&pool).len()), (6, 8));
    }

    #[test]
    fn what_expires_too_late_for_a_block_is_not_chosen_and_goes() {
        let mut pool = Pool::default();
        let late = transaction(1, Action::Control(Control::cancel(JobId(Digest::ZERO))), 1_000);
        pool.insert(late, false).expect("room");
        assert!(pool.select(&BTreeSet::new(), &(BlockTime(5)..=BlockTime(999)), usize::MAX, 9).is_empty());
        pool.settle(&block(1, 5, Vec::new()), BlockTime(1_000));
        assert_eq!(pool.len(), 1);
        pool.settle(&block(2, 6, Vec::new()), BlockTime(999));
        assert!(pool.is_empty() && pool.by_expiry.is_empty());
    }

    #[test]
    fn one_signer_cannot_fill_the_pool() {
        let mut pool = Pool::default();
        pool.by_signer.insert(SecretKey::from_seed([1; 32]).public(), KEY_TRANSACTIONS_MAX);
        assert_eq!(pool.insert(cancel(1), false), Err(Refusal::KeyFull));
        pool.by_signer.insert(SecretKey::from_seed([1; 32]).public(), KEY_WORKER_TRANSACTIONS_MAX);
        let drain = transaction(9, Action::Drain(Drain { sequence: 1 }), 100);
        assert_eq!(pool.insert(drain, false), Err(Refusal::KeyFull));
    }
}
