//! The configuration of a node.

use std::{net::SocketAddr, path::PathBuf};

use meshwork_api::Keep;
use meshwork_core::{
    identity::SecretKey,
    types::{Genesis, Labels},
};

use meshwork_sandbox::RunnerCommand;

use crate::clock::ClockStep;

/// Everything that a node is told at its start.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// The network's genesis.
    pub genesis: Genesis,
    /// This peer's key: its libp2p identity, its worker key and, if the genesis lists it, its authority key.
    pub key: SecretKey,
    /// Where its store, blobs, caches and [`meshwork_api::NodeFile`] are kept.
    pub data_dir: PathBuf,
    /// The file of the journal's identity. It lies beside the key and not beside the store, so that a lost store is
    /// noticed.
    pub journal_id_file: PathBuf,
    /// Multiaddresses to listen on. Port 0 lets the system choose.
    pub listen: Vec<String>,
    /// Multiaddresses of peers to connect to first, besides the genesis' authorities.
    pub peers: Vec<String>,
    /// Whether to look for peers on the local network by mDNS.
    pub mdns: bool,
    /// Where the HTTP API listens. Port 0 lets the system choose.
    pub api: SocketAddr,
    /// An additional address that serves only the metrics, if any.
    pub metrics: Option<SocketAddr>,
    /// How much of the past this peer keeps.
    pub keep: Keep,
    /// When this node's clock is wrong, and by how much, for tests of networks whose clocks differ.
    pub clock_steps: Vec<ClockStep>,
    /// The most bytes that this peer's store and its blobs take. The store takes what it needs; blobs have the rest.
    pub disk_bytes_max: u64,
    /// What this peer offers to tasks; `None` if it does not work.
    pub worker: Option<WorkerConfig>,
}

/// What a worker offers.
#[derive(Clone, Debug)]
pub struct WorkerConfig {
    /// How many tasks may run at once.
    pub slots: u32,
    /// Thousandths of a core that all tasks together may use.
    pub millicores: u32,
    /// Bytes of memory that all tasks together may use.
    pub memory_bytes: u64,
    /// The labels that tasks may require.
    pub labels: Labels,
    /// Whether this peer refuses to work if the machine lacks a means to confine tasks.
    pub require_confinement: bool,
    /// Whether what its tasks leave is falsified, for tests.
    pub lies: bool,
    /// How a process is started that compiles or runs programs.
    pub runner: RunnerCommand,
}
