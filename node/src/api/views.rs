//! What the API says, as JSON. The command line reads these same types.

mod governance;
mod recurring;
mod usage;

use std::collections::BTreeMap;

use meshwork_core::{
    digest::Digest,
    identity::{NetworkId, PublicKey},
    types::{Height, JobId, RecurringId, TransactionId, VoidReason},
};
use serde::{Deserialize, Serialize};

use crate::{store::Keep, sync::Progress};

pub use self::governance::{AuthorityView, ChangeView, GovernanceView, KeyView, LimitView, ProposalView, RulesView};
pub use self::recurring::{MomentsView, RecurringState, RecurringView, RunView};
pub use usage::{AccountView, UsageBy, UsagePageView, UsageSide, UsageView};

/// `GET /v1/status`: this node and what it sees.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StatusView {
    /// The network's name.
    pub network_name: String,
    /// The network's id.
    pub network: NetworkId,
    /// This node's key.
    pub key: PublicKey,
    /// The program's version.
    pub version: String,
    /// What it is to the round.
    pub role: Role,
    /// The newest final height that it has executed.
    pub height: Height,
    /// That block's time, in microseconds since the Unix epoch.
    pub time_us: u64,
    /// How long ago it executed that block, in milliseconds; nothing if it has executed none since it was started.
    pub executed_ms_ago: Option<u64>,
    /// By how many milliseconds its machine's clock is ahead of the network's, or behind if that is negative; nothing if it seems
    /// to be right.
    pub clock_off_ms: Option<i64>,
    /// How much of the past it keeps.
    pub keep: Keep,
    /// The lowest height whose block it has; nothing if it has none.
    pub blocks_from: Option<Height>,
    /// Bytes that are free on the disk that holds its store.
    pub disk_free_bytes: u64,
    /// Whether that is enough to take on more: tasks and blobs.
    pub takes_more: bool,
    /// How far it has come with the snapshot that it fetches, being far behind; nothing if it fetches none.
    pub syncing: Option<Progress>,
    /// The epoch that the round is in, as this node sees it.
    pub epoch: u64,
    /// The view of that epoch that it is in.
    pub view: u64,
    /// Median time from a block's own time to its being final here, over the last blocks with transactions, in milliseconds.
    pub finality_ms_p50: Option<f64>,
    /// The 99th percentile of the same.
    pub finality_ms_p99: Option<f64>,
    /// Why the last peer that it met of this network, but of other versions of the protocol, could not be worked with.
    pub apart: Option<String>,
    /// How many peers it is connected to.
    pub peers: usize,
    /// How many claims stand.
    pub workers: usize,
    /// Tasks on the ledger by state.
    pub tasks: TaskCounts,
    /// Tasks that have ended since the genesis, those that the ledger has forgotten among them.
    pub tasks_ended: u64,
    /// The names of the authorities that have signed the proof that they broke a promise.
    pub convicted: Vec<String>,
    /// Transactions that wait to be ordered.
    pub pool: usize,
    /// How long it has been up, in milliseconds.
    pub uptime_ms: u64,
}

/// What a node is to the round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// It follows what authorities decide.
    Follower,
    /// It votes.
    Authority,
    /// It is one of the authorities, but must not vote: its journal is lost or lacks a vote of its own.
    AuthorityWithoutJournal,
}

/// Tasks by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskCounts {
    /// Waiting for other tasks or jobs, or for their time.
    pub blocked: u64,
    /// Held by their submitter.
    pub held: u64,
    /// Waiting for a claim, or for a back-off to end.
    pub ready: u64,
    /// Held by a worker and running there, as the ledger sees it.
    pub running: u64,
    /// Held by a worker in a waiting place.
    pub waiting: u64,
    /// Ended well.
    pub succeeded: u64,
    /// Ended badly, for good.
    pub failed: u64,
    /// Stopped by their submitter, or since their job's time ran out.
    pub cancelled: u64,
    /// Never begun, since what they waited for cannot be any more.
    pub skipped: u64,
}

/// `GET /v1/jobs` (an array, newest first) and `GET /v1/jobs/{job}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct JobView {
    /// Its id.
    pub id: JobId,
    /// What its submitter calls it.
    pub name: String,
    /// Who submitted it.
    pub submitter: PublicKey,
    /// The height that admitted it.
    pub height: Height,
    /// The time of that block, in microseconds since the Unix epoch.
    pub submitted_us: u64,
    /// When its last task ended, likewise; nothing while it goes on.
    pub ended_us: Option<u64>,
    /// How many tasks it has.
    pub tasks: u32,
    /// Its tasks by state.
    pub counts: TaskCounts,
    /// Until when arrays may be added to it, in microseconds since the Unix epoch; nothing if it is closed.
    pub open_until_us: Option<u64>,
    /// Which run of which recurring job it is; nothing if it is none.
    pub run_of: Option<RunView>,
}

