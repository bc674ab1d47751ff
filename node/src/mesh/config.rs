//! The configuration of a mesh, and the bounds of everything that it keeps.

use std::time::Duration;

use libp2p::Multiaddr;
use meshwork_core::identity::{NetworkId, PublicKey, SecretKey};

use super::{admission::Bounds, allowance::Rate, protocols::Versions};

/// The configuration of a mesh. Start with [`MeshConfig::new`] and change what differs.
#[derive(Clone, Debug)]
pub struct MeshConfig {
    /// This peer's key.
    pub key: SecretKey,
    /// The network that it belongs to.
    pub network: NetworkId,
    /// The protocol versions that it speaks.
    pub versions: Versions,
    /// Where it listens: TCP (`/ip4/0.0.0.0/tcp/4100`), QUIC (`/ip4/0.0.0.0/udp/4100/quic-v1`), or both. Port 0 is any.
    pub listen: Vec<Multiaddr>,
    /// Additional addresses at which others reach this peer, if it cannot know them itself (a published port of a
    /// container).
    pub external: Vec<Multiaddr>,
    /// The peers to join the network by. An address may end in `/p2p/<peer>`, and names (`/dns4/…`) are looked up at
    /// each attempt. An address is dialled again, forever, whenever the peer there is not connected.
    pub peers: Vec<Multiaddr>,
    /// Peers that this one always stays connected to. Connection limits do not count for them, and they are never
    /// banned.
    pub authorities: Vec<PublicKey>,
    /// Whether to look for peers on the local network by multicast DNS.
    pub mdns: bool,
    /// The most bytes of a gossiped message.
    pub gossip_bytes_max: usize,
    /// The most bytes of a direct message.
    pub message_bytes_max: usize,
    /// The most connections at once, not counting those to known peers (authorities, and those to join by). Three
    /// quarters of them are places for incoming ones, so that outsiders cannot fill them all. A twelfth besides are
    /// for visitors, which come while no place is free.
    pub connections_max: u32,
    /// The most places of one IPv4 address, or of one IPv6 network of 64 bits. Many volunteers may stand
    /// behind one address, and a test network's peers all have the same one. But strangers should need several
    /// addresses to fill all places.
    pub address_connections_max: u32,
    /// The most connections to one peer. Two peers that dial each other at the same time have two.
    pub peer_connections_max: u32,
    /// How much one peer may send.
    pub rates: Rates,
    /// How long a visitor may stay. As long, a place is kept for a connection that has shown no use yet.
    pub visit: Duration,
    /// The mesh looks for more peers while it has fewer than this.
    pub peers_wanted: usize,
    /// How long a connection that carries nothing is kept. The time is long because gossip goes to connected peers, a
    /// worker behind a router can only be reached over the connection that it made, and a vote must not wait for a
    /// handshake. `connections_max` bounds the number of connections, and whoever is of use displaces who is not.
    pub idle: Duration,
}

/// How much one peer may send, far above what an honest and busy one does. Authorities may send any amount.
#[derive(Clone, Copy, Debug)]
pub struct Rates {
    /// Direct messages that are read from one peer. A busy authority sends some hundreds in a second.
    pub messages: Rate,
    /// Their bytes.
    pub message_bytes: Rate,
    /// Gossip messages that are taken from one peer, which may pass on those of the whole network.
    pub gossip: Rate,
    /// Connections that one address may begin, authorities' or not. A handshake costs about a millisecond of computing.
    pub handshakes: Rate,
    /// Streams that one connection may open to the node's protocols. Most requests go over streams that are open.
    pub streams: Rate,
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            messages: Rate { burst: 16_384.0, per_second: 2048.0 },
            message_bytes: Rate { burst: f64::from(256 << 20), per_second: f64::from(32 << 20) },
            gossip: Rate { burst: 32_768.0, per_second: 4096.0 },
            handshakes: Rate { burst: 200.0, per_second: 10.0 },
            streams: Rate { burst: 1024.0, per_second: 128.0 },
        }
    }
}

