//! Transactions that wait to be ordered: checked by the strict rule, bounded, each once.
//!
//! `order.rs` says in which order they go into blocks, `select.rs` fills a block. The pool knows nothing of views or
//! peers.

mod order;
mod select;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use thiserror::Error;

pub use self::order::Signer;
use self::order::{Class, Lane, Place, Turns};
use crate::{
    invariant::known,
    types::{Action, Block, BlockTime, Height, SignedTransaction, TransactionId, VoidReason},
};

/// The most transactions that wait.
pub const TRANSACTIONS_MAX: usize = 65_536;
/// The most bytes of the transactions that wait.
pub const BYTES_MAX: usize = 128 << 20;
/// The most transactions of one signer that wait.
pub const KEY_TRANSACTIONS_MAX: usize = 8_192;

/// The most worker transactions of one signer that wait. An honest worker has a few reports on their way, and one
/// claim.
pub const KEY_WORKER_TRANSACTIONS_MAX: usize = 64;

/// How many transactions that came in at this peer never give way to others.
const LOCAL_PROTECTED_MAX: usize = TRANSACTIONS_MAX / 4;
/// How many of a lane's last transactions are looked at for what gives way.
const LOOKS_MAX: usize = 256;

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

#[derive(Debug)]
struct PoolEntry {
    transaction: Arc<SignedTransaction>,
    place: Place,
    /// The height of a block here that holds the transaction and may still become final.
    in_flight: Option<Height>,
}

/// Transactions that wait to be ordered.
#[derive(Debug, Default)]
pub struct Pool {
    entries: BTreeMap<TransactionId, PoolEntry>,
    order: BTreeMap<Place, TransactionId>,
    /// The places of transactions that came in at this peer.
    local: BTreeMap<Place, TransactionId>,
    turns: Turns,
    bytes: usize,
    arrivals: u64,
    /// How many blocks became final.
    settled: u64,
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

    /// Whether the pool takes a transaction that it does not hold yet, of a signer whom the ledger trusts so far.
    ///
    /// # Errors
    /// The pool holds the transaction or a newer claim, or has no capacity for it.
    pub fn admits(&self, transaction: &SignedTransaction, of: Signer) -> Result<(), Refusal> {
        if self.entries.contains_key(&transaction.id()) {
            return Err(Refusal::Known);
        }
        let place = self.next_place(transaction, of);
        let replaced = self.replaced(transaction)?;
        let of_key_max = match place.lane.class {
            Class::Workers => KEY_WORKER_TRANSACTIONS_MAX,
            Class::Submitters => KEY_TRANSACTIONS_MAX,
        };
        if replaced.is_none() && self.turns.waiting(&transaction.signer(), place.lane) >= of_key_max {
            return Err(Refusal::KeyFull);
        }
        self.make_room(transaction, &place, replaced).map(|_| ())
    }

    /// Takes a transaction whose signature has been checked by the strict rule. A claim takes the place of an older one that waits. If the pool is full, whatever would have waited longest
    /// gives way.
    ///
    /// # Errors
    /// See [`Pool::admits`].
    pub fn insert(&mut self, transaction: Arc<SignedTransaction>, of: Signer, local: bool) -> Result<(), Refusal> {
        self.admits(&transaction, of)?;
        let mut place = self.next_place(&transaction, of);
        let replaced = self.replaced(&transaction)?;
        for gone in self.make_room(&transaction, &place, replaced)? {
            self.remove_at(&gone);
        }
        if let Some(older) = replaced.filter(|older| older.lane == place.lane) {
            place.turn = place.turn.min(older.turn);
        }
        self.arrivals += 1;
        self.bytes += transaction.wire_bytes();
        self.by_expiry.insert((transaction.transaction().expires, transaction.id()));
        self.turns.add(&transaction, &place);
        self.order.insert(place, transaction.id());
        if local {
            self.local.insert(place, transaction.id());
        }
        self.entries.insert(transaction.id(), PoolEntry { transaction, place, in_flight: None });
        Ok(())
    }

    fn next_place(&self, transaction: &SignedTransaction, of: Signer) -> Place {
        let lane = Lane::new(transaction, of);
        Place { lane, turn: self.turns.next(&transaction.signer(), lane), arrival: self.arrivals }
    }

