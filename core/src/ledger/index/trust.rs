//! Follows a key's trust: whatever the key has taken is counted with keys of its present trust.

use crate::{
    identity::PublicKey,
    ledger::{
        Day, Ledger,
        records::{Records, trust::Trust},
    },
    types::Permission,
};

impl Ledger {
    /// Makes a change that may affect how far a key is trusted, and moves what the key has taken.
    pub(in crate::ledger) fn change_trust(&mut self, key: PublicKey, change: impl FnOnce(&mut Records)) {
        let trusts = |ledger: &Self| [Permission::Submit, Permission::Work].map(|side| ledger.trust(side, &key));
        let [submits, works] = trusts(self);
        change(&mut self.records);
        let [submits_now, works_now] = trusts(self);
        if submits != submits_now {
            self.index.quotas.change_trust(&key, submits, submits_now);
            self.index.recurring.change_trust(&key, submits, submits_now);
            self.records.stored_mut().change_trust(&key, submits, submits_now);
        }
        if works != works_now {
            self.change_workers_trust(&key, works, works_now);
        }
    }

    fn change_workers_trust(&mut self, key: &PublicKey, before: Trust, after: Trust) {
        let Some(worker) = self.records.worker(key) else { return };
        let offers = worker.offers_slots();
        for (trust, more) in [(before, false), (after, true)] {
            self.index.workers_known.count(trust, more);
            if offers {
                self.index.places.count(trust, more);
            }
        }
    }

    /// Notes the success of a task for its submitter and its worker. Nobody proves itself.
    pub(super) fn prove(&mut self, submitter: PublicKey, worker: PublicKey) {
        if submitter == worker {
            return;
        }
        let today = Day::of(self.time());
        for (side, key) in [(Permission::Submit, submitter), (Permission::Work, worker)] {
            if !self.records.merits().has_succeeded(side, &key, today) {
                self.change_trust(key, |records| records.merits_mut().succeeded(side, key, today));
            }
        }
    }

    /// Forgets the merits that are too old, on a new day.
    pub(in crate::ledger) fn forget_merits(&mut self) {
        for (side, key) in self.records.merits().expired(Day::of(self.time())) {
            self.change_trust(key, |records| records.merits_mut().forget(side, &key));
        }
    }
}
