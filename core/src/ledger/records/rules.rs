//! The rules that the genesis sets and a quorum can change at once: permissions, limits and the scheduler's policies.
//! `governance` handles the set of authorities.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use serde_tuple::{Deserialize_tuple, Serialize_tuple};

use crate::{
    identity::PublicKey,
    schedule::order::Shares,
    types::{
        Access, Change, Genesis, KeyLimit, LedgerLimits, Limit, Permission, Quota, ScheduleParameters, VoidReason,
    },
};

/// The keys that have a permission.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Admission {
    /// All keys except these.
    AllBut(BTreeSet<PublicKey>),
    /// Only these keys.
    Only(BTreeSet<PublicKey>),
}

impl Admission {
    fn founded(listed: Option<&BTreeSet<PublicKey>>) -> Self {
        listed.map_or_else(|| Self::AllBut(BTreeSet::new()), |listed| Self::Only(listed.clone()))
    }

    /// Whether a key has the permission.
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
    /// The limits that were ever changed, even if they are back at the value of the genesis.
    limits: BTreeMap<Limit, u64>,
    schedule: Arc<ScheduleParameters>,
}

/// How much of one limit a submitter has used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuotaUse {
    /// Which limit.
    pub limit: KeyLimit,
    /// How much is used.
    pub used: u64,
    /// How much may be used.
    pub most: u64,
}

impl Rules {
    /// The rules of the genesis.
    pub(in crate::ledger) fn founded(genesis: &Genesis) -> Self {
        Self {
            submitters: Admission::founded(genesis.access.submitters.as_ref()),
            workers: Admission::founded(genesis.access.workers.as_ref()),
            quotas: genesis.access.quotas.clone(),
            limits: BTreeMap::new(),
            schedule: Arc::new(genesis.schedule.clone()),
        }
    }

    /// The keys that have a permission.
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

    /// Whether people have decided on this key: it has a quota of its own, or it is listed among those who may do this.
    #[must_use]
    pub fn vouches_for(&self, side: Permission, key: &PublicKey) -> bool {
        let is_listed = matches!(self.admission(side), Admission::Only(listed) if listed.contains(key));
        is_listed || self.quotas.contains_key(key)
    }

    /// The scheduler's policies.
    #[must_use]
    pub fn schedule(&self) -> &ScheduleParameters {
        &self.schedule
    }

    /// Whether a change of the rules can be made. Changes of the authorities are checked elsewhere.
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

    /// Makes a change that a quorum approved.
    pub(in crate::ledger) fn set(&mut self, change: Change) {
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

    /// The value of a limit: for each key that has none of its own, or in total.
    pub(in crate::ledger) fn limit(&self, founded: &LedgerLimits, limit: Limit) -> u64 {
        self.limits.get(&limit).copied().unwrap_or_else(|| limit.founded(founded))
    }

    /// The value of a limit for one submitter.
    pub(in crate::ledger) fn key_limit(&self, founded: &LedgerLimits, key: &PublicKey, limit: KeyLimit) -> u64 {
        let own = self.quotas.get(key).and_then(|quota| quota.get(&limit)).copied();
        own.unwrap_or_else(|| self.limit(founded, Limit::Key(limit)))
    }

    /// New shares, of which nothing is used.
    pub(in crate::ledger) fn shares(&self) -> Shares {
        Shares::new(self.schedule.slice_ms, self.schedule.weights.clone())
    }

    /// Whether a quorum could have set these rules.
    pub(in crate::ledger) fn is_consistent(&self) -> bool {
        [self.submitters.named().len(), self.workers.named().len(), self.quotas.len()]
            .into_iter()
            .all(|keys| keys <= Access::KEYS_MAX)
            && self.schedule.check().is_ok()
    }
}
