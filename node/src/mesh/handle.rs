//! What the rest of the node holds of the mesh.

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

/// What the Swarm's task is asked to do.
pub(super) enum Command {
    Publish { topic: Topic, bytes: Vec<u8>, room: OwnedSemaphorePermit },
    Open(OpenRequest),
    Peers(oneshot::Sender<Vec<PeerInfo>>),
    Provide(Digest),
    StopProviding(Digest),
    Providers { digest: Digest, found: mpsc::Sender<PublicKey> },
}

/// An authority, and where it says that it can be reached.
pub(super) type Reachable = (PeerId, Vec<Multiaddr>);

/// What the node thinks of what came, and of whom. These wait without a bound of their own: there is at most one for each thing that
/// the Swarm's task handed out, and it takes them before it takes more.
pub(super) enum Verdict {
    Judge(GossipId, Acceptance),
    Penalize(PublicKey, u32),
    /// Who is to be connected to always, from now on.
    Authorities(Vec<Reachable>),
}

/// A connected peer.
#[derive(Clone, Debug)]
pub struct PeerInfo {
    /// Who.
    pub key: PublicKey,
    /// The far ends of its connections.
    pub addresses: Vec<Multiaddr>,
    /// Since when it has been connected without a gap.
    pub connected_since: SystemTime,
    /// The software that it says it is; a stranger's words.
    pub agent: String,
    /// The last measured round trip.
    pub round_trip: Option<Duration>,
    /// Its score: 0 is blameless, below about -240 its gossip is not listened to.
    pub score: f64,
}

/// The way to open streams; also for tasks that must not keep the mesh alive.
#[derive(Clone)]
pub(super) struct Opener {
    commands: mpsc::Sender<Command>,
    /// One permit for each stream that is being opened.
    room: Arc<Semaphore>,
}

impl Opener {
    pub(super) fn new(commands: mpsc::Sender<Command>, opens_max: usize) -> Self {
        Self { commands, room: Arc::new(Semaphore::new(opens_max)) }
    }

    pub(super) async fn open(
        &self,
        key: PublicKey,
        protocol: StreamProtocol,
        limit: Duration,
    ) -> Result<Stream, OpenError> {
        let _room = self.room.try_acquire().map_err(|_| OpenError::Busy)?;
        let (reply, answer) = oneshot::channel();
        let opened = async {
            let command = Command::Open(OpenRequest { key, protocol, reply });
            self.commands.send(command).await.map_err(|_| OpenError::Lost(key))?;
            answer.await.unwrap_or(Err(OpenError::Lost(key)))
        };
        timeout(limit, opened).await.unwrap_or(Err(OpenError::TimedOut(key)))
    }
}

/// Everything that handles share.
pub(super) struct Shared {
    pub(super) key: PublicKey,
    pub(super) network: NetworkId,
    pub(super) gossip_bytes_max: usize,
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) verdicts: mpsc::UnboundedSender<Verdict>,
    pub(super) publish_room: Arc<Semaphore>,
    pub(super) opener: Opener,
    pub(super) outbox: Arc<Outbox>,
    pub(super) acceptors: Acceptors,
    pub(super) links: Arc<Links>,
    pub(super) listening: watch::Receiver<Vec<Multiaddr>>,
    pub(super) apart: watch::Receiver<Option<String>>,
    pub(super) counters: Arc<Counters>,
    /// The last handle's end stops the mesh.
    pub(super) stop: CancellationToken,
    pub(super) _stop_guard: DropGuard,
    /// Closed once the Swarm is gone.
    pub(super) stopped: watch::Receiver<()>,
}

