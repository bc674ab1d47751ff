//! Lease time: block time less every stall so far. Claims and attempts end by it. While no quorum can meet it stands
//! still, so such a time makes no work start twice.

use serde::{Deserialize, Serialize};

use crate::{
    fault::{Fault, is_planted},
    types::BlockTime,
};

/// Microseconds of lease time since the genesis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LeaseTime(pub u64);

impl LeaseTime {
    /// A time that does not come.
    pub(in crate::ledger) const NEVER: Self = Self(u64::MAX);

    /// This time plus `ms` milliseconds, at most the end of time.
    #[must_use]
    pub const fn plus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms.saturating_mul(1000)))
    }

    /// Lease time at the block at `now`, if it was `self` at the block at `before`. The part of a gap beyond the
    /// threshold does not count.
    #[must_use]
    pub fn after(self, before: BlockTime, now: BlockTime, stall_threshold_ms: u64) -> Self {
        let gap_us = now.micros_since(before);
        if is_planted(Fault::StallsCount) {
            return Self(self.0.saturating_add(gap_us));
        }
        let gap_us = gap_us.min(stall_threshold_ms.saturating_mul(1000));
        Self(self.0.saturating_add(gap_us))
    }

    /// The block time that corresponds to this lease time, if lease time is `now` at block time `time` and nothing
    /// stalls.
    #[must_use]
    pub const fn as_block_time(self, now: Self, time: BlockTime) -> BlockTime {
        BlockTime(time.0.saturating_add(self.0.saturating_sub(now.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_counts_up_to_the_threshold() {
        let after = |gap_us| LeaseTime(100).after(BlockTime(1_000), BlockTime(1_000 + gap_us), 2).0 - 100;
        assert_eq!([after(0), after(1999), after(2000), after(2001), after(u64::MAX / 2)], [0, 1999, 2000, 2000, 2000]);
    }
}
