//! Each claim in turn.

use super::{Candidate, Placement};

/// The claim that has gone longest without being given a task. (A cursor over keys would do the same, but would
/// look again and again at claims that cannot take the task.)
pub struct RoundRobin;

impl Placement for RoundRobin {
    fn score(&self, candidate: &Candidate) -> u64 {
        candidate.turn
    }
}