/// `GET /v1/jobs/{job}/arrays` (an array in the job's order; of a job that the ledger has forgotten, an empty one).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ArrayView {
    /// What its submitter calls it within the job; may be empty.
    pub name: String,
    /// The index of its first task in the job.
    pub first: u32,
    /// How many tasks it has.
    pub tasks: u32,
    /// The digest of its program.
    pub program: Digest,
    /// Whether other tasks of the job may take what its tasks leave.
    pub feeds: bool,
    /// Its tasks by state.
    pub counts: TaskCounts,
}

/// `GET /v1/jobs/{job}/tasks?from=0&limit=1000[&state=…]` (an array by index) and `GET /v1/tasks/{job}/{index}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TaskView {
    /// Its job.
    pub job: JobId,
    /// Its place in the job.
    pub index: u32,
    /// Its state.
    pub state: TaskState,
    /// Who holds it, or whose outcome was accepted.
    pub worker: Option<PublicKey>,
    /// Its attempts so far, oldest first.
    pub attempts: Vec<AttemptView>,
    /// What its program saved last, while it has no outcome.
    pub checkpoint: Option<CheckpointView>,
    /// Where its outcome's receipt stands, once it has one.
    pub receipt: Option<ReceiptPlace>,
}

/// `GET /v1/tasks/{job}/{index}/explanation`: why a task waits, or why it went where it did.
#[doc(inline)]
pub use meshwork_core::ledger::Explanation as ExplanationView;
/// `GET /v1/jobs/{job}/timeline?from=0&limit=1000`: when a job's tasks waited, where they ran and how that ended, by index. Nobody knows
/// that of a job that the ledger has forgotten.
#[doc(inline)]
pub use meshwork_core::ledger::Timeline as TimelineView;

/// What a task's program saved.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct CheckpointView {
    /// The manifest of its files.
    pub manifest: Digest,
    /// The attempt that saved it.
    pub attempt: u32,
    /// The time of the block that took it, in microseconds since the Unix epoch.
    pub time_us: u64,
}

/// A task's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TaskState {
    /// It waits for other tasks or jobs, or for its job's time.
    Blocked,
    /// Its submitter holds it.
    Held,
    /// It waits for a claim that can take it.
    Ready,
    /// Its program failed and it waits to be tried again.
    BackingOff,
    /// A worker holds it in a waiting place.
    Waiting,
    /// A worker holds it and has resources for it.
    Running,
    /// It ended well.
    Succeeded,
    /// It ended badly, for good.
    Failed,
    /// Its submitter stopped it.
    Cancelled,
    /// What it waited for cannot be any more.
    Skipped,
    /// Its job's time ran out.
    Expired,
}

/// One attempt of a task.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AttemptView {
    /// Which one, from 0.
    pub number: u32,
    /// Who was given it.
    pub worker: PublicKey,
    /// How it ended, in words; nothing while it lives.
    pub ended: Option<String>,
}

/// Where a receipt stands.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct ReceiptPlace {
    /// At which height.
    pub height: Height,
    /// Its place among that block's receipts.
    pub index: u32,
}

/// `GET /v1/workers` (an array).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WorkerView {
    /// Who.
    pub key: PublicKey,
    /// Which life of its process.
    pub incarnation: u64,
    /// How many attempts may run at once.
    pub slots: u32,
    /// What they may take of the processors together, in thousandths of a core.
    pub millicores: u32,
    /// What they may take of memory together.
    pub memory_bytes: u64,
    /// How many more may wait there.
    pub waiting_places: u32,
    /// Load score, 0 idle to 1000 full.
    pub load: u16,
    /// What the machine offers besides.
    pub labels: BTreeMap<String, String>,
    /// Attempts that have resources.
    pub running: usize,
    /// Attempts that wait for them.
    pub waiting: usize,
    /// How long the claim still stands, in milliseconds of lease time from the last block.
    pub stands_ms: u64,
}

/// `GET /v1/peers` (an array).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PeerView {
    /// Who.
    pub key: PublicKey,
    /// What people call it, if it is one of the authorities.
    pub authority: Option<String>,
    /// The addresses that it is connected by.
    pub addresses: Vec<String>,
    /// For how long, in milliseconds.
    pub connected_ms: u64,
}

