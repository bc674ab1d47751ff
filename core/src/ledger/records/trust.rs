//! Trust: how far the network trusts a key with room that it shares with others. A key costs nothing, so what each key
//! may take bounds nobody. What bounds strangers is what all keys of one trust may take together.
//!
//! A key is *vouched* for if it has a quota of its own, or if the network lists who may do this and the key is listed:
//! people have decided. It is *proven* after successes on [`PROVEN_DAYS`] different days, each of a task that one key
//! submitted and another ran. All other keys are *unproven*.
//!
//! Whoever has two keys can prove both with tasks of their own. That costs days, in which people can bar them, and
//! gains little: a part of each bound is kept for vouched keys, so patience alone never takes everything
//! ([`Room`]).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_tuple::{Deserialize_tuple, Serialize_tuple};

use super::usage::Day;
use crate::{
    identity::PublicKey,
    types::{Permission, VoidReason},
};

/// On how many different days a key has to have had a success before it is proven.
pub const PROVEN_DAYS: u8 = 3;
/// How many days after its last success a key's merit is forgotten.
pub const MERIT_DAYS: u32 = 90;
/// How many keys' merits are kept, for submitters and for workers each. Beyond it, no further key becomes proven until
/// another one's merit is forgotten.
pub const MERITS_MAX: usize = 65_536;

/// How far the network trusts a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trust {
    /// It has shown little so far.
    Unproven,
    /// It has had successes on several days.
    Proven,
    /// People have given it a quota, or listed it.
    Vouched,
}

/// A value for each trust.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::ledger) struct ByTrust<T> {
    unproven: T,
    proven: T,
    vouched: T,
}

impl<T> ByTrust<T> {
    pub(in crate::ledger) const fn new(unproven: T, proven: T, vouched: T) -> Self {
        Self { unproven, proven, vouched }
    }

    pub(in crate::ledger) const fn of(&self, trust: Trust) -> &T {
        match trust {
            Trust::Unproven => &self.unproven,
            Trust::Proven => &self.proven,
            Trust::Vouched => &self.vouched,
        }
    }

    pub(in crate::ledger) const fn of_mut(&mut self, trust: Trust) -> &mut T {
        match trust {
            Trust::Unproven => &mut self.unproven,
            Trust::Proven => &mut self.proven,
            Trust::Vouched => &mut self.vouched,
        }
    }

    /// An amount of each value.
    pub(in crate::ledger) fn amounts(&self, amount: impl Fn(&T) -> u64) -> ByTrust<u64> {
        ByTrust::new(amount(&self.unproven), amount(&self.proven), amount(&self.vouched))
    }
}

impl ByTrust<u64> {
    /// Counts one more, or one fewer.
    pub(in crate::ledger) const fn count(&mut self, trust: Trust, more: bool) {
        let count = self.of_mut(trust);
        *count = if more { count.saturating_add(1) } else { count.saturating_sub(1) };
    }

    pub(in crate::ledger) const fn total(&self) -> u64 {
        self.unproven.saturating_add(self.proven).saturating_add(self.vouched)
    }
}

/// Why there is no room for more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::ledger) enum Full {
    /// All keys together have as much as there may be.
    InAll,
    /// Unproven keys together have their share.
    ForUnproven,
    /// What is left is kept for vouched keys.
    ForStrangers,
}

impl Full {
    /// The reason that people read, given the one for all keys together.
    pub(in crate::ledger) const fn reason(self, in_all: VoidReason) -> VoidReason {
        match self {
            Self::InAll => in_all,
            Self::ForUnproven => VoidReason::UnprovenFull,
            Self::ForStrangers => VoidReason::KeptForVouched,
        }
    }
}

/// How much there may be of something in all, and how it is shared out.
///
/// Unproven keys together have at most `unproven_permille` of it. As much again is kept for vouched keys, but never so
/// much that unproven keys could not have their share.
#[derive(Clone, Copy, Debug)]
pub(in crate::ledger) struct Room {
    pub(in crate::ledger) most: u64,
    pub(in crate::ledger) unproven_permille: u64,
}

impl Room {
    /// Whether keys of this trust may have so much `more` of it.
    pub(in crate::ledger) fn takes(&self, taken: &ByTrust<u64>, trust: Trust, more: u64) -> Result<(), Full> {
        let permille = self.unproven_permille.min(1000);
        let kept_permille = permille.min(1000 - permille);
        let part = |permille: u64| (u128::from(self.most) * u128::from(permille) / 1000) as u64;
        let fits = |taken: u64, most: u64| taken.checked_add(more).is_some_and(|sum| sum <= most);
        let strangers = taken.unproven.saturating_add(taken.proven);
        if !fits(taken.total(), self.most) {
            Err(Full::InAll)
        } else if trust == Trust::Unproven && !fits(taken.unproven, part(permille)) {
            Err(Full::ForUnproven)
        } else if trust != Trust::Vouched && !fits(strangers, self.most - part(kept_permille)) {
            Err(Full::ForStrangers)
        } else {
            Ok(())
        }
    }
}

/// The days on which a key had successes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub(in crate::ledger) struct Merit {
    /// How many there are, at most [`PROVEN_DAYS`].
    days: u8,
    last: Day,
}

/// The merits of one side's keys.
type SideMerits = BTreeMap<PublicKey, Merit>;

