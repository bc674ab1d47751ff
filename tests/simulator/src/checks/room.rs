//! Checks how room is shared out: what keys without a quota hold together, and that keys with one find room. Judged
//! from the genesis and from what was approved. No run lasts for so many days that a key could be proven.

use std::collections::BTreeSet;

use meshwork_core::{
    identity::PublicKey,
    ledger::Ledger,
    types::{Action, Change, Genesis, Limit, NetworkLimit, SignedTransaction, VoidReason},
};

use super::{Checked, rule};

/// Who has a quota, and how much all others may have together.
pub(super) struct Room {
    vouched: BTreeSet<PublicKey>,
    unproven_permille: u64,
    workers_max: u64,
}

impl Room {
    pub(super) fn new(genesis: &Genesis) -> Self {
        Self {
            vouched: genesis.access.quotas.keys().copied().collect(),
            unproven_permille: genesis.ledger.unproven_permille,
            workers_max: genesis.ledger.workers_max as u64,
        }
    }

    pub(super) fn is_vouched(&self, key: &PublicKey) -> bool {
        self.vouched.contains(key)
    }

    /// How much of a bound in all new keys may have together.
    pub(super) fn share(&self, most: u64) -> u64 {
        (u128::from(most) * u128::from(self.unproven_permille) / 1000) as u64
    }

    fn approved(&mut self, change: &Change) {
        match change {
            Change::SetQuota(key, quota) if quota.is_empty() => drop(self.vouched.remove(key)),
            Change::SetQuota(key, _) => drop(self.vouched.insert(*key)),
            _ => {}
        }
    }

    /// Checks a block that approved these changes, with the result of each of its transactions.
    pub(super) fn check<'a>(
        &mut self,
        approved: &[Change],
        results: impl Iterator<Item = (&'a SignedTransaction, Result<(), VoidReason>)>,
        ledger: &Ledger,
    ) -> Checked {
        approved.iter().for_each(|change| self.approved(change));
        let strangers = ledger.jobs().filter(|job| !self.vouched.contains(&job.submitter));
        let (tasks, most) = (
            strangers.map(|job| job.counts.unfinished()).sum::<u64>(),
            ledger.limit(Limit::Network(NetworkLimit::Tasks)),
        );
        rule(tasks <= self.share(most), || format!("keys that are new have {tasks} unfinished tasks of {most}"))?;
        let places = ledger.workers().filter(|worker| worker.claim.slots > 0 && !self.vouched.contains(&worker.key));
        let places = places.count() as u64;
        rule(places <= self.share(self.workers_max), || format!("workers that are new have {places} places"))?;
        for (transaction, result) in results.filter(|_| approved.is_empty()) {
            let is_vouched = self.vouched.contains(&transaction.signer());
            let has_no_room = matches!(result, Err(VoidReason::UnprovenFull | VoidReason::KeptForVouched));
            let is_submit = matches!(transaction.transaction().action, Action::Submit(_));
            rule(!(is_vouched && (has_no_room || is_submit && result == Err(VoidReason::TasksFull))), || {
                format!("{} has a quota, and finds no room: {result:?}", transaction.signer())
            })?;
        }
        Ok(())
    }
}
