//! Whether something grows: a straight line through what a process used, once it had settled.

use serde::Serialize;

use super::samples::{Sample, Taken};

/// A process has settled after this share of the run: what it keeps for a while is then as much as it will be.
const SETTLED_AFTER: f64 = 0.4;

/// What grows by less than this share of itself is flat.
const SHARE_MAX: f64 = 0.15;

/// A quantity: what it is called, how it is read, how much it may grow however small it is, and whether it should be flat.
type Quantity = (&'static str, fn(&Sample) -> f64, f64, bool);

const QUANTITIES: [Quantity; 4] = [
    ("memory, bytes", |sample| sample.used.memory_bytes as f64, 16_777_216.0, true),
    ("descriptors", |sample| sample.used.descriptors as f64, 12.0, true),
    ("threads", |sample| sample.used.threads as f64, 4.0, true),
    // What was stored is kept, so this grows with what the network did.
    ("disk, bytes", |sample| sample.disk_bytes as f64, 0.0, false),
];

/// How one quantity of one peer went.
#[derive(Clone, Debug, Serialize)]
pub struct Trend {
    /// What.
    pub quantity: &'static str,
    /// Whose.
    pub peer: String,
    /// Its mean once the process had settled.
    pub mean: u64,
    /// By how much the line through it rose since then.
    pub growth: i64,
    /// In how many minutes that was.
    pub minutes: u64,
    /// By how much it would in an hour.
    pub growth_an_hour: i64,
    /// Whether that is flat, or need not be.
    pub is_flat: bool,
}

impl Trend {
    /// For people.
    #[must_use]
    pub fn in_a_line(&self) -> String {
        let verdict = if self.is_flat { "" } else { "  GROWS" };
        format!(
            "{:<12} {:<15} mean {:>12}   {:>+12} an hour{verdict}",
            self.peer, self.quantity, self.mean, self.growth_an_hour
        )
    }
}

/// How everything went with those of some names.
#[must_use]
pub fn of(taken: &Taken, names: &[&str]) -> Vec<Trend> {
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

/// The mean and the slope of the straight line through points that is nearest to them.
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
