//! The node's one clock: every time that enters the core comes from here.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use meshwork_core::{
    consensus::{Monotonic, Now},
    types::BlockTime,
};

/// A monotonic clock for timers and the wall clock for block times.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
    offset_ms: i64,
}

impl Clock {
    /// A clock whose monotonic time starts now, and whose wall clock is off by so many milliseconds: 0 but in tests.
    #[must_use]
    pub fn start(offset_ms: i64) -> Self {
        Self { start: Instant::now(), offset_ms }
    }

    /// Now.
    #[must_use]
    pub fn now(&self) -> Now {
        let micros = |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        // A wall clock before 1970 is as wrong as one can be; the epoch itself serves as well.
        let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let clock = micros(clock).saturating_add_signed(self.offset_ms.saturating_mul(1000));
        Now { monotonic: Monotonic(micros(self.start.elapsed())), clock: BlockTime(clock) }
    }

    /// When a monotonic time comes.
    #[must_use]
    pub fn instant(&self, at: Monotonic) -> Instant {
        // A time too far for the platform to name is as good as a day from now: whoever waits looks again.
        self.start
            .checked_add(Duration::from_micros(at.0))
            .unwrap_or_else(|| Instant::now() + Duration::from_secs(86_400))
    }
}
