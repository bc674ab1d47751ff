//! Gossip: how one message spreads through the mesh, when it arrives where, and what that costs each peer.
//!
//! A message's whole way is computed when it is published. Messages do not delay each other here: only the
//! copies of one message share a peer's line. The counted bytes tell how full the lines are in all.

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

use super::{
    graph::Graph,
    places::Places,
    setup::Setup,
    wire::{Sum, Way},
};

/// The time from the first copy of a message to passing it on, in microseconds: two threads, decoding and a
/// signature.
const JUDGE_US: u64 = 1_000;
/// Peers answer messages above this many bytes with IDONTWANT: gossipsub's `idontwant_message_size_threshold`.
const IDONTWANT_ABOVE_BYTES: usize = 1_000;
/// The capacity of an authority's line, in bytes a second: 1 Gbit/s.
pub const AUTHORITY_LINE: u64 = 125_000_000;
/// The upward capacity of an ordinary peer's line, in bytes a second: 50 Mbit/s.
pub const PEER_LINE: u64 = 6_250_000;

/// Peers to which a message arrives within this many microseconds of each other are handled in any order,
/// because no way is shorter.
const MOMENT_US: u64 = 1_024;

/// The state of a message at one peer.
#[derive(Clone, Copy)]
struct Copies {
    /// When the first copy arrives.
    comes_us: u64,
    /// From whom.
    from: u32,
    received: u16,
    sent: u16,
    /// The peer has passed it on.
    done: bool,
}

/// It has not arrived.
const NONE: Copies = Copies { comes_us: u64::MAX, from: u32::MAX, received: 0, sent: 0, done: false };

/// The peers, the links between them, and the traffic on these.
pub struct Mesh {
    places: Places,
    connections: Graph,
    topics: [Graph; Way::TOPICS],
    authorities: usize,
    flood_publish: bool,
    random: Pcg64Mcg,
    /// When the present message was published.
    began_us: u64,
    /// The state of the present message at each peer.
    copies: Vec<Copies>,
    /// The peers that are still to pass it on, by their arrival time, in units of `MOMENT_US` after its
    /// publication.
    moments: Vec<Vec<u32>>,
    /// When it arrived at each peer.
    comes_us: Vec<u64>,
    /// What each peer sent and received while counting was on.
    pub sums: Vec<Sum>,
    /// Gossip messages published while counting was on, by topic.
    pub published: [u64; Way::TOPICS],
    /// Whether traffic is counted.
    pub counting: bool,
}

impl Mesh {
    /// Draws places and links.
    #[must_use]
    pub fn draw(setup: &Setup) -> Self {
        let mut random = Pcg64Mcg::seed_from_u64(setup.seed ^ 0x6d65_7368);
        let peers = setup.peers;
        let places = Places::draw(setup.authorities, peers, &mut random);
        let connections = Graph::connections(setup.authorities, peers, setup.connections, &mut random);
        Self {
            places,
            topics: std::array::from_fn(|_| Graph::mesh(&connections, &mut random)),
            connections,
            authorities: setup.authorities,
            flood_publish: setup.flood_publish,
            random,
            began_us: 0,
            copies: vec![NONE; peers],
            moments: Vec::new(),
            comes_us: Vec::new(),
            sums: vec![Sum::default(); peers],
            published: [0; Way::TOPICS],
            counting: false,
        }
    }

    /// How many connections a peer has, and how many neighbours in a mesh, on average.
    #[must_use]
    pub fn degrees(&self) -> (f64, f64) {
        (self.connections.degree(), self.topics.iter().map(Graph::degree).sum::<f64>() / Way::TOPICS as f64)
    }

    /// How many connections and how many mesh neighbours (on average over topics) one peer has.
    #[must_use]
    pub fn degrees_of(&self, peer: usize) -> (f64, f64) {
        let mesh: usize = self.topics.iter().map(|topic| topic.of(peer).len()).sum();
        (self.connections.of(peer).len() as f64, mesh as f64 / Way::TOPICS as f64)
    }

    /// How long this many bytes take to leave a peer, in microseconds.
    const fn leaving_us(&self, peer: usize, wire_bytes: usize) -> u64 {
        let line = if peer < self.authorities { AUTHORITY_LINE } else { PEER_LINE };
        wire_bytes as u64 * 1_000_000 / line
    }

    /// Sends a direct message. Returns when it arrives.
    pub fn send(&mut self, from: usize, to: usize, bytes: usize, now_us: u64) -> u64 {
        let wire_bytes = Way::Direct.wire_bytes(bytes);
        if self.counting {
            self.sums[from].send(Way::Direct, wire_bytes, 1);
            self.sums[to].receive(Way::Direct, wire_bytes, 1);
        }
        now_us + self.leaving_us(from, wire_bytes) + self.places.delay_us(from, to, &mut self.random)
    }

