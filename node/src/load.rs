//! The load score of this machine, which workers' claims carry: from 0, idle, to 1000, full.
//!
//! The score is the larger of two parts, because either alone makes a machine a bad place for one more task:
//!
//! * **Work**: 1000 times the larger of the machine's processor use and the share of slots in use. A slot counts
//!   before its program shows in the processor use. The volunteer's other programs count although they use no slot.
//! * **Memory**: 0 up to half of the machine's memory, then in proportion, 1000 when none is left. Memory in use does
//!   no harm until it runs out.
//!
//! The score is smoothed exponentially over the time between samples, with a time constant of [`SMOOTHING`]. A
//! shorter burst hardly moves claims; a lasting change shows after about twice that time.

use std::time::{Duration, Instant};

use sysinfo::{CpuRefreshKind, MemoryRefreshKind, RefreshKind, System};

/// The score of a full machine.
pub const SCORE_MAX: u16 = 1000;
/// The time after which a lasting change has moved the smoothed score by 63 % of its way.
pub const SMOOTHING: Duration = Duration::from_secs(5);
/// The least time between two measurements of processor use. Shorter spans say nothing.
pub const SAMPLE_INTERVAL_MIN: Duration = Duration::from_millis(250);

/// A measurement of the machine.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// The share of all processors' time in use, 0 to 1.
    pub cpu_share: f64,
    /// The machine's memory, in bytes.
    pub memory_total_bytes: u64,
    /// The memory that a new program could get, in bytes.
    pub memory_free_bytes: u64,
    /// The number of running tasks.
    pub running: u32,
    /// The number of slots.
    pub slots: u32,
}

/// The score of one sample, from 0 to [`SCORE_MAX`]. Measurements that make no sense count as a full machine.
#[must_use]
pub fn score(sample: &Sample) -> u16 {
    let slots_share = f64::from(sample.running) / f64::from(sample.slots);
    let memory_used_share = 1.0 - sample.memory_free_bytes as f64 / sample.memory_total_bytes as f64;
    let memory_share = (memory_used_share - 0.5) * 2.0;
    let parts = [sample.cpu_share, slots_share, memory_share];
    if parts.iter().any(|part| part.is_nan()) {
        return SCORE_MAX;
    }
    let fullest = parts.into_iter().fold(0.0, f64::max).min(1.0);
    (fullest * f64::from(SCORE_MAX)).round() as u16
}

/// Moves `before` towards `now`, as far as the time `passed` between them carries it.
#[must_use]
pub fn smooth(before: f64, now: f64, passed: Duration) -> f64 {
    let kept = (-passed.as_secs_f64() / SMOOTHING.as_secs_f64()).exp();
    now + (before - now) * kept
}

/// Samples this machine's load.
pub struct LoadSampler {
    /// Absent if this kind of machine cannot be measured. Then only slots count.
    system: Option<System>,
    slots: u32,
    cpu_share: f64,
    measured_at: Instant,
    smoothed: Option<(f64, Instant)>,
}

impl LoadSampler {
    /// A sampler for a worker with this many slots. Its first score does not know the processor use yet.
    #[must_use]
    pub fn new(slots: u32) -> Self {
        let kinds = RefreshKind::nothing()
            .with_cpu(CpuRefreshKind::nothing().with_usage())
            .with_memory(MemoryRefreshKind::nothing().with_ram());
        let system = System::new_with_specifics(kinds)
            .inspect_err(|error| tracing::warn!("this machine's load cannot be measured: {error}"))
            .ok();
        Self { system, slots: slots.max(1), cpu_share: 0.0, measured_at: Instant::now(), smoothed: None }
    }

    /// Samples the machine with `running` tasks, and returns the smoothed score. Takes well under a millisecond.
    /// Within [`SAMPLE_INTERVAL_MIN`] of the last measurement, the processor use of that time counts.
    pub fn score(&mut self, running: u32) -> u16 {
        let now = Instant::now();
        let sample = self.sample(running, now);
        let present = f64::from(score(&sample));
        let smoothed = match self.smoothed {
            Some((before, at)) => smooth(before, present, now.saturating_duration_since(at)),
            None => present,
        };
        self.smoothed = Some((smoothed, now));
        smoothed.round() as u16
    }

