//! The handle by which the rest of the node uses the mesh.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use libp2p::{Multiaddr, PeerId, StreamProtocol, swarm::Stream};
use meshwork_core::{
    digest::Digest,
    identity::{NetworkId, PublicKey},
    types::AuthoritySet,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch},
    time::timeout,
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    config::OPEN_TIMEOUT,
    error::OpenError,
    gossip::{Acceptance, GossipId, Topic},
    links::Links,
    messages::Outbox,
    metrics::{Counters, MeshMetrics, one},
    peer::peer_id,
    protocols,
    streams::{Acceptors, Incoming, OpenRequest},
};

/// A request to the Swarm's task.
pub(super) enum Command {
    Publish { topic: Topic, bytes: Vec<u8>, permits: OwnedSemaphorePermit },
    Open(OpenRequest),
    Peers(oneshot::Sender<Vec<PeerInfo>>),
    Unreached(oneshot::Sender<Vec<Unreached>>),
    Provide(Digest),
    StopProviding(Digest),
    Providers { digest: Digest, found: mpsc::Sender<PublicKey> },
}

/// An authority, and the addresses at which it says it can be reached.
pub(super) type Reachable = (PeerId, Vec<Multiaddr>);

/// The node's judgement on messages and peers.
///
/// This queue needs no bound of its own. There are at most two for each message or stream that the Swarm's task handed
/// out, and the task takes them before it takes more.
#[derive(Debug)]
pub(super) enum Verdict {
    Judge(GossipId, Acceptance),
    Penalize(PublicKey, u32),
    /// The peer has been of use.
    Used(PublicKey),
    /// The peers to stay connected to from now on.
    Authorities(Vec<Reachable>),
}

/// A connected peer.
#[derive(Clone, Debug)]
pub struct PeerInfo {
    /// The peer's key.
    pub key: PublicKey,
    /// The remote addresses of its connections.
    pub addresses: Vec<Multiaddr>,
    /// The time since which it has been connected without a gap.
    pub connected_since: SystemTime,
    /// The software that it claims to be. This is a stranger's text.
    pub agent: String,
    /// The last measured round trip.
    pub round_trip: Option<Duration>,
    /// Its score. 0 is blameless; below about -240, its gossip is ignored, and it is banned if gossip is the reason.
    pub score: f64,
}

/// A peer that this one is to be connected to, and cannot reach.
#[derive(Clone, Debug)]
pub struct Unreached {
    /// Its key, if that is known.
    pub key: Option<PublicKey>,
    /// The address that was dialled, if one is known.
    pub address: Option<Multiaddr>,
    /// Why the last dial failed, in words for people.
    pub why: String,
    /// How many dials in a row failed.
    pub dials: u32,
}

/// Opens streams. Also for tasks that must not keep the mesh alive.
#[derive(Clone)]
pub(super) struct Opener {
    commands: mpsc::Sender<Command>,
    /// One permit for each stream that is being opened.
    permits: Arc<Semaphore>,
}

impl Opener {
    pub(super) fn new(commands: mpsc::Sender<Command>, opens_max: usize) -> Self {
        Self { commands, permits: Arc::new(Semaphore::new(opens_max)) }
    }

    pub(super) async fn open(
        &self,
        key: PublicKey,
        protocol: StreamProtocol,
        limit: Duration,
    ) -> Result<Stream, OpenError> {
        let _permit = self.permits.try_acquire().map_err(|_| OpenError::Busy)?;
        let (reply, answer) = oneshot::channel();
        let opened = async {
            let command = Command::Open(OpenRequest { key, protocol, reply });
            self.commands.send(command).await.map_err(|_| OpenError::Lost(key))?;
            answer.await.unwrap_or(Err(OpenError::Lost(key)))
        };
        timeout(limit, opened).await.unwrap_or(Err(OpenError::TimedOut(key)))
    }
}

