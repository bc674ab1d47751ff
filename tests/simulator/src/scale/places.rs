//! The places of peers, and the delays between them.

use rand::RngExt;
use rand_pcg::Pcg64Mcg;

/// One-way delays between places in milliseconds, in the order of [`SHARES`]: about half of the round trips that
/// operators of world-wide clouds publish for their regions ("Azure network round-trip latency statistics" is one such
/// table).
const ONE_WAY_MS: [[u64; PLACES]; PLACES] = [
    [20, 42, 80, 98, 58, 100, 115],
    [42, 15, 115, 63, 92, 125, 80],
    [80, 115, 25, 62, 132, 54, 150],
    [98, 63, 62, 20, 150, 75, 130],
    [58, 92, 132, 150, 20, 150, 150],
    [100, 125, 54, 75, 150, 15, 150],
    [115, 80, 150, 130, 150, 150, 25],
];

/// How many peers of a hundred are in North America, Europe, East Asia, South Asia, South America, Oceania and
/// Africa.
const SHARES: [u64; PLACES] = [30, 30, 15, 8, 7, 5, 5];
const PLACES: usize = 7;

/// The delay that an ordinary peer's own line adds to each way, in microseconds.
const LAST_MILE_US: std::ops::RangeInclusive<u16> = 2_000..=10_000;
/// The same for an authority, which is in a data centre.
const DATA_CENTRE_US: u16 = 500;
/// The jitter: a message takes up to an eighth longer. This is the binary logarithm of that.
const JITTER_BITS: u32 = 3;

#[derive(Clone, Copy)]
struct Spot {
    place: u8,
    line_us: u16,
}

/// The place of every peer.
pub struct Places(Vec<Spot>);

impl Places {
    /// Draws a place for each peer. Authorities come first and are spread evenly over the shares.
    pub fn draw(authorities: usize, peers: usize, random: &mut Pcg64Mcg) -> Self {
        let at = |share: u64| {
            let mut below = 0;
            let found = SHARES.iter().position(|one| {
                below += one;
                share < below
            });
            found.unwrap_or(0) as u8
        };
        let spot = |peer: usize| {
            if peer < authorities {
                let share = (200 * peer + 100) / (2 * authorities);
                return Spot { place: at(share as u64), line_us: DATA_CENTRE_US };
            }
            Spot { place: at(random.random_range(0..100)), line_us: random.random_range(LAST_MILE_US) }
        };
        Self((0..peers).map(spot).collect())
    }

    /// How long one message takes from one peer to another, in microseconds.
    pub fn delay_us(&self, from: usize, to: usize, random: &mut Pcg64Mcg) -> u64 {
        let (from, to) = (self.0[from], self.0[to]);
        let way_us = ONE_WAY_MS[usize::from(from.place)][usize::from(to.place)] * 1000;
        let jitter_us = (u64::from(random.random::<u32>()) * way_us) >> (u32::BITS + JITTER_BITS);
        way_us + jitter_us + u64::from(from.line_us) + u64::from(to.line_us)
    }
}