/// The merits of submitters and of workers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub(in crate::ledger) struct Merits {
    submitters: SideMerits,
    workers: SideMerits,
}

impl Merits {
    const fn side(&self, side: Permission) -> &SideMerits {
        match side {
            Permission::Submit => &self.submitters,
            Permission::Work => &self.workers,
        }
    }

    const fn side_mut(&mut self, side: Permission) -> &mut SideMerits {
        match side {
            Permission::Submit => &mut self.submitters,
            Permission::Work => &mut self.workers,
        }
    }

    pub(in crate::ledger) fn is_proven(&self, side: Permission, key: &PublicKey) -> bool {
        self.side(side).get(key).is_some_and(|merit| merit.days >= PROVEN_DAYS)
    }

    /// Whether a success of this day is noted.
    pub(in crate::ledger) fn has_succeeded(&self, side: Permission, key: &PublicKey, today: Day) -> bool {
        self.side(side).get(key).is_some_and(|merit| merit.last == today)
    }

    /// Notes a success of this day.
    pub(in crate::ledger) fn succeeded(&mut self, side: Permission, key: PublicKey, today: Day) {
        let merits = self.side_mut(side);
        let days = match merits.get(&key) {
            Some(merit) if merit.last >= today => return,
            Some(merit) => merit.days.saturating_add(1).min(PROVEN_DAYS),
            None if merits.len() >= MERITS_MAX => return,
            None => 1,
        };
        merits.insert(key, Merit { days, last: today });
    }

    /// The keys whose last success is too long ago on this day.
    pub(in crate::ledger) fn expired(&self, today: Day) -> Vec<(Permission, PublicKey)> {
        let of = |side: Permission| {
            let old =
                self.side(side).iter().filter(move |(_, merit)| merit.last.0.saturating_add(MERIT_DAYS) < today.0);
            old.map(move |(key, _)| (side, *key))
        };
        of(Permission::Submit).chain(of(Permission::Work)).collect()
    }

    pub(in crate::ledger) fn forget(&mut self, side: Permission, key: &PublicKey) {
        self.side_mut(side).remove(key);
    }

    /// Whether successes up to this day can have led to these merits.
    pub(in crate::ledger) fn are_sound(&self, today: Day) -> bool {
        let is_sound = |merit: &Merit| {
            (1..=PROVEN_DAYS).contains(&merit.days)
                && merit.last <= today
                && merit.last.0.saturating_add(MERIT_DAYS) >= today.0
        };
        [&self.submitters, &self.workers]
            .into_iter()
            .all(|merits| merits.len() <= MERITS_MAX && merits.values().all(is_sound))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takes(unproven: u64, proven: u64, vouched: u64, trust: Trust, more: u64) -> Result<(), Full> {
        Room { most: 100, unproven_permille: 250 }.takes(&ByTrust::new(unproven, proven, vouched), trust, more)
    }

    #[test]
    fn unproven_keys_have_a_quarter_and_vouched_keys_always_find_one() {
        assert_eq!(takes(0, 0, 0, Trust::Unproven, 25), Ok(()));
        assert_eq!(takes(0, 0, 0, Trust::Unproven, 26), Err(Full::ForUnproven));
        assert_eq!(takes(25, 0, 0, Trust::Proven, 50), Ok(()), "which leaves a quarter");
        assert_eq!(takes(25, 0, 0, Trust::Proven, 51), Err(Full::ForStrangers));
        assert_eq!(takes(5, 70, 0, Trust::Unproven, 1), Err(Full::ForStrangers), "proven keys came first");
        assert_eq!(takes(25, 50, 0, Trust::Vouched, 25), Ok(()));
        assert_eq!(takes(25, 50, 0, Trust::Vouched, 26), Err(Full::InAll));
        assert_eq!(takes(0, 0, 90, Trust::Unproven, 11), Err(Full::InAll), "vouched keys may have it all");
        assert_eq!(takes(0, 0, u64::MAX, Trust::Vouched, 1), Err(Full::InAll));
    }

    #[test]
    fn a_network_may_leave_everything_to_unproven_keys() {
        let open = Room { most: 100, unproven_permille: 1000 };
        assert_eq!(open.takes(&ByTrust::default(), Trust::Unproven, 100), Ok(()));
        let larger = Room { most: u64::MAX, unproven_permille: u64::MAX };
        assert_eq!(larger.takes(&ByTrust::default(), Trust::Unproven, u64::MAX), Ok(()));
    }

    #[test]
    fn a_key_is_proven_by_successes_on_different_days_and_forgotten_after_long() {
        let (key, mut merits) = (PublicKey([1; 32]), Merits::default());
        for today in [1, 1, 1, 2, 2] {
            merits.succeeded(Permission::Work, key, Day(today));
            assert!(!merits.is_proven(Permission::Work, &key));
        }
        merits.succeeded(Permission::Work, key, Day(9));
        assert!(merits.is_proven(Permission::Work, &key) && !merits.is_proven(Permission::Submit, &key));
        assert!(merits.expired(Day(9 + MERIT_DAYS)).is_empty() && merits.are_sound(Day(9 + MERIT_DAYS)));
        assert_eq!(merits.expired(Day(10 + MERIT_DAYS)), [(Permission::Work, key)]);
        assert!(!merits.are_sound(Day(10 + MERIT_DAYS)) && !merits.are_sound(Day(8)));
    }
}
