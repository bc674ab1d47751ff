//! The mesh's events: three bounded queues behind one reader, so that a flood of gossip delays no vote.

use std::sync::Arc;

use meshwork_core::identity::PublicKey;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::{
    config::{GOSSIP_EVENT_BYTES_MAX, GOSSIP_EVENTS_MAX, MESSAGE_EVENT_BYTES_MAX, MESSAGE_EVENTS_MAX, MeshConfig},
    gossip::{GossipId, Topic},
    links::Links,
};

/// After this many direct messages in a row, waiting gossip has its turn.
const MESSAGES_IN_A_ROW: u32 = 64;

/// An event of the mesh.
#[derive(Debug)]
pub enum MeshEvent {
    /// A gossip message, to be judged with [`MeshHandle::judge`](super::MeshHandle::judge) exactly once. Its bytes
    /// arrive once, however many peers send them.
    Gossip {
        /// The topic.
        topic: Topic,
        /// The content, at most `gossip_bytes_max` long.
        bytes: Vec<u8>,
        /// The peer that passed it on, which need not be its author.
        from: PublicKey,
        /// The id by which to judge it.
        id: GossipId,
    },
    /// A direct message. Messages of one peer arrive in the order in which it sent them. Some may be lost, and after
    /// a broken connection some may arrive twice.
    Message {
        /// The sender.
        from: PublicKey,
        /// The content, at most `message_bytes_max` long.
        bytes: Vec<u8>,
    },
    /// A peer of this network is connected. Its first messages may arrive before this.
    Connected(PublicKey),
    /// A peer is no longer connected.
    Disconnected(PublicKey),
}

type Gossiped = (Topic, Vec<u8>, PublicKey, GossipId);
/// An event with its permit in the queue, which is returned once the event is taken.
type Queued<T> = (T, OwnedSemaphorePermit);

/// The reader of events: links first, then direct messages, then gossip.
pub struct MeshEvents {
    links: Arc<Links>,
    messages: mpsc::Receiver<Queued<(PublicKey, Vec<u8>)>>,
    gossip: mpsc::Receiver<Queued<Gossiped>>,
    /// Direct messages handed out since the last gossip.
    in_a_row: u32,
}

impl MeshEvents {
    /// The next event; `None` once the mesh has stopped. Dropping the future loses no event.
    pub async fn recv(&mut self) -> Option<MeshEvent> {
        loop {
            if let Some(event) = self.try_recv() {
                return Some(event);
            }
            tokio::select! {
                () = self.links.changed() => {}
                message = self.messages.recv() => return message.map(|message| self.message(message)),
                gossip = self.gossip.recv() => return gossip.map(|gossip| self.gossip(gossip)),
            }
        }
    }

    /// An event that is already there, if any. For taking many at once.
    pub fn try_recv(&mut self) -> Option<MeshEvent> {
        if let Some((key, connected)) = self.links.take() {
            return Some(if connected { MeshEvent::Connected(key) } else { MeshEvent::Disconnected(key) });
        }
        if self.in_a_row >= MESSAGES_IN_A_ROW {
            self.in_a_row = 0;
            if let Ok(gossip) = self.gossip.try_recv() {
                return Some(self.gossip(gossip));
            }
        }
        if let Ok(message) = self.messages.try_recv() {
            return Some(self.message(message));
        }
        self.gossip.try_recv().ok().map(|gossip| self.gossip(gossip))
    }

    fn message(&mut self, ((from, bytes), _permit): Queued<(PublicKey, Vec<u8>)>) -> MeshEvent {
        self.in_a_row += 1;
        MeshEvent::Message { from, bytes }
    }

    fn gossip(&mut self, ((topic, bytes, from, id), _permit): Queued<Gossiped>) -> MeshEvent {
        self.in_a_row = 0;
        MeshEvent::Gossip { topic, bytes, from, id }
    }
}

/// The writing end of direct messages, for the tasks that read them from peers.
#[derive(Clone)]
pub(super) struct MessageSink {
    queue: mpsc::Sender<Queued<(PublicKey, Vec<u8>)>>,
    permits: Arc<Semaphore>,
}

impl MessageSink {
    /// Waits for capacity; false once the reader is gone. Waiting tasks get capacity in turn, so that one peer's
    /// flood does not shut out the others.
    pub(super) async fn send(&self, from: PublicKey, bytes: Vec<u8>) -> bool {
        let Ok(permits) = self.permits.clone().acquire_many_owned(permits(bytes.len())).await else { return false };
        self.queue.send(((from, bytes), permits)).await.is_ok()
    }
}

/// The writing end of gossip, for the Swarm's task, which never waits.
pub(super) struct GossipSink {
    queue: mpsc::Sender<Queued<Gossiped>>,
    permits: Arc<Semaphore>,
}

impl GossipSink {
    /// Queues a gossip message; false if the queue is full.
    pub(super) fn try_send(&self, topic: Topic, bytes: Vec<u8>, from: PublicKey, id: GossipId) -> bool {
        let Ok(permits) = self.permits.clone().try_acquire_many_owned(permits(bytes.len())) else { return false };
        self.queue.try_send(((topic, bytes, from, id), permits)).is_ok()
    }
}

fn permits(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// Creates the three queues. Their bounds come from the constants and the largest single item.
pub(super) fn queues(config: &MeshConfig, links: Arc<Links>) -> (MessageSink, GossipSink, MeshEvents) {
    let (message_sender, messages) = mpsc::channel(MESSAGE_EVENTS_MAX);
    let (gossip_sender, gossip) = mpsc::channel(GOSSIP_EVENTS_MAX);
    let permits = |bytes: usize, largest: usize| Arc::new(Semaphore::new(bytes.max(largest)));
    let message_permits = permits(MESSAGE_EVENT_BYTES_MAX, config.message_bytes_max);
    let gossip_permits = permits(GOSSIP_EVENT_BYTES_MAX, config.gossip_bytes_max);
    (
        MessageSink { queue: message_sender, permits: message_permits },
        GossipSink { queue: gossip_sender, permits: gossip_permits },
        MeshEvents { links, messages, gossip, in_a_row: 0 },
    )
}
