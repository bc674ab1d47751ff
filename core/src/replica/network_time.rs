//! The network's time, for a peer whose own clock may be wrong.

use crate::{
    consensus::{Monotonic, Now},
    types::BlockTime,
};

/// How far a clock may be ahead of what the blocks show and still be believed, in microseconds. It is more than
/// late blocks and right clocks explain, and less than transactions live.
const BELIEVED_US: u64 = 10_000_000;
/// How far a clock may be behind the newest block and still be called right, in microseconds. The voters for
/// the block may be ahead themselves.
const BEHIND_US: u64 = 1_000_000;

/// The time of a peer's newest block, and when that block came.
#[derive(Clone, Copy, Debug)]
pub struct NetworkTime {
    newest: BlockTime,
    /// `None` for the block that a peer begins with: nobody knows how old it is.
    came: Option<Monotonic>,
}

impl NetworkTime {
    /// For a peer that begins with a block of this time.
    #[must_use]
    pub const fn begun(newest: BlockTime) -> Self {
        Self { newest, came: None }
    }

    /// For a peer to which a block of this time came at `came`.
    pub(super) const fn heard(newest: BlockTime, came: Monotonic) -> Self {
        Self { newest, came: Some(came) }
    }

    /// The network's time. It is this peer's clock, unless that is before what the newest block shows, or so
    /// far ahead that it is wrong. A quorum of clocks made the block's time, so a peer with a wrong clock goes
    /// by that.
    #[must_use]
    pub fn at(&self, now: Now) -> BlockTime {
        let Shown { earliest, latest } = self.shown(now.monotonic);
        now.clock.clamp(earliest, latest)
    }

    /// How many milliseconds this peer's clock is ahead of the network's time; negative if it is behind. `None`
    /// if the clock may be right.
    #[must_use]
    pub fn clock_off_ms(&self, now: Now) -> Option<i64> {
        let Shown { earliest, latest } = self.shown(now.monotonic);
        let ms = |us: u64| i64::try_from(us / 1000).unwrap_or(i64::MAX);
        let behind_us = earliest.micros_since(now.clock);
        if behind_us > BEHIND_US {
            return Some(-ms(behind_us));
        }
        (now.clock > latest).then(|| ms(now.clock.micros_since(earliest)))
    }

    fn shown(&self, now: Monotonic) -> Shown {
        let Some(came) = self.came else { return Shown { earliest: self.newest, latest: BlockTime(u64::MAX) } };
        let passed_us = now.0.saturating_sub(came.0);
        let earliest = self.newest.0.saturating_add(passed_us);
        Shown { earliest: BlockTime(earliest), latest: BlockTime(earliest.saturating_add(BELIEVED_US)) }
    }
}

/// The bounds of the present time, from the newest block and how long ago it came. `latest` is not before
/// `earliest`.
struct Shown {
    earliest: BlockTime,
    latest: BlockTime,
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    fn now(clock_s: u64) -> Now {
        Now { monotonic: Monotonic(7 * SECOND), clock: BlockTime(clock_s * SECOND) }
    }

    fn at(time: NetworkTime, clock_s: u64) -> u64 {
        time.at(now(clock_s)).0 / SECOND
    }

    #[test]
    fn a_clock_counts_unless_blocks_show_that_it_is_wrong() {
        let heard = NetworkTime::heard(BlockTime(1000 * SECOND), Monotonic(5 * SECOND));
        assert_eq!(at(heard, 1003), 1003);
        assert_eq!(at(heard, 400), 1002);
        assert_eq!(at(heard, 1012), 1012);
        assert_eq!(at(heard, 1600), 1012);
        let off = [400, 1001, 1003, 1012, 1602].map(|clock| heard.clock_off_ms(now(clock)));
        assert_eq!(off, [Some(-602_000), None, None, None, Some(600_000)]);
    }

    #[test]
    fn a_peer_that_begins_believes_its_clock_but_not_that_it_is_before_a_block() {
        let begun = NetworkTime::begun(BlockTime(1000 * SECOND));
        assert_eq!(at(begun, 9000), 9000);
        assert_eq!(at(begun, 900), 1000);
        assert_eq!([900, 9000].map(|clock| begun.clock_off_ms(now(clock))), [Some(-100_000), None]);
    }
}
