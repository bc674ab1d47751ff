//! The claim with the least free capacity that can take the task.

use super::{Candidate, Placement};

/// Fewest free slots first, so that machines in use fill up and others stay idle.
pub struct Pack;

impl Placement for Pack {
    fn score(&self, candidate: &Candidate) -> u64 {
        u64::from(candidate.slots.saturating_sub(candidate.running))
    }

    fn draws_more(&self) -> bool {
        true
    }
}
