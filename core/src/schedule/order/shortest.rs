//! The shortest expected duration first.

use super::{Facts, Order, OrderKey};

/// Shortest expected duration first: what the ledger had learned of the program when the job was admitted, or
/// else what the submitter declared. Long tasks starve under a stream of short ones, unless an ageing policy
/// comes before.
pub struct Shortest;

impl Order for Shortest {
    fn order_key(&self, facts: &Facts) -> OrderKey {
        OrderKey::Fixed(facts.expected_ms)
    }
}
