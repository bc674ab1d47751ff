//! In the order of admission, whatever the priority.

use super::{Facts, Order, Place};

/// First in, first out.
pub struct Fifo;

impl Order for Fifo {
    fn place(&self, facts: &Facts) -> Place {
        Place::Fixed(facts.number)
    }
}