    /// The place of the older claim that a claim replaces, if one waits outside every block.
    fn replaced(&self, transaction: &SignedTransaction) -> Result<Option<Place>, Refusal> {
        let Action::Claim(claim) = &transaction.transaction().action else { return Ok(None) };
        let Some((sequence, id)) = self.turns.claim(&transaction.signer()) else { return Ok(None) };
        if claim.sequence <= sequence {
            return Err(VoidReason::OldSequence.into());
        }
        let older = self.entries.get(&id).filter(|entry| entry.in_flight.is_none());
        Ok(older.map(|entry| entry.place))
    }

    /// What is to go so that a transaction at `place` fits: the older claim that it replaces, and what would have waited
    /// longest, if that is longer than the transaction itself. What a block here holds stays, and so does what came in
    /// at this peer, as long as that is not too much.
    fn make_room(
        &self,
        transaction: &SignedTransaction,
        place: &Place,
        replaced: Option<Place>,
    ) -> Result<Vec<Place>, Refusal> {
        let bytes_of = |place: &Place| {
            let entry = self.order.get(place).and_then(|id| self.entries.get(id));
            entry.map_or(0, |entry| entry.transaction.wire_bytes())
        };
        let mut goes: Vec<Place> = replaced.into_iter().collect();
        let mut count = self.entries.len() - goes.len();
        let mut bytes = self.bytes - goes.iter().map(bytes_of).sum::<usize>();
        let gives_way = |(place, id): &(&Place, &TransactionId)| {
            let waits = self.entries.get(id).is_some_and(|entry| entry.in_flight.is_none());
            waits
                && Some(**place) != replaced
                && (self.local.len() > LOCAL_PROTECTED_MAX || !self.local.contains_key(place))
        };
        let last = |lane: Lane| {
            let from_last = self.order.range(lane.places()).rev().take(LOOKS_MAX);
            from_last.filter(gives_way).map(|(place, _)| *place).peekable()
        };
        let mut lanes = Lane::ALL.map(last);
        while count >= TRANSACTIONS_MAX || bytes + transaction.wire_bytes() > BYTES_MAX {
            let expendable = lanes.each_mut().map(|lane| lane.peek().map(|place| self.turns.expendable(place)));
            let least = lanes.iter_mut().zip(expendable).max_by_key(|(_, expendable)| *expendable);
            let least = least.and_then(|(lane, _)| lane.next());
            let least = least.filter(|least| self.turns.expendable(least) > self.turns.expendable(place));
            let least = least.ok_or(Refusal::Full)?;
            (count, bytes) = (count - 1, bytes - bytes_of(&least));
            goes.push(least);
        }
        Ok(goes)
    }

    fn remove_at(&mut self, place: &Place) {
        if let Some(id) = known(self.order.get(place).copied()) {
            self.remove(id);
        }
    }

    fn remove(&mut self, id: TransactionId) -> Option<Place> {
        let entry = self.entries.remove(&id)?;
        self.order.remove(&entry.place);
        self.local.remove(&entry.place);
        self.bytes -= entry.transaction.wire_bytes();
        self.in_flight.remove(&id);
        self.by_expiry.remove(&(entry.transaction.transaction().expires, id));
        self.turns.remove(&entry.transaction, &entry.place);
        Some(entry.place)
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
            if let Some(place) = self.remove(transaction.id()) {
                self.turns.passed(&place);
            }
        }
        self.settled = self.settled.wrapping_add(1);
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

#[cfg(test)]
mod tests {
    use std::ops::RangeInclusive;

    use super::*;
    use crate::{
        digest::Digest,
        identity::{NetworkId, SecretKey},
        types::{
            AttemptId, AttemptNumber, Claim, Control, Drain, Epoch, Header, JobId, Report, ReportItem, Role, Submit,
            TaskId, Transaction, Verdict, View,
        },
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
            pool.insert(Arc::clone(transaction), Signer::Stranger, false).expect("room");
        }
        assert_eq!(pool.insert(Arc::clone(&first), Signer::Stranger, false), Err(Refusal::Known));
        assert_eq!(all(&pool), [drain, first, second]);
    }

