//! The reasons why a ready task is not placed.

use serde::{Deserialize, Serialize};

use crate::{
    identity::PublicKey,
    ledger::EndReason,
    types::{BlockTime, JobId, OrderPolicy},
};

/// Why a ready task is not placed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// The main obstacle.
    pub hindrance: Hindrance,
    /// How many tasks of its submitter workers hold.
    pub leased: u64,
    /// How many of its submitter's tasks workers may hold.
    pub leased_max: u64,
    /// The standing claims, sorted by what they can do for the task.
    pub claims: Claims,
    /// Each of its requirements by itself.
    pub requirements: Vec<Requirement>,
    /// When the first attempt has to end at a claim that could hold the task and to which it may go. By then a place
    /// comes free.
    #[serde(rename = "frees_us")]
    pub frees: Option<BlockTime>,
    /// When it ends without an outcome, at the earliest, if no claim comes that could ever hold it.
    #[serde(rename = "ends_us")]
    pub ends: Option<BlockTime>,
    /// The workers that it avoids, whether or not their claims stand.
    pub avoids: Vec<Avoided>,
    /// The tasks that go before it.
    pub ahead: Ahead,
    /// Its submitter's share, if the network orders tasks by shares.
    pub share: Option<ShareNow>,
}

/// What keeps a ready task from being placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hindrance {
    /// No standing claim could ever hold it.
    NoClaim,
    /// The claims to which it may go have no place now.
    Full,
    /// The claims to which it may go have no place now, but claims that it avoids have one.
    Avoidance,
    /// Its submitter has reached its quota of leased tasks.
    Quota,
    /// Nothing: it is placed in the next block.
    Nothing,
}

/// How many claims can do what for a task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// All standing claims.
    pub standing: u32,
    /// Those that could hold it if nothing else ran there.
    pub capable: u32,
    /// Of the capable ones, those to which it may not go now, because it was lost or given back there.
    pub avoided: u32,
    /// Of the avoided ones, those that have a place for it.
    pub avoided_open: u32,
    /// Of the capable ones that are not avoided, those that have no place for it.
    pub full: u32,
    /// Of the capable ones that are not avoided, those that have a place for it.
    pub open: u32,
}

/// One requirement of a task, and how many claims meet it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requirement {
    /// The requirement.
    pub need: Need,
    /// How many claims meet it, whatever else they lack.
    pub claims: u32,
}

/// One requirement that a task has of a claim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Need {
    /// A slot.
    Slot,
    /// Processor time.
    Millicores {
        /// Thousandths of a core.
        needed: u32,
        /// The most that any claim offers.
        offered: u32,
    },
    /// Memory.
    Memory {
        /// Bytes.
        needed: u64,
        /// The most that any claim offers.
        offered: u64,
    },
    /// A label with this value.
    Label {
        /// The label.
        label: String,
        /// The value that it has to have.
        value: String,
        /// How many claims have the label with another value.
        others: u32,
    },
}

/// A worker that a task avoids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Avoided {
    /// Who.
    pub worker: PublicKey,
    /// How many of the task's attempts there count.
    pub attempts: u32,
    /// How the last of them ended.
    pub last: EndReason,
    /// Whether its claim stands.
    pub stands: bool,
}

/// The ready tasks that go before a task, among those that could go to the same claims.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ahead {
    /// How many.
    pub tasks: u64,
    /// Whether that is the full number. Otherwise there are more.
    pub all: bool,
    /// How many of them go before it for each reason that occurs.
    pub by: Vec<AheadBy>,
    /// How many submitters they belong to.
    pub submitters: u32,
    /// How many jobs they belong to, the task's own job included if some are of it.
    pub jobs: u32,
    /// The jobs whose tasks go first, in that order, at most [`NAMED_MAX`](super::super::NAMED_MAX).
    pub first: Vec<JobAhead>,
}

/// How many tasks go before a task for the same reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AheadBy {
    /// The reason.
    pub by: Precedence,
    /// How many.
    pub tasks: u64,
}

/// A job with tasks that go before a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobAhead {
    /// Which.
    pub job: JobId,
    /// Its submitter.
    pub submitter: PublicKey,
    /// How many of its tasks go before.
    pub tasks: u64,
    /// The reason for which the first of them does.
    pub by: Precedence,
}

/// Why one task goes before another: the first thing that tells them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Precedence {
    /// A policy of the schedule.
    Policy(OrderPolicy),
    /// Its job was admitted earlier.
    Admission,
    /// Both are of one job: a task that was leased before goes before one that never was, then the smaller index goes
    /// first.
    WithinJob,
}

/// The present state of a submitter's share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShareNow {
    /// The round in which the submitter's turn comes.
    pub turn: u64,
    /// The newest round in which anything was begun.
    pub round: u64,
    /// Whether its slice is spent: a submitter whose turn comes in an earlier round goes before it.
    pub spent: bool,
    /// What is left of its granted rounds, in milliseconds of one core; below 0 if it has had more.
    pub left_ms: i64,
    /// When the first slice ends of an attempt that could then be preempted for the task.
    #[serde(rename = "slice_ends_us")]
    pub slice_ends: Option<BlockTime>,
    /// The attempt that was asked to stop for its submitter, if any.
    pub preemption: Option<PreemptionOf>,
}

/// An attempt that was asked to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreemptionOf {
    /// Its job.
    pub job: JobId,
    /// Its task's place in that job.
    pub index: u32,
    /// Who holds it.
    pub worker: PublicKey,
    /// When the request lapses, so that another may be made.
    #[serde(rename = "until_us")]
    pub until: BlockTime,
}
