//! Queries on the rules in force.

use crate::{
    identity::PublicKey,
    ledger::{Ledger, QuotaUse, Rules},
    types::{BlockTime, KeyLimit, Limit, Permission},
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
                KeyLimit::Recurring => self.index.recurring().live(key).0,
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
