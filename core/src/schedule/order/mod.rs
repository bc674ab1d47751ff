//! Order policies: which ready task goes next.

mod fifo;
mod priority;

pub use fifo::Fifo;
pub use priority::Priority;

use crate::types::{BlockTime, OrderPolicy};

/// A job's place in the order: smaller goes first. Jobs of equal rank go in the order of admission, the tasks of one job by
/// index; a task that comes back keeps its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank(pub u64);

/// Which ready task goes next.
pub trait Order: Send + Sync {
    /// The rank, for good, of a job admitted at this time with this priority.
    fn rank(&self, admitted: BlockTime, priority: i16) -> Rank;
}

/// The policy that the genesis picked.
#[must_use]
pub fn policy(policy: OrderPolicy) -> &'static dyn Order {
    match policy {
        OrderPolicy::Fifo => &Fifo,
        OrderPolicy::Priority => &Priority,
    }
}
