//! The node itself, and what it sees of other peers.

use std::{collections::BTreeMap, net::SocketAddr};

use meshwork_core::{
    digest::Digest,
    identity::{NetworkId, PublicKey},
    types::Height,
};
use serde::{Deserialize, Serialize};

use crate::TaskCounts;

/// `GET /v1/status`: the node's view of itself and the network.
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
    /// The node's role in consensus.
    pub role: Role,
    /// The newest final height that this node has executed.
    pub height: Height,
    /// That block's time, in microseconds since the Unix epoch.
    pub time_us: u64,
    /// How long ago this node executed that block, in milliseconds; nothing if it has executed none since it started.
    pub executed_ms_ago: Option<u64>,
    /// By how many milliseconds its machine's clock is ahead of the network's, or behind if that is negative; nothing
    /// if it seems to be right.
    pub clock_off_ms: Option<i64>,
    /// How much of the past this node keeps.
    pub keep: Keep,
    /// The lowest height whose block this node has; nothing if it has none.
    pub blocks_from: Option<Height>,
    /// Free bytes on the disk that holds the store.
    pub disk_free_bytes: u64,
    /// Whether that, and what the node may use of it, is enough to take on more tasks.
    pub takes_more: bool,
    /// By what means this machine cannot confine the processes that run tasks; empty if it has all, or does not work.
    pub confinement_lacks: Vec<String>,
    /// Progress of fetching a snapshot, if the node is far behind; nothing otherwise.
    pub syncing: Option<Progress>,
    /// The epoch of consensus, as this node sees it.
    pub epoch: u64,
    /// The view within that epoch.
    pub view: u64,
    /// Median time from a block's own time to its being final here, over the last blocks with transactions, in
    /// milliseconds.
    pub finality_ms_p50: Option<f64>,
    /// The 99th percentile of that time, in milliseconds.
    pub finality_ms_p99: Option<f64>,
    /// Why this node could not work with the last peer of this network that had an incompatible protocol version.
    pub apart: Option<String>,
    /// The number of connected peers.
    pub peers: usize,
    /// The number of standing claims.
    pub workers: usize,
    /// Tasks on the ledger by state.
    pub tasks: TaskCounts,
    /// Tasks that have ended since the genesis, including those that the ledger has forgotten.
    pub tasks_ended: u64,
    /// What is wrong with this node and only its operator can mend, a sentence each; empty if nothing is.
    pub alarms: Vec<String>,
    /// The names of the authorities that provably broke a promise.
    pub convicted: Vec<String>,
    /// Transactions in the pool, waiting to be ordered.
    pub pool: usize,
    /// How long the node has been up, in milliseconds.
    pub uptime_ms: u64,
}

/// A node's role in consensus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// It follows what the authorities decide.
    Follower,
    /// It votes.
    Authority,
    /// It is an authority, but must not vote, because its journal is lost or lacks one of its own votes.
    AuthorityWithoutJournal,
}

/// How much of the past a peer keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Keep {
    /// Every block since the first, so that other peers can execute the whole history.
    Archive,
    /// Every receipt, so that any result can be proven. Blocks start at the older of the kept snapshots.
    #[default]
    Full,
    /// Only what the peer needs to take part, and to prove results of jobs that the ledger still knows.
    Pruned,
}

/// The progress of fetching a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The snapshot's height.
    pub height: u64,
    /// Chunks received.
    pub fetched: u32,
    /// Chunks in all.
    pub chunks: u32,
}

/// `GET /v1/workers` (an array).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WorkerView {
    /// The worker's key.
    pub key: PublicKey,
    /// The incarnation: which life of the worker's process this is.
    pub incarnation: u64,
    /// How many attempts may run at once.
    pub slots: u32,
    /// What these may use of the processors together, in thousandths of a core.
    pub millicores: u32,
    /// What these may use of memory together, in bytes.
    pub memory_bytes: u64,
    /// Waiting places: how many more attempts may wait at the worker.
    pub waiting_places: u32,
    /// Load score, 0 idle to 1000 full.
    pub load: u16,
    /// The labels that the worker offers.
    pub labels: BTreeMap<String, String>,
    /// Attempts that run, with resources of their own.
    pub running: usize,
    /// Attempts in waiting places.
    pub waiting: usize,
    /// How long the claim will stand, in milliseconds of lease time from the last block.
    pub stands_ms: u64,
    /// What became of what the worker computed, in all.
    pub record: TrackView,
}

/// A worker's track record: what became of what it computed. Counts are halved every 30 days.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct TrackView {
    /// Answers with which a quorum of workers agreed.
    pub agreed: u32,
    /// Answers against which a quorum decided.
    pub wrong: u32,
    /// Outcomes that were accepted without comparison.
    pub accepted: u32,
    /// Successes that were accepted after their attempts had been lost.
    pub late: u32,
    /// Attempts that it lost.
    pub lost: u32,
    /// Attempts that it returned.
    pub returned: u32,
    /// Processor time of attempts that ended with an outcome or an answer, in milliseconds, as the worker reported it.
    pub cpu_ms: u64,
    /// When the first of all this happened, in microseconds since 1970; 0 if nothing has.
    pub first_us: u64,
    /// When the last of it happened, likewise.
    pub last_us: u64,
    /// The share of what it computed that went wrong, in thousandths, as it is estimated for placement.
    pub faults_permille: u16,
}

/// `GET /v1/workers/{key}/records` (an array): a worker's track record, by submitter and program. Its claim stands.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct RecordView {
    /// Who submitted the tasks.
    pub submitter: PublicKey,
    /// Their program.
    pub program: Digest,
    /// What became of them.
    pub record: TrackView,
    /// How many answers in a row were agreed: from 10 on, the worker computes adaptive tasks alone, but for one in so
    /// many.
    pub row: u16,
}

/// `GET /v1/peers` (an array): the peers that the node is connected to, then those that it is to be connected to and
/// cannot reach.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PeerView {
    /// The peer's key, if it is known.
    pub key: Option<PublicKey>,
    /// The authority's name, if the peer is one.
    pub authority: Option<String>,
    /// The remote addresses of its connections, or those that were dialled.
    pub addresses: Vec<String>,
    /// How long it has been connected, in milliseconds; nothing if it is not.
    pub connected_ms: Option<u64>,
    /// Why it cannot be reached, in words, if it cannot.
    pub problem: Option<String>,
}

/// The content of `node.json` in the data directory of a running node. Commands on the same machine find the node by
/// it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NodeFile {
    /// Its process id.
    pub pid: u32,
    /// The address at which its API answers on this machine, such as `127.0.0.1:41234`.
    pub api: SocketAddr,
    /// The multiaddresses that it listens on, with its peer id.
    pub listen: Vec<String>,
}

impl NodeFile {
    /// The file's name in the data directory.
    pub const NAME: &'static str = "node.json";
}
