//! Who governs a network, and the rules that they can change.

use std::collections::BTreeMap;

use meshwork_core::{
    identity::PublicKey,
    ledger::Admission,
    types::{
        Authority, Change, Height, KeyLimit, Limit, NetworkLimit, Permission, Quota, ScheduleParameters, TransactionId,
    },
};
use serde::{Deserialize, Serialize};

/// `GET /v1/governance`: who the authorities are, what they are about to change, and the rules in force.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct GovernanceView {
    /// The newest block's epoch.
    pub epoch: u64,
    /// Its first height.
    pub since: Height,
    /// Its authorities, in the order in which they lead.
    pub authorities: Vec<AuthorityView>,
    /// Those of the next epoch, if a change is approved.
    pub next: Option<Vec<AuthorityView>>,
    /// What is proposed and not approved.
    pub proposals: Vec<ProposalView>,
    /// The rules in force that can be changed.
    pub rules: RulesView,
}

/// Who may do what, how much of it, and by which policies it is scheduled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RulesView {
    /// Who may submit.
    pub submitters: Admission,
    /// Who may work.
    pub workers: Admission,
    /// The limits that single submitters have of their own.
    pub quotas: BTreeMap<PublicKey, Quota>,
    /// How much there may be of each submitter that has no limit of its own.
    pub key_limits: BTreeMap<KeyLimit, u64>,
    /// How much there may be in all.
    pub network_limits: BTreeMap<NetworkLimit, u64>,
    /// The scheduler's policies.
    pub schedule: ScheduleParameters,
}

/// `GET /v1/keys/{key}`: what a key may do, and how much of it is taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyView {
    /// The key.
    pub key: PublicKey,
    /// Whether it may submit.
    pub may_submit: bool,
    /// Whether it may work.
    pub may_work: bool,
    /// What it has taken of each of its limits.
    pub limits: Vec<LimitView>,
    /// When the first of its attempts has to end, by which at the latest something is free again; nothing if workers
    /// hold none of its tasks. In microseconds since the Unix epoch.
    pub first_end_us: Option<u64>,
}

/// How much of a limit is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitView {
    /// Of what.
    pub limit: KeyLimit,
    /// So much is taken.
    pub used: u64,
    /// So much may be.
    pub most: u64,
    /// Whether the key has this limit of its own.
    pub own: bool,
}

/// An authority.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorityView {
    /// What people call it.
    pub name: String,
    /// Its key.
    pub key: PublicKey,
    /// Where it says that it can be reached.
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
    /// Its name.
    pub id: TransactionId,
    /// What is to change.
    pub change: ChangeView,
    /// Who made it.
    pub proposer: PublicKey,
    /// Who has approved it, the proposer among them.
    pub approvals: Vec<PublicKey>,
    /// How many approvals make it approved.
    pub quorum: usize,
    /// The last block time at which it can be approved, in microseconds since the Unix epoch.
    pub until_us: u64,
}

/// What is to change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChangeView {
    /// One authority more.
    AddAuthority(AuthorityView),
    /// One authority fewer.
    RemoveAuthority(PublicKey),
    /// A key may do this.
    Permit {
        /// Which.
        key: PublicKey,
        /// What.
        permission: Permission,
    },
    /// A key may not do this any more.
    Bar {
        /// Which.
        key: PublicKey,
        /// What.
        permission: Permission,
    },
    /// The limits of one key.
    SetQuota {
        /// Which.
        key: PublicKey,
        /// Its limits; those of each key without any.
        quota: Quota,
    },
    /// A limit for all.
    SetLimit {
        /// Which.
        limit: Limit,
        /// So much there may be.
        most: u64,
    },
    /// The scheduler's policies.
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
