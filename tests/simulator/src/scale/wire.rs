//! The size of messages on the wire, and the traffic that each peer sent and received.

/// The payload of a TCP segment, in bytes.
const SEGMENT_BYTES: usize = 1448;
/// The headers of IPv4 and of TCP with timestamps, for each segment. Acknowledgements are left out.
const SEGMENT_HEADER_BYTES: usize = 52;
/// A yamux header, and noise's length and tag.
const FRAME_BYTES: usize = 12 + 18;
/// Tags and lengths of gossipsub's protobuf around a message.
const ENVELOPE_BYTES: usize = 13;
/// The length before a direct message.
const LENGTH_BYTES: usize = 4;
/// A message id, with its tag and length.
const ID_BYTES: usize = 22;
/// Seconds between two heartbeats of gossipsub, as `node/src/mesh/gossip.rs` sets it.
const HEARTBEAT_S: f64 = 0.7;
/// IHAVE names the messages of this many heartbeats: gossipsub's `history_gossip`.
const HEARTBEATS_NAMED: f64 = 3.0;
/// The least number of peers that get IHAVE: `gossip_lazy`.
const NAMED_TO_MIN: f64 = 6.0;
/// The share of connected peers outside the mesh that get IHAVE, if that is more: `gossip_factor`.
const NAMED_TO_SHARE: f64 = 0.25;
/// The most ids in one IHAVE: `max_control_messages_sent`.
const IDS_MAX: f64 = 5000.0;

/// The way on which a message travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Gossip of transactions.
    Transactions,
    /// Gossip of proposed blocks.
    Blocks,
    /// Gossip of finalizations.
    Finalizations,
    /// Over a stream, to one peer.
    Direct,
}

impl Way {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Transactions, Self::Blocks, Self::Finalizations, Self::Direct];
    /// How many of these are topics; they come first.
    pub const TOPICS: usize = 3;

    /// The way in words.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Transactions => "transactions",
            Self::Blocks => "blocks",
            Self::Finalizations => "finalizations",
            Self::Direct => "direct",
        }
    }

    /// Bytes of the topic's name, which every message carries: `/meshwork/<64 digits>/<name>/1`.
    const fn topic_bytes(self) -> usize {
        10 + 64 + 1 + self.name().len() + 2
    }

    /// The bytes of an encoded message of this size on the wire.
    #[must_use]
    pub const fn wire_bytes(self, bytes: usize) -> usize {
        match self {
            Self::Direct => framed(LENGTH_BYTES + bytes),
            topic => framed(ENVELOPE_BYTES + topic.topic_bytes() + bytes),
        }
    }
}

const fn framed(bytes: usize) -> usize {
    let bytes = bytes + FRAME_BYTES;
    bytes + bytes.div_ceil(SEGMENT_BYTES) * SEGMENT_HEADER_BYTES
}

/// The bytes of an IDONTWANT on the wire.
pub const IDONTWANT_BYTES: usize = framed(ENVELOPE_BYTES + ID_BYTES);

/// The IHAVE that a peer sends each second, if this many messages a second pass in a topic: bytes and messages.
/// It receives as much.
#[must_use]
pub fn ihave_per_s(way: Way, messages_per_s: f64, connections: f64, mesh: f64) -> (f64, f64) {
    let others = (connections - mesh).max(0.0);
    let named_to = (others * NAMED_TO_SHARE).max(NAMED_TO_MIN).min(others);
    let ids = (messages_per_s * HEARTBEATS_NAMED * HEARTBEAT_S).min(IDS_MAX);
    let each = framed(ENVELOPE_BYTES + way.topic_bytes() + (ids * ID_BYTES as f64) as usize);
    // A peer with nothing to name sends no IHAVE.
    let said = named_to / HEARTBEAT_S * ids.min(1.0);
    (each as f64 * said, said)
}

/// The traffic of one peer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum {
    /// Messages received, duplicates included.
    pub messages_in: u64,
    /// Messages sent.
    pub messages_out: u64,
    /// Bytes received by each way, in the order of [`Way::ALL`].
    pub bytes_in: [u64; 4],
    /// Bytes sent, likewise.
    pub bytes_out: [u64; 4],
    /// IDONTWANTs received.
    pub idontwant_in: u64,
    /// IDONTWANTs sent.
    pub idontwant_out: u64,
}

impl Sum {
    /// Counts received messages, each with this many bytes on the wire.
    pub const fn receive(&mut self, way: Way, wire_bytes: usize, count: u64) {
        self.messages_in += count;
        self.bytes_in[way as usize] += wire_bytes as u64 * count;
    }

    /// Counts sent messages.
    pub const fn send(&mut self, way: Way, wire_bytes: usize, count: u64) {
        self.messages_out += count;
        self.bytes_out[way as usize] += wire_bytes as u64 * count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_and_segments_are_counted() {
        assert_eq!(Way::Direct.wire_bytes(100), 100 + 4 + 30 + 52);
        assert_eq!(Way::Direct.wire_bytes(2000), 2000 + 4 + 30 + 104);
        assert_eq!(Way::Blocks.wire_bytes(100), 100 + 13 + 83 + 30 + 52);
    }

    #[test]
    fn ihave_goes_to_a_quarter_of_those_who_are_no_neighbours() {
        let (bytes, messages) = ihave_per_s(Way::Blocks, 10.0, 105.0, 5.0);
        assert!((messages - 25.0 / 0.7).abs() < 1e-9);
        assert!((bytes / messages - (21.0 * 22.0 + 13.0 + 83.0 + 30.0 + 52.0)).abs() < 1e-9);
        assert_eq!(ihave_per_s(Way::Blocks, 0.0, 105.0, 5.0).1, 0.0);
        assert_eq!(ihave_per_s(Way::Blocks, 10.0, 5.0, 5.0).1, 0.0, "everyone is a neighbour");
    }
}
