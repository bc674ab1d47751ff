//! Placement policies: which claim a task goes to.
//!
//! A policy gives each claim a score; among the claims that can take a task, the one with the smallest score gets it, and
//! of equals the one with the smallest key. Giving a claim a task must never lower its score: the search relies on it.

mod least_loaded;
mod open;
mod round_robin;

pub use least_loaded::LeastLoaded;
pub use open::{OpenClaims, Place};
pub use round_robin::RoundRobin;

use crate::types::PlacementPolicy;

/// What a policy sees of a claim.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    /// How busy the claim says its machine is: 0 idle to 1000 full.
    pub load: u16,
    /// How many attempts may run there at once; at least 1.
    pub slots: u32,
    /// How many hold resources there now.
    pub running: u32,
    /// How many held resources there when the claim was executed.
    pub running_at_claim: u32,
    /// How many wait there for resources.
    pub waiting: u32,
    /// When it was last given a task, counted in tasks given by the ledger; 0 for never.
    pub turn: u64,
}

/// A claim's place among those that can take a task: smaller is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Score(pub u64);

/// Which claim a task goes to.
pub trait Placement: Send + Sync {
    /// The claim's score now.
    fn score(&self, candidate: &Candidate) -> Score;
}

/// The policy that the genesis picked.
#[must_use]
pub fn policy(policy: PlacementPolicy) -> &'static dyn Placement {
    match policy {
        PlacementPolicy::LeastLoaded => &LeastLoaded,
        PlacementPolicy::RoundRobin => &RoundRobin,
    }
}
