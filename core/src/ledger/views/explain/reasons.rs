//! The reasons for a task's state, as values instead of prose. All times are block times. An attempt ends by lease
//! time; its end is given as the block time to which that corresponds if nothing stalls until then.

mod ready;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use ready::{
    Ahead, AheadBy, Avoided, Claims, Hindrance, JobAhead, Need, Precedence, PreemptionOf, Ready, Requirement, ShareNow,
};

use crate::{
    digest::Digest,
    identity::PublicKey,
    ledger::{EndReason, Gone, PastAttempt, ReplicasView},
    types::{BlockTime, Failure, FailureKind, Height, JobId, PlacementPolicy, Setback, When},
};

/// A task's state and the reasons for it, at one height.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// Its job.
    pub job: JobId,
    /// Its place in the job.
    pub index: u32,
    /// The last block that was executed. The explanation holds at this height.
    pub height: Height,
    /// That block's time.
    #[serde(rename = "time_us")]
    pub time: BlockTime,
    /// How many attempts there have been, the present one included.
    pub attempts: u32,
    /// How its replicas stand, if it is computed by several workers and has no outcome.
    pub replicas: Option<ReplicasView>,
    /// If another replica is wanted than those that workers have: how many workers of different operators have a standing
    /// claim that could ever hold one, and no part in the answer yet.
    pub could_join: Option<u32>,
    /// The task's state, and why.
    pub why: Why,
}

/// A task's state, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum Why {
    /// It waits for other tasks or jobs, or for its job's time.
    Blocked(Blocked),
    /// Its submitter holds it.
    Held,
    /// It waits until a back-off after a setback is over.
    BackingOff(BackingOff),
    /// It waits for a claim that takes it.
    Ready(Box<Ready>),
    /// A worker holds it.
    Leased(Box<Leased>),
    /// It has its outcome.
    Done(Done),
    /// It will have no outcome.
    Gone(NoOutcome),
}

/// What a task waits for. All of it has to be met before the task may be placed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blocked {
    /// The jobs that its job waits for.
    pub jobs: Vec<AwaitedJob>,
    /// The time before which its job may not begin, if it is still to come.
    #[serde(rename = "not_before_us")]
    pub not_before: Option<BlockTime>,
    /// The whole arrays of its job that it waits for.
    pub arrays: Vec<AwaitedArray>,
    /// How many single tasks of its job it waits for.
    pub tasks: u32,
    /// The first of these, at most [`NAMED_MAX`](super::NAMED_MAX).
    pub first_tasks: Vec<AwaitedTask>,
    /// Whether its submitter also holds it.
    pub held: bool,
}

/// A job that is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AwaitedJob {
    /// Which.
    pub job: JobId,
    /// Which end of it meets the condition.
    pub when: When,
    /// How many of its tasks have not ended; none if the ledger has forgotten the job.
    pub unfinished: Option<u64>,
}

/// A whole array that is waited for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AwaitedArray {
    /// Its place in the job.
    pub array: u16,
    /// Its name; may be empty.
    pub name: String,
    /// Which end of it meets the condition.
    pub when: When,
    /// How many tasks it has.
    pub tasks: u32,
    /// How many of these have ended.
    pub ended: u32,
    /// How many of these failed.
    pub failed: u32,
    /// How many will have no outcome.
    pub gone: u32,
}

/// A task that is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AwaitedTask {
    /// Its place in the job.
    pub index: u32,
    /// Which end of it meets the condition.
    pub when: When,
}

/// A back-off after a setback.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackingOff {
    /// Until when.
    #[serde(rename = "until_us")]
    pub until: BlockTime,
    /// The attempt whose end caused it.
    pub after: Option<Attempt>,
    /// How many failures of the program are counted.
    pub failures: u32,
    /// How many losses are counted.
    pub losses: u32,
    /// How often workers gave it back before it began.
    pub returns: u32,
    /// How often each setback with a rule of its own happened. They are among the failures and losses.
    pub setbacks: BTreeMap<Setback, u32>,
}

/// An attempt that ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Its number, from 0.
    pub number: u32,
    /// Who held it.
    pub worker: PublicKey,
    /// When it ended.
    #[serde(rename = "ended_us")]
    pub ended: BlockTime,
    /// How it ended.
    pub why: EndReason,
    /// How its program failed, if that ended it.
    pub failure: Option<FailureKind>,
}

impl From<&PastAttempt> for Attempt {
    fn from(past: &PastAttempt) -> Self {
        Self { number: past.number.0, worker: past.worker, ended: past.ended, why: past.why, failure: past.failure }
    }
}

