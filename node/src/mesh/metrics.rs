//! The counters of the mesh. Each one only rises, from the start of the process.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

macro_rules! counters {
    ($($(#[doc = $doc:literal])* $name:ident,)*) => {
        /// The counters, shared by all parts of the mesh.
        #[derive(Debug, Default)]
        pub(super) struct Counters {
            $(pub(super) $name: AtomicU64,)*
        }

        impl Counters {
            pub(super) fn snapshot(&self) -> MeshMetrics {
                MeshMetrics { $($name: self.$name.load(Relaxed),)* }
            }
        }

        /// A snapshot of the counters.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct MeshMetrics {
            $($(#[doc = $doc])* pub $name: u64,)*
        }

        impl MeshMetrics {
            /// Every counter: its name, what it counts, and its value.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
                [$((stringify!($name), concat!($($doc),*).trim_ascii(), self.$name),)*].into_iter()
            }
        }
    };
}

counters! {
    /// Bytes written to streams of every kind, before encryption and framing by the transport.
    wire_bytes_out,
    /// Bytes read from streams of every kind, after decryption and framing by the transport.
    wire_bytes_in,
    /// Direct messages written.
    messages_out,
    /// Bytes of direct messages written.
    message_bytes_out,
    /// Direct messages received.
    messages_in,
    /// Bytes of direct messages received.
    message_bytes_in,
    /// Direct messages dropped because their peer was away for too long, or took them too slowly.
    messages_dropped,
    /// Streams of direct messages closed because their content was malformed.
    messages_malformed,
    /// Gossip messages published here.
    gossip_published,
    /// Bytes of gossip messages published here.
    gossip_published_bytes,
    /// Gossip messages not published: too many wait, one is too large, or no peer is there.
    gossip_unpublished,
    /// Gossip messages not published because the same bytes had been seen already.
    gossip_duplicates,
    /// Gossip messages received, each once.
    gossip_in,
    /// Bytes of gossip messages received, each once.
    gossip_in_bytes,
    /// Gossip messages accepted, and so passed on.
    gossip_accepted,
    /// Gossip messages rejected, which lowers their sender's score.
    gossip_rejected,
    /// Gossip messages neither accepted nor rejected.
    gossip_ignored,
    /// Gossip messages dropped because events were not read fast enough.
    gossip_dropped,
    /// Incoming streams dropped because they were not accepted fast enough.
    streams_dropped,
    /// Connections established, in either direction.
    connections_opened,
    /// Connections closed.
    connections_closed,
    /// Dials that failed.
    dials_failed,
    /// Incoming connections that had to leave because there was no place for them.
    connections_refused_full,
    /// Incoming connections that had to leave because their address or peer has as many as it may have.
    connections_refused_address,
    /// Incoming connections refused because their address began too many in a short time.
    connections_refused_rate,
    /// Connections given up for others that took their place.
    connections_displaced,
    /// Incoming handshakes ended for newer ones.
    handshakes_displaced,
    /// Incoming streams dropped because their peer opened too many in a short time.
    streams_refused,
    /// Times that a peer's gossip was dropped for a while because it sent too much in a short time.
    gossip_throttled,
    /// Times that a peer's direct messages were read more slowly because it sent too many.
    messages_throttled,
    /// Connections closed because the peer is of another network.
    foreign_peers,
    /// Peers banned for their score.
    peers_banned,
    /// Keys announced to the Kademlia table.
    announcements,
}

/// Adds to a counter.
pub(super) fn add(counter: &AtomicU64, by: usize) {
    counter.fetch_add(by as u64, Relaxed);
}

/// Adds one to a counter.
pub(super) fn one(counter: &AtomicU64) {
    add(counter, 1);
}
