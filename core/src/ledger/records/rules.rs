//! What is in force of what the genesis settled and a quorum can change at once: who may do what, how much of it, and the
//! scheduler's policies. Who the authorities are is `govern`'s.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use serde_tuple::{Deserialize_tuple, Serialize_tuple};

use crate::{
    fault::{Fault, is_planted},
    identity::PublicKey,
    ledger::{Applied, EndReason, Ledger},
    schedule::{
        order::{Sequence, Shares},
        placement::Policies,
    },
    types::{
        Access, BlockTime, Change, Genesis, KeyLimit, LedgerLimits, Limit, Permission, Quota, ScheduleParameters,
        VoidReason,
    },
};

/// Whom a permission is given to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Admission {
    /// Everyone but these.
    AllBut(BTreeSet<PublicKey>),
    /// These only.
    Only(BTreeSet<PublicKey>),
}

impl Admission {
    fn founded(listed: Option<&BTreeSet<PublicKey>>) -> Self {
        listed.map_or_else(|| Self::AllBut(BTreeSet::new()), |listed| Self::Only(listed.clone()))
    }

    /// Whether a key has it.
    #[must_use]
    pub fn includes(&self, key: &PublicKey) -> bool {
        match self {
            Self::AllBut(barred) => !barred.contains(key),
            Self::Only(permitted) => permitted.contains(key),
        }
    }

    /// The keys that are named.
    #[must_use]
    pub const fn named(&self) -> &BTreeSet<PublicKey> {
        match self {
            Self::AllBut(keys) | Self::Only(keys) => keys,
        }
    }

    fn set(&mut self, key: PublicKey, permitted: bool) {
        let (keys, is_named) = match self {
            Self::AllBut(keys) => (keys, !permitted),
            Self::Only(keys) => (keys, permitted),
        };
        if is_named {
            keys.insert(key);
        } else {
            keys.remove(&key);
        }
    }
}

/// The rules in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Rules {
    submitters: Admission,
    workers: Admission,
    quotas: BTreeMap<PublicKey, Quota>,
    /// Those that have been changed, and may again be what the genesis says.
    limits: BTreeMap<Limit, u64>,
    schedule: Arc<ScheduleParameters>,
}

/// How much of one limit a submitter has taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// Of what.
    pub limit: KeyLimit,
    /// So much is taken.
    pub used: u64,
    /// So much may be.
    pub most: u64,
}

impl Rules {
    /// What the genesis says.
    pub(in crate::ledger) fn founded(genesis: &Genesis) -> Self {
        Self {
            submitters: Admission::founded(genesis.access.submitters.as_ref()),
            workers: Admission::founded(genesis.access.workers.as_ref()),
            quotas: genesis.access.quotas.clone(),
            limits: BTreeMap::new(),
            schedule: Arc::new(genesis.schedule.clone()),
        }
    }

    /// Whom a permission is given to.
    #[must_use]
    pub const fn admission(&self, permission: Permission) -> &Admission {
        match permission {
            Permission::Submit => &self.submitters,
            Permission::Work => &self.workers,
        }
    }

    /// The limits that single keys have of their own.
    #[must_use]
    pub const fn quotas(&self) -> &BTreeMap<PublicKey, Quota> {
        &self.quotas
    }

    /// The scheduler's policies.
    #[must_use]
    pub fn schedule(&self) -> &ScheduleParameters {
        &self.schedule
    }

    /// Whether a change that is not of the authorities can be made.
    pub(in crate::ledger) fn check(&self, genesis: &Genesis, change: &Change) -> Result<(), VoidReason> {
        let is_so = match change {
            Change::AddAuthority(_) | Change::RemoveAuthority(_) => return Ok(()),
            Change::Permit(permission, key) => self.admission(*permission).includes(key),
            Change::Bar(permission, key) => !self.admission(*permission).includes(key),
            Change::SetQuota(key, quota) => self.quotas.get(key).map_or(quota.is_empty(), |own| own == quota),
            Change::SetLimit(limit, most) => self.limit(&genesis.ledger, *limit) == *most,
            Change::SetSchedule(schedule) => {
                schedule.check().map_err(|_| VoidReason::Malformed)?;
                *self.schedule == **schedule
            }
        };
        if is_so {
            return Err(VoidReason::NothingToChange);
        }
        let listed_more = match change {
            Change::Permit(permission, key) | Change::Bar(permission, key) => {
                let named = self.admission(*permission).named();
                named.len() + usize::from(!named.contains(key))
            }
            Change::SetQuota(key, quota) => {
                self.quotas.len() + usize::from(!quota.is_empty() && !self.quotas.contains_key(key))
            }
            _ => 0,
        };
        if listed_more > Access::KEYS_MAX { Err(VoidReason::RulesFull) } else { Ok(()) }
    }

