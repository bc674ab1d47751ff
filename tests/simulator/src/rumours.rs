//! The memory of gossip: which peers each message has reached. The same bytes reach a process once and are not
//! published twice, as long as gossip remembers them.

use std::collections::{BTreeMap, VecDeque};

use meshwork_core::digest::Digest;

/// How long gossip remembers a message, in microseconds.
const REMEMBERED_US: u64 = 60_000_000;

/// A message's number in the order of first publication.
pub type RumourId = u64;

#[derive(Default)]
struct Reached(Vec<u64>);

impl Reached {
    /// Whether the peer had not heard the message before.
    fn insert(&mut self, peer: usize) -> bool {
        let (word, bit) = (peer / 64, 1 << (peer % 64));
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        let new = self.0[word] & bit == 0;
        self.0[word] |= bit;
        new
    }

    fn remove(&mut self, peer: usize) {
        if let Some(word) = self.0.get_mut(peer / 64) {
            *word &= !(1 << (peer % 64));
        }
    }

    fn has(&self, peer: usize) -> bool {
        self.0.get(peer / 64).is_some_and(|word| word & 1 << (peer % 64) != 0)
    }
}

/// All that gossip remembers.
#[derive(Default)]
pub struct Rumours {
    ids: BTreeMap<Digest, RumourId>,
    reached: BTreeMap<RumourId, Reached>,
    born: VecDeque<(u64, RumourId, Digest)>,
    next: RumourId,
}

impl Rumours {
    /// A peer publishes a message. Nothing if it has published or heard it before, while gossip remembers that.
    pub fn publish(&mut self, from: usize, message: Digest, now_us: u64) -> Option<RumourId> {
        while let Some((born, id, digest)) = self.born.front().copied()
            && born + REMEMBERED_US < now_us
        {
            self.born.pop_front();
            self.ids.remove(&digest);
            self.reached.remove(&id);
        }
        let id = *self.ids.entry(message).or_insert_with(|| {
            self.next += 1;
            self.born.push_back((now_us, self.next, message));
            self.next
        });
        self.reached.entry(id).or_default().insert(from).then_some(id)
    }

    /// A message arrives at a peer. Whether it is the first time.
    pub fn reach(&mut self, id: RumourId, to: usize) -> bool {
        self.reached.get_mut(&id).is_some_and(|reached| reached.insert(to))
    }

    /// Whether a message has come to a peer.
    #[must_use]
    pub fn has_reached(&self, id: RumourId, peer: usize) -> bool {
        self.reached.get(&id).is_some_and(|reached| reached.has(peer))
    }

    /// A peer's process has ended, and has lost its memory.
    pub fn forget(&mut self, peer: usize) {
        for reached in self.reached.values_mut() {
            reached.remove(peer);
        }
    }
}
