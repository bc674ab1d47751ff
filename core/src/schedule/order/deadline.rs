//! The earliest deadline first.

use super::{Facts, Order, Place};

/// Earliest deadline first. Tasks without a deadline come after all tasks that have one.
pub struct Deadline;

impl Order for Deadline {
    fn place(&self, facts: &Facts) -> Place {
        Place::Fixed(facts.deadline.map_or(u64::MAX, |deadline| deadline.0))
    }
}