    fn sample(&mut self, running: u32, now: Instant) -> Sample {
        let Some(system) = &mut self.system else {
            let (cpu_share, memory) = (0.0, 1);
            return Sample {
                cpu_share,
                memory_total_bytes: memory,
                memory_free_bytes: memory,
                running,
                slots: self.slots,
            };
        };
        if now.saturating_duration_since(self.measured_at) >= SAMPLE_INTERVAL_MIN {
            system.refresh_cpu_usage();
            self.cpu_share = f64::from(system.global_cpu_usage()) / 100.0;
            self.measured_at = now;
        }
        system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
        let (total, free) = (system.total_memory(), system.available_memory());
        // A container may have less memory than the machine.
        let (total, free) = match system.cgroup_limits() {
            Some(limits) if limits.total_memory < total => (limits.total_memory, free.min(limits.free_memory)),
            _ => (total, free),
        };
        let cpu_share = self.cpu_share;
        Sample { cpu_share, memory_total_bytes: total, memory_free_bytes: free, running, slots: self.slots }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Sample =
        Sample { cpu_share: 0.0, memory_total_bytes: 1 << 30, memory_free_bytes: 1 << 30, running: 0, slots: 4 };

    #[test]
    fn an_idle_machine_scores_nothing_and_a_full_one_a_thousand() {
        assert_eq!(score(&IDLE), 0);
        assert_eq!(score(&Sample { cpu_share: 1.0, ..IDLE }), 1000);
        assert_eq!(score(&Sample { running: 4, ..IDLE }), 1000);
        assert_eq!(score(&Sample { memory_free_bytes: 0, ..IDLE }), 1000);
    }

    #[test]
    fn the_fullest_part_decides() {
        assert_eq!(score(&Sample { running: 1, ..IDLE }), 250);
        assert_eq!(score(&Sample { running: 1, cpu_share: 0.3, ..IDLE }), 300);
        assert_eq!(score(&Sample { running: 3, cpu_share: 0.3, memory_free_bytes: 1 << 28, ..IDLE }), 750);
    }

    #[test]
    fn memory_counts_only_beyond_half_of_it() {
        assert_eq!(score(&Sample { memory_free_bytes: 1 << 29, ..IDLE }), 0);
        assert_eq!(score(&Sample { memory_free_bytes: 1 << 28, ..IDLE }), 500);
    }

    #[test]
    fn measurements_beyond_all_bounds_stay_within_the_scale() {
        assert_eq!(score(&Sample { cpu_share: 7.0, ..IDLE }), 1000);
        assert_eq!(score(&Sample { cpu_share: -7.0, ..IDLE }), 0);
        assert_eq!(score(&Sample { cpu_share: f64::NAN, ..IDLE }), 1000);
        assert_eq!(score(&Sample { memory_total_bytes: 0, memory_free_bytes: 0, ..IDLE }), 1000);
        assert_eq!(score(&Sample { running: 9, slots: 0, ..IDLE }), 1000);
        assert_eq!(score(&Sample { memory_free_bytes: u64::MAX, ..IDLE }), 0);
    }

    #[test]
    fn more_load_never_scores_less() {
        for step in 0..100_u32 {
            let at = |step: u32| {
                score(&Sample {
                    cpu_share: f64::from(step) / 100.0,
                    memory_free_bytes: (1 << 30) / 100 * u64::from(100 - step),
                    ..IDLE
                })
            };
            assert!(at(step) <= at(step + 1), "{step}");
        }
    }

    #[test]
    fn smoothing_goes_most_of_the_way_in_its_time_and_never_beyond() {
        assert_eq!(smooth(0.0, 1000.0, Duration::ZERO), 0.0);
        assert!((smooth(0.0, 1000.0, SMOOTHING) - 632.0).abs() < 1.0);
        assert!((smooth(1000.0, 0.0, SMOOTHING) - 368.0).abs() < 1.0);
        assert!(smooth(0.0, 1000.0, Duration::from_secs(3600)) <= 1000.0);
    }

    #[test]
    fn how_often_it_is_sampled_does_not_change_where_smoothing_leads() {
        let once = smooth(100.0, 900.0, Duration::from_secs(4));
        let often = (0..40).fold(100.0, |before, _| smooth(before, 900.0, Duration::from_millis(100)));
        assert!((once - often).abs() < 1e-6);
    }

    #[test]
    fn this_machine_has_a_score_that_taken_slots_show_in() {
        let mut sampler = LoadSampler::new(2);
        assert_eq!(sampler.score(2), SCORE_MAX);
        assert!(sampler.score(0) <= SCORE_MAX);
        assert!(sampler.system.is_some_and(|system| system.total_memory() > 0));
    }
}