    fn set(&mut self, change: Change) {
        match change {
            Change::AddAuthority(_) | Change::RemoveAuthority(_) => {}
            Change::Permit(permission, key) => self.admission_mut(permission).set(key, true),
            Change::Bar(permission, key) => self.admission_mut(permission).set(key, false),
            Change::SetQuota(key, quota) if quota.is_empty() => drop(self.quotas.remove(&key)),
            Change::SetQuota(key, quota) => drop(self.quotas.insert(key, quota)),
            Change::SetLimit(limit, most) => drop(self.limits.insert(limit, most)),
            Change::SetSchedule(schedule) => self.schedule = Arc::from(schedule),
        }
    }

    const fn admission_mut(&mut self, permission: Permission) -> &mut Admission {
        match permission {
            Permission::Submit => &mut self.submitters,
            Permission::Work => &mut self.workers,
        }
    }

    fn limit(&self, founded: &LedgerLimits, limit: Limit) -> u64 {
        self.limits.get(&limit).copied().unwrap_or_else(|| limit.founded(founded))
    }

    /// Whether a quorum could have settled this.
    pub(in crate::ledger) fn is_consistent(&self) -> bool {
        [self.submitters.named().len(), self.workers.named().len(), self.quotas.len()]
            .into_iter()
            .all(|keys| keys <= Access::KEYS_MAX)
            && self.schedule.check().is_ok()
    }
}

impl Ledger {
    /// The rules in force.
    #[must_use]
    pub const fn rules(&self) -> &Rules {
        &self.rules
    }

    /// How much there may be of this: of each key that has no limit of its own, or in all.
    #[must_use]
    pub fn limit(&self, limit: Limit) -> u64 {
        self.rules.limit(&self.genesis.ledger, limit)
    }

    /// How much there may be of this of one submitter.
    #[must_use]
    pub fn key_limit(&self, key: &PublicKey, limit: KeyLimit) -> u64 {
        let own = self.rules.quotas.get(key).and_then(|quota| quota.get(&limit)).copied();
        own.unwrap_or_else(|| self.limit(Limit::Key(limit)))
    }

    /// What a submitter has taken of each of its limits.
    #[must_use]
    pub fn allowances(&self, key: &PublicKey) -> [Allowance; KeyLimit::ALL.len()] {
        let owed = self.owed_by_key.get(key).copied().unwrap_or_default();
        KeyLimit::ALL.map(|limit| {
            let used = match limit {
                KeyLimit::Tasks => owed.tasks,
                KeyLimit::Running => self.leased_of(key),
                KeyLimit::OutputBytes => owed.output_bytes,
                KeyLimit::DefinitionBytes => owed.definition_bytes,
                KeyLimit::Recurring => self.recurring.live(key).0,
            };
            Allowance { limit, used, most: self.key_limit(key, limit) }
        })
    }

    /// When the first of a submitter's attempts has to end, by block time if nothing stalls until then, if it is among the first
    /// of all: by then at the latest something of its limits is free again.
    #[must_use]
    pub fn first_end_of(&self, key: &PublicKey) -> Option<BlockTime> {
        self.first_to_end(|attempt| self.jobs.get(&attempt.task().job).is_some_and(|job| job.record.submitter == *key))
    }

    /// How many leases of a submitter's tasks workers hold, copies among them.
    pub(in crate::ledger) fn leased_of(&self, key: &PublicKey) -> u64 {
        self.leased_by_key.get(key).copied().unwrap_or(0)
    }

