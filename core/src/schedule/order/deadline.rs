//! The earliest deadline first.

use super::{Facts, Order, OrderKey};

/// Earliest deadline first. Tasks without a deadline come after all tasks that have one.
pub struct Deadline;

impl Order for Deadline {
    fn order_key(&self, facts: &Facts) -> OrderKey {
        OrderKey::Fixed(facts.deadline.map_or(u64::MAX, |deadline| deadline.0))
    }
}
