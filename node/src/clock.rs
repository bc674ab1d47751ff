//! The node's one clock. Every time that enters the core comes from here.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use meshwork_core::{
    consensus::{Monotonic, Now},
    types::BlockTime,
};

/// A step of the wall clock away from the right time, for tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockStep {
    /// When the step happens, counted from the node's start.
    pub after: Duration,
    /// How many milliseconds the clock is ahead from then on, until the next step.
    pub offset_ms: i64,
}

/// A monotonic clock for timers and the wall clock for block times.
#[derive(Clone, Debug)]
pub struct Clock {
    start: Instant,
    steps: Arc<[ClockStep]>,
}

impl Clock {
    /// A clock whose monotonic time starts now. Its wall clock follows `steps`, which only tests use. Of steps at the
    /// same time the last counts.
    #[must_use]
    pub fn start(mut steps: Vec<ClockStep>) -> Self {
        steps.sort_by_key(|step| step.after);
        Self { start: Instant::now(), steps: steps.into() }
    }

    /// The present time.
    #[must_use]
    pub fn now(&self) -> Now {
        let micros = |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        // A wall clock before 1970 is badly wrong. The epoch itself serves as well.
        let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let elapsed = self.start.elapsed();
        let clock = micros(clock).saturating_add_signed(self.offset_ms(elapsed).saturating_mul(1000));
        Now { monotonic: Monotonic(micros(elapsed)), clock: BlockTime(clock) }
    }

    fn offset_ms(&self, elapsed: Duration) -> i64 {
        self.steps.iter().rev().find(|step| step.after <= elapsed).map_or(0, |step| step.offset_ms)
    }

    /// The instant of a monotonic time.
    #[must_use]
    pub fn instant(&self, at: Monotonic) -> Instant {
        // If the platform cannot represent a time that far away, a day from now serves: the waiter looks again then.
        self.start
            .checked_add(Duration::from_micros(at.0))
            .unwrap_or_else(|| Instant::now() + Duration::from_secs(86_400))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_right_until_its_first_step_and_then_off_by_the_last_that_came() {
        let step = |seconds, offset_ms| ClockStep { after: Duration::from_secs(seconds), offset_ms };
        let clock = Clock::start(vec![step(8, -600_000), step(4, 600_000), step(9, 1), step(9, 0)]);
        let off = [0, 3, 4, 7, 8, 9, 1000].map(|seconds| clock.offset_ms(Duration::from_secs(seconds)));
        assert_eq!(off, [0, 0, 600_000, 600_000, -600_000, 0, 0]);
    }
}
