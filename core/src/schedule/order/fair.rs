//! Time slices across submitters: deficit round-robin (Shreedhar & Varghese, SIGCOMM 1995), weighted.
//!
//! In every round, each submitter that has something to run is granted its weight in time slices. It may begin
//! any task while something is left. What it overdraws with the last task is its deficit in the next rounds.
//! (In the paper, a queue waits until it can pay for its first item. Here a submitter's tasks wait in several
//! queues, and none may be passed over by a cheaper one of the same submitter.)
//!
//! The rounds are not walked through. The round of a submitter's turn is computed, and the submitter with the
//! earliest goes first. When an attempt ends, its charge is corrected to what it took, so a submitter that
//! declares too little pays later.

use std::collections::{BTreeMap, BTreeSet};

use serde_tuple::{Deserialize_tuple, Serialize_tuple};

use super::{Facts, Order, OrderKey};
use crate::identity::PublicKey;

/// Shares of processor time across submitters. The cost of an attempt is its expected duration in milliseconds
/// for each core that it takes, at least 1.
pub struct Fair;

impl Fair {
    /// The cost of an attempt that holds this many thousandths of a core for this long, in milliseconds of one
    /// core.
    #[must_use]
    pub const fn cost(millicores: u32, duration_ms: u64) -> u64 {
        let cost = duration_ms as u128 * millicores as u128 / 1000;
        if cost == 0 {
            1
        } else if cost > COST_MAX as u128 {
            COST_MAX
        } else {
            cost as u64
        }
    }
}

impl Order for Fair {
    fn order_key(&self, _facts: &Facts) -> OrderKey {
        OrderKey::Share
    }
}

/// The largest cost of an attempt: thousands of cores for a year.
const COST_MAX: u64 = 1 << 48;
/// How many rounds a submitter may catch up after it was passed over because none of its tasks fitted anywhere.
const ROUNDS_BEHIND_MAX: u64 = 4;
/// How many submitters without unfinished tasks are remembered for what they overdrew.
pub const SHARES_KEPT: usize = 4096;

/// The share of one submitter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Share {
    /// The round up to which it has received its grants.
    pub round: u64,
    /// What is left of the grants, in milliseconds of one core; below 0 if it is overdrawn.
    pub left: i64,
}

/// All submitters' shares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shares {
    /// The newest round in which any attempt began.
    round: u64,
    shares: BTreeMap<PublicKey, Share>,
    /// Submitters without unfinished tasks, by the round in which their debt is paid.
    paying: BTreeSet<(u64, PublicKey)>,
    slice: u64,
    weights: BTreeMap<PublicKey, u32>,
}

impl Shares {
    /// Shares of which nothing is used. A round grants each submitter this many milliseconds of one core, times
    /// its weight (1 if it has none).
    #[must_use]
    pub fn new(slice_ms: u64, weights: BTreeMap<PublicKey, u32>) -> Self {
        Self { slice: slice_ms.clamp(1, COST_MAX), weights, ..Self::default() }
    }

    fn grant(&self, submitter: &PublicKey) -> u64 {
        let weight = self.weights.get(submitter).copied().unwrap_or(1).max(1);
        self.slice.saturating_mul(u64::from(weight)).min(COST_MAX)
    }

    fn share(&self, submitter: &PublicKey) -> Share {
        self.shares.get(submitter).copied().unwrap_or(Share { round: self.round, left: 0 })
    }

    /// How many more grants the submitter needs until something is left.
    fn rounds_to(&self, submitter: &PublicKey, left: i64) -> u64 {
        if left > 0 { 0 } else { left.unsigned_abs() / self.grant(submitter) + 1 }
    }

    /// The round of a submitter's turn: the one in which it has something left. It may be long past.
    #[must_use]
    pub fn turn(&self, submitter: &PublicKey) -> u64 {
        let share = self.share(submitter);
        share.round.saturating_add(self.rounds_to(submitter, share.left))
    }

    /// Notes that a submitter has something to run, and had nothing before.
    pub fn begin(&mut self, submitter: &PublicKey) {
        let mut share = self.share(submitter);
        self.paying.remove(&(self.paid_in(submitter, share), *submitter));
        // Rounds without the submitter pay its debt, but grant it nothing.
        let passed = self.round.saturating_sub(share.round);
        let granted = i64::try_from(passed.saturating_mul(self.grant(submitter))).unwrap_or(i64::MAX);
        share.left = share.left.saturating_add(granted).min(share.left.max(0));
        share.round = share.round.max(self.round);
        self.shares.insert(*submitter, share);
    }

    /// Notes that a submitter has nothing unfinished any more.
    pub fn end(&mut self, submitter: &PublicKey) {
        let share = self.share(submitter);
        if share.left >= 0 && share.round <= self.round {
            self.shares.remove(submitter);
            return;
        }
        let share = Share { left: share.left.min(0), ..share };
        self.shares.insert(*submitter, share);
        self.paying.insert((self.paid_in(submitter, share), *submitter));
        if self.paying.len() > SHARES_KEPT
            && let Some((_, soonest)) = self.paying.pop_first()
        {
            self.shares.remove(&soonest);
        }
    }

    fn paid_in(&self, submitter: &PublicKey, share: Share) -> u64 {
        share.round.saturating_add(share.left.min(0).unsigned_abs().div_ceil(self.grant(submitter)))
    }

    /// Charges a submitter for an attempt of this cost that begins.
    pub fn charge(&mut self, submitter: &PublicKey, cost: u64) {
        let mut share = self.share(submitter);
        let rounds = self.rounds_to(submitter, share.left);
        let granted = i128::from(rounds) * i128::from(self.grant(submitter));
        let left = i128::from(share.left) + granted - i128::from(cost);
        share.left = i64::try_from(left).unwrap_or(i64::MAX);
        share.round = share.round.saturating_add(rounds);
        self.round = self.round.max(share.round);
        share.round = share.round.max(self.round.saturating_sub(ROUNDS_BEHIND_MAX));
        self.shares.insert(*submitter, share);
        while let Some((paid, key)) = self.paying.first().copied()
            && paid <= self.round
        {
            self.paying.pop_first();
            self.shares.remove(&key);
        }
    }

    /// Corrects the charge of an attempt that was charged `cost`, took `used` and has ended.
    pub fn settle(&mut self, submitter: &PublicKey, cost: u64, used: u64) {
        if let Some(share) = self.shares.get_mut(submitter) {
            let difference = i128::from(cost) - i128::from(used.min(COST_MAX));
            let left = i128::from(share.left) + difference;
            share.left = i64::try_from(left).unwrap_or(if left < 0 { i64::MIN } else { i64::MAX });
        }
    }

    /// The newest round, and all shares, for a snapshot.
    #[must_use]
    pub const fn records(&self) -> (u64, &BTreeMap<PublicKey, Share>) {
        (self.round, &self.shares)
    }

    /// The same shares, from a snapshot's records. `is_owed` says whether a submitter has something unfinished.
    #[must_use]
    pub fn restored(
        mut self,
        round: u64,
        shares: BTreeMap<PublicKey, Share>,
        is_owed: impl Fn(&PublicKey) -> bool,
    ) -> Self {
        self.round = round;
        for (key, share) in &shares {
            if !is_owed(key) {
                self.paying.insert((self.paid_in(key, *share), *key));
            }
        }
        self.shares = shares;
        self
    }
}
