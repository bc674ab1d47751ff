//! The larger priority first, with ageing, so that nothing starves.

use super::{Order, Rank};
use crate::types::BlockTime;

/// Priority with ageing. A rank is a time: that of admission, put back by [`Priority::LEVEL_US`] for each level of priority.
/// Two jobs' order never changes while they wait, and any job is passed only by what is admitted within a bounded time.
pub struct Priority;

impl Priority {
    /// How much earlier a job counts for each level of its priority, in microseconds: one minute of waiting makes up for
    /// one level.
    pub const LEVEL_US: u64 = 60_000_000;
}

impl Order for Priority {
    fn rank(&self, admitted: BlockTime, priority: i16) -> Rank {
        let levels_below_top = i16::MAX.abs_diff(priority);
        Rank(admitted.0.saturating_add(u64::from(levels_below_top) * Self::LEVEL_US))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_larger_priority_goes_first_until_the_other_has_waited_long_enough() {
        let rank = |time_us, priority| Priority.rank(BlockTime(time_us), priority);
        assert!(rank(50, 1) < rank(0, 0));
        assert!(rank(50, i16::MAX) < rank(0, i16::MIN));
        assert!(rank(2 * Priority::LEVEL_US, 1) > rank(0, 0));
        assert!(rank(0, 0) < rank(1, 0));
        assert_eq!(rank(u64::MAX, i16::MIN), Rank(u64::MAX));
    }
}
