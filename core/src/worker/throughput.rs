//! Measures how fast this worker is, which determines how many waiting places it claims.

use std::time::Duration;

use crate::fault::{Fault, is_planted};

/// A new measurement has a weight of one in this many.
const MEMORY: u32 = 8;
/// How many rounds of reporting the waiting places cover.
const ROUNDS: u32 = 2;
/// The most waiting places in a claim.
const WAITING_MAX: u32 = 1024;
/// The least time for which an attempt may wait before it is returned.
const PATIENCE_MIN: Duration = Duration::from_secs(2);
/// The number of rounds for which an attempt may wait before it is returned.
const PATIENCE_ROUNDS: u32 = 20;

/// Exponential averages of how long tasks and rounds of reporting take.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Throughput {
    task: Option<Duration>,
    round: Option<Duration>,
}

fn average(before: Option<Duration>, now: Duration) -> Duration {
    before.map_or(now, |before| (before * (MEMORY - 1) + now) / MEMORY)
}

impl Throughput {
    /// Records how long a task held its slot.
    pub(super) fn task(&mut self, took: Duration) {
        self.task = Some(average(self.task, took));
    }

    /// Records the time from a report's hand-in to its execution.
    pub(super) fn round(&mut self, took: Duration) {
        self.round = Some(average(self.round, took));
    }

    /// The number of waiting places to claim: as many as `slots` run in two rounds. Without measurements, it is one for
    /// each slot.
    pub(super) fn waiting_places(&self, slots: u32) -> u32 {
        let (Some(task), Some(round)) = (self.task, self.round) else { return slots };
        let rounds = if is_planted(Fault::WaitsBeyondRounds) { 10 * ROUNDS } else { ROUNDS };
        let tasks = round.as_micros() * u128::from(rounds * slots) / task.as_micros().max(1);
        u32::try_from(tasks).unwrap_or(WAITING_MAX).min(WAITING_MAX)
    }

    /// How long an attempt may wait here before it is returned.
    pub(super) fn patience(&self) -> Duration {
        PATIENCE_MIN.max(self.round.unwrap_or_default() * PATIENCE_ROUNDS)
    }

    /// Whether the wanted number of waiting places differs enough to be worth a new claim.
    pub(super) const fn differs(claimed: u32, wanted: u32) -> bool {
        let (small, large) = if claimed < wanted { (claimed, wanted) } else { (wanted, claimed) };
        large > small + small / 2 + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_tasks_are_held_for_two_rounds_and_long_ones_are_not_hoarded() {
        let mut throughput = Throughput::default();
        assert_eq!(throughput.waiting_places(2), 2);
        throughput.round(Duration::from_millis(20));
        throughput.task(Duration::from_millis(1));
        assert_eq!(throughput.waiting_places(2), 80);
        for _ in 0..100 {
            throughput.task(Duration::from_secs(60));
        }
        assert_eq!(throughput.waiting_places(2), 0);
        throughput.round(Duration::from_secs(10_000));
        for _ in 0..200 {
            throughput.task(Duration::from_micros(1));
        }
        assert_eq!(throughput.waiting_places(2), WAITING_MAX);
    }

    #[test]
    fn small_changes_are_not_worth_a_claim() {
        assert!(!Throughput::differs(10, 15) && !Throughput::differs(15, 10) && !Throughput::differs(0, 1));
        assert!(Throughput::differs(10, 17) && Throughput::differs(17, 10) && Throughput::differs(0, 2));
    }

    #[test]
    fn patience_is_twenty_rounds_and_two_seconds_at_least() {
        let mut throughput = Throughput::default();
        assert_eq!(throughput.patience(), PATIENCE_MIN);
        throughput.round(Duration::from_millis(20));
        assert_eq!(throughput.patience(), PATIENCE_MIN);
        throughput.round(Duration::from_millis(8 * 1000 + 20));
        assert_eq!(throughput.patience(), Duration::from_millis(20 * 1020));
    }
}