/// What all handles share.
pub(super) struct Shared {
    pub(super) key: PublicKey,
    pub(super) network: NetworkId,
    pub(super) gossip_bytes_max: usize,
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) verdicts: mpsc::UnboundedSender<Verdict>,
    pub(super) publish_permits: Arc<Semaphore>,
    pub(super) opener: Opener,
    pub(super) outbox: Arc<Outbox>,
    pub(super) acceptors: Acceptors,
    pub(super) links: Arc<Links>,
    pub(super) listening: watch::Receiver<Vec<Multiaddr>>,
    pub(super) apart: watch::Receiver<Option<String>>,
    pub(super) twin: watch::Receiver<Option<String>>,
    pub(super) counters: Arc<Counters>,
    /// Dropping the last handle stops the mesh.
    pub(super) stop: CancellationToken,
    pub(super) _stop_guard: DropGuard,
    /// Closed once the Swarm is gone.
    pub(super) stopped: watch::Receiver<()>,
}

/// A handle to a running mesh. The mesh runs until the last handle is dropped or [`MeshHandle::stop`] is called.
#[derive(Clone)]
pub struct MeshHandle(pub(super) Arc<Shared>);

impl MeshHandle {
    /// This peer's key.
    #[must_use]
    pub fn key(&self) -> PublicKey {
        self.0.key
    }

    /// The network that this peer belongs to.
    #[must_use]
    pub fn network(&self) -> NetworkId {
        self.0.network
    }

    /// Gossips bytes, at most `gossip_bytes_max`.
    ///
    /// This never waits and promises nothing. A message is dropped and counted if the queue is full or no peer is
    /// there to send to, or if any peer gossiped the same bytes within the last minute.
    pub fn publish(&self, topic: Topic, bytes: Vec<u8>) {
        let queued = bytes.len() <= self.0.gossip_bytes_max
            && u32::try_from(bytes.len())
                .ok()
                .and_then(|permits| self.0.publish_permits.clone().try_acquire_many_owned(permits).ok())
                .is_some_and(|permits| self.0.commands.try_send(Command::Publish { topic, bytes, permits }).is_ok());
        if !queued {
            one(&self.0.counters.gossip_unpublished);
        }
    }

    /// Gives the verdict on a gossip message, once. Only an accepted message is passed on.
    ///
    /// The verdict should come within six seconds. After that the message has left gossipsub's memory, and is not
    /// passed on.
    pub fn judge(&self, id: GossipId, acceptance: Acceptance) {
        let _ = self.0.verdicts.send(Verdict::Judge(id, acceptance));
    }

    /// Queues a direct message, and connects first if need be.
    ///
    /// This never waits and promises nothing. A peer that is away for longer than ten seconds, or that takes messages
    /// too slowly, misses the oldest ones.
    pub fn send(&self, to: PublicKey, message: impl Into<Arc<[u8]>>) {
        self.0.outbox.send(to, message.into());
    }

    /// Adds points against a peer.
    ///
    /// Points are subtracted from the peer's score and fade by half each minute. At 1000 the peer is disconnected and
    /// banned for ten minutes, unless it is an authority. As a measure: 100 points are for what can only be malice or
    /// a broken program, 10 for what might be a difference of versions.
    pub fn penalize(&self, peer: PublicKey, points: u32) {
        let _ = self.0.verdicts.send(Verdict::Penalize(peer, points));
    }

    /// Says that a peer has been of use, so that its connection is kept before others.
    ///
    /// The mesh itself counts gossip that is accepted, direct messages, and streams that are served to the peer.
    pub fn commend(&self, peer: PublicKey) {
        let _ = self.0.verdicts.send(Verdict::Used(peer));
    }

    /// Changes which peers this one stays connected to. Connection limits do not count for them, and they are never
    /// banned.
    ///
    /// Invalid addresses and keys are skipped: they come from the ledger, and not from this peer's own configuration.
    pub fn set_authorities(&self, authorities: &AuthoritySet) {
        let reachable = authorities.authorities().iter().filter(|authority| authority.key != self.0.key);
        let reachable = reachable.filter_map(|authority| {
            let addresses = authority.addresses.iter().filter_map(|address| address.parse().ok());
            Some((peer_id(&authority.key)?, addresses.collect()))
        });
        let _ = self.0.verdicts.send(Verdict::Authorities(reachable.collect()));
    }