/// `GET /v1/blocks?from=HEIGHT&limit=N` (an array by height) and `GET /v1/blocks/{height}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BlockView {
    /// Its height.
    pub height: Height,
    /// Its view.
    pub view: u64,
    /// Its digest.
    pub digest: Digest,
    /// What people call the authority that proposed it.
    pub proposer: String,
    /// Its time, in microseconds since the Unix epoch.
    pub time_us: u64,
    /// The transactions that it orders.
    pub transactions: Vec<TransactionId>,
    /// Bytes of transactions, about.
    pub bytes: usize,
    /// The root over all receipts up to this height, by this node's own execution.
    pub root: Option<Digest>,
    /// The digest of the ledger's state after it, by this node's own execution: at a snapshot height.
    pub state: Option<Digest>,
    /// The attempts whose outcomes were accepted in it.
    pub outcomes: Vec<AcceptedView>,
}

/// An attempt whose outcome was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AcceptedView {
    /// Its job.
    pub job: JobId,
    /// Its task's place in the job.
    pub index: u32,
    /// Which attempt of the task, from 0.
    pub attempt: u32,
}

/// `POST /v1/transactions` takes the canonical CBOR of an array of envelopes and answers with one of these for each.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AdmissionView {
    /// The transaction; a submit's id is its job's.
    pub id: TransactionId,
    /// Why it was refused; nothing if it is now in this node's pool and on its way to the others.
    pub refused: Option<String>,
    /// The same for scripts, if it would be void.
    pub reason: Option<VoidReason>,
    /// When the job that it submits ends at the earliest, as far as can be known, if that is after its deadline. In microseconds since
    /// the Unix epoch.
    pub misses_deadline_us: Option<u64>,
}

/// `GET /v1/transactions/{id}`: what came of a transaction. There is none before it is executed, and none long after its expiry.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TransactionView {
    /// Its id.
    pub id: TransactionId,
    /// Why it was void; nothing if it did what it says.
    pub void: Option<String>,
    /// The same for scripts.
    pub reason: Option<VoidReason>,
}

/// `PUT /v1/blobs` (the body is the content) answers with this.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct BlobView {
    /// Its name.
    pub digest: Digest,
    /// Its size.
    pub bytes: u64,
}

/// What any refusal looks like, with a status of 400 or more.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ErrorView {
    /// One sentence: what happened, to what, and what to do next.
    pub error: String,
}

/// `GET /v1/events[?job=JOB]`: server-sent events, each the JSON of one of these.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum EventView {
    /// A block became final here. (Not sent when one job is asked for.)
    Block {
        /// Its height.
        height: Height,
        /// Its time, in microseconds since the Unix epoch.
        time_us: u64,
        /// How many transactions it orders.
        transactions: usize,
        /// From its own time to its being final here, in milliseconds.
        finality_ms: f64,
    },
    /// A job was admitted.
    JobAdmitted {
        /// Which.
        job: JobId,
        /// How many tasks it has.
        tasks: u32,
    },
    /// All of a job's tasks have ended.
    JobEnded {
        /// Which.
        job: JobId,
        /// How its tasks ended.
        counts: TaskCounts,
    },
    /// A moment of a recurring job was run. (Not sent when one job is asked for.)
    RecurringRun {
        /// Which.
        recurring: RecurringId,
        /// Which moment of it, in microseconds since the Unix epoch.
        moment_us: u64,
        /// As which job.
        job: JobId,
    },
    /// Moments of a recurring job were not run. (Not sent when one job is asked for.)
    RecurringSkipped {
        /// Which.
        recurring: RecurringId,
        /// Which moments, and why.
        #[serde(flatten)]
        moments: MomentsView,
    },
    /// A quorum of the authorities approved a change. (Not sent when one job is asked for.)
    ChangeApproved {
        /// The proposal.
        proposal: TransactionId,
        /// What changes: who the authorities are with the next epoch, all else at once.
        change: ChangeView,
    },
    /// A task was given to a worker, moved, came back or ended.
    Task {
        /// Its job.
        job: JobId,
        /// Its place in the job.
        index: u32,
        /// Which attempt.
        attempt: u32,
        /// Its state now.
        state: TaskState,
        /// Who holds it, held it, or whose outcome was accepted.
        worker: PublicKey,
        /// Why it came back to `ready` or failed, in words.
        why: Option<String>,
    },
    /// The listener was too slow, and so many events are missing here: ask for the state again.
    Missed {
        /// How many.
        events: u64,
    },
}