    #[test]
    fn what_is_final_goes_and_what_lost_its_place_waits_again() {
        let mut pool = Pool::default();
        let (kept, lost) = (cancel(1), cancel(2));
        for transaction in [&kept, &lost] {
            pool.insert(Arc::clone(transaction), Signer::Stranger, true).expect("room");
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
        pool.insert(cancel(1), Signer::Stranger, false).expect("room");
        pool.settle(&block(1, 100, Vec::new()), BlockTime(u64::MAX));
        assert_eq!(pool.len(), 1);
        pool.settle(&block(2, 101, Vec::new()), BlockTime(u64::MAX));
        assert!(pool.is_empty() && pool.bytes == 0 && pool.turns.is_empty() && pool.order.is_empty());
    }

    #[test]
    fn blocks_are_filled_within_their_bounds_without_what_is_taken() {
        let mut pool = Pool::default();
        let transactions: Vec<_> = (0..10).map(cancel).collect();
        for transaction in &transactions {
            pool.insert(Arc::clone(transaction), Signer::Stranger, false).expect("room");
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
            pool.insert(transaction(100 + sequence, Action::Drain(Drain { sequence }), 100), Signer::Stranger, false)
                .expect("room");
        }
        let drains = |chosen: &[Arc<SignedTransaction>]| {
            chosen.iter().filter(|one| matches!(one.transaction().action, Action::Drain(_))).count()
        };
        let select = |pool: &Pool| pool.select(&BTreeSet::new(), &always(), usize::MAX, 8);
        assert_eq!(drains(&select(&pool)), 8, "nobody else waits");
        for nonce in 0..20 {
            pool.insert(cancel(nonce), Signer::Stranger, false).expect("room");
        }
        assert_eq!((drains(&select(&pool)), select(&pool).len()), (6, 8));
    }

    #[test]
    fn what_expires_too_late_for_a_block_is_not_chosen_and_goes() {
        let mut pool = Pool::default();
        let late = transaction(1, Action::Control(Control::cancel(JobId(Digest::ZERO))), 1_000);
        pool.insert(late, Signer::Stranger, false).expect("room");
        assert!(pool.select(&BTreeSet::new(), &(BlockTime(5)..=BlockTime(999)), usize::MAX, 9).is_empty());
        pool.settle(&block(1, 5, Vec::new()), BlockTime(1_000));
        assert_eq!(pool.len(), 1);
        pool.settle(&block(2, 6, Vec::new()), BlockTime(999));
        assert!(pool.is_empty() && pool.by_expiry.is_empty());
    }

    #[test]
    fn one_signer_cannot_fill_the_pool() {
        let mut pool = Pool::default();
        for sequence in 0..KEY_WORKER_TRANSACTIONS_MAX as u64 {
            let drain = transaction(sequence, Action::Drain(Drain { sequence }), 100);
            pool.insert(drain, Signer::Trusted, false).expect("room");
        }
        let drain = transaction(9_999, Action::Drain(Drain { sequence: 1 }), 100);
        assert_eq!(pool.insert(drain, Signer::Trusted, false), Err(Refusal::KeyFull));
        pool.insert(cancel(1), Signer::Trusted, false).expect("room for what it submits");
    }

    fn attempt() -> AttemptId {
        AttemptId { task: TaskId { job: JobId(Digest::ZERO), index: 0 }, number: AttemptNumber(0) }
    }

    fn by(seed: u64, nonce: u64, action: Action) -> Arc<SignedTransaction> {
        let mut bytes = [7; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let transaction = Transaction { nonce, expires: BlockTime(100), action };
        Arc::new(SignedTransaction::sign(transaction, &SecretKey::from_seed(bytes), &NetworkId([0; 32])))
    }

    fn claim(seed: u64, sequence: u64) -> Arc<SignedTransaction> {
        by(seed, sequence, Action::Claim(Claim { sequence, ..Claim::default() }))
    }

    #[test]
    fn of_a_workers_claims_only_the_newest_waits_and_in_the_oldest_ones_place() {
        let mut pool = Pool::default();
        for sequence in [5, 6, 9] {
            pool.insert(claim(1, sequence), Signer::Stranger, true).expect("room");
            pool.insert(claim(2, sequence), Signer::Stranger, false).expect("room");
        }
        assert_eq!(pool.insert(claim(1, 8), Signer::Stranger, true), Err(VoidReason::OldSequence.into()));
        assert_eq!(all(&pool), [claim(1, 9), claim(2, 9)]);
        assert_eq!(pool.local_waiting(usize::MAX), [claim(1, 9)]);
        pool.mark_in_flight(&block(5, 10, vec![claim(1, 9)]));
        pool.insert(claim(1, 10), Signer::Stranger, true).expect("room");
        assert_eq!(pool.len(), 3, "a block may hold the older one, and lose");
    }

    #[test]
    fn however_much_some_keys_send_anothers_next_transaction_waits_for_one_of_each() {
        let mut pool = Pool::default();
        for nonce in 0..60 {
            for flooder in 0..20 {
                pool.insert(by(flooder, nonce, Action::Drain(Drain { sequence: nonce })), Signer::Stranger, false)
                    .expect("room");
            }
        }
        let report = Report { items: Vec::new() };
        let honest = by(99, 1, Action::Report(report.clone()));
        pool.insert(Arc::clone(&honest), Signer::Stranger, false).expect("room");
        let place = |pool: &Pool, id| all(pool).iter().position(|one| one.id() == id);
        assert_eq!(place(&pool, honest.id()), Some(20), "behind the first of each");
        let first: Vec<_> = all(&pool).into_iter().take(20 * 30).collect();
        pool.settle(&block(1, 1, first), BlockTime(u64::MAX));
        let next = by(99, 2, Action::Report(report.clone()));
        pool.insert(Arc::clone(&next), Signer::Stranger, false).expect("room");
        let ahead = place(&pool, next.id()).expect("it waits");
        assert!(ahead <= 2 * 20, "{ahead} go before it");
        let trusted = by(98, 1, Action::Report(report));
        pool.insert(Arc::clone(&trusted), Signer::Trusted, false).expect("room");
        assert_eq!(place(&pool, trusted.id()), Some(0));
    }

    #[test]
    fn strangers_have_a_quarter_of_a_block_while_they_wait_and_all_of_it_if_nobody_else_does() {
        let mut pool = Pool::default();
        let counts = |pool: &Pool| {
            let chosen = pool.select(&BTreeSet::new(), &always(), usize::MAX, 16);
            let count = |of: u64| chosen.iter().filter(|one| one.transaction().nonce / 100 == of).count();
            [0, 1, 2, 3].map(count)
        };
        let submitted = |seed: u64, nonce| by(seed, nonce, Action::Control(Control::cancel(JobId(Digest::ZERO))));
        let drained = |seed: u64, nonce| by(seed, nonce, Action::Drain(Drain { sequence: nonce }));
        for nonce in 0..50 {
            pool.insert(drained(nonce, 200 + nonce), Signer::Stranger, false).expect("room");
        }
        assert_eq!(counts(&pool), [0, 0, 16, 0]);
        for nonce in 0..50 {
            pool.insert(submitted(nonce, 300 + nonce), Signer::Stranger, false).expect("room");
        }
        assert_eq!(counts(&pool), [0, 0, 12, 4]);
        for nonce in 0..50 {
            pool.insert(drained(100 + nonce, nonce), Signer::Trusted, false).expect("room");
            pool.insert(submitted(100 + nonce, 100 + nonce), Signer::Trusted, false).expect("room");
        }
        assert_eq!(counts(&pool), [9, 3, 3, 1]);
    }

    #[test]
    fn what_one_lane_has_come_to_is_nothing_to_another() {
        let mut pool = Pool::default();
        let submitted = |seed: u64, nonce| by(seed, nonce, Action::Control(Control::cancel(JobId(Digest::ZERO))));
        for nonce in 0..50 {
            pool.insert(submitted(1, nonce), Signer::Trusted, false).expect("room");
            pool.insert(submitted(2, nonce), Signer::Stranger, false).expect("room");
        }
        pool.settle(&block(1, 1, (0..50).map(|nonce| submitted(1, nonce)).collect()), BlockTime(u64::MAX));
        // The trusted key's own report, and another stranger's job, go before the fifty of the other stranger.
        pool.insert(submitted(1, 99), Signer::Trusted, false).expect("room");
        let report = by(1, 100, Action::Report(Report { items: Vec::new() }));
        pool.insert(Arc::clone(&report), Signer::Trusted, false).expect("room");
        let other = submitted(3, 1);
        pool.insert(Arc::clone(&other), Signer::Stranger, false).expect("room");
        let chosen = all(&pool);
        assert_eq!(chosen.first(), Some(&report));
        let place = chosen.iter().position(|one| *one == other);
        assert_eq!(place, Some(3), "behind the report, the trusted job and one of the other's");
    }

    #[test]
    fn what_is_larger_than_its_lanes_share_has_a_block_now_and_then() {
        let mut pool = Pool::default();
        for nonce in 0..400 {
            let many = Report { items: vec![ReportItem { attempt: attempt(), verdict: Verdict::Returned }; 20] };
            pool.insert(by(nonce, nonce, Action::Report(many)), Signer::Trusted, false).expect("room");
        }
        let job = Submit { name: "x".repeat(60_000), ..Submit::named("") };
        let large = by(9_000, 9_000, Action::Submit(job));
        pool.insert(Arc::clone(&large), Signer::Stranger, false).expect("room");
        let mut had = 0;
        for height in 1..=16 {
            let chosen = pool.select(&BTreeSet::new(), &always(), 80_000, 4096);
            had += usize::from(chosen.contains(&large));
            assert!(chosen.iter().map(|one| one.wire_bytes()).sum::<usize>() <= 80_000);
            assert!(chosen.iter().map(|one| one.id()).collect::<BTreeSet<_>>().len() == chosen.len(), "each once");
            pool.settle(&block(height, 1, Vec::new()), BlockTime(u64::MAX));
        }
        assert_eq!(had, 4, "one block in four");
    }

    #[test]
    fn nothing_is_given_up_for_what_does_not_fit_anyhow() {
        let mut pool = Pool::default();
        let claim_of = |sequence, labels: usize| {
            let labels = (0..labels).map(|number| (format!("{number:04}"), "x".repeat(60))).collect();
            by(1, sequence, Action::Claim(Claim { sequence, labels, ..Claim::default() }))
        };
        let older = claim_of(1, 0);
        pool.insert(Arc::clone(&older), Signer::Stranger, false).expect("room");
        let small = by(2, 0, Action::Drain(Drain { sequence: 0 }));
        pool.insert(Arc::clone(&small), Signer::Stranger, false).expect("room");
        pool.bytes = BYTES_MAX;
        assert_eq!(pool.insert(claim_of(2, 60), Signer::Stranger, false), Err(Refusal::Full));
        assert_eq!(pool.insert(claim_of(3, 60), Signer::Trusted, false), Err(Refusal::Full));
        assert_eq!(all(&pool), [older, small]);
    }

    #[test]
    fn a_full_pool_gives_up_what_would_have_waited_longest_and_nothing_of_its_own() {
        let mut pool = Pool::default();
        let first = by(0, 0, Action::Drain(Drain { sequence: 0 }));
        pool.insert(Arc::clone(&first), Signer::Stranger, true).expect("room");
        let flood = by(1, 0, Action::Drain(Drain { sequence: 0 }));
        pool.insert(Arc::clone(&flood), Signer::Stranger, false).expect("room");
        let later = by(1, 1, Action::Drain(Drain { sequence: 1 }));
        pool.insert(Arc::clone(&later), Signer::Stranger, false).expect("room");
        let honest = by(2, 0, Action::Report(Report { items: vec![] }));
        pool.bytes = BYTES_MAX - honest.wire_bytes() + 1;
        let own = by(0, 1, Action::Report(Report { items: vec![] }));
        assert_eq!(pool.admits(&own, Signer::Stranger), Err(Refusal::Full), "it comes as late as what would go");
        pool.admits(&honest, Signer::Stranger).expect("what comes a turn later gives way");
        pool.insert(Arc::clone(&honest), Signer::Stranger, false).expect("room");
        assert_eq!(all(&pool), [Arc::clone(&first), flood, Arc::clone(&honest)]);
        let trusted = by(3, 0, Action::Report(Report { items: vec![] }));
        pool.bytes = BYTES_MAX - trusted.wire_bytes() + 1;
        pool.insert(Arc::clone(&trusted), Signer::Trusted, false).expect("a stranger gives way");
        assert_eq!(all(&pool).first(), Some(&trusted));
        assert!(pool.entries.contains_key(&first.id()), "what came in here stays");
    }
}
