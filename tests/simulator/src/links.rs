//! The network between peers: how long a message takes, and whether and how often it arrives.

use std::collections::{BTreeMap, BTreeSet};

use rand::RngExt;
use rand_pcg::Pcg64Mcg;
use serde::Serialize;

/// How far apart peers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Distance {
    /// A room: a tenth of a millisecond to two.
    Lan,
    /// Continents: 20 to 300 milliseconds, fixed for each pair.
    Wan,
    /// Everyone behind a satellite: 500 to 700 milliseconds.
    Satellite,
    /// Every message takes this many milliseconds.
    Even(u64),
}

/// What the links of a network do to messages. Shares are in thousandths.
#[derive(Clone, Debug, Serialize)]
pub struct Weather {
    /// How far apart peers are.
    pub distance: Distance,
    /// Messages that are lost.
    pub loss_permille: u32,
    /// Messages that arrive twice.
    pub twice_permille: u32,
    /// Messages with a flipped bit.
    pub corrupt_permille: u32,
    /// Messages that take up to ten times as long, so that later ones overtake them.
    pub late_permille: u32,
}

impl Weather {
    /// Fair links: nothing is lost, doubled, damaged or delayed.
    #[must_use]
    pub const fn fair() -> Self {
        Self { distance: Distance::Lan, loss_permille: 0, twice_permille: 0, corrupt_permille: 0, late_permille: 0 }
    }
}

/// The cuts at a moment.
#[derive(Clone, Debug, Default)]
pub struct Cuts {
    /// The side of a partition on which each peer is. Peers on different sides do not hear each other.
    pub side: Vec<u8>,
    /// Peers that others do not hear, though they hear the others.
    pub mute: BTreeSet<usize>,
    /// Peers whose messages, in both directions, take this many times as long.
    pub slow: BTreeMap<usize, u32>,
    /// Peers that are cut off and back in turn, for this many microseconds each.
    pub flapping: BTreeMap<usize, u64>,
}

impl Cuts {
    /// Whether a message that `from` sends at this moment reaches `to`.
    #[must_use]
    pub fn carries(&self, from: usize, to: usize, now_us: u64) -> bool {
        let side = |peer: usize| self.side.get(peer).copied().unwrap_or(0);
        let is_off = |peer: usize| self.flapping.get(&peer).is_some_and(|each| now_us / each % 2 == 1);
        side(from) == side(to) && !self.mute.contains(&from) && !is_off(from) && !is_off(to)
    }

    /// How many times as long a message takes.
    #[must_use]
    pub fn slowness(&self, from: usize, to: usize) -> u64 {
        let of = |peer: usize| self.slow.get(&peer).copied().unwrap_or(1);
        u64::from(of(from).max(of(to)))
    }
}

/// The fate of one message.
pub enum Fate {
    /// It is lost.
    Lost,
    /// It arrives after these many microseconds, whole or not.
    Comes {
        /// One delay for each copy.
        after_us: Vec<u64>,
        /// Whether a bit is flipped in the first copy.
        corrupt: bool,
    },
}

/// Draws the fate of a message between two peers.
pub fn fate(weather: &Weather, from: usize, to: usize, random: &mut Pcg64Mcg) -> Fate {
    let permille = |random: &mut Pcg64Mcg, share: u32| share > 0 && random.random_range(0..1000) < share;
    if permille(random, weather.loss_permille) {
        return Fate::Lost;
    }
    let mut after_us = vec![delay_us(weather, from, to, random)];
    if permille(random, weather.twice_permille) {
        after_us.push(delay_us(weather, from, to, random));
    }
    Fate::Comes { after_us, corrupt: permille(random, weather.corrupt_permille) }
}

fn delay_us(weather: &Weather, from: usize, to: usize, random: &mut Pcg64Mcg) -> u64 {
    // The same for both directions of a pair, throughout the run.
    let pair = (from.min(to) as u64) << 32 | from.max(to) as u64;
    let spread = pair.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    let base = match weather.distance {
        Distance::Lan => 100,
        Distance::Wan => 10_000 + spread % 140_000,
        Distance::Satellite => 500_000,
        Distance::Even(ms) => ms * 1000,
    };
    let jitter = match weather.distance {
        Distance::Lan => 1_900,
        Distance::Wan => base,
        Distance::Satellite => 200_000,
        Distance::Even(_) => 0,
    };
    let delay = base + random.random_range(0..=jitter);
    let late = weather.late_permille > 0 && random.random_range(0..1000) < weather.late_permille;
    if late { delay * random.random_range(2..=10) } else { delay }
}
