//! The time axis of a picture.

use meshwork_api::TimelineView;

/// An axis has fewer ticks than this.
const TICKS_MAX: u64 = 10;

/// Maps times to positions in the picture.
pub(super) struct Scale {
    pub(super) start_us: u64,
    pub(super) length_us: u64,
}

impl Scale {
    pub(super) fn of(timeline: &TimelineView) -> Self {
        let start_us = timeline.submitted.0;
        let end_us = timeline.ended.unwrap_or(timeline.time).0;
        Self { start_us, length_us: end_us.saturating_sub(start_us).max(1000) }
    }

    /// How far along the axis a time is, as a share of the axis' length.
    pub(super) fn share(&self, time_us: u64) -> f64 {
        let since = time_us.saturating_sub(self.start_us).min(self.length_us);
        since as f64 / self.length_us as f64
    }

    /// The smallest of the usual steps that gives few ticks, in milliseconds.
    pub(super) fn step_ms(&self) -> u64 {
        const SECOND: u64 = 1000;
        const MINUTE: u64 = 60 * SECOND;
        const HOUR: u64 = 60 * MINUTE;
        const DAY: u64 = 24 * HOUR;
        let steps = [1, 2, 5, 10, 20, 50, 100, 200, 500].into_iter();
        let steps = steps.chain([1, 2, 5, 10, 15, 30].map(|seconds| seconds * SECOND));
        let steps = steps.chain([1, 2, 5, 10, 15, 30].map(|minutes| minutes * MINUTE));
        let mut steps =
            steps.chain([1, 2, 3, 6, 12].map(|hours| hours * HOUR)).chain([1, 2, 7, 14, 28].map(|d| d * DAY));
        let length_ms = self.length_us / 1000;
        steps.find(|step| length_ms / step < TICKS_MAX).unwrap_or(length_ms / TICKS_MAX + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    #[test]
    fn an_axis_has_few_ticks_at_round_times() {
        for (length_us, step_ms) in [(1, 1), (9_999_000, 1000), (20 * SECOND, 5_000), (3_600 * SECOND, 600_000)] {
            let scale = Scale { start_us: 5, length_us };
            assert_eq!(scale.step_ms(), step_ms, "{length_us}");
        }
        let years = Scale { start_us: 0, length_us: u64::MAX };
        assert!(years.length_us / 1000 / years.step_ms() <= TICKS_MAX);
    }
}
