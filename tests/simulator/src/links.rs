//! The network between peers: how long a message takes, whether it comes at all, and how often.

use std::collections::{BTreeMap, BTreeSet};

use rand::RngExt;
use rand_pcg::Pcg64Mcg;
use serde::Serialize;

/// How far apart peers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Distance {
    /// A room: a tenth of a millisecond to two.
    Lan,
    /// Continents: 20 to 300 milliseconds, each pair at its own.
    Wan,
    /// Everyone behind a satellite: 500 to 700 milliseconds.
    Satellite,
    /// Every message takes just so many milliseconds.
    Even(u64),
}

/// What the links of a network do to messages, in thousandths where it is a share.
#[derive(Clone, Debug, Serialize)]
pub struct Weather {
    /// How far apart peers are.
    pub distance: Distance,
    /// Messages that never come.
    pub loss_permille: u32,
    /// Messages that come twice.
    pub twice_permille: u32,
    /// Messages of which a bit is flipped on the way.
    pub corrupt_permille: u32,
    /// Messages that take up to ten times as long, and are overtaken.
    pub late_permille: u32,
}

impl Weather {
    /// As good as it gets.
    #[must_use]
    pub const fn fair() -> Self {
        Self { distance: Distance::Lan, loss_permille: 0, twice_permille: 0, corrupt_permille: 0, late_permille: 0 }
    }
}

/// What is cut at a moment.
#[derive(Clone, Debug, Default)]
pub struct Cuts {
    /// Which side of a partition each peer is on. Those on different sides do not hear each other.
    pub side: Vec<u8>,
    /// Those who are not heard by others, though they hear them.
    pub mute: BTreeSet<usize>,
    /// Those whose messages, both ways, take so many times as long.
    pub slow: BTreeMap<usize, u32>,
    /// Those who are cut off and back in turn, each for so many microseconds.
    pub flapping: BTreeMap<usize, u64>,
}

impl Cuts {
    /// Whether what `from` says at this moment reaches `to`.
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

/// What becomes of one message.
pub enum Fate {
    /// It is lost.
    Lost,
    /// It comes after so many microseconds each, whole or not.
    Comes {
        /// One for each copy.
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
    // The same for both directions of a pair, and for as long as the network lives.
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
