//! In the order of admission, whatever the priority.

use super::{Order, Rank};
use crate::types::BlockTime;

/// First in, first out.
pub struct Fifo;

impl Order for Fifo {
    fn rank(&self, _admitted: BlockTime, _priority: i16) -> Rank {
        Rank(0)
    }
}
