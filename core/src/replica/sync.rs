//! Catching up: final blocks are asked for by range, from one peer after the other, and believed only for the finalization
//! that comes with them.

use std::collections::{BTreeMap, BTreeSet};

use crate::{consensus::Monotonic, identity::PublicKey};

/// How long a peer has for its answer, in microseconds, before the next one is asked.
const ANSWER_US: u64 = 2_000_000;
/// The least time between two questions that only a suspicion gives rise to, in microseconds.
const SUSPECT_US: u64 = 200_000;
/// The least time between two answers to one peer, in microseconds.
const SERVE_US: u64 = 10_000;

/// Whom to ask for blocks, and whom to answer.
#[derive(Debug, Default)]
pub(super) struct Sync {
    peers: BTreeSet<PublicKey>,
    /// Who was asked, and until when an answer is waited for.
    asked: Option<(PublicKey, Monotonic)>,
    /// Who was asked last, so that everyone has a turn.
    last: Option<PublicKey>,
    served: BTreeMap<PublicKey, Monotonic>,
    /// When somebody was last asked for no more than a suspicion.
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

    /// Whom to ask now, if anyone: nobody while an answer is due.
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

    /// Whether to ask for what nobody has shown to be there: seldom, since anyone can say so.
    pub(super) fn may_suspect(&mut self, now: Monotonic) -> bool {
        let may = self.suspected.is_none_or(|last| last.0 + SUSPECT_US <= now.0) && !self.peers.is_empty();
        if may {
            self.suspected = Some(now);
        }
        may
    }

    /// Whether this peer owes an answer. It owes none afterwards.
    pub(super) fn answered(&mut self, peer: &PublicKey) -> bool {
        let owed = self.asked.is_some_and(|(asked, _)| asked == *peer);
        if owed {
            self.asked = None;
        }
        owed
    }

    /// A useful answer came: the same peer may go on.
    pub(super) fn keep(&mut self, peer: PublicKey) {
        let before = self.peers.range(..peer).next_back().or_else(|| self.peers.last());
        self.last = before.copied();
    }

    /// Whether this peer may be answered now.
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
