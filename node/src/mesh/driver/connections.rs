//! Connections: established, identified, kept alive, lost.

use std::{
    collections::HashMap,
    time::{Duration, Instant, SystemTime},
};

use libp2p::{
    Multiaddr, PeerId,
    core::ConnectedPoint,
    identify, mdns, ping,
    swarm::{
        ConnectionId, DialError,
        dial_opts::{DialOpts, PeerCondition},
    },
};

use super::Driver;
use crate::mesh::{
    allowance::Allowance,
    config::{FOREIGN_FOR, IDENTIFY_TIMEOUT, PEER_ADDRESSES_MAX, PING_FAILURES_MAX, USE_NOTED_EVERY},
    handle::PeerInfo,
    metrics::one,
    peer::{is_plausible, public_key},
    protocols::{self, Meeting},
    trouble,
};

/// The most bytes kept of a peer's description of itself.
const AGENT_BYTES_MAX: usize = 64;

/// One connection to a peer.
struct Connection {
    address: Multiaddr,
    ping_failures: u32,
}

/// A connected peer.
pub(super) struct Peer {
    connections: HashMap<ConnectionId, Connection>,
    opened: Instant,
    since: SystemTime,
    /// When it said that it is of this network; `None` if it has not yet.
    identified: Option<Instant>,
    agent: String,
    round_trip: Option<Duration>,
    /// What is left of the gossip that is taken from it.
    pub(super) gossip: Allowance,
    /// Whether its gossip is dropped until it is even.
    pub(super) is_throttled: bool,
    /// When admission last heard that it is of use.
    used: Option<Instant>,
}

impl Driver {
    /// Makes the dials that are due.
    pub(super) fn dial(&mut self, now: Instant) {
        let (peers, content) = (&self.peers, self.is_content());
        for options in self.dialer.due(now, content, |peer| peers.contains_key(peer)) {
            let (connection, peer) = (options.connection_id(), options.get_peer_id());
            if let Err(error) = self.swarm.dial(options) {
                self.on_dial_failed(connection, peer, &error);
            }
        }
    }

    /// Whether this peer has enough others.
    fn is_content(&self) -> bool {
        self.peers.values().filter(|peer| peer.identified.is_some()).count() >= self.peers_wanted
    }

    /// Tells admission that a peer is of use. Admission looks at every connection then, so it is told rarely.
    pub(super) fn used(&mut self, peer: &PeerId, now: Instant) {
        let Some(entry) = self.peers.get_mut(peer) else { return };
        if entry.used.is_none_or(|used| now.saturating_duration_since(used) >= USE_NOTED_EVERY) {
            entry.used = Some(now);
            self.swarm.behaviour_mut().admission.used(peer, now);
        }
    }

    pub(super) fn on_established(&mut self, peer: PeerId, connection: ConnectionId, endpoint: &ConnectedPoint) {
        one(&self.counters.connections_opened);
        if endpoint.is_dialer() {
            self.dialer.connected(connection, peer);
            self.note_known();
        } else {
            self.dialer.reached(peer);
        }
        let entry = self.peers.entry(peer).or_insert_with(|| Peer {
            connections: HashMap::new(),
            opened: Instant::now(),
            since: SystemTime::now(),
            identified: None,
            gossip: Allowance::new(self.gossip_rate, Instant::now()),
            is_throttled: false,
            used: None,
            agent: String::new(),
            round_trip: None,
        });
        let address = endpoint.get_remote_address().clone();
        entry.connections.insert(connection, Connection { address, ping_failures: 0 });
        self.open_wanted(peer);
    }

    pub(super) fn on_closed(&mut self, peer: PeerId, connection: ConnectionId, left: u32, closed_by_peer: bool) {
        one(&self.counters.connections_closed);
        let Some(entry) = self.peers.get_mut(&peer) else { return };
        let closed = entry.connections.remove(&connection);
        if left > 0 {
            return;
        }
        let now = Instant::now();
        let lasted = entry.identified.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        self.peers.remove(&peer);
        if let Some(key) = public_key(&peer) {
            self.links.set(key, false);
        }
        // gossipsub keeps the score of a peer that has gone.
        self.note_points(&peer, self.scores.of(&peer, now));
        let content = self.is_content();
        let is_news = self.dialer.lost(&peer, lasted, closed_by_peer, content, now, rand::random::<f64>());
        if let Some(closed) = closed
            && is_news
            && !self.is_foreign(&peer)
        {
            let (address, after) = (closed.address, lasted.as_millis());
            tracing::warn!(
                %peer, %address, after_ms = after,
                "a peer took this one's connection and soon closed it: it has no place for this one just now, or has \
                 just stopped. It is dialled again, ever more slowly. Others whom it has named are tried meanwhile"
            );
        }
        self.dial(now);
    }

