//! The time that passes for a run. Of the time in which its process is stopped, or its
//! machine is suspended, a second counts at most.
//!
//! A clock of the system does not say whether a process was stopped meanwhile. So somebody looks at this clock every few
//! milliseconds while something runs, and a long gap between two looks was a pause.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// How much of a gap between two looks counts. What is longer was a pause. Time passes all the same, however seldom
/// anybody comes to look on a machine that is far too busy.
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Debug)]
struct Seen {
    ran: Duration,
    at: Instant,
}

/// A clock that runs for a second at most during each pause. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct RunClock(Arc<Mutex<Seen>>);

impl RunClock {
    pub(crate) fn start() -> Self {
        Self(Arc::new(Mutex::new(Seen { ran: Duration::ZERO, at: Instant::now() })))
    }

    /// How long it has run since its start.
    pub(crate) fn look(&self) -> Duration {
        self.look_at(Instant::now())
    }

    fn look_at(&self, now: Instant) -> Duration {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let gap = now.saturating_duration_since(seen.at);
        seen.ran += gap.min(PAUSE);
        seen.at = seen.at.max(now);
        seen.ran
    }
}

/// A moment on such a clock.
#[derive(Clone, Debug)]
pub(crate) struct Until {
    clock: RunClock,
    at: Duration,
}

impl Until {
    /// The moment after this much time on a clock.
    pub(crate) fn after(clock: &RunClock, time: Duration) -> Self {
        Self { clock: clock.clone(), at: clock.look().saturating_add(time) }
    }

    /// How long it is until then; `None` once it is past.
    pub(crate) fn left(&self) -> Option<Duration> {
        self.at.checked_sub(self.clock.look()).filter(|left| !left.is_zero())
    }

    /// The moment after this much time from now, on the same clock.
    pub(crate) fn later(&self, time: Duration) -> Self {
        Self::after(&self.clock, time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_a_second_at_most() {
        let clock = RunClock::start();
        let mut now = Instant::now();
        let before = clock.look_at(now);
        for _ in 0..50 {
            now += Duration::from_millis(10);
            clock.look_at(now);
        }
        now += Duration::from_secs(12);
        assert_eq!(clock.look_at(now) - before, Duration::from_millis(1500));
        now += Duration::from_millis(10);
        assert_eq!(clock.look_at(now) - before, Duration::from_millis(1510));
    }
}
