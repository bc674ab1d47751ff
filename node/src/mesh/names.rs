//! Names in addresses. The system looks each up when it is dialled, as it is configured at that moment: a machine that
//! has no name server needs none as long as it dials IP addresses, and a machine that changes networks goes on.

use std::{
    collections::BTreeSet,
    io,
    net::{IpAddr, SocketAddr, ToSocketAddrs},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use futures::{FutureExt, future::BoxFuture};
use libp2p::{
    Multiaddr, Transport,
    core::transport::{Boxed, DialOpts, ListenerId, TransportError, TransportEvent},
    multiaddr::Protocol,
};
use thiserror::Error;
use tokio::{sync::Semaphore, task::spawn_blocking, time::timeout};

/// How many names are looked up at a time. A lookup holds a thread until the system gives up, however long that takes,
/// and strangers may have this peer dial any number of names.
const LOOKUPS_MAX: usize = 8;
/// How long the system may take to look a name up.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(10);
/// The most addresses of one name that are tried.
const ADDRESSES_MAX: usize = 8;

/// Why a name led nowhere.
#[derive(Debug, Error)]
pub(super) enum NameError {
    /// The system does not know it.
    #[error("the name {name} cannot be looked up: {reason}")]
    Unknown {
        /// The name.
        name: String,
        /// What the system says.
        reason: String,
    },
    /// It has no address of the kind that was asked for.
    #[error("the name {0} has no address of this kind")]
    NoAddress(String),
}

/// Which addresses of a name are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Any,
    Ip4,
    Ip6,
}

impl Kind {
    const fn includes(self, ip: &IpAddr) -> bool {
        match self {
            Self::Any => true,
            Self::Ip4 => ip.is_ipv4(),
            Self::Ip6 => ip.is_ipv6(),
        }
    }
}

/// The name that an address begins with.
fn name_of(address: &Multiaddr) -> Option<(String, Kind)> {
    match address.iter().next()? {
        Protocol::Dns(name) => Some((name.into_owned(), Kind::Any)),
        Protocol::Dns4(name) => Some((name.into_owned(), Kind::Ip4)),
        Protocol::Dns6(name) => Some((name.into_owned(), Kind::Ip6)),
        _ => None,
    }
}

async fn look_up(name: String, kind: Kind, lookups: Arc<Semaphore>) -> Result<Vec<IpAddr>, NameError> {
    let unknown = |reason: String| NameError::Unknown { name: name.clone(), reason };
    let asked = name.clone();
    let found = timeout(LOOKUP_TIMEOUT, async {
        let turn = lookups.acquire_owned().await.map_err(io::Error::other)?;
        spawn_blocking(move || {
            let found = (asked.as_str(), 0).to_socket_addrs();
            drop(turn);
            found
        })
        .await?
    });
    let found = found.await.map_err(|_| unknown(format!("no answer within {} s", LOOKUP_TIMEOUT.as_secs())))?;
    let found = found.map_err(|error| unknown(error.to_string()))?;
    let mut seen = BTreeSet::new();
    let wanted = found.map(|address: SocketAddr| address.ip()).filter(|ip| kind.includes(ip) && seen.insert(*ip));
    let wanted: Vec<IpAddr> = wanted.take(ADDRESSES_MAX).collect();
    if wanted.is_empty() { Err(NameError::NoAddress(name)) } else { Ok(wanted) }
}

/// A transport that also takes names.
pub(super) struct Named<O> {
    inner: Arc<Mutex<Boxed<O>>>,
    lookups: Arc<Semaphore>,
}

impl<O> Named<O> {
    pub(super) fn new(inner: Boxed<O>) -> Self {
        Self { inner: Arc::new(Mutex::new(inner)), lookups: Arc::new(Semaphore::new(LOOKUPS_MAX)) }
    }

    fn inner(&self) -> MutexGuard<'_, Boxed<O>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<O: 'static> Transport for Named<O> {
    type Output = O;
    type Error = io::Error;
    type ListenerUpgrade = <Boxed<O> as Transport>::ListenerUpgrade;
    type Dial = BoxFuture<'static, io::Result<O>>;

    fn listen_on(&mut self, id: ListenerId, address: Multiaddr) -> Result<(), TransportError<io::Error>> {
        self.inner().listen_on(id, address)
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.inner().remove_listener(id)
    }

    fn dial(&mut self, address: Multiaddr, options: DialOpts) -> Result<Self::Dial, TransportError<io::Error>> {
        let Some((name, kind)) = name_of(&address) else {
            return self.inner().dial(address, options).map(FutureExt::boxed);
        };
        let transport = Self { inner: self.inner.clone(), lookups: self.lookups.clone() };
        let dial = async move {
            let mut failed = io::Error::other(NameError::NoAddress(name.clone()));
            for ip in look_up(name, kind, transport.lookups.clone()).await.map_err(io::Error::other)? {
                let Some(at) = address.replace(0, |_| Some(ip.into())) else { continue };
                let dial = transport.inner().dial(at, options);
                let dialled = match dial {
                    Ok(dial) => dial.await,
                    Err(TransportError::Other(error)) => Err(error),
                    Err(error) => Err(io::Error::other(error)),
                };
                match dialled {
                    Ok(connection) => return Ok(connection),
                    Err(error) => failed = error,
                }
            }
            Err(failed)
        };
        Ok(dial.boxed())
    }

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<TransportEvent<Self::ListenerUpgrade, Self::Error>> {
        Pin::new(&mut *self.inner()).poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_first_in_an_address() {
        let name = |text: &str| name_of(&text.parse().unwrap());
        assert_eq!(name("/dns4/a.example/tcp/1"), Some(("a.example".into(), Kind::Ip4)));
        assert_eq!(name("/dns/a.example/udp/1/quic-v1"), Some(("a.example".into(), Kind::Any)));
        assert_eq!(name("/ip4/127.0.0.1/tcp/1"), None);
    }

    #[tokio::test]
    async fn names_are_looked_up_by_the_system_and_unknown_ones_are_named() {
        let lookups = Arc::new(Semaphore::new(1));
        let found = look_up("localhost".into(), Kind::Ip4, lookups.clone()).await.unwrap();
        assert!(found.iter().all(|ip| ip.is_loopback() && ip.is_ipv4()), "{found:?}");
        let error = look_up("no-such-host.invalid".into(), Kind::Any, lookups.clone()).await.unwrap_err();
        assert!(error.to_string().contains("no-such-host.invalid"), "{error}");
    }
}
