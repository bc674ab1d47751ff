//! How long a program's attempts take, learned from attempts that ended well.
//!
//! The estimate is a smoothed mean and deviation in integers, as TCP estimates round trips (Jacobson, SIGCOMM
//! 1988; RFC 6298 §2). An eighth of each error goes to the mean, a quarter to the deviation.

use std::collections::{BTreeMap, BTreeSet};

use serde_tuple::{Deserialize_tuple, Serialize_tuple};

use crate::{digest::Digest, types::BlockTime};

/// How many programs are remembered. The one seen least recently is forgotten first.
pub const PROGRAMS_KEPT: usize = 4096;
/// From this many attempts on, the learned duration counts more than the declared one.
const LEARNED_FROM: u32 = 3;
/// An attempt shorter than this, in milliseconds, is not slow: finding another place for it takes as long.
pub const SLOW_MS_MIN: u64 = 1000;
/// The longest duration that is learned, in milliseconds: about three years.
const DURATION_MS_MAX: u64 = 100_000_000_000;

/// The learned duration of one program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Estimate {
    /// Eight times the mean duration, in milliseconds.
    mean_8: u64,
    /// Four times the mean deviation, in milliseconds.
    deviation_4: u64,
    /// The number of attempts that it was learned from.
    attempts: u32,
    /// The time of the newest of them.
    last: BlockTime,
}

impl Estimate {
    fn learn(&mut self, duration_ms: u64, now: BlockTime) {
        let duration = duration_ms.min(DURATION_MS_MAX);
        if self.attempts == 0 {
            self.mean_8 = duration * 8;
            self.deviation_4 = duration * 2;
        } else {
            let mean = self.mean_8 / 8;
            let deviation = duration.abs_diff(mean);
            self.mean_8 = self.mean_8 - mean + duration;
            self.deviation_4 = self.deviation_4 - self.deviation_4 / 4 + deviation;
        }
        self.attempts = self.attempts.saturating_add(1);
        self.last = now;
    }

    /// The mean duration, in milliseconds, or `None` before enough attempts have ended.
    #[must_use]
    pub fn mean_ms(&self) -> Option<u64> {
        (self.attempts >= LEARNED_FROM).then_some(self.mean_8 / 8)
    }

    /// How long an attempt runs before it counts as slow, in milliseconds: four deviations beyond the mean, but
    /// at least twice the mean and at least [`SLOW_MS_MIN`]. `None` before enough attempts have ended.
    #[must_use]
    pub fn slow_after_ms(&self) -> Option<u64> {
        let mean = self.mean_ms()?;
        Some(mean.saturating_mul(2).max(mean.saturating_add(self.deviation_4)).max(SLOW_MS_MIN))
    }

    /// Whether these values could have been learned by `now`.
    #[must_use]
    pub fn is_sound(&self, now: BlockTime) -> bool {
        self.attempts > 0
            && self.mean_8 <= 8 * DURATION_MS_MAX
            && self.deviation_4 <= 4 * DURATION_MS_MAX
            && self.last <= now
    }
}

/// The estimates of all programs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Estimates {
    programs: BTreeMap<Digest, Estimate>,
    by_use: BTreeSet<(BlockTime, Digest)>,
}

impl Estimates {
    /// Learns from an attempt that ended well after this many milliseconds.
    pub fn learn(&mut self, program: Digest, duration_ms: u64, now: BlockTime) {
        let estimate = self.programs.entry(program).or_default();
        self.by_use.remove(&(estimate.last, program));
        estimate.learn(duration_ms, now);
        self.by_use.insert((now, program));
        if self.programs.len() > PROGRAMS_KEPT
            && let Some((_, oldest)) = self.by_use.pop_first()
        {
            self.programs.remove(&oldest);
        }
    }

    /// The estimate of a program.
    #[must_use]
    pub fn of(&self, program: &Digest) -> Option<&Estimate> {
        self.programs.get(program)
    }

    /// All estimates, for a snapshot.
    #[must_use]
    pub const fn records(&self) -> &BTreeMap<Digest, Estimate> {
        &self.programs
    }

    /// The same estimates, from a snapshot's records.
    #[must_use]
    pub fn restored(programs: BTreeMap<Digest, Estimate>) -> Self {
        let by_use = programs.iter().map(|(program, estimate)| (estimate.last, *program)).collect();
        Self { programs, by_use }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: BlockTime = BlockTime(1);

    #[test]
    fn a_few_attempts_are_needed_and_then_the_mean_follows_what_happens() {
        let mut estimate = Estimate::default();
        estimate.learn(1000, NOW);
        estimate.learn(1000, NOW);
        assert_eq!(estimate.mean_ms(), None);
        estimate.learn(1000, NOW);
        assert_eq!(estimate.mean_ms(), Some(1000));
        for _ in 0..60 {
            estimate.learn(3000, NOW);
        }
        assert!(estimate.mean_ms().is_some_and(|mean| (2990..=3000).contains(&mean)), "{estimate:?}");
        assert!(estimate.slow_after_ms().is_some_and(|slow| (5_900..6_100).contains(&slow)), "{estimate:?}");
    }

    #[test]
    fn the_program_that_was_seen_least_recently_is_forgotten_first() {
        let mut estimates = Estimates::default();
        let program = |number: usize| Digest::of(&number.to_be_bytes());
        for number in 0..=PROGRAMS_KEPT {
            estimates.learn(program(number), 1, BlockTime(number as u64));
            estimates.learn(program(0), 1, BlockTime(number as u64));
        }
        assert!(estimates.of(&program(0)).is_some() && estimates.of(&program(1)).is_none());
        assert_eq!(estimates.records().len(), PROGRAMS_KEPT);
    }

    proptest! {
        #[test]
        fn the_mean_stays_within_what_was_seen(durations in proptest::collection::vec(0u64..1 << 50, 3..100)) {
            let mut estimate = Estimate::default();
            for duration in &durations {
                estimate.learn(*duration, NOW);
                prop_assert!(estimate.is_sound(NOW));
            }
            let bounded = durations.iter().map(|duration| (*duration).min(DURATION_MS_MAX));
            let (least, most) = (bounded.clone().min().unwrap_or(0), bounded.max().unwrap_or(0));
            let mean = estimate.mean_ms().expect("enough");
            prop_assert!((least.saturating_sub(1)..=most).contains(&mean), "{mean} of {least} to {most}");
        }
    }
}
