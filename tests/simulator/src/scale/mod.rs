//! Measures how a network grows: 10 to 10,000 peers in virtual time, on wide-area delays, with the core that
//! nodes run.
//!
//! Executing the same blocks ten thousand times shows nothing. So only the authorities and one ordinary peer
//! are [`full`]: real replicas, with a delay for the disk. For the other peers, only what differs from peer to
//! peer is simulated:
//!
//! * a **line and a place** ([`places`]): a random place, with one-way delays between continents;
//! * a part in **gossip** ([`gossip`], [`graph`]): random connections and, for each topic, a random mesh among
//!   them, with the degrees of `node/src/mesh/gossip.rs`. Each message is followed from peer to peer: a
//!   publisher sends it to all its connections, a peer that receives it first passes it to its neighbours, and
//!   every copy is counted where it is sent and where it arrives, with its frames and headers ([`wire`]).
//!   IDONTWANT is counted, IHAVE is calculated;
//! * a **volunteer** ([`volunteer`]): it claims, runs and reports by the rules of `node/src/worker`, and
//!   submits, with real signed transactions (`crowd`).
//!
//! When a block is final at such a peer is computed from how the block and its finalization spread
//! ([`finality`]). The watched peer, which is run in full, shows whether that is right.
//!
//! Left out: acknowledgements and handshakes, pings, Kademlia, blobs, loss, queues between messages (only the
//! copies of one message share a line; the counted bytes tell how full it is in all), processors (a relay takes
//! a millisecond for a message), and, for direct messages, the bound on an authority's connections from others.

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
