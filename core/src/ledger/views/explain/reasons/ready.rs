//! What can be said of a task that is ready and not placed.

use serde::{Deserialize, Serialize};

use crate::{
    identity::PublicKey,
    ledger::EndReason,
    types::{BlockTime, JobId, OrderPolicy},
};

/// Why a ready task is not placed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// What stands in its way.
    pub hindrance: Hindrance,
    /// How many tasks of its submitter workers hold.
    pub leased: u64,
    /// How many of them they may.
    pub leased_max: u64,
    /// The claims that stand, by what they are to it.
    pub claims: Claims,
    /// Each of its requirements, taken by itself.
    pub requirements: Vec<Requirement>,
    /// When the first attempt has to end at a claim that could hold it and where it may go: then, or before, a place
    /// comes free.
    #[serde(rename = "frees_us")]
    pub frees: Option<BlockTime>,
    /// Where it would rather not go: the workers that stand and those that do not.
    pub avoids: Vec<Avoided>,
    /// What goes before it.
    pub ahead: Ahead,
    /// Its submitter's share, where the network's order goes by shares.
    pub share: Option<ShareNow>,
}

/// What stands in a ready task's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hindrance {
    /// No claim that stands could ever hold it.
    NoClaim,
    /// Where it may go there is no place now.
    Full,
    /// Where it may go there is no place now; where it would rather not go, there is.
    Avoidance,
    /// Its submitter may not submit any more, and nothing of it is placed.
    Barred,
    /// Workers hold as many of its submitter's tasks as they may.
    Quota,
    /// Nothing: it is placed in the next block.
    Nothing,
}

/// How many claims are what to a task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// All that stand.
    pub standing: u32,
    /// Those that could ever hold it, were nothing else there.
    pub capable: u32,
    /// Of these, those where it may not go now, since it was lost or given back there.
    pub avoided: u32,
    /// Of those that are avoided, those that have a place for it.
    pub avoided_open: u32,
    /// Of those that could hold it and where it may go, those that have no place for it.
    pub full: u32,
    /// And those that have one.
    pub open: u32,
}

/// One thing that a task needs, and how many claims have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requirement {
    /// What.
    pub need: Need,
    /// How many claims meet it, whatever else they lack.
    pub claims: u32,
}

/// One thing that a task needs of a claim.
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

/// A worker that a task would rather not go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Avoided {
    /// Who.
    pub worker: PublicKey,
    /// How many of its attempts there count.
    pub attempts: u32,
    /// How the last of them ended.
    pub last: EndReason,
    /// Whether its claim stands.
    pub stands: bool,
}

/// The ready tasks that go before one, of those that could go where it could.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ahead {
    /// How many.
    pub tasks: u64,
    /// Whether these are all; else there are more.
    pub all: bool,
    /// How many of them go before it by what, as far as any do.
    pub by: Vec<AheadBy>,
    /// Whose they are: how many submitters.
    pub submitters: u32,
    /// Of how many jobs they are, its own among them if it is.
    pub jobs: u32,
    /// The jobs whose tasks go first, in that order, at most [`NAMED_MAX`](super::super::NAMED_MAX).
    pub first: Vec<JobAhead>,
}

/// How many tasks go before one by the same thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AheadBy {
    /// By what.
    pub by: Precedence,
    /// How many.
    pub tasks: u64,
}

/// A job some of whose tasks go before one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobAhead {
    /// Which.
    pub job: JobId,
    /// Whose it is.
    pub submitter: PublicKey,
    /// How many of its tasks go before.
    pub tasks: u64,
    /// By what the first of them does.
    pub by: Precedence,
}

/// By what one task goes before another: the first thing that tells them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Precedence {
    /// By a policy of the schedule.
    Policy(OrderPolicy),
    /// Its job was admitted before.
    Admission,
    /// Of the same job, what was leased before goes before what never was, and then the smaller index first.
    WithinJob,
}

/// A submitter's share, as it stands now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShareNow {
    /// The round in which its turn comes.
    pub turn: u64,
    /// The newest round that anything was begun in.
    pub round: u64,
    /// Whether its slice is spent: somebody whose turn comes in an earlier round goes before the task.
    pub spent: bool,
    /// What is left to it of the rounds that it was granted, in milliseconds of one core; below 0 if it has had more.
    pub left_ms: i64,
    /// When the first slice ends of an attempt that could then be preempted for it.
    #[serde(rename = "slice_ends_us")]
    pub slice_ends: Option<BlockTime>,
    /// The attempt that is to be preempted for its submitter, if one was.
    pub preemption: Option<PreemptionOf>,
}

/// An attempt that is to be preempted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreemptionOf {
    /// Its job.
    pub job: JobId,
    /// Its task's place in that job.
    pub index: u32,
    /// Who holds it.
    pub worker: PublicKey,
    /// From when on another may be asked.
    #[serde(rename = "until_us")]
    pub until: BlockTime,
}
