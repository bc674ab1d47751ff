//! The claim with the least room that will do.

use super::{Candidate, Placement};

/// Fewest free slots first, so that what is begun is filled and other machines stay idle.
pub struct Pack;

impl Placement for Pack {
    fn score(&self, candidate: &Candidate) -> u64 {
        u64::from(candidate.slots.saturating_sub(candidate.running))
    }

    fn draws_more(&self) -> bool {
        true
    }
}
