//! Time as a program sees it: the same on every machine.
//!
//! It starts at one fixed moment and goes on by a microsecond whenever the program looks, and by as long as the program
//! sleeps. A program that waits for the clock without sleeping therefore gets there, soon.

/// What every program takes for the time of its start: 2000-01-01 00:00 UTC, in nanoseconds since 1970.
pub(crate) const START_NS: u64 = 946_684_800_000_000_000;
/// What one look at the clock takes, and what its resolution is said to be.
pub(crate) const TICK_NS: u64 = 1_000;

/// A run's clock.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    passed_ns: u64,
}

impl Clock {
    /// Looks at the time since the start. Moves on.
    pub fn look(&mut self) -> u64 {
        self.pass(TICK_NS);
        self.passed_ns
    }

    /// The time since the start, without moving on.
    pub fn passed_ns(&self) -> u64 {
        self.passed_ns
    }

    /// The present moment in nanoseconds since 1970, without moving on.
    pub fn now_ns(&self) -> u64 {
        START_NS.saturating_add(self.passed_ns)
    }

    pub fn pass(&mut self, ns: u64) {
        self.passed_ns = self.passed_ns.saturating_add(ns);
    }
}
