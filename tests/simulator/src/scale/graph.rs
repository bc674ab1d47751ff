//! The random graph of connections, and of mesh neighbours in each topic.

use rand::{RngExt, seq::SliceRandom};
use rand_pcg::Pcg64Mcg;

/// How many neighbours a peer seeks in each topic's mesh: `mesh_n` of `node/src/mesh/gossip.rs`.
const MESH: usize = 5;
/// How many neighbours it accepts when others ask: `mesh_n_high`.
const MESH_MAX: usize = 8;
/// How many refusals a peer takes before it is content with fewer neighbours.
const ASKS_MAX: usize = 100;

/// Undirected links, each stored at both of its ends.
pub struct Graph {
    starts: Vec<u32>,
    links: Vec<u32>,
}

impl Graph {
    fn of_lists(lists: &[Vec<u32>]) -> Self {
        let mut starts = vec![0];
        let mut links = Vec::with_capacity(lists.iter().map(Vec::len).sum());
        for list in lists {
            links.extend_from_slice(list);
            starts.push(links.len() as u32);
        }
        Self { starts, links }
    }

    /// Random connections of this many peers, about `most` for each. Connections are kept for an hour and
    /// Kademlia makes new ones every minute, so a peer that has been up for long is at its bound. The
    /// authorities, who come first, are all connected to each other.
    pub fn connections(authorities: usize, peers: usize, most: usize, random: &mut Pcg64Mcg) -> Self {
        let mut lists: Vec<Vec<u32>> = vec![Vec::new(); peers];
        if peers <= most + 1 {
            for (peer, list) in lists.iter_mut().enumerate() {
                list.extend((0..peers).filter(|other| *other != peer).map(|other| other as u32));
            }
        } else {
            for (authority, list) in lists.iter_mut().enumerate().take(authorities) {
                list.extend((0..authorities).filter(|other| *other != authority).map(|other| other as u32));
            }
            let mut ring: Vec<u32> = (0..peers as u32).collect();
            for _ in 0..most.div_ceil(2) {
                ring.shuffle(random);
                for (place, peer) in ring.iter().enumerate() {
                    let next = ring[(place + 1) % peers];
                    lists[*peer as usize].push(next);
                    lists[next as usize].push(*peer);
                }
            }
            for list in &mut lists {
                list.sort_unstable();
                list.dedup();
            }
        }
        for list in &mut lists {
            list.shuffle(random);
        }
        Self::of_lists(&lists)
    }

    /// A topic's mesh among connected peers. Each peer, in random order, asks others until it has `MESH`
    /// neighbours; a peer with `MESH_MAX` refuses.
    pub fn mesh(connections: &Self, random: &mut Pcg64Mcg) -> Self {
        let peers = connections.peers();
        let mut lists: Vec<Vec<u32>> = vec![Vec::new(); peers];
        let mut order: Vec<u32> = (0..peers as u32).collect();
        order.shuffle(random);
        for peer in order {
            let known = connections.of(peer as usize);
            for _ in 0..ASKS_MAX {
                if lists[peer as usize].len() >= MESH.min(known.len()) {
                    break;
                }
                let other = known[random.random_range(0..known.len())];
                if lists[other as usize].len() < MESH_MAX && !lists[peer as usize].contains(&other) {
                    lists[peer as usize].push(other);
                    lists[other as usize].push(peer);
                }
            }
        }
        Self::of_lists(&lists)
    }

    /// How many peers there are.
    pub const fn peers(&self) -> usize {
        self.starts.len() - 1
    }

    /// The peers that a peer is linked to.
    pub fn of(&self, peer: usize) -> &[u32] {
        &self.links[self.starts[peer] as usize..self.starts[peer + 1] as usize]
    }

    /// How many links a peer has on average.
    pub fn degree(&self) -> f64 {
        self.links.len() as f64 / self.peers() as f64
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn every_peer_has_as_many_neighbours_as_the_mesh_allows() {
        let mut random = Pcg64Mcg::seed_from_u64(1);
        for (peers, most) in [(10, 384), (100, 384), (1000, 32)] {
            let connections = Graph::connections(4, peers, most, &mut random);
            let mesh = Graph::mesh(&connections, &mut random);
            for peer in 0..peers {
                assert!((1..=MESH_MAX).contains(&mesh.of(peer).len()), "{:?}", mesh.of(peer));
                assert!(mesh.of(peer).iter().all(|other| mesh.of(*other as usize).contains(&(peer as u32))));
                assert!(connections.of(peer).len() >= most.min(peers - 1) - 8);
            }
            assert!((MESH as f64 - 1.0..=MESH_MAX as f64).contains(&mesh.degree()), "{}", mesh.degree());
        }
    }
}