    /// Counts one lease of a submitter's tasks more or less.
    pub(in crate::ledger) fn count_leased(&mut self, key: PublicKey, more: bool) {
        let leased = self.leased_by_key.entry(key).or_default();
        *leased = if more { leased.saturating_add(1) } else { leased.saturating_sub(1) };
        if *leased == 0 {
            self.leased_by_key.remove(&key);
        }
        self.hold_up_by_rules(key);
    }

    /// Whether none of a submitter's tasks may be placed now.
    pub(in crate::ledger) fn is_held_up(&self, key: &PublicKey) -> bool {
        let is_full =
            self.leased_of(key) >= self.key_limit(key, KeyLimit::Running) && !is_planted(Fault::RunsPastQuota);
        is_full || !self.rules.submitters.includes(key)
    }

    /// Lets a submitter's tasks be placed, or not, as the rules have it now.
    pub(in crate::ledger) fn hold_up_by_rules(&mut self, key: PublicKey) {
        self.ready.hold_up(key, self.is_held_up(&key), &self.sequence, &self.shares);
    }

    /// Changes a rule that a quorum has approved. A schedule changes at the end of the block.
    pub(in crate::ledger) fn change_rule(&mut self, change: Change, applied: &mut Applied) {
        self.rules.set(change.clone());
        match change {
            Change::AddAuthority(_)
            | Change::RemoveAuthority(_)
            | Change::SetLimit(Limit::Network(_), _)
            | Change::Permit(Permission::Work, _) => {}
            Change::Permit(Permission::Submit, key)
            | Change::Bar(Permission::Submit, key)
            | Change::SetQuota(key, _) => self.hold_up_by_rules(key),
            Change::Bar(Permission::Work, key) => {
                if !is_planted(Fault::BarredWorksOn) {
                    self.end_claim(key, EndReason::ClaimEnded, applied);
                }
            }
            Change::SetLimit(Limit::Key(_), _) => {
                let keys: Vec<PublicKey> = self.owed_by_key.keys().copied().collect();
                for key in keys {
                    self.hold_up_by_rules(key);
                }
            }
            Change::SetSchedule(_) => self.schedule_changed = !is_planted(Fault::ScheduleOfGenesis),
        }
    }

    /// Takes up rules before anything is taken up that is computed by them.
    pub(in crate::ledger) fn restore_rules(&mut self, rules: Rules) {
        let schedule = &rules.schedule;
        self.sequence = Arc::new(Sequence::new(schedule));
        self.policies = Policies::new(&schedule.placement);
        self.shares = Shares::new(schedule.slice_ms, schedule.weights.clone());
        self.rules = rules;
    }

    /// Nobody has had anything yet but what workers hold, if shares are looked at from now on.
    fn begin_shares(&mut self, is_fair: bool) {
        let schedule = &self.rules.schedule;
        self.shares = Shares::new(schedule.slice_ms, schedule.weights.clone());
        if !is_fair {
            return;
        }
        for (key, _) in self.owed_by_key.iter().filter(|(_, owed)| owed.tasks > 0) {
            self.shares.begin(key);
        }
        for attempt in self.workers.values().flat_map(|worker| worker.held.attempts()) {
            let task = attempt.task();
            let Some(job) = self.jobs.get(&task.job) else { continue };
            if let Some(lease) = job.live(task.index).and_then(|live| live.lease_of(attempt.number)) {
                self.shares.charge(&job.record.submitter, lease.cost);
            }
        }
    }

    /// At the end of a block: everything that is computed by the policies is computed anew, if these have changed. What was
    /// taken up so far is what a restart at this height would take up.
    pub(in crate::ledger) fn follow_schedule(&mut self) {
        if !std::mem::take(&mut self.schedule_changed) {
            return;
        }
        let (was_fair, is_fair) = (self.sequence.is_fair(), Sequence::new(&self.rules.schedule).is_fair());
        if was_fair != is_fair {
            self.begin_shares(is_fair);
        }
        let anew = Self::restore(Arc::clone(&self.genesis), &self.snapshot());
        debug_assert!(anew.is_ok(), "a ledger can be restored from its own snapshot: {anew:?}");
        if let Ok(anew) = anew {
            *self = anew;
        }
        // Attempts that were leased under longer slices, or none.
        self.end_slices();
    }
}
