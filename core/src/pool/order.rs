//! In which order what waits goes into blocks, and what gives way when the pool is full.
//!
//! Workers' transactions (claims, reports, drains) go before submitters', because leases depend on them. Authorities'
//! go with the workers'. Transactions of trusted keys have lanes of their own ([`Lane`]).
//!
//! Within a lane, signers take turns, so that however much some keys send, another key's next transaction waits for at
//! most one of each. A transaction's *turn* is one above that of its signer's last one that waits in the lane, and at
//! least the turn that the lane has come to. (Start-time fair queueing: Goyal, Vin and Cheng, SIGCOMM 1996.)

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

    /// Its place in [`Lane::ALL`].
    const fn index(self) -> usize {
        let first = match self.of {
            Signer::Trusted => 0,
            Signer::Stranger => 2,
        };
        match self.class {
            Class::Workers => first,
            Class::Submitters => first + 1,
        }
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

/// What waits of one signer, by lane.
#[derive(Debug, Default)]
struct Waiting {
    counts: [usize; Lane::ALL.len()],
    /// The turn of the last one, where any wait.
    last_turns: [u64; Lane::ALL.len()],
    /// The claim that waits, by its sequence number.
    claim: Option<(u64, TransactionId)>,
}

/// The signers of what waits, and whose turn it is in each lane. Lanes are served at different rates, so each has a
/// count of its own.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// The latest turn of a transaction that was ordered, by lane.
    now: [u64; Lane::ALL.len()],
    signers: BTreeMap<PublicKey, Waiting>,
}

impl Turns {
    /// How many transactions of a signer wait in a lane.
    pub(super) fn waiting(&self, signer: &PublicKey, lane: Lane) -> usize {
        self.signers.get(signer).map_or(0, |waiting| waiting.counts[lane.index()])
    }

    /// The claim of a signer that waits, and its sequence number.
    pub(super) fn claim(&self, signer: &PublicKey) -> Option<(u64, TransactionId)> {
        self.signers.get(signer)?.claim
    }

    /// The turn of a signer's next transaction in a lane.
    pub(super) fn next(&self, signer: &PublicKey, lane: Lane) -> u64 {
        let (at, now) = (lane.index(), self.now[lane.index()]);
        let waiting = self.signers.get(signer).filter(|waiting| waiting.counts[at] > 0);
        waiting.map_or(now, |waiting| now.max(waiting.last_turns[at].saturating_add(1)))
    }

    /// How readily what waits at a place gives way when the pool is full: a larger value goes first. Strangers' goes
    /// before others', and of either what is most turns away.
    pub(super) fn expendable(&self, place: &Place) -> (Signer, u64) {
        (place.lane.of, place.turn.saturating_sub(self.now[place.lane.index()]))
    }

    /// Counts a transaction that waits from now on.
    pub(super) fn add(&mut self, transaction: &SignedTransaction, place: &Place) {
        let (at, waiting) = (place.lane.index(), self.signers.entry(transaction.signer()).or_default());
        let is_first = waiting.counts[at] == 0;
        waiting.counts[at] += 1;
        waiting.last_turns[at] = if is_first { place.turn } else { waiting.last_turns[at].max(place.turn) };
        if let Action::Claim(claim) = &transaction.transaction().action
            && waiting.claim.is_none_or(|(sequence, _)| sequence < claim.sequence)
        {
            waiting.claim = Some((claim.sequence, transaction.id()));
        }
    }

    /// Counts a transaction that no longer waits.
    pub(super) fn remove(&mut self, transaction: &SignedTransaction, place: &Place) {
        let (at, key) = (place.lane.index(), transaction.signer());
        let Some(waiting) = self.signers.get_mut(&key) else { return };
        waiting.counts[at] = waiting.counts[at].saturating_sub(1);
        waiting.claim.take_if(|(_, id)| *id == transaction.id());
        if waiting.counts.iter().all(|count| *count == 0) {
            self.signers.remove(&key);
        }
    }

    /// Notes that a transaction at this place was ordered.
    pub(super) fn passed(&mut self, place: &Place) {
        let now = &mut self.now[place.lane.index()];
        *now = (*now).max(place.turn);
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.signers.is_empty()
    }
}
