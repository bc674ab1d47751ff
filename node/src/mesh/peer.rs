//! A peer's libp2p identity is its ed25519 key, and the reverse. No other identity is a peer.

use std::collections::HashSet;

use libp2p::{
    PeerId,
    identity::{Keypair, PublicKey as Libp2pKey, ed25519},
    multiaddr::{Multiaddr, Protocol},
};
use meshwork_core::identity::{PublicKey, SecretKey};

/// The multihash code of an identity hash: the key itself instead of its digest.
const IDENTITY_HASH: u64 = 0;

/// The libp2p identity of a key; `None` if the bytes are not a point of the curve.
#[must_use]
pub fn peer_id(key: &PublicKey) -> Option<PeerId> {
    ed25519::PublicKey::try_from_bytes(key.as_bytes()).ok().map(|key| Libp2pKey::from(key).to_peer_id())
}

/// The key of a libp2p identity; `None` if it is not an ed25519 key.
#[must_use]
pub fn public_key(peer: &PeerId) -> Option<PublicKey> {
    let hash = peer.as_ref();
    if hash.code() != IDENTITY_HASH {
        return None;
    }
    let key = Libp2pKey::try_decode_protobuf(hash.digest()).ok()?.try_into_ed25519().ok()?;
    Some(PublicKey(key.to_bytes()))
}

/// The keys of peers.
pub(super) fn keys(peers: &HashSet<PeerId>) -> HashSet<PublicKey> {
    peers.iter().filter_map(public_key).collect()
}

/// The libp2p key pair of a secret key.
pub(super) fn keypair(key: &SecretKey) -> Keypair {
    Keypair::ed25519_from_bytes(key.to_seed()).expect("32 bytes are always an ed25519 secret key")
}

/// Splits an address into the part before its `/p2p/…` end and the peer that this end names.
pub(super) fn split_address(address: &Multiaddr) -> (Multiaddr, Option<PeerId>) {
    let mut rest = address.clone();
    match rest.pop() {
        Some(Protocol::P2p(peer)) => (rest, Some(peer)),
        _ => (address.clone(), None),
    }
}

/// Whether the address is a loopback address.
pub(super) fn is_loopback(address: &Multiaddr) -> bool {
    address.iter().any(|part| match part {
        Protocol::Ip4(ip) => ip.is_loopback(),
        Protocol::Ip6(ip) => ip.is_loopback(),
        _ => false,
    })
}

/// Whether a peer that connects from `seen` may be reachable at `claimed`. No peer can be dialled at an unspecified
/// address, and a peer on another machine cannot be dialled at a loopback one.
pub(super) fn is_plausible(claimed: &Multiaddr, seen: &Multiaddr) -> bool {
    let unspecified = claimed.iter().any(|part| match part {
        Protocol::Ip4(ip) => ip.is_unspecified(),
        Protocol::Ip6(ip) => ip.is_unspecified(),
        Protocol::Tcp(port) | Protocol::Udp(port) => port == 0,
        _ => false,
    });
    !unspecified && (!is_loopback(claimed) || is_loopback(seen))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_and_its_peer_id_are_each_others() {
        let key = SecretKey::from_seed([9; 32]);
        let peer = keypair(&key).public().to_peer_id();
        assert_eq!(peer_id(&key.public()), Some(peer));
        assert_eq!(public_key(&peer), Some(key.public()));
    }

    #[test]
    fn what_is_not_an_ed25519_key_is_no_peer() {
        // A random peer id is an identity hash of bytes that are not a key.
        assert_eq!(public_key(&PeerId::random()), None);
        // y = 2 is on no point of the curve.
        let mut bytes = [0; 32];
        bytes[0] = 2;
        assert_eq!(peer_id(&PublicKey(bytes)), None);
    }

    #[test]
    fn loopback_and_unspecified_addresses_are_believed_only_where_they_can_be_true() {
        let address = |text: &str| text.parse::<Multiaddr>().unwrap();
        let far = address("/ip4/10.0.0.7/tcp/4000");
        let near = address("/ip4/127.0.0.1/tcp/4000");
        assert!(!is_plausible(&near, &far));
        assert!(is_plausible(&near, &near));
        assert!(is_plausible(&far, &far));
        assert!(!is_plausible(&address("/ip4/0.0.0.0/tcp/4000"), &near));
        assert!(!is_plausible(&address("/ip4/10.0.0.7/tcp/0"), &far));
    }
}
