//! The task that owns the Swarm. It takes commands and verdicts, and turns what the network does into events.
//!
//! It waits for nothing but the network. Everything that it hands out goes to queues that it never waits on.

mod connections;
mod kademlia;
mod start;

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use futures::StreamExt;
use libp2p::{
    Multiaddr, PeerId, Swarm,
    core::transport::ListenerId,
    gossipsub, kad,
    swarm::{ListenError, SwarmEvent},
};
use lru::LruCache;
use meshwork_core::{
    digest::Digest,
    identity::{NetworkId, PublicKey},
};
use tokio::{
    sync::{mpsc, watch},
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_util::sync::CancellationToken;

use self::{connections::Peer, kademlia::Wanted};
use super::{
    allowance::Rate,
    behaviour::{Behaviour, BehaviourEvent},
    dialer::Dialer,
    events::GossipSink,
    gossip::{Acceptance, GRAYLIST_SCORE, GossipId, THROTTLED_SCORE, Topic, Topics},
    handle::{Command, Reachable, Verdict},
    links::Links,
    messages::Outbox,
    metrics::{Counters, add, one},
    peer::{keys, peer_id, public_key},
    protocols::Versions,
    scores::{BAN_FOR, BAN_POINTS, BANS_MAX, Scores},
    twin::Meetings,
};

pub use start::start;

/// How often the dialer is asked for dials.
const TICK: Duration = Duration::from_millis(100);
/// How many ticks pass between checks of what changes slowly.
const SLOW_TICKS: u64 = 10;
/// How many ticks pass between searches for more peers, while there are few.
const SEARCH_TICKS: u64 = 50;
/// The most verdicts taken at once, before the network has its turn.
const VERDICTS_AT_ONCE: usize = 256;
/// A peer with this score or less, not counting the node's own points, is to blame for its gossip.
const GOSSIP_BLAME: f64 = -5.0;
/// How long closing all connections may take.
const STOP_TIMEOUT: Duration = Duration::from_secs(1);

/// Everything that the task holds.
struct Driver {
    swarm: Swarm<Behaviour>,
    local: PeerId,
    network: NetworkId,
    versions: Versions,
    /// That another process has this peer's key, in a sentence, if it is there.
    twin: watch::Sender<Option<String>>,
    meetings: Meetings,
    /// Why the last peer with an incompatible protocol version could not be worked with.
    apart: watch::Sender<Option<String>>,
    topics: Topics,
    authorities: HashSet<PeerId>,
    /// The same as keys, for those who read messages.
    authority_keys: watch::Sender<HashSet<PublicKey>>,
    peers_wanted: usize,
    /// How much gossip is taken from one peer.
    gossip_rate: Rate,
    counters: Arc<Counters>,
    links: Arc<Links>,
    outbox: Arc<Outbox>,
    gossip: GossipSink,
    listening: watch::Sender<Vec<Multiaddr>>,
    /// The listeners that have an address.
    listeners: HashSet<ListenerId>,
    peers: HashMap<PeerId, Peer>,
    dialer: Dialer,
    scores: Scores,
    /// Banned peers, and until when.
    bans: VecDeque<(Instant, PeerId)>,
    /// Peers of another network, and until when that is remembered.
    foreign: LruCache<PeerId, Instant>,
    /// Blobs to announce once there is capacity.
    announcements: VecDeque<Digest>,
    announcing: HashSet<kad::QueryId>,
    searches: HashMap<kad::QueryId, mpsc::Sender<PublicKey>>,
    lookups: HashMap<kad::QueryId, PeerId>,
    /// Peers that are being connected to because a caller wants a stream to them.
    wanted: HashMap<PeerId, Wanted>,
    ticks: u64,
}

impl Driver {
    async fn run(
        mut self,
        mut commands: mpsc::Receiver<Command>,
        mut verdicts: mpsc::UnboundedReceiver<Verdict>,
        stop: CancellationToken,
    ) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                Some(verdict) = verdicts.recv() => {
                    self.on_verdict(verdict);
                    for _ in 0..VERDICTS_AT_ONCE {
                        let Ok(verdict) = verdicts.try_recv() else { break };
                        self.on_verdict(verdict);
                    }
                }
                Some(command) = commands.recv() => self.on_command(command),
                event = self.swarm.select_next_some() => self.on_event(event),
                _ = ticks.tick() => self.on_tick(Instant::now()),
            }
        }
        self.close().await;
    }

    /// Closes all connections in an orderly way, so that the peers need not find out.
    async fn close(mut self) {
        let peers: Vec<PeerId> = self.swarm.connected_peers().copied().collect();
        for peer in peers {
            let _ = self.swarm.disconnect_peer_id(peer);
        }
        let closed = async {
            while self.swarm.network_info().num_peers() > 0 {
                self.swarm.select_next_some().await;
            }
        };
        let _ = timeout(STOP_TIMEOUT, closed).await;
    }

    fn on_command(&mut self, command: Command) {
        match command {
            Command::Publish { topic, bytes, permits } => {
                self.publish(topic, bytes);
                drop(permits);
            }
            Command::Open(request) => self.open(request),
            Command::Peers(reply) => {
                let _ = reply.send(self.peer_infos());
            }
            Command::Unreached(reply) => {
                let _ = reply.send(self.dialer.unreached(|peer| self.peers.contains_key(peer)));
            }
            Command::Provide(digest) => self.provide(digest),
            Command::StopProviding(digest) => self.stop_providing(&digest),
            Command::Providers { digest, found } => self.search(&digest, found),
        }
    }

    fn publish(&mut self, topic: Topic, bytes: Vec<u8>) {
        let length = bytes.len();
        let topic = self.topics.hash(topic);
        match self.swarm.behaviour_mut().gossip.publish(topic, bytes) {
            Ok(_) => {
                one(&self.counters.gossip_published);
                add(&self.counters.gossip_published_bytes, length);
            }
            Err(gossipsub::PublishError::Duplicate) => one(&self.counters.gossip_duplicates),
            Err(error) => {
                tracing::debug!(%error, "gossip was not published");
                one(&self.counters.gossip_unpublished);
            }
        }
    }

    fn on_verdict(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Judge(id, acceptance) => self.judge(&id, acceptance),
            Verdict::Penalize(key, points) => {
                if let Some(peer) = peer_id(&key) {
                    self.penalize(peer, points, Instant::now());
                }
            }
            Verdict::Used(key) => {
                if let Some(peer) = peer_id(&key) {
                    self.used(&peer, Instant::now());
                }
            }
            Verdict::Authorities(authorities) => self.set_authorities(authorities),
        }
    }

    fn set_authorities(&mut self, authorities: Vec<Reachable>) {
        let now = Instant::now();
        let behaviour = self.swarm.behaviour_mut();
        for left in self.authorities.drain() {
            behaviour.dials.remove_peer_id(&left);
        }
        for (peer, addresses) in authorities {
            behaviour.dials.bypass_peer_id(&peer);
            behaviour.banned.unblock_peer(peer);
            self.bans.retain(|(_, banned)| *banned != peer);
            self.dialer.seek(peer, &addresses, now);
            self.authorities.insert(peer);
        }
        self.dialer.keep(&self.authorities);
        self.authority_keys.send_replace(keys(&self.authorities));
        self.note_known();
    }

    /// Tells admission which peers are known: the authorities, and whoever this peer is configured to join by.
    fn note_known(&mut self) {
        let known = self.dialer.peers().chain(self.authorities.iter().copied()).collect();
        self.swarm.behaviour_mut().admission.set_known(known);
    }

    fn judge(&mut self, id: &GossipId, acceptance: Acceptance) {
        let (acceptance, counter) = match acceptance {
            Acceptance::Accept => (gossipsub::MessageAcceptance::Accept, &self.counters.gossip_accepted),
            Acceptance::Reject => (gossipsub::MessageAcceptance::Reject, &self.counters.gossip_rejected),
            Acceptance::Ignore => (gossipsub::MessageAcceptance::Ignore, &self.counters.gossip_ignored),
        };
        one(counter);
        if matches!(acceptance, gossipsub::MessageAcceptance::Accept) {
            self.used(&id.from, Instant::now());
        }
        self.swarm.behaviour_mut().gossip.report_message_validation_result(&id.message, &id.from, acceptance);
    }

    fn penalize(&mut self, peer: PeerId, points: u32, now: Instant) {
        let sum = self.scores.add(peer, points, now);
        self.note_points(&peer, sum);
        if sum >= BAN_POINTS {
            self.ban(peer, now);
        }
    }

    /// Tells gossipsub the node's points against a peer.
    fn note_points(&mut self, peer: &PeerId, points: f64) {
        let throttled = self.peers.get(peer).map_or(0.0, throttled_score);
        self.swarm.behaviour_mut().gossip.set_application_score(peer, throttled - points);
    }

    fn ban(&mut self, peer: PeerId, now: Instant) {
        if self.authorities.contains(&peer) || !self.swarm.behaviour_mut().banned.block_peer(peer) {
            return;
        }
        tracing::info!(%peer, "a peer is shut out for what it sent");
        one(&self.counters.peers_banned);
        self.scores.forget(&peer);
        if self.bans.len() >= BANS_MAX
            && let Some((_, oldest)) = self.bans.pop_front()
        {
            self.swarm.behaviour_mut().banned.unblock_peer(oldest);
        }
        self.bans.push_back((now + BAN_FOR, peer));
    }

    /// Bans peers whose gossip is ignored for what they gossiped, not for how much. They could otherwise go on for
    /// ever, since what is ignored is not judged.
    fn ban_ignored(&mut self, now: Instant) {
        let gossip = &self.swarm.behaviour().gossip;
        let is_ignored = |id: &PeerId, peer: &Peer| {
            let score = gossip.peer_score(id).unwrap_or(0.0) - throttled_score(peer);
            score < GRAYLIST_SCORE && score + self.scores.of(id, now) <= GOSSIP_BLAME
        };
        let ignored: Vec<PeerId> =
            self.peers.iter().filter(|(id, peer)| is_ignored(id, peer)).map(|(id, _)| *id).collect();
        for peer in ignored {
            self.ban(peer, now);
        }
    }

    fn on_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(event) => self.on_behaviour(event),
            SwarmEvent::NewListenAddr { listener_id, address } => {
                tracing::info!(%address, "listening");
                self.listeners.insert(listener_id);
                self.dialer.met_itself(&address);
                self.note_listening();
            }
            SwarmEvent::ExpiredListenAddr { .. } => self.note_listening(),
            SwarmEvent::ListenerClosed { addresses, reason, .. } => {
                if let Err(error) = reason {
                    tracing::error!(?addresses, %error, "a listener ended");
                }
                self.note_listening();
            }
            SwarmEvent::ListenerError { error, .. } => tracing::warn!(%error, "a listener failed to take a connection"),
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                self.on_established(peer_id, connection_id, &endpoint);
            }
            SwarmEvent::ConnectionClosed { peer_id, connection_id, num_established, cause, .. } => {
                tracing::debug!(peer = %peer_id, ?cause, "a connection ended");
                self.on_closed(peer_id, connection_id, num_established, cause.is_some());
            }
            SwarmEvent::IncomingConnection { .. } => self.meetings.incoming(Instant::now()),
            SwarmEvent::IncomingConnectionError { error: ListenError::LocalPeerId { .. }, send_back_addr, .. } => {
                self.meetings.taken(send_back_addr, Instant::now());
            }
            SwarmEvent::OutgoingConnectionError { connection_id, peer_id, error } => {
                self.on_dial_failed(connection_id, peer_id, &error);
            }
            _ => {}
        }
    }

    fn on_behaviour(&mut self, event: BehaviourEvent) {
        match event {
            BehaviourEvent::Gossip(gossipsub::Event::Message { propagation_source, message_id, message }) => {
                self.on_gossip(GossipId { message: message_id, from: propagation_source }, message);
            }
            BehaviourEvent::Gossip(gossipsub::Event::SlowPeer { peer_id, failed_messages }) => {
                tracing::debug!(peer = %peer_id, ?failed_messages, "a peer takes gossip too slowly");
            }
            BehaviourEvent::Identify(event) => self.on_identify(event),
            BehaviourEvent::Ping(event) => self.on_ping(&event),
            BehaviourEvent::Kad(event) => self.on_kad(event),
            BehaviourEvent::Mdns(event) => self.on_mdns(event),
            _ => {}
        }
    }

    fn on_gossip(&mut self, id: GossipId, message: gossipsub::Message) {
        one(&self.counters.gossip_in);
        add(&self.counters.gossip_in_bytes, message.data.len());
        self.draw_gossip(id.from, Instant::now());
        let known = self.topics.of(&message.topic).zip(public_key(&id.from));
        let handed_out = known.is_some_and(|(topic, from)| self.gossip.try_send(topic, message.data, from, id.clone()));
        if !handed_out {
            one(&self.counters.gossip_dropped);
            self.ignore(&id);
        }
    }

    fn ignore(&mut self, id: &GossipId) {
        self.swarm.behaviour_mut().gossip.report_message_validation_result(
            &id.message,
            &id.from,
            gossipsub::MessageAcceptance::Ignore,
        );
    }

    /// Counts a message of a peer's gossip. If the peer has sent more than it may, gossipsub drops what comes next,
    /// until the peer is even. An authority may gossip any amount.
    ///
    /// This message is taken all the same. Gossipsub remembers it and takes it from no other peer now, so a stranger
    /// could suppress others' messages by sending them too fast.
    fn draw_gossip(&mut self, peer: PeerId, now: Instant) {
        if self.authorities.contains(&peer) {
            return;
        }
        let Some(sender) = self.peers.get_mut(&peer) else { return };
        if sender.gossip.overdraw(1.0, self.gossip_rate, now).is_zero() || sender.is_throttled {
            return;
        }
        sender.is_throttled = true;
        one(&self.counters.gossip_throttled);
        self.note_points(&peer, self.scores.of(&peer, now));
    }

    /// Listens again to the gossip of peers that had sent too much and are even now.
    fn lift_throttles(&mut self, now: Instant) {
        let rate = self.gossip_rate;
        let mut even = Vec::new();
        for (id, peer) in self.peers.iter_mut().filter(|(_, peer)| peer.is_throttled) {
            if self.authorities.contains(id) || peer.gossip.overdraw(0.0, rate, now).is_zero() {
                peer.is_throttled = false;
                even.push(*id);
            }
        }
        for id in even {
            self.note_points(&id, self.scores.of(&id, now));
        }
    }

    /// Tells when another process with this peer's key is met, and when it has not been met for a while.
    fn note_twin(&mut self, now: Instant) {
        let twin = self.meetings.twin(now);
        self.twin.send_if_modified(|told| {
            if *told == twin {
                return false;
            }
            match &twin {
                Some(sentence) => tracing::error!("{sentence}"),
                None => tracing::info!("no other process with this peer's key has been met for a while"),
            }
            *told = twin;
            true
        });
    }

    fn note_listening(&self) {
        let addresses =
            self.swarm.listeners().filter_map(|address| address.clone().with_p2p(self.local).ok()).collect();
        self.listening.send_replace(addresses);
    }

    fn on_tick(&mut self, now: Instant) {
        self.dial(now);
        self.lift_throttles(now);
        if self.ticks.is_multiple_of(SLOW_TICKS) {
            self.drop_unidentified(now);
            self.note_twin(now);
            self.swarm.behaviour_mut().admission.tick(now);
            for (peer, points) in self.scores.fade(now) {
                self.note_points(&peer, points);
            }
            self.ban_ignored(now);
            while self.bans.front().is_some_and(|(until, _)| *until <= now) {
                let Some((_, peer)) = self.bans.pop_front() else { break };
                self.swarm.behaviour_mut().banned.unblock_peer(peer);
            }
            // A caller that gave up waiting has dropped the other end.
            self.searches.retain(|query, found| {
                let open = !found.is_closed();
                if !open && let Some(mut query) = self.swarm.behaviour_mut().kad.query_mut(query) {
                    query.finish();
                }
                open
            });
            self.announce();
        }
        if self.ticks.is_multiple_of(SEARCH_TICKS) && self.peers.len() < self.peers_wanted {
            // This dials peers of the routing table, too: whoever was refused may have heard of others before.
            let _ = self.swarm.behaviour_mut().kad.bootstrap();
        }
        self.ticks += 1;
    }
}

/// What is added to a peer's score while its gossip is not listened to because it sent too much.
const fn throttled_score(peer: &Peer) -> f64 {
    if peer.is_throttled { THROTTLED_SCORE } else { 0.0 }
}
