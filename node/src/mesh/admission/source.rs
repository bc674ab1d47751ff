//! Where a connection comes from, as far as bounds for each address are concerned.

use std::net::{Ipv4Addr, Ipv6Addr};

use libp2p::{Multiaddr, multiaddr::Protocol};

/// An IPv4 address, or the network of an IPv6 address: whoever has one address of a /64 has all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::mesh) enum Source {
    V4(Ipv4Addr),
    /// The first 64 bits.
    V6(u64),
    /// Anything else together.
    Other,
}

impl Source {
    pub(in crate::mesh) fn of(address: &Multiaddr) -> Self {
        let v6 = |ip: Ipv6Addr| match ip.to_ipv4_mapped() {
            Some(ip) => Self::V4(ip),
            None => Self::V6((ip.to_bits() >> 64) as u64),
        };
        match address.iter().next() {
            Some(Protocol::Ip4(ip)) => Self::V4(ip),
            Some(Protocol::Ip6(ip)) => v6(ip),
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_addresses_that_one_owner_has_are_one_source() {
        let source = |text: &str| Source::of(&text.parse().unwrap());
        assert_eq!(source("/ip4/10.0.0.1/tcp/1"), source("/ip4/10.0.0.1/udp/2/quic-v1"));
        assert_ne!(source("/ip4/10.0.0.1/tcp/1"), source("/ip4/10.0.0.2/tcp/1"));
        assert_eq!(source("/ip6/2001:db8::1/tcp/1"), source("/ip6/2001:db8::ffff:1:2/tcp/1"));
        assert_ne!(source("/ip6/2001:db8::1/tcp/1"), source("/ip6/2001:db8:0:1::1/tcp/1"));
        assert_eq!(source("/ip6/::ffff:10.0.0.1/tcp/1"), source("/ip4/10.0.0.1/tcp/1"));
    }
}
