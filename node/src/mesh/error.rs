//! Errors of the mesh.

use std::io;

use libp2p::{Multiaddr, StreamProtocol};
use meshwork_core::identity::PublicKey;
use thiserror::Error;

/// Why a mesh did not start.
#[derive(Debug, Error)]
pub enum MeshError {
    /// An address cannot be listened on: it is taken, not this machine's, or not allowed.
    #[error("cannot listen on {address}: {reason}. Stop what listens there, or give another address")]
    Listen {
        /// The address as it was configured.
        address: Multiaddr,
        /// What the system says.
        reason: String,
    },
    /// No address was confirmed in time.
    #[error("nothing listens on {address} after {seconds} s. Give another address")]
    ListenTimeout {
        /// The address as it was configured.
        address: Multiaddr,
        /// How long the mesh waited.
        seconds: u64,
    },
    /// An authority's key is not an ed25519 key.
    #[error("the key {key} is not a point of the curve, so no peer can have it")]
    Key {
        /// The key.
        key: PublicKey,
    },
    /// The system lacks something that a transport needs.
    #[error("cannot set up {what}: {source}")]
    Transport {
        /// The part that needs it.
        what: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// The settings contradict each other.
    #[error("the mesh cannot be configured so: {0}")]
    Config(String),
}

/// Why a stream to a peer was not opened.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum OpenError {
    /// The key is not an ed25519 key.
    #[error("{0} is no peer's key")]
    NotAKey(PublicKey),
    /// There is no connection, and no address to make one to.
    #[error("{0} cannot be reached")]
    Unreachable(PublicKey),
    /// The peer is connected but does not speak this protocol.
    #[error("{peer} does not speak {protocol}")]
    Unsupported {
        /// The peer.
        peer: PublicKey,
        /// The protocol.
        protocol: StreamProtocol,
    },
    /// The peer took too long.
    #[error("{0} did not answer in time")]
    TimedOut(PublicKey),
    /// Too many streams wait to be opened already.
    #[error("too many streams wait to be opened")]
    Busy,
    /// The connection was lost meanwhile, or the mesh has stopped.
    #[error("the connection to {0} was lost")]
    Lost(PublicKey),
}
