//! In the order of admission, whatever the priority.

use super::{Facts, Order, OrderKey};

/// First in, first out.
pub struct Fifo;

impl Order for Fifo {
    fn order_key(&self, facts: &Facts) -> OrderKey {
        OrderKey::Fixed(facts.number)
    }
}
