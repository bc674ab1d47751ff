//! The node that is asked, and what it sees of others.

use std::{collections::BTreeMap, net::SocketAddr};

use meshwork_core::{
    identity::{NetworkId, PublicKey},
    types::Height,
};
use serde::{Deserialize, Serialize};

use crate::TaskCounts;

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
    /// By how many milliseconds its machine's clock is ahead of the network's, or behind if that is negative; nothing
    /// if it seems to be right.
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
    /// Median time from a block's own time to its being final here, over the last blocks with transactions, in
    /// milliseconds.
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

/// How much of the past a peer keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Keep {
    /// Every block since the first: whoever wants to execute the whole history can have it from here.
    Archive,
    /// Every receipt, so that any result can be proven; blocks only from the older of the kept snapshots on.
    #[default]
    Full,
    /// What is needed to take part, and to prove what became of jobs that the ledger still knows.
    Pruned,
}

/// How far the fetching of a snapshot has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The snapshot's height.
    pub height: u64,
    /// Chunks that have come.
    pub fetched: u32,
    /// Chunks in all.
    pub chunks: u32,
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

/// What a running node writes to `node.json` in its data directory, so that commands on the same machine find it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NodeFile {
    /// Its process id.
    pub pid: u32,
    /// Where its API really listens, such as `127.0.0.1:41234`.
    pub api: SocketAddr,
    /// The multiaddresses that it really listens on, with its peer id.
    pub listen: Vec<String>,
}

impl NodeFile {
    /// Its name in the data directory.
    pub const NAME: &'static str = "node.json";
}
