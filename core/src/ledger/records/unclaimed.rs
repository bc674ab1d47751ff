//! What no claim could hold: needs of ready tasks, each with since when none of the claims that stood could ever hold
//! them, in lease time: while the network stands still, nobody can claim. The ledger looks now and then
//! (`steps/unclaimed`), and a claim that could hold them ends that at once.

use std::collections::{BTreeMap, BTreeSet};

use serde_tuple::{Deserialize_tuple, Serialize_tuple};

use super::lease_time::LeaseTime;
use crate::{ledger::bounds, schedule::ready::Needs};

/// Needs that no claim could hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub(in crate::ledger) struct Unclaimed {
    /// When the ledger last looked.
    pub(in crate::ledger) looked: LeaseTime,
    since: BTreeMap<Needs, LeaseTime>,
}

impl Unclaimed {
    /// Since when no claim could hold these needs, as far as the ledger has looked.
    pub(in crate::ledger) fn since(&self, needs: &Needs) -> Option<LeaseTime> {
        self.since.get(needs).copied()
    }

    /// Notes at a look that no claim could hold exactly these needs. Those that were noted before keep their time.
    pub(in crate::ledger) fn look(&mut self, now: LeaseTime, unclaimed: impl Iterator<Item = Needs>) {
        self.looked = now;
        let before = std::mem::take(&mut self.since);
        self.since = unclaimed
            .map(|needs| (before.get(&needs).copied().unwrap_or(now), needs))
            .map(|(since, needs)| (needs, since))
            .collect();
    }

    pub(in crate::ledger) fn is_empty(&self) -> bool {
        self.since.is_empty()
    }

    /// Forgets needs that a claim could hold.
    pub(in crate::ledger) fn claim(&mut self, could_hold: impl Fn(&Needs) -> bool) {
        self.since.retain(|needs, _| !could_hold(needs));
    }

    /// The needs that no claim could hold at this time or earlier, and ever since.
    pub(in crate::ledger) fn until(&self, then: LeaseTime) -> BTreeSet<Needs> {
        self.since.iter().filter(|(_, since)| **since <= then).map(|(needs, _)| needs.clone()).collect()
    }

    /// Whether looks up to this time can have noted this.
    pub(in crate::ledger) fn is_sound(&self, now: LeaseTime) -> bool {
        self.looked <= now
            && self.since.len() <= bounds::NEEDS_MAX
            && self.since.values().all(|since| *since <= self.looked)
    }
}
