//! A network of hosts on this machine that can be broken. Each host has an address of its own and is a
//! container or a network namespace. What is done inside a host's network is alike for both, see
//! [`crate::wires`].

pub(crate) mod engine;
pub(crate) mod founding;
pub(crate) mod namespaces;
pub(crate) mod plan;
pub(crate) mod processes;
pub(crate) mod volume;

use std::{
    net::Ipv4Addr,
    path::{Path, PathBuf},
};

use meshwork::failure::{Done, Failure};
use serde::Serialize;

/// Where every peer's API listens, on its own address.
pub(crate) const API_PORT: u16 = 4180;

/// The environment variable that sets a node's clock wrong.
pub(crate) const CLOCK_OFFSET: &str = "MESHWORK_CLOCK_OFFSET";

/// The environment variable that says how much of the past a peer keeps.
pub(crate) const KEEP: &str = "MESHWORK_KEEP";

/// The role of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Role {
    /// It votes.
    Authority,
    /// It works.
    Worker,
    /// It follows, and takes the load's submissions.
    Gateway,
}

/// A peer in its present state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Member {
    /// Its name: `authority-1`, `worker-2`.
    pub name: String,
    /// Its role.
    pub role: Role,
    /// Its address, while it has one.
    pub address: Option<Ipv4Addr>,
    /// Its process on this machine, while it lives.
    pub pid: Option<u32>,
    /// How often it was restarted without an order from the breaker.
    pub restarts: u32,
}

impl Role {
    /// How much of the past such a peer keeps, as for `meshwork up --keep`. It keeps everything if every one of
    /// its heights is compared with others' afterwards. Workers keep the default, so that a new worker must
    /// find its way with what peers have.
    #[must_use]
    pub(crate) const fn keeps(self) -> &'static str {
        match self {
            Self::Authority | Self::Gateway => "archive",
            Self::Worker => "full",
        }
    }
}

impl Member {
    /// The address of its API, while it has one.
    #[must_use]
    pub(crate) fn api(&self) -> Option<String> {
        self.address.map(|address| format!("{address}:{API_PORT}"))
    }
}

/// A network of hosts. Hosts are named as in [`Member`].
pub(crate) trait Hosts: Send {
    /// The kind of hosts, in words.
    fn kind(&self) -> &'static str;

    /// Looks at every peer anew, and restarts those that ended by themselves, unless the hosts do that already.
    ///
    /// # Errors
    /// The system does not answer.
    fn look(&mut self) -> Done<Vec<Member>>;

    /// Starts a peer that was killed or stopped, with the data on its disk.
    ///
    /// # Errors
    /// The system refuses.
    fn start(&mut self, name: &str) -> Done;

    /// Kills a peer (SIGKILL), and leaves it dead.
    ///
    /// # Errors
    /// There is no such peer, or it does not die.
    fn kill(&mut self, name: &str) -> Done;

    /// Pauses a peer (SIGSTOP, or the engine's freezer).
    ///
    /// # Errors
    /// There is no such peer.
    fn pause(&mut self, name: &str) -> Done;

    /// Resumes a paused peer.
    ///
    /// # Errors
    /// There is no such peer.
    fn resume(&mut self, name: &str) -> Done;

    /// Asks a peer to end (SIGTERM), and waits until it has. A worker first gives back its tasks.
    ///
    /// # Errors
    /// It does not end in time.
    fn stop(&mut self, name: &str) -> Done;

    /// Removes a worker and all its data without notice, and puts a new one with a new key in its place.
    ///
    /// # Errors
    /// The system refuses.
    fn replace(&mut self, name: &str) -> Done;

    /// Restarts a peer with its clock this far off, or right again: `+10s`, `-10m`, `+10m@3s,-10m@6s` to step
    /// while it runs.
    ///
    /// # Errors
    /// The system refuses.
    fn set_clock(&mut self, name: &str, offset: Option<&str>) -> Done;

    /// Whether its hosts' memory can be limited.
    fn limits_memory(&self) -> bool {
        false
    }

    /// Restarts a peer with at most this much memory (`16m`), or with as much as the others.
    ///
    /// # Errors
    /// The system refuses.
    fn set_memory(&mut self, name: &str, limit: Option<&str>) -> Done {
        Err(Failure::failed(format!("The memory of {name} cannot be set to {limit:?} here.")))
    }

    /// Stops it and starts it with the other version of the program.
    ///
    /// # Errors
    /// The system refuses.
    fn upgrade(&mut self, name: &str) -> Done;

    /// The version of the program that a peer runs, as the hosts know it.
    ///
    /// # Errors
    /// The system does not answer.
    fn version(&self, name: &str) -> Done<String>;

    /// The peer's disk as a folder of this machine, if it is small enough to be filled.
    fn small_disk(&self, name: &str) -> Option<&Path>;

    /// The folder of this machine with all files of the peer, its key among them, if it can be reached.
    fn data(&self, name: &str) -> Option<PathBuf>;

    /// The bytes that the peer's data takes on disk.
    fn disk_bytes(&self, name: &str) -> u64;

    /// The last lines of the peer's log.
    fn log(&self, name: &str, lines: usize) -> String;

    /// The network's genesis and keys.
    fn founding(&self) -> &founding::Founding;
}

/// The error for an unknown name.
fn nobody(name: &str) -> Failure {
    Failure::failed(format!("There is no peer {name} here."))
}
