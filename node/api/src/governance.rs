//! The authorities of a network, and the rules that they can change.

use std::collections::BTreeMap;

use meshwork_core::{
    identity::PublicKey,
    ledger::Admission,
    types::{
        Authority, Change, Height, KeyLimit, Limit, NetworkLimit, Permission, Quota, ScheduleParameters, TransactionId,
    },
};
use serde::{Deserialize, Serialize};

/// `GET /v1/governance`: the authorities, the changes that they are about to make, and the rules in force.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct GovernanceView {
    /// The epoch of the newest block.
    pub epoch: u64,
    /// The epoch's first height.
    pub since: Height,
    /// The epoch's authorities, in the order in which they lead.
    pub authorities: Vec<AuthorityView>,
    /// The authorities of the next epoch, if a change to them is approved.
    pub next: Option<Vec<AuthorityView>>,
    /// Open proposals.
    pub proposals: Vec<ProposalView>,
    /// The rules in force that the authorities can change.
    pub rules: RulesView,
}

/// Who may do what, with which limits, and by which policies tasks are scheduled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RulesView {
    /// Who may submit.
    pub submitters: Admission,
    /// Who may work.
    pub workers: Admission,
    /// The quotas of single submitters.
    pub quotas: BTreeMap<PublicKey, Quota>,
    /// The limits of each submitter that has no quota of its own.
    pub key_limits: BTreeMap<KeyLimit, u64>,
    /// The limits of the whole network.
    pub network_limits: BTreeMap<NetworkLimit, u64>,
    /// The scheduler's policies.
    pub schedule: ScheduleParameters,
}

/// `GET /v1/keys/{key}`: what a key may do, and how much of its quota is used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyView {
    /// The key.
    pub key: PublicKey,
    /// Whether it may submit.
    pub may_submit: bool,
    /// Whether it may work.
    pub may_work: bool,
    /// How much of each limit is used.
    pub limits: Vec<LimitView>,
    /// When the first of its attempts has to end, by which at the latest something is free again; nothing if workers
    /// hold none of its tasks. In microseconds since the Unix epoch.
    pub first_end_us: Option<u64>,
}

/// How much of a limit is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitView {
    /// What the limit counts.
    pub limit: KeyLimit,
    /// The amount in use.
    pub used: u64,
    /// The limit.
    pub most: u64,
    /// Whether the limit comes from the key's own quota.
    pub own: bool,
}

/// An authority.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorityView {
    /// The authority's name.
    pub name: String,
    /// The authority's key.
    pub key: PublicKey,
    /// The addresses at which it says it can be reached.
    pub addresses: Vec<String>,
}

impl From<&Authority> for AuthorityView {
    fn from(authority: &Authority) -> Self {
        let Authority { name, key, addresses } = authority.clone();
        Self { name, key, addresses }
    }
}

/// An open proposal.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ProposalView {
    /// The proposal's id.
    pub id: TransactionId,
    /// The proposed change.
    pub change: ChangeView,
    /// The authority that made it.
    pub proposer: PublicKey,
    /// The authorities that have approved it, including the proposer.
    pub approvals: Vec<PublicKey>,
    /// How many approvals it needs.
    pub quorum: usize,
    /// The last block time at which it can be approved, in microseconds since the Unix epoch.
    pub until_us: u64,
}

/// A change that authorities can make.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChangeView {
    /// Adds an authority.
    AddAuthority(AuthorityView),
    /// Removes an authority.
    RemoveAuthority(PublicKey),
    /// Permits a key something.
    Permit {
        /// The key.
        key: PublicKey,
        /// The permission.
        permission: Permission,
    },
    /// Bars a key from something.
    Bar {
        /// The key.
        key: PublicKey,
        /// The permission.
        permission: Permission,
    },
    /// Sets the quota of one key.
    SetQuota {
        /// The key.
        key: PublicKey,
        /// The quota; an empty one restores the limits of all other keys.
        quota: Quota,
    },
    /// Sets a limit.
    SetLimit {
        /// The limit to set.
        limit: Limit,
        /// Its new value.
        most: u64,
    },
    /// Sets the scheduler's policies.
    SetSchedule(Box<ScheduleParameters>),
}

impl From<&Change> for ChangeView {
    fn from(change: &Change) -> Self {
        match change {
            Change::AddAuthority(authority) => Self::AddAuthority(authority.into()),
            Change::RemoveAuthority(key) => Self::RemoveAuthority(*key),
            Change::Permit(permission, key) => Self::Permit { key: *key, permission: *permission },
            Change::Bar(permission, key) => Self::Bar { key: *key, permission: *permission },
            Change::SetQuota(key, quota) => Self::SetQuota { key: *key, quota: quota.clone() },
            Change::SetLimit(limit, most) => Self::SetLimit { limit: *limit, most: *most },
            Change::SetSchedule(schedule) => Self::SetSchedule(schedule.clone()),
        }
    }
}