impl MeshConfig {
    /// A mesh that listens nowhere and knows no peer, with the usual bounds.
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
            address_connections_max: 96,
            peer_connections_max: 4,
            rates: Rates::default(),
            visit: Duration::from_secs(20),
            peers_wanted: 8,
            idle: Duration::from_secs(3600),
        }
    }

    /// The bounds on established connections.
    pub(super) fn bounds(&self) -> Bounds {
        let connections_max = self.connections_max as usize;
        let places_max = connections_max / 4 * 3;
        Bounds {
            places_max,
            visitors_max: (connections_max / 12).max(2),
            source_max: self.address_connections_max as usize,
            dialled_max: connections_max - places_max,
            peer_max: self.peer_connections_max as usize,
            visit: self.visit,
            use_lasts: USE_LASTS,
        }
    }
}

/// How long a place is kept for a connection since it last showed use. Every worker gossips a claim twice in this time.
const USE_LASTS: Duration = Duration::from_secs(120);
/// How often a peer's use is noted at most: far more often than it matters.
pub(super) const USE_NOTED_EVERY: Duration = Duration::from_secs(10);
/// The most incoming streams of one connection that are being negotiated.
pub(super) const NEGOTIATIONS_MAX: usize = 64;
/// The most dials under way.
pub(super) const DIALS_MAX: u32 = 64;

/// The most gossip messages that wait for the reader of events.
pub(super) const GOSSIP_EVENTS_MAX: usize = 8192;
/// The most bytes of gossip messages that wait for the reader of events (and at least one of the largest).
pub(super) const GOSSIP_EVENT_BYTES_MAX: usize = 64 << 20;
/// The most direct messages that wait for the reader of events.
pub(super) const MESSAGE_EVENTS_MAX: usize = 4096;
/// The most bytes of direct messages that wait for the reader of events (and at least one of the largest).
pub(super) const MESSAGE_EVENT_BYTES_MAX: usize = 64 << 20;
/// The most commands, including publications, that wait for the Swarm's task.
pub(super) const COMMANDS_MAX: usize = 4096;
/// The most bytes of publications that wait for the Swarm's task (and at least one of the largest).
pub(super) const PUBLISH_BYTES_MAX: usize = 64 << 20;
/// The most direct messages that wait to be written to one peer.
pub(super) const PEER_QUEUE_MAX: usize = 8192;
/// The most bytes of direct messages that wait to be written to one peer (and at least one of the largest).
pub(super) const PEER_QUEUE_BYTES_MAX: usize = 32 << 20;
/// How long a direct message waits for a peer that is not connected.
pub(super) const MESSAGE_AGE_MAX: Duration = Duration::from_secs(10);
/// How long a write to a peer may make no progress before the stream is given up.
pub(super) const WRITE_STALL_MAX: Duration = Duration::from_secs(15);
/// How long a stream of direct messages stays open without any.
pub(super) const MESSAGE_STREAM_IDLE: Duration = Duration::from_secs(600);
/// How long opening a stream may take, including connecting.
pub(super) const OPEN_TIMEOUT: Duration = Duration::from_secs(10);
/// The most streams that wait to be opened, for all peers together.
pub(super) const OPENS_MAX: usize = 1024;
/// The most incoming streams of one protocol that wait to be accepted.
pub(super) const INCOMING_MAX: usize = 256;
/// The most addresses believed of one peer.
pub(super) const PEER_ADDRESSES_MAX: usize = 16;
/// The most provider records kept, its own and others'.
pub(super) const PROVIDED_MAX: usize = 65_536;
/// The most announcements under way at once; others wait.
pub(super) const ANNOUNCEMENTS_MAX: usize = 8;
/// The most searches for providers at once.
pub(super) const SEARCHES_MAX: usize = 256;
/// The most peers remembered as being of another network, so that they are not dialled again soon.
pub(super) const FOREIGN_MAX: usize = 1024;
/// How long such a peer is remembered.
pub(super) const FOREIGN_FOR: Duration = Duration::from_secs(600);
/// How long a new connection may take to say which network it is of.
pub(super) const IDENTIFY_TIMEOUT: Duration = Duration::from_secs(20);
/// How often a quiet connection is pinged.
pub(super) const PING_INTERVAL: Duration = Duration::from_secs(5);
/// How long a ping may take.
pub(super) const PING_TIMEOUT: Duration = Duration::from_secs(10);
/// Pings in a row that may fail before a connection is closed.
pub(super) const PING_FAILURES_MAX: u32 = 2;