    /// Publishes a message of this many encoded bytes. Returns when it arrives at each peer.
    pub fn publish(&mut self, way: Way, origin: usize, bytes: usize, now_us: u64) -> &[u64] {
        let wire_bytes = way.wire_bytes(bytes);
        let is_large = bytes > IDONTWANT_ABOVE_BYTES;
        self.copies.fill(NONE);
        self.copies[origin].comes_us = now_us;
        self.copies[origin].done = true;
        self.began_us = now_us;
        self.spread(way, origin, wire_bytes, is_large, true);
        let mut moment = 0;
        while moment < self.moments.len() {
            let mut peers = std::mem::take(&mut self.moments[moment]);
            for peer in peers.drain(..).map(|peer| peer as usize) {
                let copies = &mut self.copies[peer];
                let is_moment = (copies.comes_us - now_us) / MOMENT_US == moment as u64;
                if is_moment && !std::mem::replace(&mut copies.done, true) {
                    self.spread(way, peer, wire_bytes, is_large, false);
                }
            }
            // Its space is kept for the next message.
            self.moments[moment] = peers;
            moment += 1;
        }
        if self.counting {
            self.published[way as usize] += 1;
            self.count(way, wire_bytes, is_large);
        }
        self.comes_us.clear();
        self.comes_us.extend(self.copies.iter().map(|copies| copies.comes_us));
        &self.comes_us
    }

    fn count(&mut self, way: Way, wire_bytes: usize, is_large: bool) {
        for (sum, copies) in self.sums.iter_mut().zip(&self.copies) {
            sum.receive(way, wire_bytes, u64::from(copies.received));
            sum.send(way, wire_bytes, u64::from(copies.sent));
        }
        if is_large {
            // A peer that did not publish the message says IDONTWANT to its neighbours, except for the one that
            // it came from.
            for peer in (0..self.copies.len()).filter(|peer| self.copies[*peer].from != u32::MAX) {
                let from = self.copies[peer].from;
                for other in self.topics[way as usize].of(peer).iter().filter(|other| **other != from) {
                    self.sums[peer].idontwant_out += 1;
                    self.sums[*other as usize].idontwant_in += 1;
                }
            }
        }
    }

    /// One peer passes a message on, or publishes it.
    fn spread(&mut self, way: Way, peer: usize, wire_bytes: usize, is_large: bool, is_origin: bool) {
        let links = if is_origin && self.flood_publish { &self.connections } else { &self.topics[way as usize] };
        let links = links.of(peer);
        let one_us = self.leaving_us(peer, wire_bytes);
        let Copies { comes_us: at_us, from, .. } = self.copies[peer];
        let mut leaves_us = if is_origin { at_us } else { at_us + JUDGE_US };
        let said_after_us = if is_large { 0 } else { JUDGE_US };
        // A publisher serves its neighbours in random order.
        let first = if is_origin { self.random.random_range(0..links.len().max(1)) } else { 0 };
        let (behind, ahead) = links.split_at(first);
        let mut sent = 0;
        for other in ahead.iter().chain(behind).copied() {
            if other == from {
                continue;
            }
            let copies = &mut self.copies[other as usize];
            // The neighbour has said that it wants no copy, or has itself sent one, before this copy leaves.
            if !is_origin && copies.comes_us < leaves_us {
                let back_us = self.places.delay_us(other as usize, peer, &mut self.random);
                if copies.comes_us + said_after_us + back_us <= leaves_us {
                    continue;
                }
            }
            leaves_us += one_us;
            sent += 1;
            copies.received += 1;
            let comes_us = leaves_us + self.places.delay_us(peer, other as usize, &mut self.random);
            if comes_us < copies.comes_us {
                copies.comes_us = comes_us;
                copies.from = peer as u32;
                let moment = ((comes_us - self.began_us) / MOMENT_US) as usize;
                if self.moments.len() <= moment {
                    self.moments.resize_with(moment + 1, Vec::new);
                }
                self.moments[moment].push(other);
            }
        }
        self.copies[peer].sent = sent;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_comes_to_everyone_and_every_copy_is_counted() {
        for (peers, flood_publish) in [(10, true), (500, true), (500, false)] {
            let mut mesh = Mesh::draw(&Setup { flood_publish, connections: 64, ..Setup::of(peers, 4) });
            mesh.counting = true;
            let comes_us = mesh.publish(Way::Blocks, 3, 5_000, 1_000_000).to_vec();
            assert_eq!(comes_us[3], 1_000_000);
            let others = comes_us.iter().filter(|at| **at > 1_000_000 + 15_000).count();
            assert_eq!(others, peers - 1);
            assert!(comes_us.iter().all(|at| *at < 3_000_000), "{:?}", comes_us.iter().max());
            let (sent, received) = mesh
                .sums
                .iter()
                .fold((0, 0), |(sent, received), sum| (sent + sum.messages_out, received + sum.messages_in));
            assert_eq!(sent, received);
            assert!(sent >= peers as u64 - 1 && sent < 8 * peers as u64, "{sent}");
            let first_hop = mesh.sums[3].messages_out;
            assert!(
                if flood_publish { first_hop as usize >= 60.min(peers - 1) } else { first_hop <= 8 },
                "{first_hop}"
            );
        }
    }
}
