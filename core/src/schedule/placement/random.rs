//! A claim drawn by the parent block's digest.

use super::{Candidate, Placement};

/// A seat is drawn for each task, and the first claim from there on that can take the task gets it. When the
/// deciding block was proposed, only its leader knew the draw. If all standing claims can take the task, all
/// are equally likely; a claim whose neighbours cannot is drawn for them too.
pub struct Random;

impl Placement for Random {
    fn score(&self, candidate: &Candidate) -> u64 {
        u64::from(candidate.seat)
    }

    fn is_drawn(&self) -> bool {
        true
    }
}
