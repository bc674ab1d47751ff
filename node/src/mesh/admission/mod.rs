//! Which connections this peer takes, and which it gives up for others.
//!
//! The rules are in [`places`]. This behaviour applies them to the Swarm's connections. Handshakes, before there is a
//! connection, are bounded in [`handshakes`].

mod handshakes;
mod places;
mod source;

use std::{
    collections::{HashSet, VecDeque},
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Instant,
};

use libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, transport::PortUse},
    swarm::{
        CloseConnection, ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent,
        THandlerOutEvent, ToSwarm, dummy,
    },
};

use self::places::{Closing, Ended, Places, Refusal};
use super::metrics::{Counters, one};

pub(super) use handshakes::{Gate, Handshakes};
pub(super) use places::Bounds;
pub(super) use source::Source;

/// The behaviour that takes and gives up connections.
pub(super) struct Admission {
    places: Places,
    closing: VecDeque<(PeerId, ConnectionId)>,
    counters: Arc<Counters>,
    waker: Option<Waker>,
}

impl Admission {
    pub(super) fn new(bounds: Bounds, counters: Arc<Counters>) -> Self {
        Self { places: Places::new(bounds), closing: VecDeque::new(), counters, waker: None }
    }

    /// Says which peers count for no bound from now on: authorities, and those that this peer is configured to join by.
    pub(super) fn set_known(&mut self, known: HashSet<PeerId>) {
        self.places.set_known(known);
    }

    /// The peer has said over this connection that it is of this network.
    pub(super) fn identified(&mut self, connection: ConnectionId, now: Instant) {
        let closing = self.places.identified(connection, now);
        self.close(closing);
    }

    /// The peer has shown use.
    pub(super) fn used(&mut self, peer: &PeerId, now: Instant) {
        let closing = self.places.used(peer, now);
        self.close(closing);
    }

    /// Ends visits that have lasted long enough. To be called about once a second.
    pub(super) fn tick(&mut self, now: Instant) {
        let closing = self.places.tick(now);
        self.close(closing);
    }

    fn close(&mut self, closing: impl IntoIterator<Item = Closing>) {
        for (connection, peer, ended) in closing {
            one(match ended {
                Ended::Full => &self.counters.connections_refused_full,
                Ended::Address => &self.counters.connections_refused_address,
                Ended::GaveWay => &self.counters.connections_displaced,
            });
            tracing::debug!(%peer, ?ended, "a connection is given up");
            self.closing.push_back((peer, connection));
        }
        if let Some(waker) = self.waker.take_if(|_| !self.closing.is_empty()) {
            waker.wake();
        }
    }

    fn denied(&self, refusal: Refusal) -> ConnectionDenied {
        one(&self.counters.connections_refused_address);
        ConnectionDenied::new(refusal)
    }
}

impl NetworkBehaviour for Admission {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        let arrived = self.places.arrive(connection, peer, Source::of(remote), Instant::now());
        let closing = arrived.map_err(|refusal| self.denied(refusal))?;
        self.close(closing);
        Ok(dummy::ConnectionHandler)
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        remote: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        let dialled = self.places.dialled(connection, peer, Source::of(remote), Instant::now());
        let closing = dialled.map_err(ConnectionDenied::new)?;
        self.close(closing);
        Ok(dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm) {
        match event {
            FromSwarm::ConnectionClosed(event) => self.places.closed(event.connection_id),
            // Another behaviour refused what this one took.
            FromSwarm::ListenFailure(event) => self.places.closed(event.connection_id),
            FromSwarm::DialFailure(event) => self.places.closed(event.connection_id),
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {}
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        if let Some((peer_id, connection)) = self.closing.pop_front() {
            return Poll::Ready(ToSwarm::CloseConnection { peer_id, connection: CloseConnection::One(connection) });
        }
        self.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}
