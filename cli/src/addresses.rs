//! Multiaddresses that people give, such as `/ip4/192.0.2.7/tcp/4170` or `/dns4/a.example/udp/4170/quic-v1`, with or
//! without a peer's id at the end.
//!
//! They are checked here, so that a typing error is reported at once and not when peers fail to connect.

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use thiserror::Error;

/// An address of a transport that the mesh speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    text: String,
    host: Host,
    transport: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Host {
    Ip4(Ipv4Addr),
    Ip6(Ipv6Addr),
    Name { only_ip6: bool },
}

/// The text is not such an address.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error(
    "{0:?} is not an address of a peer: write /ip4/192.0.2.7/tcp/4170, /dns4/a.example/udp/4170/quic-v1 or the like"
)]
pub struct AddressError(String);

impl Address {
    /// The address on which a peer listens if others reach it at this one.
    ///
    /// Port and transport stay the same. So does a loopback host. Any other host becomes every interface, because a
    /// public address may not belong to the machine itself.
    #[must_use]
    pub fn to_listen(&self) -> String {
        let host = match self.host {
            Host::Ip4(ip) if ip.is_loopback() => format!("/ip4/{ip}"),
            Host::Ip6(ip) if ip.is_loopback() => format!("/ip6/{ip}"),
            Host::Ip4(_) | Host::Name { only_ip6: false } => "/ip4/0.0.0.0".into(),
            Host::Ip6(_) | Host::Name { only_ip6: true } => "/ip6/::".into(),
        };
        format!("{host}{}", self.transport)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.strip_prefix('/')?.split('/');
        let (kind, host) = (parts.next()?, parts.next()?);
        let host = match kind {
            "ip4" => Host::Ip4(host.parse().ok()?),
            "ip6" => Host::Ip6(host.parse().ok()?),
            "dns" | "dns4" | "dns6" if !host.is_empty() => Host::Name { only_ip6: kind == "dns6" },
            _ => return None,
        };
        let (transport, port) = (parts.next()?, parts.next()?.parse::<u16>().ok()?);
        let quic = match transport {
            "tcp" => false,
            "udp" => parts.next()? == "quic-v1",
            _ => return None,
        };
        if transport == "udp" && !quic {
            return None;
        }
        match (parts.next(), parts.next(), parts.next()) {
            (None, None, None) => {}
            (Some("p2p"), Some(peer), None) if !peer.is_empty() => {}
            _ => return None,
        }
        let transport = format!("/{transport}/{port}{}", if quic { "/quic-v1" } else { "" });
        Some(Self { text: text.to_owned(), host, transport })
    }
}

impl FromStr for Address {
    type Err = AddressError;
    fn from_str(text: &str) -> Result<Self, AddressError> {
        Self::parse(text).ok_or_else(|| AddressError(text.to_owned()))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_both_transports_are_taken() {
        for text in [
            "/ip4/192.0.2.7/tcp/4170",
            "/ip6/2001:db8::7/tcp/0",
            "/dns4/a.example/udp/4170/quic-v1",
            "/ip4/192.0.2.7/udp/4170/quic-v1/p2p/12D3KooW",
        ] {
            assert_eq!(text.parse::<Address>().expect(text).to_string(), text);
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "192.0.2.7:4170",
            "/ip4/192.0.2.700/tcp/4170",
            "/ip4/192.0.2.7/tcp/70000",
            "/ip4/192.0.2.7/udp/4170",
            "/ip4/192.0.2.7/tcp/4170/p2p",
            "/ip4/192.0.2.7/tcp/4170/ws",
            "/dns4//tcp/1",
        ] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }

    #[test]
    fn one_listens_on_every_interface_unless_it_is_loopback() {
        let listen = |text: &str| text.parse::<Address>().expect(text).to_listen();
        assert_eq!(listen("/dns4/a.example/udp/4170/quic-v1"), "/ip4/0.0.0.0/udp/4170/quic-v1");
        assert_eq!(listen("/ip4/127.0.0.1/tcp/9/p2p/12D3"), "/ip4/127.0.0.1/tcp/9");
        assert_eq!(listen("/ip6/2001:db8::7/tcp/9"), "/ip6/::/tcp/9");
    }
}