    pub(super) fn on_dial_failed(&mut self, connection: ConnectionId, peer: Option<PeerId>, error: &DialError) {
        one(&self.counters.dials_failed);
        tracing::debug!(?peer, %error, "a dial failed");
        if let Some(why) = trouble::in_words(error)
            && let Some(told) = self.dialer.trouble(connection, why, Instant::now())
        {
            let address = told.address.as_ref().map_or_else(|| "nowhere".to_owned(), ToString::to_string);
            tracing::warn!(
                %address, peer = told.key.map(tracing::field::display), dials = told.dials,
                "a peer cannot be reached: {}. It is dialled again, ever more slowly", told.why
            );
        }
        let now = Instant::now();
        self.meetings.failed(now);
        if let DialError::LocalPeerId { address } = error {
            self.meetings.dialled(address.clone(), now);
        }
        let is_away = matches!(error, DialError::Transport(_)) && !was_there(error);
        let missing = self.dialer.failed(connection, is_away, now, rand::random::<f64>());
        match peer.or(missing) {
            // Another dial to the same peer is under way, or it is connected. The result of that counts.
            Some(_) if matches!(error, DialError::DialPeerConditionFalse(_)) => {}
            Some(peer) if self.wanted.contains_key(&peer) => {
                if let Some(wanted) = self.wanted.get_mut(&peer) {
                    wanted.was_there |= was_there(error);
                }
                self.look_up_wanted(peer);
            }
            Some(peer) if missing.is_some() && !self.is_foreign(&peer) => self.look_up(peer),
            _ => {}
        }
    }

    pub(super) fn on_identify(&mut self, event: identify::Event) {
        match event {
            identify::Event::Received { connection_id, peer_id, info } => {
                match protocols::meet(&self.network, self.versions, &info.protocol_version) {
                    Meeting::Good => self.on_identified(peer_id, connection_id, info),
                    Meeting::Apart(why) => {
                        tracing::warn!(peer = %peer_id, "a peer cannot be worked with: {why}");
                        self.apart.send_replace(Some(format!("{peer_id}: {why}")));
                        // The peer stays unidentified until that takes too long. So it has time to learn the same.
                    }
                    Meeting::Foreign => {
                        let theirs = clipped(&info.protocol_version);
                        tracing::warn!(peer = %peer_id, %theirs, "a peer of another network");
                        self.refuse_foreign(peer_id);
                    }
                }
            }
            identify::Event::Error { peer_id, error, .. } => {
                tracing::debug!(peer = %peer_id, %error, "a peer did not say who it is");
            }
            _ => {}
        }
    }

    fn on_identified(&mut self, peer: PeerId, connection: ConnectionId, info: identify::Info) {
        let Some(key) = public_key(&peer) else { return };
        let Some(entry) = self.peers.get_mut(&peer) else { return };
        let id = connection;
        let Some(connection) = entry.connections.get(&id) else { return };
        self.swarm.behaviour_mut().admission.identified(id, Instant::now());
        // Kademlia learns no address by itself. Without this, a network stays a star around its first peer.
        // A peer that does not answer there would only take room in the table.
        let speaks = self.swarm.behaviour().kad.protocol_names().iter().any(|name| info.protocols.contains(name));
        let addresses = info.listen_addrs.iter().filter(|address| is_plausible(address, &connection.address));
        for address in addresses.take(PEER_ADDRESSES_MAX).filter(|_| speaks) {
            self.swarm.behaviour_mut().kad.add_address(&peer, address.clone());
        }
        entry.agent = clipped(&info.agent_version).to_owned();
        if entry.identified.is_some() {
            return;
        }
        entry.identified = Some(Instant::now());
        self.foreign.pop(&peer);
        // gossipsub forgets a score that was set before it knew the peer.
        let points = self.scores.of(&peer, Instant::now());
        if points > 0.0 {
            self.note_points(&peer, points);
        }
        self.links.set(key, true);
        self.outbox.connected(&key);
        self.announce();
    }

