//! Strangers, each of which comes back as soon as it is turned out.

use std::{
    io,
    net::Ipv4Addr,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use futures::{
    FutureExt, StreamExt,
    future::{BoxFuture, Pending},
};
use libp2p::{
    Multiaddr, Swarm, Transport,
    core::{
        transport::{DialOpts, ListenerId, TransportError, TransportEvent},
        upgrade::Version,
    },
    identify,
    identity::Keypair,
    multiaddr::Protocol,
    noise, ping,
    swarm::{self, NetworkBehaviour, SwarmEvent},
    tcp, yamux,
};
use meshwork_node::mesh::Versions;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::sleep,
};

use crate::NETWORK;

/// How long a stranger waits before it comes back.
const REST: Duration = Duration::from_millis(200);

/// What a stranger does.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    /// It opens a connection and says nothing.
    HalfOpen,
    /// It says that it is of the network, answers pings, and holds the connection.
    Idle,
    /// It sends what is no handshake.
    Garbage,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::HalfOpen, Self::Idle, Self::Garbage];
}

/// Comes from an address for ever.
pub(crate) async fn run(kind: Kind, number: usize, from: Ipv4Addr, to: Multiaddr) {
    for times in 0u32.. {
        match kind {
            Kind::HalfOpen => raw(from, &to, &[]).await,
            Kind::Garbage => raw(from, &to, &[0xa5; 4096]).await,
            Kind::Idle => hold(number, times, from, &to).await,
        }
        sleep(REST).await;
    }
}

/// Opens a connection, sends these bytes, and waits until the other side closes it.
async fn raw(from: Ipv4Addr, to: &Multiaddr, bytes: &[u8]) {
    let Ok(mut stream) = connect(from, to).await else { return };
    let _ = stream.write_all(bytes).await;
    let mut answer = [0; 1024];
    while stream.read(&mut answer).await.is_ok_and(|bytes| bytes > 0) {}
}

#[derive(NetworkBehaviour)]
struct Behaviour {
    identify: identify::Behaviour,
    ping: ping::Behaviour,
}

/// Connects with a new identity, and holds the connection until the other side closes it.
async fn hold(number: usize, times: u32, from: Ipv4Addr, to: &Multiaddr) {
    let mut seed = [0xee; 32];
    seed[..8].copy_from_slice(&(number as u64).to_le_bytes());
    seed[8..12].copy_from_slice(&times.to_le_bytes());
    let keypair = Keypair::ed25519_from_bytes(seed).expect("any 32 bytes are a key");
    let Versions { lowest, newest } = Versions::OWN;
    let version = format!("/meshwork/{NETWORK}/{lowest}-{newest}");
    let behaviour = Behaviour {
        identify: identify::Behaviour::new(identify::Config::new(version, keypair.public())),
        ping: ping::Behaviour::default(),
    };
    let transport = FromAddress(from)
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(&keypair).expect("keys"))
        .multiplex(yamux::Config::default())
        .boxed();
    let config = swarm::Config::with_tokio_executor().with_idle_connection_timeout(Duration::from_secs(3600));
    let mut swarm = Swarm::new(transport, behaviour, keypair.public().to_peer_id(), config);
    if swarm.dial(to.clone()).is_err() {
        return;
    }
    loop {
        if let SwarmEvent::ConnectionClosed { num_established: 0, .. } | SwarmEvent::OutgoingConnectionError { .. } =
            swarm.select_next_some().await
        {
            return;
        }
    }
}

/// TCP from one of this machine's addresses. libp2p's own leaves the choice of it to the system.
struct FromAddress(Ipv4Addr);

impl Transport for FromAddress {
    type Output = tcp::tokio::TcpStream;
    type Error = io::Error;
    type ListenerUpgrade = Pending<io::Result<Self::Output>>;
    type Dial = BoxFuture<'static, io::Result<Self::Output>>;

    fn listen_on(&mut self, _: ListenerId, address: Multiaddr) -> Result<(), TransportError<io::Error>> {
        Err(TransportError::MultiaddrNotSupported(address))
    }

    fn remove_listener(&mut self, _: ListenerId) -> bool {
        false
    }

    fn dial(&mut self, to: Multiaddr, _: DialOpts) -> Result<Self::Dial, TransportError<io::Error>> {
        let from = self.0;
        Ok(async move { connect(from, &to).await.map(tcp::tokio::TcpStream) }.boxed())
    }

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<TransportEvent<Self::ListenerUpgrade, io::Error>> {
        Poll::Pending
    }
}

async fn connect(from: Ipv4Addr, to: &Multiaddr) -> io::Result<TcpStream> {
    let port = to.iter().find_map(|part| match part {
        Protocol::Tcp(port) => Some(port),
        _ => None,
    });
    let socket = TcpSocket::new_v4()?;
    socket.bind((from, 0).into())?;
    socket.connect((Ipv4Addr::LOCALHOST, port.expect("it listens on TCP")).into()).await
}
