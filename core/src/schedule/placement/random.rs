//! Any claim, as the parent block's digest has it.

use super::{Candidate, Placement};

/// A seat is drawn for each task, and the next claim from there on that can take it gets it. Nobody knew the draw when the
/// block that decides was proposed but its leader. All claims that stand are as likely if all can take the task; one whose
/// neighbours cannot is drawn for them too.
pub struct Random;

impl Placement for Random {
    fn score(&self, candidate: &Candidate) -> u64 {
        u64::from(candidate.seat)
    }

    fn is_drawn(&self) -> bool {
        true
    }
}
