//! The connected peers, and the changes that the reader of events has not seen yet.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use meshwork_core::identity::PublicKey;
use tokio::sync::Notify;

#[derive(Default)]
struct State {
    connected: BTreeSet<PublicKey>,
    /// At most one change per peer, because a change and its opposite cancel each other. So the number of connections
    /// bounds the queue, however long nothing reads it.
    unseen: VecDeque<(PublicKey, bool)>,
}

/// The connected peers, shared by the Swarm's task, the handles and the reader of events.
#[derive(Default)]
pub(super) struct Links {
    state: Mutex<State>,
    changed: Notify,
}

impl Links {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records that a peer is connected, or no longer is.
    pub(super) fn set(&self, key: PublicKey, connected: bool) {
        let mut state = self.lock();
        let news = if connected { state.connected.insert(key) } else { state.connected.remove(&key) };
        if !news {
            return;
        }
        match state.unseen.iter().position(|(unseen, _)| *unseen == key) {
            Some(place) => {
                state.unseen.remove(place);
            }
            None => state.unseen.push_back((key, connected)),
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Takes the oldest unseen change.
    pub(super) fn take(&self) -> Option<(PublicKey, bool)> {
        self.lock().unseen.pop_front()
    }

    /// Waits until there may be a change to take.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    pub(super) fn is_connected(&self, key: &PublicKey) -> bool {
        self.lock().connected.contains(key)
    }

    pub(super) fn connected(&self) -> Vec<PublicKey> {
        self.lock().connected.iter().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_that_nobody_saw_cancel_each_other() {
        let (links, a, b) = (Links::default(), PublicKey([1; 32]), PublicKey([2; 32]));
        links.set(a, true);
        links.set(a, true);
        links.set(b, true);
        links.set(b, false);
        assert_eq!(links.take(), Some((a, true)));
        assert_eq!(links.take(), None);
        links.set(a, false);
        assert_eq!(links.take(), Some((a, false)));
        assert!(links.connected().is_empty());
    }
}
