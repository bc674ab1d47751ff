//! The uses of the Kademlia table: which peer has what, and where a peer is.

use std::collections::HashSet;

use libp2p::{
    Multiaddr, PeerId, kad,
    kad::{GetProvidersOk, PeerInfo, QueryResult, RecordKey},
    swarm::dial_opts::{DialOpts, PeerCondition},
};
use meshwork_core::{digest::Digest, identity::PublicKey};
use tokio::sync::mpsc;

use super::Driver;
use crate::mesh::{
    config::{ANNOUNCEMENTS_MAX, PEER_ADDRESSES_MAX, PROVIDED_MAX, SEARCHES_MAX},
    error::OpenError,
    metrics::one,
    peer::{peer_id, public_key},
    streams::OpenRequest,
};

/// A peer to which a caller wants a stream while there is no connection.
#[derive(Default)]
pub(super) struct Wanted {
    requests: Vec<OpenRequest>,
    /// Its addresses have been looked up. If dialling fails once more, it cannot be reached.
    looked_up: bool,
    /// Somebody was there when it was dialled, and broke the handshake off: it may have no room just now.
    pub(super) was_there: bool,
}

fn record_key(digest: &Digest) -> RecordKey {
    RecordKey::new(digest.as_bytes())
}

impl Driver {
    // Streams.

    pub(super) fn open(&mut self, request: OpenRequest) {
        let key = request.key;
        let Some(peer) = peer_id(&key).filter(|peer| *peer != self.local) else {
            return request.fail(OpenError::NotAKey(key));
        };
        if self.swarm.is_connected(&peer) {
            return self.swarm.behaviour_mut().streams.open(peer, request);
        }
        if self.is_foreign(&peer) {
            return request.fail(OpenError::Unreachable(key));
        }
        let wanted = self.wanted.entry(peer).or_default();
        wanted.requests.retain(|request| !request.reply.is_closed());
        wanted.requests.push(request);
        if wanted.requests.len() == 1 {
            wanted.looked_up = false;
            self.dial_wanted(peer, Vec::new());
        }
    }

    /// Opens the streams that waited for this peer's connection.
    pub(super) fn open_wanted(&mut self, peer: PeerId) {
        let Some(wanted) = self.wanted.remove(&peer) else { return };
        for request in wanted.requests {
            self.swarm.behaviour_mut().streams.open(peer, request);
        }
    }

    fn dial_wanted(&mut self, peer: PeerId, addresses: Vec<Multiaddr>) {
        let options = DialOpts::peer_id(peer)
            .addresses(addresses)
            .extend_addresses_through_behaviour()
            .condition(PeerCondition::DisconnectedAndNotDialing)
            .allocate_new_port()
            .build();
        let connection = options.connection_id();
        if let Err(error) = self.swarm.dial(options) {
            self.on_dial_failed(connection, Some(peer), &error);
        }
    }

    /// Looks up other addresses after dialling failed, once. After that, gives up.
    pub(super) fn look_up_wanted(&mut self, peer: PeerId) {
        let Some(wanted) = self.wanted.get_mut(&peer) else { return };
        if wanted.looked_up || self.peers.is_empty() {
            let Some(wanted) = self.wanted.remove(&peer) else { return };
            for request in wanted.requests {
                let key = request.key;
                request.fail(if wanted.was_there { OpenError::Lost(key) } else { OpenError::Unreachable(key) });
            }
            return;
        }
        wanted.looked_up = true;
        self.look_up(peer);
    }

    /// Looks up a peer's addresses and dials what is found.
    pub(super) fn look_up(&mut self, peer: PeerId) {
        if !self.peers.is_empty() && !self.lookups.values().any(|sought| *sought == peer) {
            let query = self.swarm.behaviour_mut().kad.get_closest_peers(peer);
            self.lookups.insert(query, peer);
        }
    }

    fn on_looked_up(&mut self, sought: PeerId, found: Vec<PeerInfo>) {
        let mut addresses = found.into_iter().find(|info| info.peer_id == sought).map_or(Vec::new(), |info| info.addrs);
        addresses.truncate(PEER_ADDRESSES_MAX);
        if self.swarm.is_connected(&sought) {
            self.open_wanted(sought);
        } else if !addresses.is_empty() {
            self.dial_wanted(sought, addresses);
        } else if self.wanted.contains_key(&sought) {
            self.look_up_wanted(sought);
        }
    }

    // Provider records.

    pub(super) fn provide(&mut self, digest: Digest) {
        if self.announcements.len() >= PROVIDED_MAX {
            self.announcements.pop_front();
        }
        self.announcements.push_back(digest);
        self.announce();
    }

    pub(super) fn stop_providing(&mut self, digest: &Digest) {
        self.announcements.retain(|waiting| waiting != digest);
        self.swarm.behaviour_mut().kad.stop_providing(&record_key(digest));
    }

    /// Starts as many announcements as may be under way. They wait while no peer is there to tell.
    pub(super) fn announce(&mut self) {
        while self.announcing.len() < ANNOUNCEMENTS_MAX && self.has_identified_peers() {
            let Some(digest) = self.announcements.pop_front() else { return };
            match self.swarm.behaviour_mut().kad.start_providing(record_key(&digest)) {
                Ok(query) => {
                    one(&self.counters.announcements);
                    self.announcing.insert(query);
                }
                Err(error) => tracing::warn!(%digest, %error, "a blob cannot be announced"),
            }
        }
    }

    pub(super) fn search(&mut self, digest: &Digest, found: mpsc::Sender<PublicKey>) {
        if self.searches.len() < SEARCHES_MAX {
            let query = self.swarm.behaviour_mut().kad.get_providers(record_key(digest));
            self.searches.insert(query, found);
        }
    }

    fn on_providers(&mut self, query: kad::QueryId, providers: HashSet<PeerId>) {
        let Some(found) = self.searches.get(&query) else { return };
        let others = providers.iter().filter(|peer| **peer != self.local).filter_map(public_key);
        for key in others {
            // The caller is behind by a whole queue of results, which is enough.
            let _ = found.try_send(key);
        }
    }

    pub(super) fn on_kad(&mut self, event: kad::Event) {
        let kad::Event::OutboundQueryProgressed { id, result, step, .. } = event else { return };
        match result {
            QueryResult::GetProviders(Ok(GetProvidersOk::FoundProviders { providers, .. })) => {
                self.on_providers(id, providers);
            }
            QueryResult::GetClosestPeers(result) => {
                if step.last
                    && let Some(sought) = self.lookups.remove(&id)
                {
                    let found = match result {
                        Ok(found) => found.peers,
                        Err(kad::GetClosestPeersError::Timeout { peers, .. }) => peers,
                    };
                    self.on_looked_up(sought, found);
                }
            }
            QueryResult::StartProviding(_) => {
                self.announcing.remove(&id);
                self.announce();
            }
            _ => {}
        }
        if step.last {
            self.searches.remove(&id);
        }
    }
}
