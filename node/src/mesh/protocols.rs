//! Protocol names. Each carries the network id, so that peers of different networks have no protocol in common.

use libp2p::StreamProtocol;
use meshwork_core::identity::NetworkId;

/// How many hexadecimal digits of the network id a protocol name carries: enough that no two networks share one by
/// chance. Identify compares the whole id.
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

/// The prefix of gossipsub's own version numbers.
pub(super) fn gossip_prefix(network: &NetworkId) -> String {
    format!("/meshwork/{}/gossip", short(network))
}

/// The protocol versions that a peer speaks. A version covers what travels and the rules by which it is judged. Two
/// peers without a common version cannot work together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Versions {
    /// The oldest.
    pub lowest: u32,
    /// The newest.
    pub newest: u32,
}

impl Versions {
    /// The versions of this program. A change on the wire or in the rules raises the newest. The lowest follows a
    /// release later, so that a network can be upgraded peer by peer.
    pub const OWN: Self = Self { lowest: 6, newest: 6 };

    /// Why peers that speak these and those versions cannot work together, in words; `None` if they can.
    fn apart_from(self, theirs: Self) -> Option<String> {
        let (mine, yours) = (self.in_words(), theirs.in_words());
        if theirs.lowest > self.newest {
            Some(format!("it speaks protocol {yours} and this program only {mine}: this program is to be upgraded"))
        } else if theirs.newest < self.lowest {
            Some(format!("it speaks only protocol {yours} and this program {mine}: that peer is to be upgraded"))
        } else {
            None
        }
    }

    fn in_words(self) -> String {
        let Self { lowest, newest } = self;
        if lowest == newest { newest.to_string() } else { format!("{lowest} to {newest}") }
    }
}

/// What a peer says about itself in identify: the whole network id, and its versions.
pub(super) fn identify_version(network: &NetworkId, versions: Versions) -> String {
    format!("/meshwork/{network}/{}-{}", versions.lowest, versions.newest)
}

/// The result of comparing what a peer said about itself.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Meeting {
    /// It is of this network and can be worked with.
    Good,
    /// It is of this network, with incompatible versions: why it cannot be worked with.
    Apart(String),
    /// It is of another network, or not a peer of Meshwork.
    Foreign,
}

/// Compares what a peer says about itself with this peer's network and versions.
pub(super) fn meet(network: &NetworkId, versions: Versions, said: &str) -> Meeting {
    let theirs = || {
        let said = said.strip_prefix(&format!("/meshwork/{network}/"))?;
        let (lowest, newest) = said.split_once('-')?;
        Some(Versions { lowest: lowest.parse().ok()?, newest: newest.parse().ok()? })
    };
    match theirs() {
        None => Meeting::Foreign,
        Some(theirs) => versions.apart_from(theirs).map_or(Meeting::Good, Meeting::Apart),
    }
}

/// The name of a gossip topic.
pub(super) fn topic(network: &NetworkId, kind: &str) -> String {
    format!("/meshwork/{network}/{kind}/1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_work_together_if_any_version_is_common_and_are_told_who_is_to_be_upgraded() {
        let network = NetworkId([7; 32]);
        let meet = |mine: (u32, u32), theirs: (u32, u32)| {
            let versions = |(lowest, newest)| Versions { lowest, newest };
            meet(&network, versions(mine), &identify_version(&network, versions(theirs)))
        };
        assert_eq!(meet((1, 1), (1, 1)), Meeting::Good);
        assert_eq!(meet((1, 1), (1, 2)), Meeting::Good, "the other has been upgraded first");
        assert_eq!(meet((2, 3), (1, 2)), Meeting::Good);
        let Meeting::Apart(mine) = meet((1, 1), (2, 3)) else { panic!("they have none in common") };
        assert!(mine.contains("protocol 2 to 3") && mine.contains("this program is to be upgraded"), "{mine}");
        let Meeting::Apart(theirs) = meet((2, 3), (1, 1)) else { panic!("they have none in common") };
        assert!(theirs.contains("that peer is to be upgraded"), "{theirs}");
    }

    #[test]
    fn whoever_says_anything_else_is_foreign() {
        let (network, other) = (NetworkId([7; 32]), NetworkId([8; 32]));
        for said in [identify_version(&other, Versions::OWN), format!("/meshwork/{network}/1"), "ipfs/0.1.0".into()] {
            assert_eq!(meet(&network, Versions::OWN, &said), Meeting::Foreign, "{said}");
        }
    }
}
