//! How much of something a stranger may do: at once, and over time.

use std::time::{Duration, Instant};

/// How much may be done.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// At once, after a rest.
    pub burst: f64,
    /// In each second, over time.
    pub per_second: f64,
}

/// What is left of a [`Rate`] (a token bucket).
#[derive(Clone, Copy, Debug)]
pub(super) struct Allowance {
    left: f64,
    at: Instant,
}

impl Allowance {
    pub(super) const fn new(rate: Rate, now: Instant) -> Self {
        Self { left: rate.burst, at: now }
    }

    fn refill(&mut self, rate: Rate, now: Instant) {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.left = rate.per_second.mul_add(passed, self.left).min(rate.burst);
        self.at = now;
    }

    /// Takes `amount` if so much is left; false if it is not.
    pub(super) fn take(&mut self, amount: f64, rate: Rate, now: Instant) -> bool {
        self.refill(rate, now);
        let enough = self.left >= amount;
        if enough {
            self.left -= amount;
        }
        enough
    }

    /// Takes `amount` in any case, and returns how long to wait before doing more.
    pub(super) fn overdraw(&mut self, amount: f64, rate: Rate, now: Instant) -> Duration {
        self.refill(rate, now);
        self.left -= amount;
        Duration::from_secs_f64((-self.left / rate.per_second).max(0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { burst: 10.0, per_second: 2.0 };

    #[test]
    fn a_burst_is_taken_at_once_and_then_as_much_as_the_rate_gives() {
        let start = Instant::now();
        let mut allowance = Allowance::new(RATE, start);
        let mut takes = |now| (0..100).filter(|_| allowance.take(1.0, RATE, now)).count();
        assert_eq!(takes(start), 10);
        assert_eq!(takes(start + Duration::from_secs(3)), 6);
        assert_eq!(takes(start + Duration::from_secs(1000)), 10);
    }

    #[test]
    fn whoever_overdraws_waits_until_it_is_even() {
        let start = Instant::now();
        let mut allowance = Allowance::new(RATE, start);
        assert_eq!(allowance.overdraw(10.0, RATE, start), Duration::ZERO);
        assert_eq!(allowance.overdraw(6.0, RATE, start), Duration::from_secs(3));
        assert_eq!(allowance.overdraw(0.0, RATE, start + Duration::from_secs(3)), Duration::ZERO);
    }
}
