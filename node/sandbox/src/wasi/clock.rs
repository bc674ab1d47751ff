//! A program's clock, which is the same on every machine.
//!
//! It starts at one fixed time. It moves on by a microsecond whenever the program looks at it, and by as long as the
//! program sleeps. So a program that polls the clock without sleeping soon reaches the time that it waits for.

/// Every program's start time: 2000-01-01 00:00 UTC, in nanoseconds since 1970.
pub(crate) const START_NS: u64 = 946_684_800_000_000_000;
/// How far one look moves the clock, which is also its stated resolution.
pub(crate) const TICK_NS: u64 = 1_000;

/// A run's clock.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    passed_ns: u64,
}

impl Clock {
    /// The time since the start. Moves the clock on.
    pub(super) fn look(&mut self) -> u64 {
        self.pass(TICK_NS);
        self.passed_ns
    }

    /// The time since the start, without moving the clock.
    pub(super) fn passed_ns(&self) -> u64 {
        self.passed_ns
    }

    /// The present time in nanoseconds since 1970, without moving the clock.
    pub(super) fn now_ns(&self) -> u64 {
        START_NS.saturating_add(self.passed_ns)
    }

    pub(super) fn pass(&mut self, ns: u64) {
        self.passed_ns = self.passed_ns.saturating_add(ns);
    }
}
