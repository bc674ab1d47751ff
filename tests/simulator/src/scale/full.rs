//! A peer that is run in full: the replica, its waiting inputs, and a delay for its disk.

use std::{collections::VecDeque, sync::Arc};

use meshwork_core::{
    consensus::{Monotonic, Now, VotingStatus},
    identity::PublicKey,
    replica::{Action, Config, Gossip, Message, Recovered, Replica},
    types::{BlockTime, Genesis},
};

use crate::scenario::{START_US, Scenario};

/// How long a sync of the disk takes, in microseconds.
pub const SYNC_US: u64 = 3_000;

/// An input of the peer.
pub enum Parcel {
    /// By gossip.
    Gossip(Arc<Gossip>),
    /// Directly, from a peer.
    Message(PublicKey, Arc<Message>),
    /// A peer can be reached.
    Connected(PublicKey),
    /// Time has passed.
    Wake,
}

/// The result of a step.
pub enum Follows {
    /// Carry out these actions now.
    Now(Vec<Action>),
    /// Wait for the disk to sync first.
    Sync,
}

/// A peer that is run in full.
pub struct Full {
    /// Its key.
    pub public: PublicKey,
    /// The replica.
    pub replica: Replica,
    inbox: VecDeque<Parcel>,
    syncing: Option<Vec<Action>>,
    wakes_at_us: Option<u64>,
}

/// The time on everyone's clocks at a moment of the run. All clocks are right here.
#[must_use]
pub const fn clocks(now_us: u64) -> Now {
    Now { monotonic: Monotonic(now_us), clock: BlockTime(START_US + now_us) }
}

impl Full {
    /// The peer of this number, with nothing stored.
    #[must_use]
    pub fn new(peer: usize, genesis: &Arc<Genesis>) -> Self {
        let key = Scenario::key(peer);
        let public = key.public();
        let config = Config { genesis: Arc::clone(genesis), key };
        let replica = Replica::new(config, Recovered::nothing(VotingStatus::Voting)).expect("nothing is stored yet");
        Self { public, replica, inbox: VecDeque::new(), syncing: None, wakes_at_us: None }
    }

    /// An input arrives.
    pub fn put(&mut self, parcel: Parcel, now_us: u64) {
        if matches!(parcel, Parcel::Wake) && self.wakes_at_us.is_some_and(|at| at <= now_us) {
            self.wakes_at_us = None;
        }
        self.inbox.push_back(parcel);
    }

    /// Handles the next waiting input. Nothing if the disk is busy or nothing waits.
    pub fn step(&mut self, now_us: u64) -> Option<Follows> {
        if self.syncing.is_some() {
            return None;
        }
        let parcel = self.inbox.pop_front()?;
        let (now, mut actions) = (clocks(now_us), Vec::new());
        match parcel {
            Parcel::Gossip(gossip) => {
                self.replica.gossip(now, Gossip::clone(&gossip), &mut actions);
            }
            Parcel::Message(from, message) => {
                self.replica.message(now, from, Message::clone(&message), &mut actions);
            }
            Parcel::Connected(peer) => self.replica.connected(now, peer, &mut actions),
            Parcel::Wake => {
                if self.replica.next_wake(now).is_some_and(|at| at <= now.monotonic) {
                    self.replica.tick(now, &mut actions);
                }
            }
        }
        if actions.iter().any(|action| matches!(action, Action::Persist(_))) {
            self.syncing = Some(actions);
            return Some(Follows::Sync);
        }
        Some(Follows::Now(actions))
    }

    /// The disk has synced. Returns the actions to carry out.
    pub fn synced(&mut self) -> Vec<Action> {
        self.syncing.take().unwrap_or_default()
    }

    /// When to wake the peer, if that is not scheduled already.
    pub fn wake_at(&mut self, now_us: u64) -> Option<u64> {
        if self.syncing.is_some() {
            return None;
        }
        let Monotonic(due_us) = self.replica.next_wake(clocks(now_us))?;
        let at_us = due_us.max(now_us + 1);
        if self.wakes_at_us.is_some_and(|posted| posted <= at_us) {
            return None;
        }
        self.wakes_at_us = Some(at_us);
        Some(at_us)
    }
}
