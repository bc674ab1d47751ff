//! The mesh: who is connected to whom, and how bytes travel among them.
//!
//! One task owns the libp2p `Swarm`; everyone else holds a [`MeshHandle`], which is cheap to clone, and one reader holds
//! the [`MeshEvents`]. Start at [`start`].
//!
//! * A peer's libp2p identity *is* its ed25519 key: see [`peer_id`] and [`public_key`].
//! * *Gossip* spreads transactions, blocks and finalizations to everyone. It may lose anything. Each message waits for a
//!   verdict ([`MeshHandle::judge`]) before it is passed on.
//! * *Messages* go straight to one peer, over a stream of their own, in order, as best effort.
//! * *Streams* are for what other parts of the node speak (blobs, deliveries): [`MeshHandle::open_stream`] and
//!   [`MeshHandle::accept`].
//! * *Providers* are Kademlia's records of who holds what.
//!
//! What is never here: any rule of consensus or of the ledger. The mesh carries bytes and believes none of them.
//!
//! Every name on the wire carries the network id, and a peer that turns out to be of another network is disconnected.
//!
//! How it cannot deadlock: the Swarm's task waits for nobody. Gossip that finds no room in the event queue is ignored and
//! counted; messages wait in their own reader task, so that a slow node slows down who sends to it, through the stream's
//! flow control, and nobody else.

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
mod peer;
mod protocols;
mod scores;
mod streams;
mod transport;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub use config::MeshConfig;
pub use driver::start;
pub use error::{MeshError, OpenError};
pub use events::{MeshEvent, MeshEvents};
pub use gossip::{Acceptance, GossipId, Topic};
pub use handle::{MeshHandle, PeerInfo};
pub use libp2p::{Multiaddr, PeerId, StreamProtocol, swarm::Stream};
pub use metrics::MeshMetrics;
pub use peer::{peer_id, public_key};
pub use protocols::Versions;
pub use streams::Incoming;
