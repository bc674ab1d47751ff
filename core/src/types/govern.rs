//! The changes that a quorum of the present authorities can make to what the genesis settled.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Authority, LedgerLimits, ScheduleParameters, TransactionId};
use crate::identity::PublicKey;

/// One authority's step in changing what the genesis settled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Govern {
    /// Proposes a change, and approves it. The transaction's id names the proposal.
    Propose(Change),
    /// Approves another authority's proposal.
    Approve(TransactionId),
}

/// A change. A change of the authorities takes effect with the next epoch, any other in the block that makes it
/// approved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// Adds an authority, which comes last in the order.
    AddAuthority(Authority),
    /// Removes an authority.
    RemoveAuthority(PublicKey),
    /// Permits a key to do this.
    Permit(Permission, PublicKey),
    /// Bars a key from doing this. All that a barred submitter has unfinished ends; the attempts of a barred worker
    /// go to others.
    Bar(Permission, PublicKey),
    /// Gives one key limits of its own, in place of the limits for each key. Where this is empty, the limits
    /// for each key apply again.
    SetQuota(PublicKey, Quota),
    /// Sets a limit for all. What exceeds it already stays.
    SetLimit(Limit, u64),
    /// Sets the scheduler's policies.
    SetSchedule(Box<ScheduleParameters>),
}

impl Change {
    /// Whether the change takes effect with the next epoch, and not at once.
    #[must_use]
    pub const fn is_of_authorities(&self) -> bool {
        matches!(self, Self::AddAuthority(_) | Self::RemoveAuthority(_))
    }
}

/// What a key can be permitted to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Permission {
    /// Submit, extend and control jobs, and have them recur.
    Submit,
    /// Claim tasks and report on them.
    Work,
}

/// What is counted and limited for each submitter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyLimit {
    /// Unfinished tasks.
    Tasks,
    /// Unfinished tasks that workers hold, running or waiting. Further tasks are placed as these end.
    Running,
    /// Output that its unfinished tasks may leave, in bytes.
    OutputBytes,
    /// Bytes of the definitions of its unfinished jobs.
    DefinitionBytes,
    /// Recurring jobs that have not ended.
    Recurring,
    /// What its jobs make every peer store for good in a UTC day, in bytes.
    DailyStoredBytes,
}

/// The limits that one key has of its own.
pub type Quota = BTreeMap<KeyLimit, u64>;

/// What is counted and limited for all submitters together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NetworkLimit {
    /// Unfinished tasks.
    Tasks,
    /// Output that all unfinished tasks may leave, in bytes.
    OutputBytes,
    /// Bytes of the definitions of all unfinished jobs.
    DefinitionBytes,
    /// Recurring jobs that have not ended.
    Recurring,
    /// What all jobs make every peer store for good in a UTC day, in bytes.
    DailyStoredBytes,
    /// The part of each limit in all that unproven keys may have together, in thousandths.
    UnprovenPermille,
}

/// A limit that can be changed for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// For each key that has no quota of its own for it.
    Key(KeyLimit),
    /// For all keys together.
    Network(NetworkLimit),
}

impl KeyLimit {
    /// All limits.
    pub const ALL: [Self; 6] =
        [Self::Tasks, Self::Running, Self::OutputBytes, Self::DefinitionBytes, Self::Recurring, Self::DailyStoredBytes];
}

impl NetworkLimit {
    /// All limits.
    pub const ALL: [Self; 6] = [
        Self::Tasks,
        Self::OutputBytes,
        Self::DefinitionBytes,
        Self::Recurring,
        Self::DailyStoredBytes,
        Self::UnprovenPermille,
    ];
}

impl Limit {
    /// The limit in the genesis.
    #[must_use]
    pub const fn founded(self, limits: &LedgerLimits) -> u64 {
        match self {
            Self::Key(KeyLimit::Tasks) => limits.key_tasks_max,
            Self::Key(KeyLimit::Running) => limits.key_running_max,
            Self::Key(KeyLimit::OutputBytes) => limits.key_output_bytes_max,
            Self::Key(KeyLimit::DefinitionBytes) => limits.key_definition_bytes_max,
            Self::Key(KeyLimit::Recurring) => limits.key_recurring_max,
            Self::Key(KeyLimit::DailyStoredBytes) => limits.key_daily_stored_bytes_max,
            Self::Network(NetworkLimit::Tasks) => limits.tasks_max,
            Self::Network(NetworkLimit::OutputBytes) => limits.output_bytes_max,
            Self::Network(NetworkLimit::DefinitionBytes) => limits.definition_bytes_max,
            Self::Network(NetworkLimit::Recurring) => limits.recurring_max,
            Self::Network(NetworkLimit::DailyStoredBytes) => limits.daily_stored_bytes_max,
            Self::Network(NetworkLimit::UnprovenPermille) => limits.unproven_permille,
        }
    }
}