    /// The connected peers, in the order of their keys.
    pub async fn peers(&self) -> Vec<PeerInfo> {
        let (reply, answer) = oneshot::channel();
        if self.0.commands.send(Command::Peers(reply)).await.is_err() {
            return Vec::new();
        }
        answer.await.unwrap_or_default()
    }

    /// The peers that this one was told to be connected to and is not.
    pub async fn unreached(&self) -> Vec<Unreached> {
        let (reply, answer) = oneshot::channel();
        if self.0.commands.send(Command::Unreached(reply)).await.is_err() {
            return Vec::new();
        }
        answer.await.unwrap_or_default()
    }

    /// The keys of the connected peers, in order. Does not ask the Swarm's task.
    #[must_use]
    pub fn connected(&self) -> Vec<PublicKey> {
        self.0.links.connected()
    }

    /// Whether this peer is connected and of this network.
    #[must_use]
    pub fn is_connected(&self, peer: &PublicKey) -> bool {
        self.0.links.is_connected(peer)
    }

    /// The addresses on which this peer listens, each ending in `/p2p/<peer>`, so that another peer can use it as it
    /// is.
    #[must_use]
    pub fn listen_addresses(&self) -> Vec<Multiaddr> {
        self.0.listening.borrow().clone()
    }

    /// Why the last peer of this network with an incompatible protocol version could not be worked with; `None` if
    /// there was none.
    #[must_use]
    pub fn apart(&self) -> Option<String> {
        self.0.apart.borrow().clone()
    }

    /// That another process has this peer's own key, in a sentence; `None` if none was met lately.
    #[must_use]
    pub fn twin(&self) -> Option<String> {
        self.0.twin.borrow().clone()
    }

    /// Announces in the Kademlia table that this peer has a blob, and repeats that twice a day. A few announcements
    /// are made at a time, once a peer is connected.
    pub async fn provide(&self, digest: Digest) {
        let _ = self.0.commands.send(Command::Provide(digest)).await;
    }

    /// Stops announcing that this peer has a blob. Other peers forget it within two days.
    pub async fn stop_providing(&self, digest: Digest) {
        let _ = self.0.commands.send(Command::StopProviding(digest)).await;
    }

    /// Searches the Kademlia table for peers that have a blob.
    ///
    /// Each peer is sent once, as it is found, and this peer never. The channel closes when the search ends, within
    /// ten seconds. Dropping it ends the search.
    pub async fn providers(&self, digest: Digest) -> mpsc::Receiver<PublicKey> {
        let (found, receiver) = mpsc::channel(32);
        let _ = self.0.commands.send(Command::Providers { digest, found }).await;
        receiver
    }

    /// The name of a protocol of this network, for [`MeshHandle::accept`] and [`MeshHandle::open_stream`].
    #[must_use]
    pub fn protocol(&self, kind: &str) -> StreamProtocol {
        protocols::name(&self.0.network, kind)
    }

    /// Opens a stream to a peer, and connects first if need be.
    ///
    /// # Errors
    /// An [`OpenError`] within ten seconds.
    pub async fn open_stream(&self, to: PublicKey, protocol: StreamProtocol) -> Result<Stream, OpenError> {
        if peer_id(&to).is_none() {
            return Err(OpenError::NotAKey(to));
        }
        self.0.opener.open(to, protocol, OPEN_TIMEOUT).await
    }

    /// The incoming streams of a protocol; `None` if they are taken already.
    #[must_use]
    pub fn accept(&self, protocol: StreamProtocol) -> Option<Incoming> {
        self.0.acceptors.accept(protocol, self.0.verdicts.clone())
    }

    /// The counters' values now.
    #[must_use]
    pub fn metrics(&self) -> MeshMetrics {
        self.0.counters.snapshot()
    }

    /// Closes all connections and stops the mesh. Returns once it has stopped, within about a second.
    pub async fn stop(&self) {
        self.0.stop.cancel();
        // An error means that the sender is gone, which is what this waits for.
        let _ = self.0.stopped.clone().changed().await;
    }

    /// Cancelled when the mesh stops, for tasks that others run on it.
    #[must_use]
    pub fn stopping(&self) -> CancellationToken {
        self.0.stop.clone()
    }
}
