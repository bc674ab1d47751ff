//! In which order what waits goes into blocks, and what gives way when the pool is full.
//!
//! Workers' transactions (claims, reports, drains) go before submitters', because leases depend on them. Authorities'
//! go with the workers'. Transactions of trusted keys have lanes of their own ([`Lane`]).
//!
//! Within a lane, signers take turns, so that however much some keys send, another key's next transaction waits for at
//! most one of each. A transaction's *turn* is one above that of its signer's last one that waits, and at least the
//! turn that the pool has come to. (Start-time fair queueing: Goyal, Vin and Cheng, SIGCOMM 1996.)

use std::collections::BTreeMap;

use crate::{
    identity::PublicKey,
    types::{Action, SignedTransaction, TransactionId},
};

/// Whether there is reason to trust a transaction's signer with room that it shares with others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Signer {
    /// There is.
    Trusted,
    /// There is none yet. A key costs nothing, so what strangers have is bounded for all of them together.
    Stranger,
}

/// What a transaction is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    Workers,
    Submitters,
}

impl Class {
    pub(super) const fn of(transaction: &SignedTransaction) -> Self {
        match transaction.transaction().action {
            Action::Claim(_) | Action::Report(_) | Action::Drain(_) | Action::Govern(_) => Self::Workers,
            Action::Submit(_) | Action::Extend(_) | Action::Control(_) | Action::Recur(_) => Self::Submitters,
        }
    }
}

/// Transactions that are ordered among themselves. Lanes compare by who goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Lane {
    pub(super) of: Signer,
    pub(super) class: Class,
}

impl Lane {
    /// All lanes, in the order in which they are served.
    pub(super) const ALL: [Self; 4] = [
        Self { of: Signer::Trusted, class: Class::Workers },
        Self { of: Signer::Trusted, class: Class::Submitters },
        Self { of: Signer::Stranger, class: Class::Workers },
        Self { of: Signer::Stranger, class: Class::Submitters },
    ];

    pub(super) const fn new(transaction: &SignedTransaction, of: Signer) -> Self {
        Self { of, class: Class::of(transaction) }
    }

    /// All places of this lane.
    pub(super) const fn places(self) -> std::ops::RangeInclusive<Place> {
        Place { lane: self, turn: 0, arrival: 0 }..=Place { lane: self, turn: u64::MAX, arrival: u64::MAX }
    }
}

/// A transaction's place among all that wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) lane: Lane,
    pub(super) turn: u64,
    pub(super) arrival: u64,
}

impl Place {
    /// How readily it gives way when the pool is full: a larger one goes first.
    pub(super) const fn expendable(&self) -> (Signer, u64) {
        (self.lane.of, self.turn)
    }
}

/// What waits of one signer.
#[derive(Debug, Default)]
struct Waiting {
    count: usize,
    last_turn: u64,
    /// The claim that waits, by its sequence number.
    claim: Option<(u64, TransactionId)>,
}

/// The signers of what waits, and whose turn it is.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// The latest turn of a transaction that was ordered.
    now: u64,
    signers: BTreeMap<PublicKey, Waiting>,
}

impl Turns {
    /// How many transactions of a signer wait.
    pub(super) fn waiting(&self, signer: &PublicKey) -> usize {
        self.signers.get(signer).map_or(0, |signer| signer.count)
    }

    /// The claim of a signer that waits, and its sequence number.
    pub(super) fn claim(&self, signer: &PublicKey) -> Option<(u64, TransactionId)> {
        self.signers.get(signer)?.claim
    }

    /// The turn of a signer's next transaction.
    pub(super) fn next(&self, signer: &PublicKey) -> u64 {
        self.signers.get(signer).map_or(self.now, |signer| self.now.max(signer.last_turn.saturating_add(1)))
    }

    /// Counts a transaction that waits from now on.
    pub(super) fn add(&mut self, transaction: &SignedTransaction, turn: u64) {
        let signer = self.signers.entry(transaction.signer()).or_default();
        signer.count += 1;
        signer.last_turn = signer.last_turn.max(turn);
        if let Action::Claim(claim) = &transaction.transaction().action
            && signer.claim.is_none_or(|(sequence, _)| sequence < claim.sequence)
        {
            signer.claim = Some((claim.sequence, transaction.id()));
        }
    }

    /// Counts a transaction that no longer waits.
    pub(super) fn remove(&mut self, transaction: &SignedTransaction) {
        let key = transaction.signer();
        let Some(signer) = self.signers.get_mut(&key) else { return };
        signer.count = signer.count.saturating_sub(1);
        signer.claim.take_if(|(_, id)| *id == transaction.id());
        if signer.count == 0 {
            self.signers.remove(&key);
        }
    }

    /// Notes that a transaction with this turn was ordered.
    pub(super) fn passed(&mut self, turn: u64) {
        self.now = self.now.max(turn);
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.signers.is_empty()
    }
}
