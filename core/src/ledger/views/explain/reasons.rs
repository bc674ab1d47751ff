//! What can be said of why a task is where it is: values, not prose. Times are block time; where the end of an attempt
//! is meant, which lease time decides, it is the block time at which that comes if nothing stalls until then.

mod ready;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use ready::{
    Ahead, AheadBy, Avoided, Claims, Hindrance, JobAhead, Need, Precedence, PreemptionOf, Ready, Requirement, ShareNow,
};

use crate::{
    digest::Digest,
    identity::PublicKey,
    ledger::{EndReason, Gone, PastAttempt},
    types::{BlockTime, Height, JobId, PlacementPolicy, Setback, When},
};

/// Why a task is where it is, at one height.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// Its job.
    pub job: JobId,
    /// Its place in the job.
    pub index: u32,
    /// The last block that was executed: of that moment all of this is said.
    pub height: Height,
    /// That block's time.
    #[serde(rename = "time_us")]
    pub time: BlockTime,
    /// How many attempts there were, the present one included.
    pub attempts: u32,
    /// Where it is, and why.
    pub why: Why,
}

/// Where a task is, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum Why {
    /// It waits for other tasks or jobs, or for its job's time.
    Blocked(Blocked),
    /// Its submitter holds it.
    Held,
    /// It waits until a time after a setback.
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

/// What a task waits for before it may be placed: all of this.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blocked {
    /// The jobs that its job waits for.
    pub jobs: Vec<AwaitedJob>,
    /// Before when nothing of its job begins, if that is yet to come.
    #[serde(rename = "not_before_us")]
    pub not_before: Option<BlockTime>,
    /// The arrays of its job that it waits for as a whole.
    pub arrays: Vec<AwaitedArray>,
    /// How many single tasks of its job it waits for.
    pub tasks: u32,
    /// The first of these, at most [`NAMED_MAX`](super::NAMED_MAX).
    pub first_tasks: Vec<AwaitedTask>,
    /// Whether its submitter holds it besides.
    pub held: bool,
}

/// A job that is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AwaitedJob {
    /// Which.
    pub job: JobId,
    /// What has to become of it.
    pub when: When,
    /// How many of its tasks have not ended; nothing if the ledger has forgotten it.
    pub unfinished: Option<u64>,
}

/// An array that is waited for as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AwaitedArray {
    /// Its place in the job.
    pub array: u16,
    /// What people call it; may be empty.
    pub name: String,
    /// What has to become of it.
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
    /// What has to become of it.
    pub when: When,
}

/// A wait after a setback.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackingOff {
    /// Until when.
    #[serde(rename = "until_us")]
    pub until: BlockTime,
    /// The attempt by whose end it came about.
    pub after: Option<Attempt>,
    /// How many failures of the program are counted.
    pub failures: u32,
    /// How many losses are counted.
    pub losses: u32,
    /// How often workers gave it back before it began.
    pub returns: u32,
    /// Of the failures and losses, how often each setback happened for which it has a rule of its own.
    pub setbacks: BTreeMap<Setback, u32>,
}

/// An attempt that ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Which, from 0.
    pub number: u32,
    /// Who held it.
    pub worker: PublicKey,
    /// When it ended.
    #[serde(rename = "ended_us")]
    pub ended: BlockTime,
    /// How it ended.
    pub why: EndReason,
}

impl From<&PastAttempt> for Attempt {
    fn from(past: &PastAttempt) -> Self {
        Self { number: past.number.0, worker: past.worker, ended: past.ended, why: past.why }
    }
}

/// Who holds a task, and what speaks for that claim. Of the claim is said what it offers now; it may have offered other
/// things when the task was leased.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leased {
    /// Which attempt it is, from 0.
    pub attempt: u32,
    /// Who holds it.
    pub worker: PublicKey,
    /// The life of its process that may run it.
    pub incarnation: u64,
    /// When it was leased.
    #[serde(rename = "leased_us")]
    pub leased: BlockTime,
    /// Whether it runs or waits there.
    pub stage: LeaseStage,
    /// How many claims stand.
    pub standing: u32,
    /// How many of these could ever hold it.
    pub capable: u32,
    /// What its submitter prefers, the most important first.
    pub prefers: Vec<Preference>,
    /// How its array's leases are spread, if they are to be.
    pub spread: Option<Spread>,
    /// Its largest input, if that is large enough to matter where it is.
    pub input: Option<LargestInput>,
    /// The network's policies, the first of which that tells two claims apart decides between them.
    pub placement: Vec<PlacementPolicy>,
    /// Where it would rather not go.
    pub avoids: Vec<Avoided>,
    /// Whether it is to be preempted, and for whom.
    pub preemption: Option<PreemptionFor>,
    /// Whether it is slow, and has a speculative attempt elsewhere.
    pub speculation: SpeculationNow,
}

/// How an attempt that lives compares with others of its program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum SpeculationNow {
    /// It is not looked at: it waits, it is speculative or had a speculative attempt, or its submitter wants none.
    Unwatched,
    /// It is not known to be slow.
    Watched {
        /// When it is looked at next.
        #[serde(rename = "look_us")]
        look: BlockTime,
    },
    /// It takes far longer than most, and no claim has anything left for a speculative attempt.
    Slow,
    /// Another worker runs a speculative attempt.
    Speculated {
        /// Which attempt that is, from 0.
        attempt: u32,
        /// Who has it.
        worker: PublicKey,
        /// When it was leased.
        #[serde(rename = "leased_us")]
        leased: BlockTime,
    },
}

/// What a lease has of its worker.
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
        /// When it has waited too long.
        #[serde(rename = "ends_us")]
        ends: BlockTime,
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
    /// How many leases of the array there are at each value that a claim has, the present one included; at most
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
    /// From when on that submitter may ask another.
    #[serde(rename = "until_us")]
    pub until: BlockTime,
}

/// A task's outcome: where it stands, not what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// Whether that is a success.
    pub succeeded: bool,
    /// The attempt whose outcome it is.
    pub attempt: u32,
    /// Who held that attempt; nothing if the ledger has forgotten it.
    pub worker: Option<PublicKey>,
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
    /// Of what was skipped: the arrays that it waited for in vain. The ledger remembers that while the job goes on.
    pub arrays: Vec<AwaitedArray>,
    /// The single tasks that it waited for in vain, likewise; at most [`NAMED_MAX`](super::NAMED_MAX).
    pub tasks: Vec<AwaitedTask>,
}
