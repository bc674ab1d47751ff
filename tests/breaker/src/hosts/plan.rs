//! The peers of the network, the same for every kind of hosts.

use std::{net::Ipv4Addr, path::PathBuf};

use super::Role;

/// How many peers vote: as many as in the compose file.
pub(crate) const AUTHORITIES: u32 = 4;

/// How many workers have an ordinary disk. One more has a small one.
pub(crate) const WORKERS: u32 = 3;

/// The worker with a disk that can be filled.
pub(crate) const SMALL_WORKER: &str = "worker-small";

/// The authority with a disk that can be filled.
pub(crate) const SMALL_AUTHORITY: &str = "authority-4";

/// Tasks that a worker runs at once. They sleep, so that only the network is busy.
pub(crate) const SLOTS: u32 = 4;

/// Memory that a worker offers, in mebibytes.
pub(crate) const MEMORY_MIB: u64 = 256;

/// The settings of a network.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// How every name that is made begins.
    pub prefix: String,
    /// The folder for all files that are made.
    pub scratch: PathBuf,
    /// The program that runs in namespaces.
    pub program: PathBuf,
    /// The image that runs in containers.
    pub image: String,
    /// What the peers log.
    pub log: String,
    /// The size of a small disk, in bytes.
    pub small_disk_bytes: u64,
    /// How long an ended job stays on the ledger, in milliseconds.
    pub retention_ms: u64,
    /// How long claims stand, in milliseconds; without it, the genesis' own default.
    pub claim_stands_ms: Option<u64>,
}

/// The names and roles of all peers in their order.
pub(crate) fn peers() -> impl Iterator<Item = (String, Role)> {
    let authorities = (1..=AUTHORITIES).map(|number| (format!("authority-{number}"), Role::Authority));
    let workers = (1..=WORKERS).map(|number| (format!("worker-{number}"), Role::Worker));
    let small = [(SMALL_WORKER.to_owned(), Role::Worker), ("gateway".to_owned(), Role::Gateway)];
    authorities.chain(workers).chain(small)
}

/// The address of the peer at this position in [`peers`], in a /24 network.
#[must_use]
pub(crate) fn address_in(network: [u8; 3], place: usize) -> Ipv4Addr {
    let [a, b, c] = network;
    Ipv4Addr::new(a, b, c, u8::try_from(place + 1).unwrap_or(u8::MAX))
}
