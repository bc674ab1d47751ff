//! Messages that wait to be written, in one bounded queue per peer.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use libp2p::StreamProtocol;
use meshwork_core::{frames, identity::PublicKey};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::writer::Writer;
use crate::mesh::{
    config::{MESSAGE_AGE_MAX, PEER_QUEUE_BYTES_MAX, PEER_QUEUE_MAX},
    handle::Opener,
    metrics::{Counters, add, one},
};

/// The queues of all peers. A first message creates a queue and its writer task. They end after a long time without
/// messages.
pub(in crate::mesh) struct Outbox {
    queues: Mutex<HashMap<PublicKey, Arc<Queue>>>,
    pub(super) opener: Opener,
    pub(super) protocol: StreamProtocol,
    pub(super) counters: Arc<Counters>,
    pub(super) stop: CancellationToken,
    message_bytes_max: usize,
}

impl Outbox {
    pub(in crate::mesh) fn new(
        opener: Opener,
        protocol: StreamProtocol,
        counters: Arc<Counters>,
        stop: CancellationToken,
        message_bytes_max: usize,
    ) -> Self {
        Self { queues: Mutex::default(), opener, protocol, counters, stop, message_bytes_max }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<PublicKey, Arc<Queue>>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a message. A full queue drops the oldest ones: the newest message matters most, and the receiver asks
    /// for what it missed.
    pub(in crate::mesh) fn send(self: &Arc<Self>, to: PublicKey, message: Arc<[u8]>) {
        if message.is_empty() || message.len() > self.message_bytes_max {
            tracing::error!(bytes = message.len(), "a direct message of this size cannot be sent");
            one(&self.counters.messages_dropped);
            return;
        }
        let mut queues = self.lock();
        let queue = queues.entry(to).or_insert_with(|| {
            let queue = Arc::new(Queue::default());
            tokio::spawn(Writer::new(to, queue.clone(), self.clone()).run());
            queue
        });
        let dropped = queue.push(message, PEER_QUEUE_BYTES_MAX.max(self.message_bytes_max));
        drop(queues);
        add(&self.counters.messages_dropped, dropped);
    }

    /// A peer is connected: its writer need not wait to try again.
    pub(in crate::mesh) fn connected(&self, to: &PublicKey) {
        if let Some(queue) = self.lock().get(to) {
            queue.connected.notify_one();
        }
    }

    /// Ends a queue if it is empty; otherwise returns false. The lock on all queues keeps a message from slipping in
    /// between.
    pub(super) fn end(&self, to: &PublicKey, queue: &Queue) -> bool {
        let mut queues = self.lock();
        let empty = queue.lock().messages.is_empty();
        if empty {
            queues.remove(to);
        }
        empty
    }
}

#[derive(Default)]
struct Waiting {
    messages: VecDeque<(Instant, Arc<[u8]>)>,
    bytes: usize,
}

/// Messages that are being written.
pub(super) struct Batch {
    /// The frames of the messages.
    pub(super) frames: Vec<u8>,
    pub(super) messages: usize,
    /// The messages' own bytes.
    pub(super) bytes: usize,
    /// When the newest message was queued.
    newest: Instant,
}

impl Batch {
    /// Whether all of its messages have waited too long.
    pub(super) fn is_expired(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.newest) >= MESSAGE_AGE_MAX
    }
}

/// The messages of one peer.
#[derive(Default)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    pub(super) filled: Notify,
    pub(super) connected: Notify,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a message, and returns how many were dropped for it.
    fn push(&self, message: Arc<[u8]>, bytes_max: usize) -> usize {
        let mut waiting = self.lock();
        waiting.bytes += message.len();
        waiting.messages.push_back((Instant::now(), message));
        let mut dropped = 0;
        while waiting.messages.len() > PEER_QUEUE_MAX || waiting.bytes > bytes_max {
            let Some((_, oldest)) = waiting.messages.pop_front() else { break };
            waiting.bytes -= oldest.len();
            dropped += 1;
        }
        drop(waiting);
        self.filled.notify_one();
        dropped
    }

    /// A batch of messages whose frames have `bytes` or more together, or of all messages; `None` if there are none.
    pub(super) fn take(&self, mut frames: Vec<u8>, bytes: usize) -> Option<Batch> {
        frames.clear();
        let mut waiting = self.lock();
        let (newest, _) = waiting.messages.front()?;
        let mut batch = Batch { newest: *newest, frames, messages: 0, bytes: 0 };
        while batch.frames.len() < bytes {
            let Some((since, message)) = waiting.messages.pop_front() else { break };
            waiting.bytes -= message.len();
            frames::append(&message, &mut batch.frames);
            batch.newest = since;
            batch.messages += 1;
            batch.bytes += message.len();
        }
        Some(batch)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().messages.is_empty()
    }

    /// Drops messages that have waited too long, and returns how many.
    pub(super) fn expire(&self, now: Instant) -> usize {
        let mut waiting = self.lock();
        let before = waiting.messages.len();
        while let Some((since, message)) = waiting.messages.front() {
            if now.saturating_duration_since(*since) < MESSAGE_AGE_MAX {
                break;
            }
            waiting.bytes -= message.len();
            waiting.messages.pop_front();
        }
        before - waiting.messages.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_drops_its_oldest() {
        let queue = Queue::default();
        for byte in 0..10u8 {
            queue.push(vec![byte; 10].into(), 50);
        }
        let batch = queue.take(Vec::new(), 1 << 20).unwrap();
        assert_eq!((batch.messages, batch.bytes, batch.frames.len(), batch.frames[4]), (5, 50, 70, 5));
        assert_eq!(queue.lock().bytes, 0);
        for _ in 0..PEER_QUEUE_MAX {
            assert_eq!(queue.push(vec![1].into(), 1 << 20), 0);
        }
        assert_eq!(queue.push(vec![1].into(), 1 << 20), 1);
    }

    #[test]
    fn what_has_waited_too_long_is_dropped() {
        let queue = Queue::default();
        queue.push(vec![1].into(), 50);
        assert_eq!(queue.expire(Instant::now()), 0);
        assert_eq!(queue.expire(Instant::now() + MESSAGE_AGE_MAX), 1);
        assert!(queue.is_empty());
    }
}
