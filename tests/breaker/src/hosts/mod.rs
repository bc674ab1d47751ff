//! A network of hosts on this machine, each with an address of its own, that can be broken: containers, or network
//! namespaces. What is done inside one's network is alike for both, and stands in [`crate::wires`].

pub mod engine;
pub mod founding;
pub mod namespaces;
pub mod plan;
pub mod processes;
pub mod volume;

use std::{net::Ipv4Addr, path::Path};

use meshwork::failure::{Done, Failure};
use serde::Serialize;

/// Where every peer's API listens, on its own address.
pub const API_PORT: u16 = 4180;

/// The environment variable by which a node's one clock is set wrong.
pub const CLOCK_OFFSET: &str = "MESHWORK_CLOCK_OFFSET";

/// The environment variable that says how much of the past a peer keeps.
pub const KEEP: &str = "MESHWORK_KEEP";

/// What a peer is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// It votes.
    Authority,
    /// It works.
    Worker,
    /// It follows, and is where the load comes in.
    Gateway,
}

/// A peer as it is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Member {
    /// What it is called: `authority-1`, `worker-2`.
    pub name: String,
    /// What it is there for.
    pub role: Role,
    /// Its address, while it has one.
    pub address: Option<Ipv4Addr>,
    /// Its process on this machine, while it lives.
    pub pid: Option<u32>,
    /// How often it was started again though nobody asked for it.
    pub restarts: u32,
}

impl Role {
    /// How much of the past such a peer keeps, as `meshwork up --keep` has it: all of it where every height is compared with
    /// others' afterwards. Workers keep what every peer keeps, so that a new one finds its way with what peers have.
    #[must_use]
    pub const fn keeps(self) -> &'static str {
        match self {
            Self::Authority | Self::Gateway => "archive",
            Self::Worker => "full",
        }
    }
}

impl Member {
    /// Where its API is, while it has an address.
    #[must_use]
    pub fn api(&self) -> Option<String> {
        self.address.map(|address| format!("{address}:{API_PORT}"))
    }
}

/// A network of hosts. Names are those of [`Member`]s.
pub trait Hosts: Send {
    /// What the hosts are, in words.
    fn kind(&self) -> &'static str;

    /// Looks at every peer anew, and starts again what ended by itself, where nobody else does.
    ///
    /// # Errors
    /// The system does not say.
    fn look(&mut self) -> Done<Vec<Member>>;

    /// Starts one that was killed or stopped, with what it has on its disk.
    ///
    /// # Errors
    /// The system refuses.
    fn start(&mut self, name: &str) -> Done;

    /// Kills it (SIGKILL), and leaves it dead.
    ///
    /// # Errors
    /// There is no such peer, or it does not die.
    fn kill(&mut self, name: &str) -> Done;

    /// Has it stand still (SIGSTOP, or the engine's freezer).
    ///
    /// # Errors
    /// There is no such peer.
    fn pause(&mut self, name: &str) -> Done;

    /// Lets it go on.
    ///
    /// # Errors
    /// There is no such peer.
    fn resume(&mut self, name: &str) -> Done;

    /// Asks it to end (SIGTERM), and waits until it has: a worker gives back what it holds first.
    ///
    /// # Errors
    /// It does not end in time.
    fn stop(&mut self, name: &str) -> Done;

    /// Takes a worker and all that it has away, without a word to it, and puts a new one with a new key in its place.
    ///
    /// # Errors
    /// The system refuses.
    fn replace(&mut self, name: &str) -> Done;

    /// Starts it again with its clock so far off, or right again: `+10s`, `-10m`, `+10m@3s,-10m@6s` to step while it runs.
    ///
    /// # Errors
    /// The system refuses.
    fn set_clock(&mut self, name: &str, offset: Option<&str>) -> Done;

    /// Whether its hosts' memory can be limited.
    fn limits_memory(&self) -> bool {
        false
    }

    /// Starts it again with so much memory at most, or with as much as everyone: `16m`.
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

    /// Which version of the program it runs, as the hosts know it.
    ///
    /// # Errors
    /// The system does not say.
    fn version(&self, name: &str) -> Done<String>;

    /// Its disk as a folder of this machine, if it is small enough to be filled.
    fn small_disk(&self, name: &str) -> Option<&Path>;

    /// What its data takes on disk, in bytes.
    fn disk_bytes(&self, name: &str) -> u64;

    /// The last lines of its log.
    fn log(&self, name: &str, lines: usize) -> String;

    /// The network's genesis and keys.
    fn founding(&self) -> &founding::Founding;
}

/// The complaint about a name that nobody has.
fn nobody(name: &str) -> Failure {
    Failure::failed(format!("There is no peer {name} here."))
}