/// A mesh that is running. It runs until the last handle is dropped or [`MeshHandle::stop`] is called.
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

    /// Gossips bytes, at most `gossip_bytes_max`. It never waits and promises nothing: what finds no room or nobody to
    /// send to is counted and dropped, as are bytes that were gossiped within the last minute, by anyone.
    pub fn publish(&self, topic: Topic, bytes: Vec<u8>) {
        let queued = bytes.len() <= self.0.gossip_bytes_max
            && u32::try_from(bytes.len())
                .ok()
                .and_then(|permits| self.0.publish_room.clone().try_acquire_many_owned(permits).ok())
                .is_some_and(|room| self.0.commands.try_send(Command::Publish { topic, bytes, room }).is_ok());
        if !queued {
            one(&self.0.counters.gossip_unpublished);
        }
    }

    /// Gives the verdict on a gossip message, once; only an accepted one is passed on. It should come within six
    /// seconds: then the message leaves gossipsub's memory, and is passed on no more.
    pub fn judge(&self, id: GossipId, acceptance: Acceptance) {
        let _ = self.0.verdicts.send(Verdict::Judge(id, acceptance));
    }

    /// Queues a direct message, connecting first if need be. It never waits and promises nothing: a peer that is away for
    /// longer than ten seconds, or that takes messages too slowly, misses the oldest.
    pub fn send(&self, to: PublicKey, message: impl Into<Arc<[u8]>>) {
        self.0.outbox.send(to, message.into());
    }

    /// Holds points against a peer. They are subtracted from its score and fade by half each minute; at 1000 the peer is
    /// disconnected and shut out for ten minutes, unless it is an authority. As a measure: 100 for what can only be malice
    /// or a broken program, 10 for what might be a difference of versions.
    pub fn penalize(&self, peer: PublicKey, points: u32) {
        let _ = self.0.verdicts.send(Verdict::Penalize(peer, points));
    }

    /// Changes who is to be connected to always: connection limits do not count for them, and they are never banned. An
    /// address that is none is passed over, as is one who has no usable key: the ledger says who they are, not this
    /// peer's own configuration.
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

    /// The keys of the connected peers, in order, without asking the Swarm's task.
    #[must_use]
    pub fn connected(&self) -> Vec<PublicKey> {
        self.0.links.connected()
    }

    /// Whether this peer is connected and of this network.
    #[must_use]
    pub fn is_connected(&self, peer: &PublicKey) -> bool {
        self.0.links.is_connected(peer)
    }

    /// Where this peer listens, each address with `/p2p/<peer>` at its end, so that another can be told it as it is.
    #[must_use]
    pub fn listen_addresses(&self) -> Vec<Multiaddr> {
        self.0.listening.borrow().clone()
    }

    /// Why the last peer of this network that speaks other versions of the protocol could not be worked with, in words; nothing
    /// if there was none.
    #[must_use]
    pub fn apart(&self) -> Option<String> {
        self.0.apart.borrow().clone()
    }

    /// Announces in the Kademlia table that this peer has a blob; again by itself twice a day. Announcements are made a few
    /// at a time, once anyone is connected.
    pub async fn provide(&self, digest: Digest) {
        let _ = self.0.commands.send(Command::Provide(digest)).await;
    }

    /// Announces no more that this peer has a blob. Others forget it within two days.
    pub async fn stop_providing(&self, digest: Digest) {
        let _ = self.0.commands.send(Command::StopProviding(digest)).await;
    }

    /// Searches the Kademlia table for peers that have a blob: each is sent once, as it is found, this peer never. The
    /// channel ends when the search does (within ten seconds); dropping it ends the search.
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

    /// Opens a stream to a peer, connecting first if need be.
    ///
    /// # Errors
    /// An [`OpenError`] within ten seconds.
    pub async fn open_stream(&self, to: PublicKey, protocol: StreamProtocol) -> Result<Stream, OpenError> {
        if peer_id(&to).is_none() {
            return Err(OpenError::NotAKey(to));
        }
        self.0.opener.open(to, protocol, OPEN_TIMEOUT).await
    }

    /// Takes the streams of a protocol that others open; none if someone takes them already.
    #[must_use]
    pub fn accept(&self, protocol: StreamProtocol) -> Option<Incoming> {
        self.0.acceptors.accept(protocol)
    }

    /// The counters' values now.
    #[must_use]
    pub fn metrics(&self) -> MeshMetrics {
        self.0.counters.snapshot()
    }

    /// Ends all connections and stops the mesh; returns once it has stopped, within about a second.
    pub async fn stop(&self) {
        self.0.stop.cancel();
        // An error says that the sender is gone, which is what is waited for.
        let _ = self.0.stopped.clone().changed().await;
    }

    /// Ends when the mesh is to stop: for tasks that others run on it.
    #[must_use]
    pub fn stopping(&self) -> CancellationToken {
        self.0.stop.clone()
    }
}
