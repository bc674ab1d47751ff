//! The shortest expected duration first.

use super::{Facts, Order, Place};

/// Shortest expected duration first: what the ledger had learned of the program when the job was admitted, or
/// else what the submitter declared. Long tasks starve under a stream of short ones, unless an ageing policy
/// comes before.
pub struct Shortest;

impl Order for Shortest {
    fn place(&self, facts: &Facts) -> Place {
        Place::Fixed(facts.expected_ms)
    }
}
