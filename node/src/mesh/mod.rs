//! The mesh: which peers are connected, and how bytes travel among them.
//!
//! One task owns the libp2p `Swarm`. The rest of the node holds a [`MeshHandle`], which is cheap to clone, and one
//! reader holds the [`MeshEvents`]. Start at [`start`].
//!
//! * A peer's libp2p identity *is* its ed25519 key: see [`peer_id`] and [`public_key`].
//! * *Gossip* spreads transactions, blocks and finalizations to all peers. It may lose anything. Each message waits
//!   for a verdict ([`MeshHandle::judge`]) before it is passed on.
//! * *Messages* go straight to one peer, over a stream of their own, in order, with best effort.
//! * *Streams* are for the protocols of other parts of the node (blobs, deliveries): [`MeshHandle::open_stream`] and
//!   [`MeshHandle::accept`].
//! * *Providers* are Kademlia's records of which peer has what.
//!
//! No rule of consensus or of the ledger is here. The mesh carries bytes and believes none of them.
//!
//! A stranger can hold little, and only until somebody else wants it. `admission` says this of connections, and
//! [`Rates`] of what a peer may send.
//!
//! Every name on the wire carries the network id, and a peer of another network is disconnected.
//!
//! The mesh cannot deadlock, because the Swarm's task never waits. If the event queue has no capacity for a gossip
//! message, the message is ignored and counted. Direct messages wait in their own reader task. So a slow node slows
//! down its senders, through each stream's flow control, and no other peer.

mod admission;
mod allowance;
mod behaviour;
mod config;
mod dialer;
mod driver;
mod error;
mod events;
mod gossip;
mod handle;
mod links;
mod messages;
mod metrics;
mod names;
mod peer;
mod protocols;
mod scores;
mod streams;
mod transport;
mod trouble;
mod twin;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub use allowance::Rate;
pub use config::{MeshConfig, Rates};
pub use driver::start;
pub use error::{MeshError, OpenError};
pub use events::{MeshEvent, MeshEvents};
pub use gossip::{Acceptance, GossipId, Topic};
pub use handle::{MeshHandle, PeerInfo, Unreached};
pub use libp2p::{Multiaddr, PeerId, StreamProtocol, swarm::Stream};
pub use metrics::MeshMetrics;
pub use peer::{peer_id, public_key};
pub use protocols::Versions;
pub use streams::Incoming;
