//! The earliest deadline first.

use super::{Facts, Order, Place};

/// Earliest deadline first; what has none comes after all that has one.
pub struct Deadline;

impl Order for Deadline {
    fn place(&self, facts: &Facts) -> Place {
        Place::Fixed(facts.deadline.map_or(u64::MAX, |deadline| deadline.0))
    }
}
