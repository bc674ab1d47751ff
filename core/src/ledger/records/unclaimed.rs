//! What no claim could hold: needs of ready tasks, each with since when none of the claims that stood could ever hold
//! them. The ledger looks now and then (`steps/unclaimed`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{ledger::bounds, schedule::ready::Needs, types::BlockTime};

/// Needs that no claim could hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::ledger) struct Unclaimed {
    /// When the ledger last looked.
    pub(in crate::ledger) looked: BlockTime,
    since: BTreeMap<Needs, BlockTime>,
}

impl Unclaimed {
    /// Since when no claim could hold these needs, as far as the ledger has looked.
    pub(in crate::ledger) fn since(&self, needs: &Needs) -> Option<BlockTime> {
        self.since.get(needs).copied()
    }

    /// Notes at a look that no claim could hold exactly these needs. Those that were noted before keep their time.
    pub(in crate::ledger) fn look(&mut self, now: BlockTime, unclaimed: impl Iterator<Item = Needs>) {
        self.looked = now;
        let before = std::mem::take(&mut self.since);
        self.since = unclaimed
            .map(|needs| (before.get(&needs).copied().unwrap_or(now), needs))
            .map(|(since, needs)| (needs, since))
            .collect();
    }

    /// Forgets needs that a claim holds now.
    pub(in crate::ledger) fn hold(&mut self, needs: &Needs) {
        if !self.since.is_empty() {
            self.since.remove(needs);
        }
    }

    /// The needs that no claim could hold at this time or earlier, and ever since.
    pub(in crate::ledger) fn until(&self, then: BlockTime) -> Vec<Needs> {
        self.since.iter().filter(|(_, since)| **since <= then).map(|(needs, _)| needs.clone()).collect()
    }

    /// Whether looks up to this time can have noted this.
    pub(in crate::ledger) fn is_sound(&self, now: BlockTime) -> bool {
        self.looked <= now
            && self.since.len() <= bounds::NEEDS_MAX
            && self.since.values().all(|since| *since <= self.looked)
    }
}
