//! Queries on the rules in force.

use crate::{
    fault::{Fault, is_planted},
    identity::PublicKey,
    ledger::{
        Ledger, QuotaUse, Rules,
        records::trust::{Room, Trust},
    },
    types::{BlockTime, KeyLimit, Limit, NetworkLimit, Permission},
};

impl Ledger {
    /// The rules in force.
    #[must_use]
    pub const fn rules(&self) -> &Rules {
        self.records.rules()
    }

    /// Whether a key may submit.
    #[must_use]
    pub fn may_submit(&self, key: &PublicKey) -> bool {
        self.rules().admission(Permission::Submit).includes(key)
    }

    /// How far the network trusts a key as a submitter or as a worker.
    #[must_use]
    pub fn trust(&self, side: Permission, key: &PublicKey) -> Trust {
        if self.rules().vouches_for(side, key) {
            Trust::Vouched
        } else if self.records.merits().is_proven(side, key) {
            Trust::Proven
        } else {
            Trust::Unproven
        }
    }

    /// How keys share what there may be in all, if that is so much.
    pub(in crate::ledger) fn room(&self, most: u64) -> Room {
        let unproven_permille = self.limit(Limit::Network(NetworkLimit::UnprovenPermille));
        let unproven_permille = if is_planted(Fault::UnprovenTakeAll) { 1000 } else { unproven_permille };
        Room { most, unproven_permille }
    }

    /// The value of a limit: for each key that has none of its own, or in total.
    #[must_use]
    pub fn limit(&self, limit: Limit) -> u64 {
        self.records.rules().limit(&self.genesis.ledger, limit)
    }

    /// The value of a limit for one submitter.
    #[must_use]
    pub fn key_limit(&self, key: &PublicKey, limit: KeyLimit) -> u64 {
        self.records.rules().key_limit(&self.genesis.ledger, key, limit)
    }

    /// How much of each of its limits a submitter has used.
    #[must_use]
    pub fn quota_uses(&self, key: &PublicKey) -> [QuotaUse; KeyLimit::ALL.len()] {
        let outstanding = self.index.quotas().outstanding_of(key);
        KeyLimit::ALL.map(|limit| {
            let used = match limit {
                KeyLimit::Tasks => outstanding.tasks,
                KeyLimit::Running => self.index.quotas().leased_of(key),
                KeyLimit::OutputBytes => outstanding.output_bytes,
                KeyLimit::DefinitionBytes => outstanding.definition_bytes,
                KeyLimit::Recurring => self.index.recurring().live_of(key),
                KeyLimit::DailyStoredBytes => self.records.stored().of(key),
            };
            QuotaUse { limit, used, most: self.key_limit(key, limit) }
        })
    }

    /// When the first of a submitter's attempts has to end, if it is among the first of all attempts. By then some of
    /// the submitter's quota is free again. The time is block time, and holds if nothing stalls until then.
    #[must_use]
    pub fn first_end_of(&self, key: &PublicKey) -> Option<BlockTime> {
        self.first_to_end(|attempt| {
            self.records.job(attempt.task().job).is_some_and(|job| job.record.submitter == *key)
        })
    }
}
