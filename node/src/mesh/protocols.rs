//! Names on the wire. Each carries the network id, so that peers of different networks have no protocol in common.

use libp2p::StreamProtocol;
use meshwork_core::identity::NetworkId;

/// How many hexadecimal digits of the network id a protocol's name carries: enough that no two networks meet by chance.
/// Identify compares the whole id.
const NETWORK_DIGITS: usize = 16;

fn short(network: &NetworkId) -> String {
    let mut digits = network.to_string();
    digits.truncate(NETWORK_DIGITS);
    digits
}

/// The name of a protocol of this network: `/meshwork/<network>/<kind>/1`.
pub(super) fn name(network: &NetworkId, kind: &str) -> StreamProtocol {
    StreamProtocol::try_from_owned(format!("/meshwork/{}/{kind}/1", short(network))).expect("it begins with a slash")
}

/// What gossipsub puts before its own version numbers.
pub(super) fn gossip_prefix(network: &NetworkId) -> String {
    format!("/meshwork/{}/gossip", short(network))
}

/// What a peer of this network says of itself in identify: the whole network id.
pub(super) fn identify_version(network: &NetworkId) -> String {
    format!("/meshwork/{network}/1")
}

/// A gossip topic's name.
pub(super) fn topic(network: &NetworkId, kind: &str) -> String {
    format!("/meshwork/{network}/{kind}/1")
}
