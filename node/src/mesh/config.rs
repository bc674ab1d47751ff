//! What a mesh is told at its start, and the bounds of everything that it keeps.

use std::time::Duration;

use libp2p::Multiaddr;
use meshwork_core::identity::{NetworkId, PublicKey, SecretKey};

use super::protocols::Versions;

/// How a mesh is to be. Begin with [`MeshConfig::new`] and change what differs.
#[derive(Clone, Debug)]
pub struct MeshConfig {
    /// Who this peer is.
    pub key: SecretKey,
    /// Which network it belongs to.
    pub network: NetworkId,
    /// Which versions of the protocol it speaks.
    pub versions: Versions,
    /// Where it listens: TCP (`/ip4/0.0.0.0/tcp/4100`), QUIC (`/ip4/0.0.0.0/udp/4100/quic-v1`), or both. Port 0 is any.
    pub listen: Vec<Multiaddr>,
    /// Addresses at which others reach it besides, if it cannot know them itself (a published port of a container).
    pub external: Vec<Multiaddr>,
    /// Whom to join by. An address may end in `/p2p/<peer>`, and names (`/dns4/…`) are looked up at each attempt. Each is
    /// dialled again, for ever, whenever nobody there is connected.
    pub peers: Vec<Multiaddr>,
    /// Peers to be connected to always. Connection limits do not count for them, and they are never banned.
    pub authorities: Vec<PublicKey>,
    /// Whether to look for peers on the local network by multicast DNS.
    pub mdns: bool,
    /// The most bytes of a gossiped message.
    pub gossip_bytes_max: usize,
    /// The most bytes of a direct message.
    pub message_bytes_max: usize,
    /// The most connections at once, not counting those to authorities. At most three quarters of them may come from
    /// others, so that nobody can fill them all from outside.
    pub connections_max: u32,
    /// The most connections to one peer: two peers that dial each other at the same moment have two.
    pub peer_connections_max: u32,
    /// With fewer peers than this, more are looked for.
    pub peers_wanted: usize,
    /// How long a connection that carries nothing is kept. Long on purpose: gossip is sent to whoever is connected, a
    /// worker behind a router can only be reached over the connection that it made itself, and a vote must not wait for
    /// a handshake. What bounds the number of connections is `connections_max`.
    pub idle: Duration,
}

impl MeshConfig {
    /// A mesh that listens nowhere and knows nobody, with the usual bounds.
    #[must_use]
    pub fn new(key: SecretKey, network: NetworkId) -> Self {
        Self {
            key,
            network,
            versions: Versions::OWN,
            listen: Vec::new(),
            external: Vec::new(),
            peers: Vec::new(),
            authorities: Vec::new(),
            mdns: false,
            gossip_bytes_max: 9 << 20,
            message_bytes_max: 16 << 20,
            connections_max: 384,
            peer_connections_max: 4,
            peers_wanted: 8,
            idle: Duration::from_secs(3600),
        }
    }
}

/// Gossip messages that wait for the reader of events, in number.
pub(super) const GOSSIP_EVENTS_MAX: usize = 8192;
/// Gossip messages that wait for the reader of events, in bytes (and at least one of the largest).
pub(super) const GOSSIP_EVENT_BYTES_MAX: usize = 64 << 20;
/// Direct messages that wait for the reader of events, in number.
pub(super) const MESSAGE_EVENTS_MAX: usize = 4096;
/// Direct messages that wait for the reader of events, in bytes (and at least one of the largest).
pub(super) const MESSAGE_EVENT_BYTES_MAX: usize = 64 << 20;
/// Commands that wait for the Swarm's task, publications among them.
pub(super) const COMMANDS_MAX: usize = 4096;
/// Publications that wait for the Swarm's task, in bytes (and at least one of the largest).
pub(super) const PUBLISH_BYTES_MAX: usize = 64 << 20;
/// Direct messages that wait to be written to one peer, in number.
pub(super) const PEER_QUEUE_MAX: usize = 8192;
/// Direct messages that wait to be written to one peer, in bytes (and at least one of the largest).
pub(super) const PEER_QUEUE_BYTES_MAX: usize = 32 << 20;
/// How long a direct message waits for a peer that is not connected.
pub(super) const MESSAGE_AGE_MAX: Duration = Duration::from_secs(10);
/// How long one write to a peer may make no progress before the stream is given up.
pub(super) const WRITE_STALL_MAX: Duration = Duration::from_secs(15);
/// How long a stream of direct messages is kept without any.
pub(super) const MESSAGE_STREAM_IDLE: Duration = Duration::from_secs(600);
/// How long opening a stream may take, connecting included.
pub(super) const OPEN_TIMEOUT: Duration = Duration::from_secs(10);
/// Streams that wait to be opened, for all peers together.
pub(super) const OPENS_MAX: usize = 1024;
/// Streams that others opened and that wait to be accepted, of one protocol.
pub(super) const INCOMING_MAX: usize = 256;
/// Addresses believed of one peer.
pub(super) const PEER_ADDRESSES_MAX: usize = 16;
/// Provider records kept, our own and others'.
pub(super) const PROVIDED_MAX: usize = 65_536;
/// Announcements under way at once; the others wait.
pub(super) const ANNOUNCEMENTS_MAX: usize = 8;
/// Searches for providers at once.
pub(super) const SEARCHES_MAX: usize = 256;
/// Peers remembered as being of another network, so that they are not dialled again soon.
pub(super) const FOREIGN_MAX: usize = 1024;
/// How long that is remembered.
pub(super) const FOREIGN_FOR: Duration = Duration::from_secs(600);
/// How long a connection may take to say which network it is of.
pub(super) const IDENTIFY_TIMEOUT: Duration = Duration::from_secs(20);
/// How often a quiet connection is tried.
pub(super) const PING_INTERVAL: Duration = Duration::from_secs(5);
/// How long a ping may take.
pub(super) const PING_TIMEOUT: Duration = Duration::from_secs(10);
/// Pings in a row that may fail before a connection is closed.
pub(super) const PING_FAILURES_MAX: u32 = 2;
