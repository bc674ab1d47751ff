//! What keys have every peer store for good: transactions that define jobs, receipts, and outputs on the ledger itself.
//! Nothing gives that space back, so a budget bounds how fast it grows: an amount for each UTC day, for each key and in
//! all, which is shared out by trust.
//!
//! A task is charged when it is admitted, with all that it may leave ([`task_bytes`]). What it did not use is given back
//! when it ends on the same day.

use std::collections::BTreeMap;

use serde_tuple::{Deserialize_tuple, Serialize_tuple};

use super::{
    trust::{ByTrust, Trust},
    usage::Day,
};
use crate::{
    identity::PublicKey,
    types::{LedgerLimits, OutcomeReceipt, Output, Redundancy, Verdict},
};

/// What a task's receipt takes, with its share of the history, in bytes. A million tasks with little output take some
/// 340 MB (README, *A peer's data*).
const RECEIPT_BYTES: u64 = 256;
/// How many keys' amounts are kept for a day. What further keys store counts only in all.
const STORED_KEYS_MAX: usize = 16_384;

/// What each answer of a task with replicas takes in its receipt, in bytes.
const ANSWER_BYTES: u64 = 80;

/// The most that one task makes a peer store, in bytes: for good, or, with replicas, until its answers have been
/// compared.
pub(in crate::ledger) fn task_bytes(limits: &LedgerLimits, redundancy: Option<Redundancy>) -> u64 {
    let inline_bytes = limits.inline_bytes_max as u64;
    let answers = redundancy.map_or(inline_bytes, |redundancy| {
        u64::from(redundancy.replicas_max).saturating_mul(ANSWER_BYTES.saturating_add(inline_bytes))
    });
    RECEIPT_BYTES.saturating_add(answers)
}

/// What a task with this outcome makes a peer store for good, in bytes.
pub(in crate::ledger) fn outcome_bytes(outcome: &OutcomeReceipt) -> u64 {
    let answers = outcome.agreement.as_ref().map_or(0, |agreement| agreement.answers.len() as u64);
    let own = match &outcome.verdict {
        Verdict::Succeeded(_, Output::Inline(output), ..) => output.bytes(),
        Verdict::Failed(_, remains, _) => remains.inline_bytes(),
        _ => 0,
    };
    RECEIPT_BYTES.saturating_add(own).saturating_add(answers * ANSWER_BYTES)
}

/// The amounts of one day, in bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub(in crate::ledger) struct Stored {
    day: Day,
    keys: BTreeMap<PublicKey, u64>,
    by_trust: ByTrust<u64>,
}

impl Stored {
    /// Advances to this day. A new day begins with nothing.
    pub(in crate::ledger) fn pass(&mut self, today: Day) {
        if self.day != today {
            *self = Self { day: today, ..Self::default() };
        }
    }

    pub(in crate::ledger) const fn day(&self) -> Day {
        self.day
    }

    /// What a key was charged today, as far as its amount is kept.
    pub(in crate::ledger) fn of(&self, key: &PublicKey) -> u64 {
        self.keys.get(key).copied().unwrap_or(0)
    }

    /// What all keys were charged today, by their trust.
    pub(in crate::ledger) const fn by_trust(&self) -> &ByTrust<u64> {
        &self.by_trust
    }

    pub(in crate::ledger) fn charge(&mut self, key: PublicKey, trust: Trust, bytes: u64) {
        if bytes == 0 {
            return;
        }
        let in_all = self.by_trust.of_mut(trust);
        *in_all = in_all.saturating_add(bytes);
        if let Some(own) = self.keys.get_mut(&key) {
            *own = own.saturating_add(bytes);
        } else if self.keys.len() < STORED_KEYS_MAX {
            self.keys.insert(key, bytes);
        }
    }

    /// Gives back what was charged today and not used. Keys whose amount is not kept get nothing back.
    pub(in crate::ledger) fn give_back(&mut self, key: &PublicKey, trust: Trust, bytes: u64) {
        let Some(own) = self.keys.get_mut(key) else { return };
        let bytes = bytes.min(*own);
        *own -= bytes;
        if *own == 0 {
            self.keys.remove(key);
        }
        let in_all = self.by_trust.of_mut(trust);
        *in_all = in_all.saturating_sub(bytes);
    }

    /// Counts what a key was charged with keys of another trust.
    pub(in crate::ledger) fn change_trust(&mut self, key: &PublicKey, before: Trust, after: Trust) {
        let own = self.of(key);
        let [from, to] = [before, after].map(|trust| *self.by_trust.of(trust));
        *self.by_trust.of_mut(before) = from.saturating_sub(own);
        *self.by_trust.of_mut(after) = to.saturating_add(own);
    }

    /// Whether charges up to this day can have led to these amounts.
    pub(in crate::ledger) fn are_sound(&self, today: Day) -> bool {
        let of_keys = self.keys.values().fold(0u64, |sum, own| sum.saturating_add(*own));
        self.day <= today && self.keys.len() <= STORED_KEYS_MAX && of_keys <= self.by_trust.total()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_begins_with_nothing_and_a_key_moves_with_what_it_was_charged() {
        let (key, mut stored) = (PublicKey([1; 32]), Stored::default());
        stored.pass(Day(7));
        stored.charge(key, Trust::Unproven, 100);
        stored.charge(PublicKey([2; 32]), Trust::Unproven, 10);
        stored.give_back(&key, Trust::Unproven, 40);
        stored.change_trust(&key, Trust::Unproven, Trust::Proven);
        assert_eq!((stored.of(&key), stored.by_trust()), (60, &ByTrust::new(10, 60, 0)));
        assert!(stored.are_sound(Day(7)) && !stored.are_sound(Day(6)));
        stored.pass(Day(8));
        assert_eq!((stored.of(&key), stored.by_trust().total()), (0, 0));
    }

    #[test]
    fn keys_beyond_the_bound_count_only_in_all() {
        let mut stored = Stored::default();
        for number in 0..STORED_KEYS_MAX as u64 + 5 {
            let mut key = [0; 32];
            key[..8].copy_from_slice(&number.to_be_bytes());
            stored.charge(PublicKey(key), Trust::Unproven, 1);
        }
        assert_eq!((stored.keys.len(), stored.by_trust().total()), (STORED_KEYS_MAX, STORED_KEYS_MAX as u64 + 5));
        assert!(stored.are_sound(Day(0)));
    }
}
