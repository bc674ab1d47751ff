//! What a quorum of the present authorities can change of what the genesis settled.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Authority, LedgerLimits, ScheduleParameters, TransactionId};
use crate::identity::PublicKey;

/// A present authority's part in changing what the genesis settled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Govern {
    /// Proposes a change, and approves it. The proposal's name is the transaction's.
    Propose(Change),
    /// Approves another's proposal.
    Approve(TransactionId),
}

/// What can be changed. Who the authorities are changes with the next epoch, all else in the block that makes it approved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// One authority more, which comes last in the order.
    AddAuthority(Authority),
    /// One authority fewer.
    RemoveAuthority(PublicKey),
    /// A key may do this from now on.
    Permit(Permission, PublicKey),
    /// A key may not do this any more. What a submitter has admitted waits until it may again; what a worker holds goes to others.
    Bar(Permission, PublicKey),
    /// These are the limits of one key, in place of those of each; all of each key's without any.
    SetQuota(PublicKey, Quota),
    /// This is the limit for all. What is there already and exceeds it stays.
    SetLimit(Limit, u64),
    /// These are the scheduler's policies.
    SetSchedule(Box<ScheduleParameters>),
}

impl Change {
    /// Whether it takes effect with the next epoch, and not at once.
    #[must_use]
    pub const fn is_of_authorities(&self) -> bool {
        matches!(self, Self::AddAuthority(_) | Self::RemoveAuthority(_))
    }
}

/// What a key may be permitted to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Permission {
    /// To submit, extend, control and have recur jobs of its own.
    Submit,
    /// To claim tasks and report on them.
    Work,
}

/// What is counted of each submitter and bounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyLimit {
    /// Unfinished tasks.
    Tasks,
    /// Of these, those that workers hold, whether they run there or wait. More are placed as these end.
    Running,
    /// Output that its unfinished tasks may leave, in bytes.
    OutputBytes,
    /// Bytes in which its unfinished jobs were submitted.
    DefinitionBytes,
    /// Recurring jobs that have not ended.
    Recurring,
}

/// The limits of one key that are its own.
pub type Quota = BTreeMap<KeyLimit, u64>;

/// What is counted of all submitters together and bounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NetworkLimit {
    /// Unfinished tasks.
    Tasks,
    /// Output that all unfinished tasks may leave, in bytes.
    OutputBytes,
    /// Bytes in which all unfinished jobs were submitted.
    DefinitionBytes,
    /// Recurring jobs that have not ended.
    Recurring,
}

/// A limit that is changed for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// Of each key that has no quota of its own for it.
    Key(KeyLimit),
    /// Of all together.
    Network(NetworkLimit),
}

impl KeyLimit {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Tasks, Self::Running, Self::OutputBytes, Self::DefinitionBytes, Self::Recurring];
}

impl NetworkLimit {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Tasks, Self::OutputBytes, Self::DefinitionBytes, Self::Recurring];
}

impl Limit {
    /// What the genesis says.
    #[must_use]
    pub const fn founded(self, limits: &LedgerLimits) -> u64 {
        match self {
            Self::Key(KeyLimit::Tasks) => limits.key_tasks_max,
            Self::Key(KeyLimit::Running) => limits.key_running_max,
            Self::Key(KeyLimit::OutputBytes) => limits.key_output_bytes_max,
            Self::Key(KeyLimit::DefinitionBytes) => limits.key_definition_bytes_max,
            Self::Key(KeyLimit::Recurring) => limits.key_recurring_max,
            Self::Network(NetworkLimit::Tasks) => limits.tasks_max,
            Self::Network(NetworkLimit::OutputBytes) => limits.output_bytes_max,
            Self::Network(NetworkLimit::DefinitionBytes) => limits.definition_bytes_max,
            Self::Network(NetworkLimit::Recurring) => limits.recurring_max,
        }
    }
}
