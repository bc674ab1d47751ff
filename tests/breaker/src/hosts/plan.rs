//! Who there is: alike for every kind of hosts.

use std::{net::Ipv4Addr, path::PathBuf};

use super::Role;

/// How many peers vote: as many as the compose file has.
pub const AUTHORITIES: u32 = 4;

/// How many of the workers have a disk like everyone's. One more has a small one.
pub const WORKERS: u32 = 3;

/// The worker with a disk that can be filled.
pub const SMALL_WORKER: &str = "worker-small";

/// The authority with a disk that can be filled.
pub const SMALL_AUTHORITY: &str = "authority-4";

/// Tasks that a worker runs at once. They sleep, so that it is the network that is busy.
pub const SLOTS: u32 = 4;

/// Memory that a worker offers, in mebibytes.
pub const MEMORY_MIB: u64 = 256;

/// What a network is to be like.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The beginning of the name of everything that is made.
    pub prefix: String,
    /// Files that are made stand below this folder.
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
    /// How long claims stand, in milliseconds; the genesis' own default if nobody says.
    pub claim_stands_ms: Option<u64>,
}

/// The names and roles of all peers, where they stand side by side.
pub fn peers() -> impl Iterator<Item = (String, Role)> {
    let authorities = (1..=AUTHORITIES).map(|number| (format!("authority-{number}"), Role::Authority));
    let workers = (1..=WORKERS).map(|number| (format!("worker-{number}"), Role::Worker));
    let small = [(SMALL_WORKER.to_owned(), Role::Worker), ("gateway".to_owned(), Role::Gateway)];
    authorities.chain(workers).chain(small)
}

/// The address of the peer with this place in [`peers`], in a network of 24 bits.
#[must_use]
pub fn address_in(network: [u8; 3], place: usize) -> Ipv4Addr {
    let [a, b, c] = network;
    Ipv4Addr::new(a, b, c, u8::try_from(place + 1).unwrap_or(u8::MAX))
}
