//! Turns at a service: bounded in all, and for each peer, so that no peer can take them all.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use meshwork_core::identity::PublicKey;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// The turns of one service.
pub(super) struct Turns {
    all: Arc<Semaphore>,
    /// Those of the peers that have a turn or wait for one.
    peers: Mutex<HashMap<PublicKey, Arc<Semaphore>>>,
    peer_turns_max: usize,
}

/// A turn, which ends when this is dropped.
pub(super) struct Turn {
    _own: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

impl Turns {
    /// `turns_max` turns, of which one peer may have `peer_turns_max`.
    pub(super) fn new(turns_max: usize, peer_turns_max: usize) -> Self {
        Self { all: Arc::new(Semaphore::new(turns_max)), peers: Mutex::default(), peer_turns_max }
    }

    /// Waits for a turn of this peer's; `None` if none comes within `wait`.
    pub(super) async fn take(&self, peer: PublicKey, wait: Duration) -> Option<Turn> {
        let own = self.turns_of(peer);
        let turn = async {
            // The peer's own first: while it waits for those, it takes nothing from others.
            let own = own.acquire_owned().await.ok()?;
            let of_all = Arc::clone(&self.all).acquire_owned().await.ok()?;
            Some(Turn { _own: own, _of_all: of_all })
        };
        timeout(wait, turn).await.ok()?
    }

    fn turns_of(&self, peer: PublicKey) -> Arc<Semaphore> {
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        peers.retain(|_, turns| Arc::strong_count(turns) > 1);
        Arc::clone(peers.entry(peer).or_insert_with(|| Arc::new(Semaphore::new(self.peer_turns_max))))
    }
}

#[cfg(test)]
mod tests {
    use meshwork_core::identity::SecretKey;

    use super::*;

    #[tokio::test]
    async fn one_peer_cannot_take_all_turns_and_what_it_gives_back_is_taken_again() {
        let turns = Turns::new(3, 2);
        let [greedy, other] = [1, 2].map(|seed| SecretKey::from_seed([seed; 32]).public());
        let wait = Duration::from_millis(20);
        let taken = [turns.take(greedy, wait).await, turns.take(greedy, wait).await];
        assert!(taken.iter().all(Option::is_some) && turns.take(greedy, wait).await.is_none());
        let of_other = turns.take(other, wait).await;
        assert!(of_other.is_some() && turns.take(other, wait).await.is_none(), "all three are taken");
        drop(taken);
        assert!(turns.take(greedy, wait).await.is_some());
        drop(of_other);
        turns.turns_of(greedy);
        assert_eq!(turns.peers.lock().unwrap().len(), 1, "who has no turn is forgotten");
    }
}
