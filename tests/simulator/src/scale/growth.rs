//! Series of runs, and how figures grow from one run to the next.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use serde::{Deserialize, Serialize};

use super::{Figures, Setup, run};

/// How long claims stand when only the number of authorities differs, in milliseconds.
const ALIKE_MS: u64 = 330_000;

/// Runs that differ in one thing.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Series {
    /// The difference, in a few words.
    pub name: String,
    /// The figures of each run, from small to large.
    pub figures: Vec<Figures>,
}

/// The power with which `y` grows with `x` between two points: 0 if it stays the same, 1 if it grows in
/// proportion. NaN where a point is 0.
#[must_use]
pub fn exponent(from: (f64, f64), to: (f64, f64)) -> f64 {
    (to.1 / from.1).ln() / (to.0 / from.0).ln()
}

/// Performs all runs, this many at a time, the largest first. The figures come in the order of the setups.
#[must_use]
pub fn run_all(setups: &[Setup], threads: usize, tell: impl Fn(&Figures) + Sync) -> Vec<Figures> {
    let mut order: Vec<usize> = (0..setups.len()).collect();
    order.sort_by_key(|place| std::cmp::Reverse(setups[*place].peers));
    let (next, done) = (AtomicUsize::new(0), Mutex::new(vec![None; setups.len()]));
    thread::scope(|scope| {
        for _ in 0..threads.clamp(1, setups.len().max(1)) {
            scope.spawn(|| {
                while let Some(place) = order.get(next.fetch_add(1, Ordering::Relaxed)).copied() {
                    let figures = run(&setups[place]);
                    tell(&figures);
                    done.lock().expect("no run has failed")[place] = Some(figures);
                }
            });
        }
    });
    done.into_inner().expect("no run has failed").into_iter().flatten().collect()
}

/// All series of the study, and their figures.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Study {
    /// Peers and authorities grow together.
    pub both: Series,
    /// Peers grow, with four authorities.
    pub peers: Series,
    /// Authorities grow, with a thousand peers.
    pub authorities: Series,
    /// The largest network of four authorities with each improvement.
    pub mends: Vec<Series>,
}

impl Study {
    /// Performs the study. `base` gives all settings that do not differ.
    #[must_use]
    pub fn run(base: &Setup, threads: usize, tell: impl Fn(&Figures) + Sync) -> Self {
        let of = |(peers, authorities): (usize, usize)| Setup { peers, authorities, ..base.clone() };
        let sizes = [
            // Together.
            (10, 4),
            (100, 7),
            (1_000, 13),
            (10_000, 31),
            // Peers alone.
            (100, 4),
            (1_000, 4),
            (10_000, 4),
        ];
        // Claims stand as long as the largest number of authorities requires, so that nothing else differs.
        let alike = |authorities| Setup { claim_stands_ms: ALIKE_MS, ..of((1_000, authorities)) };
        let most = of((10_000, 4));
        let few_connections = Setup { connections: 32, ..most.clone() };
        let long_claims = Setup { claim_stands_ms: 600_000, ..most.clone() };
        let all_of_it = Setup { connections: 32, ..long_claims.clone() };
        let mut setups: Vec<Setup> = sizes.into_iter().map(of).collect();
        setups.extend([4, 7, 13, 31].map(alike));
        setups.extend([few_connections, long_claims, all_of_it]);
        let all = run_all(&setups, threads, tell);
        let series = |name: &str, places: &[usize]| Series {
            name: name.into(),
            figures: places.iter().filter_map(|place| all.get(*place).cloned()).collect(),
        };
        Self {
            both: series("4 to 31 authorities", &[0, 1, 2, 3]),
            peers: series("4 authorities", &[0, 4, 5, 6]),
            authorities: series("1,000 peers", &[7, 8, 9, 10]),
            mends: vec![
                series("as it is", &[6]),
                series("32 connections a peer", &[11]),
                series("claims stand for ten minutes", &[12]),
                series("both", &[13]),
            ],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponents_tell_what_stays_from_what_grows() {
        assert!(exponent((10.0, 5.0), (1000.0, 5.0)).abs() < 1e-9);
        assert!((exponent((10.0, 5.0), (1000.0, 500.0)) - 1.0).abs() < 1e-9);
        assert!((exponent((10.0, 5.0), (100.0, 500.0)) - 2.0).abs() < 1e-9);
    }
}