/// Who holds a task, and what speaks for that worker's claim. The claim is described by its present offer, which may
/// have changed since the task was leased.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leased {
    /// The attempt's number, from 0.
    pub attempt: u32,
    /// Who holds it.
    pub worker: PublicKey,
    /// The incarnation that may run it.
    pub incarnation: u64,
    /// When it was leased.
    #[serde(rename = "leased_us")]
    pub leased: BlockTime,
    /// Whether it runs or waits at the worker.
    pub stage: LeaseStage,
    /// How many claims stand.
    pub standing: u32,
    /// How many of these could ever hold it.
    pub capable: u32,
    /// Its submitter's preferences, the most important first.
    pub prefers: Vec<Preference>,
    /// How its array's leases are spread, if the submitter asked for that.
    pub spread: Option<Spread>,
    /// Its largest input, if it is large enough to influence placement.
    pub input: Option<LargestInput>,
    /// The network's placement policies. The first one that tells two claims apart decides between them.
    pub placement: Vec<PlacementPolicy>,
    /// The workers that it avoids.
    pub avoids: Vec<Avoided>,
    /// The request that it be preempted, if there is one.
    pub preemption: Option<PreemptionFor>,
    /// Whether it is slow, and whether it has a speculative attempt elsewhere.
    pub speculation: SpeculationNow,
    /// Whether its worker is to run nothing beside it, because workers died while they ran it or its program.
    pub alone: bool,
}

/// How a live attempt compares with others of its program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum SpeculationNow {
    /// It is not compared: it waits, it is speculative, it had a speculative attempt, or its submitter wants none.
    Unwatched,
    /// It is not known to be slow.
    Watched {
        /// When it is compared next.
        #[serde(rename = "look_us")]
        look: BlockTime,
    },
    /// It takes far longer than most, and no claim has resources left for a speculative attempt.
    Slow,
    /// Another worker runs a speculative attempt.
    Speculated {
        /// The number of that attempt, from 0.
        attempt: u32,
        /// Who holds it.
        worker: PublicKey,
        /// When it was leased.
        #[serde(rename = "leased_us")]
        leased: BlockTime,
    },
}

/// What a lease holds of its worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum LeaseStage {
    /// Resources: it runs.
    Running {
        /// Since when.
        #[serde(rename = "since_us")]
        since: BlockTime,
        /// When it times out.
        #[serde(rename = "ends_us")]
        ends: BlockTime,
    },
    /// A waiting place.
    Waiting {
        /// When its wait times out.
        #[serde(rename = "ends_us")]
        ends: BlockTime,
    },
    /// Nothing: the worker has committed itself to its answer.
    Committed {
        /// Until when it has to reveal the answer, once it is asked to.
        #[serde(rename = "reveal_until_us")]
        reveal_until: Option<BlockTime>,
    },
}

/// A label that a claim should have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preference {
    /// The label.
    pub label: String,
    /// The value that it should have.
    pub value: String,
    /// Whether this claim has it.
    pub met: bool,
}

/// How an array's leases are spread over a label.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spread {
    /// The label.
    pub label: String,
    /// The claim's value of it, if it has one.
    pub value: Option<String>,
    /// How many leases of the array are at each value that a claim has, the present lease included; at most
    /// [`NAMED_MAX`](super::NAMED_MAX) values.
    pub leases: Vec<LeasesAt>,
    /// How many values there are.
    pub values: u32,
}

/// How many leases are at a value of a label.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeasesAt {
    /// The value.
    pub value: String,
    /// How many.
    pub leases: u32,
}

/// A task's largest input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LargestInput {
    /// Its digest.
    pub digest: Digest,
    /// Whether the claim says that its worker has it.
    pub cached: bool,
}

/// A request that an attempt be preempted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreemptionFor {
    /// The submitter that waits for it.
    pub by: PublicKey,
    /// When the request lapses, so that the submitter may have another attempt preempted.
    #[serde(rename = "until_us")]
    pub until: BlockTime,
}

/// A task's outcome: which receipt holds it, and what a peer that has the receipt adds from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// Whether the outcome is a success.
    pub succeeded: bool,
    /// The attempt whose outcome it is.
    pub attempt: u32,
    /// Who held that attempt; none if the ledger has forgotten it.
    pub worker: Option<PublicKey>,
    /// The status with which the program ended, if the receipt is known and says one.
    pub status: Option<i32>,
    /// How the program failed, if it did and the receipt is known.
    pub failure: Option<Failure>,
    /// At which height the outcome was accepted.
    pub height: Height,
    /// Which of that height's receipts it is, from 0.
    pub receipt: u32,
    /// When the task ended, if the ledger remembers.
    #[serde(rename = "ended_us")]
    pub ended: Option<BlockTime>,
}

/// Why a task will have no outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoOutcome {
    /// What became of it instead.
    pub how: Gone,
    /// For a skipped task, the arrays that missed its condition. The ledger remembers them until the job ends.
    pub arrays: Vec<AwaitedArray>,
    /// For a skipped task, the single tasks that missed its condition, until the job ends; at most
    /// [`NAMED_MAX`](super::NAMED_MAX).
    pub tasks: Vec<AwaitedTask>,
}