    fn refuse_foreign(&mut self, peer: PeerId) {
        let now = Instant::now();
        one(&self.counters.foreign_peers);
        self.foreign.put(peer, now + FOREIGN_FOR);
        self.dialer.foreign(&peer, now);
        self.swarm.behaviour_mut().kad.remove_peer(&peer);
        let _ = self.swarm.disconnect_peer_id(peer);
    }

    /// Whether a peer was recently found to be of another network.
    pub(super) fn is_foreign(&mut self, peer: &PeerId) -> bool {
        self.foreign.get(peer).is_some_and(|until| *until > Instant::now())
    }

    /// Drops peers that do not say in time which network they are of. They count as foreign.
    pub(super) fn drop_unidentified(&mut self, now: Instant) {
        let silent =
            |peer: &Peer| peer.identified.is_none() && now.saturating_duration_since(peer.opened) > IDENTIFY_TIMEOUT;
        let silent: Vec<PeerId> = self.peers.iter().filter(|(_, peer)| silent(peer)).map(|(id, _)| *id).collect();
        for peer in silent {
            tracing::debug!(%peer, "a peer that does not say which network it is of");
            self.refuse_foreign(peer);
        }
    }

    pub(super) fn on_ping(&mut self, event: &ping::Event) {
        let Some(peer) = self.peers.get_mut(&event.peer) else { return };
        let Some(connection) = peer.connections.get_mut(&event.connection) else { return };
        match &event.result {
            Ok(round_trip) => {
                connection.ping_failures = 0;
                peer.round_trip = Some(*round_trip);
            }
            Err(error) => {
                connection.ping_failures += 1;
                if connection.ping_failures >= PING_FAILURES_MAX {
                    // A machine that loses power closes no connection.
                    tracing::debug!(peer = %event.peer, %error, "a connection is dead");
                    self.swarm.close_connection(event.connection);
                }
            }
        }
    }

    pub(super) fn on_mdns(&mut self, event: mdns::Event) {
        let mdns::Event::Discovered(found) = event else { return };
        for (peer, address) in found {
            if self.peers.contains_key(&peer) || self.is_foreign(&peer) || public_key(&peer).is_none() {
                continue;
            }
            // It may be of another network, so it does not enter the routing table yet.
            let options = DialOpts::peer_id(peer)
                .addresses(vec![address])
                .condition(PeerCondition::DisconnectedAndNotDialing)
                .allocate_new_port()
                .build();
            let _ = self.swarm.dial(options);
        }
    }

    /// Whether any peer has said that it is of this network.
    pub(super) fn has_identified_peers(&self) -> bool {
        self.peers.values().any(|peer| peer.identified.is_some())
    }

    pub(super) fn peer_infos(&self) -> Vec<PeerInfo> {
        let gossip = &self.swarm.behaviour().gossip;
        let mut infos: Vec<PeerInfo> = self
            .peers
            .iter()
            .filter(|(_, peer)| peer.identified.is_some())
            .filter_map(|(id, peer)| {
                Some(PeerInfo {
                    key: public_key(id)?,
                    addresses: peer.connections.values().map(|connection| connection.address.clone()).collect(),
                    connected_since: peer.since,
                    agent: peer.agent.clone(),
                    round_trip: peer.round_trip,
                    score: gossip.peer_score(id).unwrap_or(0.0),
                })
            })
            .collect();
        infos.sort_by_key(|info| info.key);
        infos
    }
}

/// Whether a dial failed because whoever was there broke the handshake off.
fn was_there(error: &DialError) -> bool {
    let DialError::Transport(errors) = error else { return false };
    errors.iter().any(|(_, error)| trouble::was_there(error))
}

/// The beginning of a stranger's text.
fn clipped(text: &str) -> &str {
    let end = text.char_indices().map(|(at, letter)| at + letter.len_utf8()).take_while(|end| *end <= AGENT_BYTES_MAX);
    &text[..end.last().unwrap_or(0)]
}
