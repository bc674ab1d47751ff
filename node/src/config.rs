//! What a node is told at its start.

use std::{net::SocketAddr, path::PathBuf};

use meshwork_api::Keep;
use meshwork_core::{
    identity::SecretKey,
    types::{Genesis, Labels},
};

use crate::clock::ClockStep;

/// Everything that a node is told at its start.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// The network.
    pub genesis: Genesis,
    /// Who this peer is: its libp2p identity, its worker key and, if the genesis lists it, its authority key.
    pub key: SecretKey,
    /// Where its store, blobs, caches and [`meshwork_api::NodeFile`] are kept.
    pub data_dir: PathBuf,
    /// Where the journal's identity is kept: beside the key, not beside the store, so that a lost store is noticed.
    pub journal_id_file: PathBuf,
    /// Multiaddresses to listen on. Port 0 lets the system choose.
    pub listen: Vec<String>,
    /// Multiaddresses of peers to start from, besides the genesis' authorities.
    pub peers: Vec<String>,
    /// Whether to look for peers on the local network by mDNS.
    pub mdns: bool,
    /// Where the HTTP API listens. Port 0 lets the system choose.
    pub api: SocketAddr,
    /// Where the figures are served besides, for others to collect; nowhere if none is given.
    pub metrics: Option<SocketAddr>,
    /// How much of the past this peer keeps.
    pub keep: Keep,
    /// When this node's clock is to be off, and by how much, for tests of networks whose clocks differ.
    pub clock_steps: Vec<ClockStep>,
    /// The most bytes of blobs that this peer keeps.
    pub blobs_bytes_max: u64,
    /// What this peer offers to tasks; nothing if it is not to work.
    pub worker: Option<WorkerConfig>,
}

/// What a volunteer offers.
#[derive(Clone, Debug)]
pub struct WorkerConfig {
    /// How many tasks may run at once.
    pub slots: u32,
    /// Thousandths of a core for all of them together.
    pub millicores: u32,
    /// Bytes of memory for all of them together.
    pub memory_bytes: u64,
    /// What tasks may require of this machine.
    pub labels: Labels,
}
