//! Catching up: a peer that is behind asks for final blocks by range, from one peer after the other. It
//! believes only the finalization that comes with them.

use std::collections::{BTreeMap, BTreeSet};

use crate::{consensus::Monotonic, identity::PublicKey};

/// How long a peer has for its answer, in microseconds, before the next one is asked.
const ANSWER_US: u64 = 2_000_000;
/// The least time between two asks that only a suspicion causes, in microseconds.
const SUSPECT_US: u64 = 200_000;
/// The least time between two answers to one peer, in microseconds.
const SERVE_US: u64 = 10_000;

/// The peer to ask for blocks, and the peers to answer.
#[derive(Debug, Default)]
pub(super) struct Sync {
    peers: BTreeSet<PublicKey>,
    /// The peer that was asked, and until when this one waits for the answer.
    asked: Option<(PublicKey, Monotonic)>,
    /// The peer that was asked last, so that each has its turn.
    last: Option<PublicKey>,
    served: BTreeMap<PublicKey, Monotonic>,
    /// When a peer was last asked on a suspicion alone.
    suspected: Option<Monotonic>,
}

impl Sync {
    pub(super) fn connected(&mut self, peer: PublicKey) {
        self.peers.insert(peer);
    }

    pub(super) fn disconnected(&mut self, peer: &PublicKey) {
        self.peers.remove(peer);
        self.served.remove(peer);
        if self.asked.is_some_and(|(asked, _)| asked == *peer) {
            self.asked = None;
        }
    }

    /// The peer to ask now; `None` while an answer is due.
    pub(super) fn ask(&mut self, now: Monotonic) -> Option<PublicKey> {
        if self.asked.is_some_and(|(_, until)| now < until) {
            return None;
        }
        let after = self
            .last
            .and_then(|last| self.peers.range((std::ops::Bound::Excluded(last), std::ops::Bound::Unbounded)).next());
        let peer = *after.or_else(|| self.peers.first())?;
        self.last = Some(peer);
        self.asked = Some((peer, Monotonic(now.0 + ANSWER_US)));
        Some(peer)
    }

    /// Whether to ask on a suspicion alone. Seldom, since anyone can cause one.
    pub(super) fn may_suspect(&mut self, now: Monotonic) -> bool {
        let may = self.suspected.is_none_or(|last| last.0 + SUSPECT_US <= now.0) && !self.peers.is_empty();
        if may {
            self.suspected = Some(now);
        }
        may
    }

    /// Whether this peer owes an answer. Afterwards it owes none.
    pub(super) fn answered(&mut self, peer: &PublicKey) -> bool {
        let owed = self.asked.is_some_and(|(asked, _)| asked == *peer);
        if owed {
            self.asked = None;
        }
        owed
    }

    /// Lets a peer that gave a useful answer go on.
    pub(super) fn keep(&mut self, peer: PublicKey) {
        let before = self.peers.range(..peer).next_back().or_else(|| self.peers.last());
        self.last = before.copied();
    }

    /// Whether to answer this peer now.
    pub(super) fn may_serve(&mut self, peer: PublicKey, now: Monotonic) -> bool {
        let due = self.served.get(&peer).is_none_or(|last| last.0 + SERVE_US <= now.0);
        if due && self.peers.contains(&peer) {
            self.served.insert(peer, now);
        }
        due
    }

    /// When an answer is overdue.
    pub(super) fn next_wake(&self) -> Option<Monotonic> {
        self.asked.map(|(_, until)| until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: PublicKey = PublicKey([1; 32]);
    const B: PublicKey = PublicKey([2; 32]);

    #[test]
    fn every_peer_has_its_turn_and_a_useful_one_goes_on() {
        let mut sync = Sync::default();
        assert_eq!(sync.ask(Monotonic(0)), None);
        sync.connected(A);
        sync.connected(B);
        assert_eq!(sync.ask(Monotonic(0)), Some(A));
        assert_eq!(sync.ask(Monotonic(1)), None, "an answer is due");
        assert_eq!(sync.ask(Monotonic(ANSWER_US)), Some(B), "it is overdue");
        assert!(!sync.answered(&A) && sync.answered(&B));
        sync.keep(B);
        assert_eq!(sync.ask(Monotonic(ANSWER_US)), Some(B));
        sync.disconnected(&B);
        assert_eq!(sync.ask(Monotonic(ANSWER_US)), Some(A));
    }

    #[test]
    fn nobody_is_answered_too_often() {
        let mut sync = Sync::default();
        sync.connected(A);
        assert!(sync.may_serve(A, Monotonic(0)));
        assert!(!sync.may_serve(A, Monotonic(SERVE_US - 1)));
        assert!(sync.may_serve(A, Monotonic(SERVE_US)));
    }
}
