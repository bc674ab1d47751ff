//! Tells whether a quantity grows: fits a straight line through what a process used once it had settled.

use serde::Serialize;

use super::samples::{Sample, Taken};

/// A process has settled after this share of the run, when it holds as much as it ever will of what it keeps
/// for a while.
const SETTLED_AFTER: f64 = 0.4;

/// A growth below this share of the quantity counts as flat.
const SHARE_MAX: f64 = 0.15;

/// A quantity: its name, how to read it, how much it may grow however small it is, and whether it should be
/// flat.
type Quantity = (&'static str, fn(&Sample) -> f64, f64, bool);

const QUANTITIES: [Quantity; 4] = [
    ("memory, bytes", |sample| sample.used.memory_bytes as f64, 16_777_216.0, true),
    ("descriptors", |sample| sample.used.descriptors as f64, 12.0, true),
    ("threads", |sample| sample.used.threads as f64, 4.0, true),
    // What was stored is kept, so the disk grows with the work of the network.
    ("disk, bytes", |sample| sample.disk_bytes as f64, 0.0, false),
];

/// The trend of one quantity of one peer.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Trend {
    /// The quantity.
    pub quantity: &'static str,
    /// The peer's name.
    pub peer: String,
    /// The mean once the process had settled.
    pub mean: u64,
    /// How much the line rises from then on.
    pub growth: i64,
    /// Over how many minutes.
    pub minutes: u64,
    /// How much it would rise in an hour.
    pub growth_an_hour: i64,
    /// Whether the trend is flat, or need not be.
    pub is_flat: bool,
}

impl Trend {
    /// A line for people.
    #[must_use]
    pub(super) fn in_a_line(&self) -> String {
        let verdict = if self.is_flat { "" } else { "  GROWS" };
        format!(
            "{:<12} {:<15} mean {:>12}   {:>+12} an hour{verdict}",
            self.peer, self.quantity, self.mean, self.growth_an_hour
        )
    }
}

/// The trends of all quantities of the peers with these names.
#[must_use]
pub(super) fn of(taken: &Taken, names: &[&str]) -> Vec<Trend> {
    let from_s = taken.length_s * SETTLED_AFTER;
    let mut trends = Vec::new();
    for name in names {
        let settled = taken.samples.iter().filter(|sample| sample.peer == *name && sample.at_s >= from_s);
        for (quantity, value, spare, should_be_flat) in QUANTITIES {
            let points: Vec<(f64, f64)> = settled.clone().map(|sample| (sample.at_s, value(sample))).collect();
            let Some((mean, slope)) = line(&points) else { continue };
            let span_s = taken.length_s - from_s;
            let growth = slope * span_s;
            trends.push(Trend {
                quantity,
                peer: (*name).to_owned(),
                mean: mean.max(0.0) as u64,
                growth: growth as i64,
                minutes: (span_s / 60.0) as u64,
                growth_an_hour: (slope * 3600.0) as i64,
                is_flat: !should_be_flat || growth <= spare.max(mean * SHARE_MAX),
            });
        }
    }
    trends
}

/// The mean and the slope of the least-squares line through points.
fn line(points: &[(f64, f64)]) -> Option<(f64, f64)> {
    const POINTS_MIN: usize = 5;
    if points.len() < POINTS_MIN {
        return None;
    }
    let count = points.len() as f64;
    let (sum_x, sum_y) = points.iter().fold((0.0, 0.0), |(x, y), point| (x + point.0, y + point.1));
    let (mean_x, mean_y) = (sum_x / count, sum_y / count);
    let spread: f64 = points.iter().map(|point| (point.0 - mean_x).powi(2)).sum();
    let together: f64 = points.iter().map(|point| (point.0 - mean_x) * (point.1 - mean_y)).sum();
    (spread > 0.0).then(|| (mean_y, together / spread))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hosts::{Role, processes::Used};

    fn taken(descriptors: impl Fn(u64) -> u64) -> Taken {
        let sample = |at: u64| Sample {
            at_s: at as f64,
            peer: "a".into(),
            role: Role::Gateway,
            used: Used { memory_bytes: 50 << 20, descriptors: descriptors(at), threads: 9, began: 1 },
            disk_bytes: at * 1000,
        };
        Taken { samples: (0..600).step_by(5).map(sample).collect(), struck: Vec::new(), length_s: 600.0 }
    }

    #[test]
    fn what_grows_is_told_from_what_goes_up_and_down_and_from_what_settles() {
        let flat = |descriptors: fn(u64) -> u64| {
            let trends = of(&taken(descriptors), &["a"]);
            assert_eq!(trends.len(), QUANTITIES.len());
            trends.iter().filter(|trend| !trend.is_flat).map(|trend| trend.quantity).collect::<Vec<_>>()
        };
        assert!(flat(|at| 60 + at % 20).is_empty());
        assert!(flat(|at| 60 + at.min(200)).is_empty());
        assert_eq!(flat(|at| 60 + at / 5), ["descriptors"]);
    }
}
