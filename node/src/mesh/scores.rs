//! The node's points against peers, besides what gossipsub counts itself. Points fade by half every minute.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use libp2p::PeerId;

/// Points at which a peer is banned.
pub(super) const BAN_POINTS: f64 = 1000.0;
/// How long a ban lasts.
pub(super) const BAN_FOR: Duration = Duration::from_secs(600);
/// The most bans at once. Beyond it, the oldest ends.
pub(super) const BANS_MAX: usize = 4096;
/// The time in which points fade to half.
const HALF_LIFE: Duration = Duration::from_secs(60);
/// Points below this are forgotten.
const FORGOTTEN: f64 = 0.5;
/// The most peers with points. Beyond it, the one with the fewest is forgotten.
const PEERS_MAX: usize = 4096;

/// Points against peers.
#[derive(Default)]
pub(super) struct Scores {
    points: HashMap<PeerId, (f64, Instant)>,
}

fn faded(points: f64, since: Instant, now: Instant) -> f64 {
    points * 0.5f64.powf(now.saturating_duration_since(since).as_secs_f64() / HALF_LIFE.as_secs_f64())
}

impl Scores {
    /// Adds points and returns the sum.
    pub(super) fn add(&mut self, peer: PeerId, points: u32, now: Instant) -> f64 {
        if self.points.len() >= PEERS_MAX && !self.points.contains_key(&peer) {
            let least = self.points.iter().min_by(|a, b| a.1.0.total_cmp(&b.1.0)).map(|(peer, _)| *peer);
            if let Some(least) = least {
                self.points.remove(&least);
            }
        }
        let entry = self.points.entry(peer).or_insert((0.0, now));
        *entry = (faded(entry.0, entry.1, now) + f64::from(points), now);
        entry.0
    }

    /// A peer's points now.
    pub(super) fn of(&self, peer: &PeerId, now: Instant) -> f64 {
        self.points.get(peer).map_or(0.0, |(points, since)| faded(*points, *since, now))
    }

    /// Every peer with points. A peer whose points have faded to nothing is returned once more, with 0, and then
    /// forgotten.
    pub(super) fn fade(&mut self, now: Instant) -> Vec<(PeerId, f64)> {
        let mut all = Vec::with_capacity(self.points.len());
        self.points.retain(|peer, (points, since)| {
            let left = faded(*points, *since, now);
            let kept = left >= FORGOTTEN;
            all.push((*peer, if kept { left } else { 0.0 }));
            kept
        });
        all
    }

    /// Forgets a peer's points, because a ban wipes the slate.
    pub(super) fn forget(&mut self, peer: &PeerId) {
        self.points.remove(peer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_add_up_and_fade() {
        let (mut scores, peer, start) = (Scores::default(), PeerId::random(), Instant::now());
        assert_eq!(scores.add(peer, 60, start), 60.0);
        assert_eq!(scores.add(peer, 40, start), 100.0);
        assert!((scores.of(&peer, start + HALF_LIFE) - 50.0).abs() < 0.01);
        assert_eq!(scores.fade(start + HALF_LIFE * 20), [(peer, 0.0)]);
        assert_eq!(scores.fade(start + HALF_LIFE * 20), []);
    }
}
