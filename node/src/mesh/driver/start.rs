//! Builds a mesh and starts it.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    error::Error,
    net::{IpAddr, SocketAddr},
    num::NonZeroUsize,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::StreamExt;
use libp2p::{
    Multiaddr, PeerId, Swarm,
    core::transport::ListenerId,
    kad::Mode,
    multiaddr::Protocol,
    swarm::{self, SwarmEvent},
};
use lru::LruCache;
use rustix::net::{self, AddressFamily, SocketType};
use tokio::{
    sync::{Semaphore, mpsc, watch},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::Driver;
use crate::mesh::{
    behaviour::Behaviour,
    config::{COMMANDS_MAX, FOREIGN_MAX, MeshConfig, NEGOTIATIONS_MAX, OPENS_MAX, PUBLISH_BYTES_MAX},
    dialer::Dialer,
    error::MeshError,
    events::{self, MeshEvents},
    gossip::Topics,
    handle::{MeshHandle, Opener, Shared},
    links::Links,
    messages::{self, Outbox, Reader},
    metrics::Counters,
    peer::{keypair, keys, peer_id},
    protocols,
    scores::Scores,
    transport::transport,
    trouble::deepest,
    twin::Meetings,
};

/// How long it may take until an address is listened on.
const LISTEN_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the others may take after that, counted from whatever happened last.
const LISTEN_OTHERS_TIMEOUT: Duration = Duration::from_secs(1);

/// Starts a mesh. When this returns, the mesh listens on every address that it can, and dials its peers.
///
/// # Errors
/// A [`MeshError`] if no address can be listened on or the configuration makes no sense. An unreachable peer is
/// not an error: it is dialled again forever.
pub async fn start(config: MeshConfig) -> Result<(MeshHandle, MeshEvents), MeshError> {
    check(&config)?;
    let keypair = keypair(&config.key);
    let local = keypair.public().to_peer_id();
    let authorities = authorities(&config, local)?;
    let counters = Arc::new(Counters::default());
    let links = Arc::new(Links::default());
    let topics = Topics::new(&config.network);
    let behaviour = Behaviour::new(&config, &keypair, &topics, &authorities, counters.clone())?;
    let acceptors = behaviour.streams.acceptors();
    let mut swarm = Swarm::new(
        transport(&keypair, config.rates.handshakes, counters.clone())?,
        behaviour,
        local,
        swarm::Config::with_tokio_executor()
            .with_idle_connection_timeout(config.idle)
            .with_max_negotiating_inbound_streams(NEGOTIATIONS_MAX)
            .with_notify_handler_buffer_size(const { NonZeroUsize::new(64).expect("64 is not 0") })
            .with_per_connection_event_buffer_size(64),
    );
    for address in &config.external {
        swarm.add_external_address(address.clone());
    }
    // Adding an external address does not change the mode, but libp2p does not promise that. This keeps it as it is.
    swarm.behaviour_mut().kad.set_mode(Some(Mode::Server));

    let (commands, commands_receiver) = mpsc::channel(COMMANDS_MAX);
    let (verdicts, verdicts_receiver) = mpsc::unbounded_channel();
    let (listening_sender, listening) = watch::channel(Vec::new());
    let (apart_sender, apart) = watch::channel(None);
    let (twin_sender, twin) = watch::channel(None);
    let (authorities_sender, authorities_receiver) = watch::channel(keys(&authorities));
    let (stopped_sender, stopped) = watch::channel(());
    let stop = CancellationToken::new();
    let (sink, gossip, events) = events::queues(&config, links.clone());
    let opener = Opener::new(commands.clone(), OPENS_MAX);
    let protocol = protocols::name(&config.network, messages::KIND);
    let outbox = Arc::new(Outbox::new(
        opener.clone(),
        protocol.clone(),
        counters.clone(),
        stop.clone(),
        config.message_bytes_max,
    ));
    let mut driver = Driver {
        swarm,
        local,
        network: config.network,
        versions: config.versions,
        apart: apart_sender,
        twin: twin_sender,
        meetings: Meetings::default(),
        topics,
        dialer: Dialer::new(local, &config.peers, authorities.iter().copied(), Instant::now()),
        authorities,
        authority_keys: authorities_sender,
        peers_wanted: config.peers_wanted,
        gossip_rate: config.rates.gossip,
        counters: counters.clone(),
        links: links.clone(),
        outbox: outbox.clone(),
        gossip,
        listening: listening_sender,
        listeners: HashSet::new(),
        peers: HashMap::new(),
        scores: Scores::default(),
        bans: VecDeque::new(),
        foreign: LruCache::new(const { NonZeroUsize::new(FOREIGN_MAX).expect("it is not 0") }),
        announcements: VecDeque::new(),
        announcing: HashSet::new(),
        searches: HashMap::new(),
        lookups: HashMap::new(),
        wanted: HashMap::new(),
        ticks: 0,
    };
    driver.note_known();
    let incoming = acceptors.accept(protocol, verdicts.clone()).expect("nobody else takes messages yet");
    driver.listen(&config.listen).await?;

    let reader = Reader {
        sink,
        verdicts: verdicts.clone(),
        counters: counters.clone(),
        message_bytes_max: config.message_bytes_max,
        rates: config.rates,
        authorities: authorities_receiver,
    };
    tokio::spawn(messages::take_incoming(incoming, reader, stop.clone()));
    let run = driver.run(commands_receiver, verdicts_receiver, stop.clone());
    let acceptors_of_task = acceptors.clone();
    tokio::spawn(async move {
        run.await;
        acceptors_of_task.clear();
        drop(stopped_sender);
    });

    let handle = MeshHandle(Arc::new(Shared {
        key: config.key.public(),
        network: config.network,
        gossip_bytes_max: config.gossip_bytes_max,
        commands,
        verdicts,
        publish_permits: Arc::new(Semaphore::new(PUBLISH_BYTES_MAX.max(config.gossip_bytes_max))),
        opener,
        outbox,
        acceptors,
        links,
        listening,
        apart,
        twin,
        counters,
        stop: stop.clone(),
        _stop_guard: stop.drop_guard(),
        stopped,
    }));
    Ok((handle, events))
}

fn check(config: &MeshConfig) -> Result<(), MeshError> {
    // A frame's length has four bytes, and gossipsub needs space for a message with its envelope.
    let bytes_max = u32::MAX as usize / 4;
    for (what, bytes) in [("gossip", config.gossip_bytes_max), ("message", config.message_bytes_max)] {
        if bytes == 0 || bytes > bytes_max {
            return Err(MeshError::Config(format!("a {what} may have 1 to {bytes_max} bytes, not {bytes}")));
        }
    }
    if config.connections_max < 4 || config.peer_connections_max < 2 || config.address_connections_max < 2 {
        let needed = "at least 4 connections, and 2 to each peer and of each address, are needed";
        return Err(MeshError::Config(needed.to_owned()));
    }
    Ok(())
}

fn authorities(config: &MeshConfig, local: PeerId) -> Result<HashSet<PeerId>, MeshError> {
    let peers = config.authorities.iter().map(|key| peer_id(key).ok_or(MeshError::Key { key: *key }));
    let mut peers = peers.collect::<Result<HashSet<_>, _>>()?;
    peers.remove(&local);
    Ok(peers)
}

impl Driver {
    /// Listens on all addresses. One that has begun is enough: what became of the others is told.
    async fn listen(&mut self, addresses: &[Multiaddr]) -> Result<(), MeshError> {
        let mut waiting: HashMap<ListenerId, &Multiaddr> = HashMap::new();
        let mut failed = Vec::new();
        for address in addresses {
            match self.begin_to_listen(address) {
                Ok(listener) => {
                    waiting.insert(listener, address);
                }
                Err(reason) => failed.push(MeshError::Listen { address: address.clone(), reason }),
            }
        }
        let by = Instant::now() + LISTEN_TIMEOUT;
        while !waiting.is_empty() {
            // An interface that is switched off may never come. Whoever can be reached need not wait for it.
            let most = if self.listeners.is_empty() { LISTEN_TIMEOUT } else { LISTEN_OTHERS_TIMEOUT };
            let left = by.saturating_duration_since(Instant::now()).min(most);
            let Ok(event) = timeout(left, self.swarm.select_next_some()).await else { break };
            if let SwarmEvent::ListenerClosed { listener_id, reason: Err(error), .. } = &event
                && let Some(address) = waiting.remove(listener_id)
            {
                failed.push(MeshError::Listen { address: address.clone(), reason: reason(error) });
            }
            self.on_event(event);
            waiting.retain(|listener, _| !self.listeners.contains(listener));
        }
        let late = |address: &Multiaddr| MeshError::ListenTimeout {
            address: address.clone(),
            seconds: if self.listeners.is_empty() { LISTEN_TIMEOUT } else { LISTEN_OTHERS_TIMEOUT }.as_secs(),
        };
        failed.extend(waiting.into_values().map(late));
        if self.listeners.is_empty() && !failed.is_empty() {
            return Err(failed.swap_remove(0));
        }
        for error in failed {
            tracing::warn!("{error}. This peer goes on with its other addresses");
        }
        Ok(())
    }

    fn begin_to_listen(&mut self, address: &Multiaddr) -> Result<ListenerId, String> {
        probe(address).map_err(|error| error.to_string())?;
        self.swarm.listen_on(address.clone()).map_err(|error| reason(&error))
    }
}

/// Checks that a TCP port is free. The transport shares ports, so that dials can leave from them, and would silently
/// share another process's port too.
fn probe(address: &Multiaddr) -> std::io::Result<()> {
    let mut parts = address.iter();
    let ip = match parts.next() {
        Some(Protocol::Ip4(ip)) => IpAddr::from(ip),
        Some(Protocol::Ip6(ip)) => IpAddr::from(ip),
        _ => return Ok(()),
    };
    match parts.next() {
        Some(Protocol::Tcp(port)) if port != 0 => bind(SocketAddr::new(ip, port)),
        _ => Ok(()),
    }
}

/// Listens as the transport will, and no longer. An address of IPv6 is for IPv6 alone, so that IPv4 may have one of the
/// same port.
fn bind(address: SocketAddr) -> std::io::Result<()> {
    let family = if address.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
    let socket = net::socket(family, SocketType::STREAM, None)?;
    if address.is_ipv6() {
        net::sockopt::set_ipv6_v6only(&socket, true)?;
    }
    // A port is free although connections that it had have just ended.
    if cfg!(unix) {
        net::sockopt::set_socket_reuseaddr(&socket, true)?;
    }
    net::bind(&socket, &address)?;
    Ok(net::listen(&socket, 1)?)
}

/// The innermost cause of an error, in the system's own words.
fn reason(error: &(dyn Error + 'static)) -> String {
    deepest(error).to_string()
}
