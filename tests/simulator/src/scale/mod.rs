//! How a network grows: 10 to 10,000 peers in virtual time, on wide-area delays, with the core that nodes run.
//!
//! Executing the same blocks ten thousand times shows nothing, so only the authorities and one ordinary peer are
//! [`full`]: real replicas, with a disk that is a delay. The others are what differs from peer to peer:
//!
//! * a **line and a place** ([`places`]): drawn, with one-way delays between continents;
//! * a part in **gossip** ([`gossip`], [`graph`]): drawn connections and, for each topic, a drawn mesh among them, of the
//!   degrees that `node/src/mesh/gossip.rs` sets. A message is followed from peer to peer: what a peer publishes goes to
//!   everyone it is connected to, what comes to it first goes on to its neighbours, and every copy is counted where it is
//!   sent and where it comes, with its frames and headers ([`wire`]). IDONTWANT is counted, IHAVE calculated;
//! * a **volunteer** ([`volunteer`]), who claims, runs and reports by the rules of `node/src/worker`, and submits, with real
//!   signed transactions (`crowd`).
//!
//! When a block is final at a peer that is not run in full follows from how it and its finalization spread ([`finality`]);
//! the one that is watched shows whether that is right.
//!
//! Left out: acknowledgements and handshakes, pings, Kademlia, blobs, loss, queues between messages (a line is shared by
//! the copies of one message only; how full it is in all is told by the bytes), processors (a relay takes a millisecond for
//! a message), and the bound on how many connections an authority takes from others, for direct messages.

mod crowd;
pub mod figures;
pub mod finality;
pub mod full;
pub mod gossip;
pub mod graph;
pub mod growth;
mod network;
pub mod page;
pub mod places;
pub mod plot;
pub mod record;
pub mod setup;
pub mod table;
pub mod volunteer;
pub mod wire;

pub use figures::Figures;
pub use network::run;
pub use setup::Setup;
