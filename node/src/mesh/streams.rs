//! Raw streams for the rest of the node: a behaviour that opens streams on demand and hands out incoming ones.
//!
//! It replaces `libp2p-stream`, which negotiates one stream of a connection at a time, holds a single incoming stream
//! until it is taken and drops the others, and dials on its own account.

use std::{
    collections::{HashMap, VecDeque},
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::Instant,
};

use futures::future::{Ready, ready};
use libp2p::{
    Multiaddr, PeerId, StreamProtocol,
    core::{Endpoint, InboundUpgrade, OutboundUpgrade, UpgradeInfo, transport::PortUse},
    swarm::{
        ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm, NetworkBehaviour,
        NotifyHandler, Stream, StreamUpgradeError, SubstreamProtocol, THandler, THandlerInEvent, THandlerOutEvent,
        ToSwarm,
        handler::{ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound},
    },
};
use meshwork_core::identity::PublicKey;
use tokio::{
    sync::{mpsc, oneshot},
    task::{AbortHandle, JoinSet},
};

use super::{
    allowance::{Allowance, Rate},
    config::INCOMING_MAX,
    error::OpenError,
    handle::Verdict,
    metrics::{Counters, add, one},
    peer::public_key,
};

/// A request for a stream, and the caller that waits for it.
#[derive(Debug)]
pub(super) struct OpenRequest {
    pub(super) key: PublicKey,
    pub(super) protocol: StreamProtocol,
    pub(super) reply: oneshot::Sender<Result<Stream, OpenError>>,
}

impl OpenRequest {
    pub(super) fn fail(self, error: OpenError) {
        let _ = self.reply.send(Err(error));
    }
}

/// The incoming streams of one protocol, in the order of their arrival. Dropping it refuses further ones.
#[derive(Debug)]
pub struct Incoming {
    streams: mpsc::Receiver<(PublicKey, Stream)>,
    verdicts: mpsc::UnboundedSender<Verdict>,
}

impl Incoming {
    /// The next stream and the peer that opened it; `None` once the mesh has stopped.
    pub async fn next(&mut self) -> Option<(PublicKey, Stream)> {
        self.streams.recv().await
    }

    /// Serves each stream concurrently, at most `streams_max` at once and `peer_streams_max` of one peer; further ones
    /// are closed. If there are `streams_max`, a new stream takes the turn of the oldest one of the peer that has most,
    /// unless its own peer would then have as many. Once the mesh has stopped, this ends, and with it all of them.
    pub async fn serve_each<Served: Future<Output = ()> + Send + 'static>(
        mut self,
        streams_max: usize,
        peer_streams_max: usize,
        mut serve: impl FnMut(PublicKey, Stream) -> Served,
    ) {
        let mut tasks = JoinSet::new();
        // Oldest first.
        let mut served: VecDeque<(PublicKey, AbortHandle)> = VecDeque::new();
        loop {
            tokio::select! {
                next = self.next() => {
                    let Some((from, stream)) = next else { return };
                    served.retain(|(_, task)| !task.is_finished());
                    let of_peer = served.iter().filter(|(peer, _)| *peer == from).count();
                    if of_peer >= peer_streams_max {
                        continue;
                    }
                    if served.len() >= streams_max {
                        let Some((_, task)) = gives_way(&served, of_peer).and_then(|place| served.remove(place)) else {
                            continue;
                        };
                        task.abort();
                    }
                    let _ = self.verdicts.send(Verdict::Used(from));
                    served.push_back((from, tasks.spawn(serve(from, stream))));
                }
                Some(_) = tasks.join_next(), if !tasks.is_empty() => {}
            }
        }
    }
}

/// The place of the stream that gives way to one more of a peer that has `of_peer`.
fn gives_way(served: &VecDeque<(PublicKey, AbortHandle)>, of_peer: usize) -> Option<usize> {
    let mut peers: HashMap<PublicKey, usize> = HashMap::new();
    for (peer, _) in served {
        *peers.entry(*peer).or_default() += 1;
    }
    let (most, _) = peers.into_iter().filter(|(_, has)| *has > of_peer + 1).max_by_key(|(_, has)| *has)?;
    served.iter().position(|(peer, _)| *peer == most)
}

/// The receivers of incoming streams, by protocol.
#[derive(Clone, Default)]
pub(super) struct Acceptors(Arc<Mutex<Takers>>);

type Takers = HashMap<StreamProtocol, mpsc::Sender<(PublicKey, Stream)>>;

impl Acceptors {
    fn lock(&self) -> MutexGuard<'_, Takers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The incoming streams of `protocol` from now on; `None` if they are taken already.
    pub(super) fn accept(
        &self,
        protocol: StreamProtocol,
        verdicts: mpsc::UnboundedSender<Verdict>,
    ) -> Option<Incoming> {
        let mut acceptors = self.lock();
        if acceptors.get(&protocol).is_some_and(|taker| !taker.is_closed()) {
            return None;
        }
        let (sender, streams) = mpsc::channel(INCOMING_MAX);
        acceptors.insert(protocol, sender);
        Some(Incoming { streams, verdicts })
    }

    /// Ends all [`Incoming`]s.
    pub(super) fn clear(&self) {
        self.lock().clear();
    }

    fn protocols(&self) -> Vec<StreamProtocol> {
        self.lock().iter().filter(|(_, taker)| !taker.is_closed()).map(|(protocol, _)| protocol.clone()).collect()
    }

    fn hand_out(&self, from: PublicKey, protocol: &StreamProtocol, stream: Stream) -> bool {
        self.lock().get(protocol).is_some_and(|taker| taker.try_send((from, stream)).is_ok())
    }
}

/// The behaviour for raw streams.
pub(super) struct Streams {
    /// How many streams one connection may open.
    rate: Rate,
    acceptors: Acceptors,
    counters: Arc<Counters>,
    /// Each peer's connections, oldest first. Streams go over the oldest, so that a peer that opens several has them
    /// on one connection.
    connections: HashMap<PeerId, Vec<ConnectionId>>,
    pending: VecDeque<(PeerId, ConnectionId, OpenRequest)>,
    waker: Option<Waker>,
}

impl Streams {
    pub(super) fn new(rate: Rate, counters: Arc<Counters>) -> Self {
        Self {
            rate,
            acceptors: Acceptors::default(),
            counters,
            connections: HashMap::new(),
            pending: VecDeque::new(),
            waker: None,
        }
    }

    pub(super) fn acceptors(&self) -> Acceptors {
        self.acceptors.clone()
    }

    /// Opens a stream over an existing connection.
    pub(super) fn open(&mut self, peer: PeerId, request: OpenRequest) {
        let Some(connection) = self.connections.get(&peer).and_then(|connections| connections.first()) else {
            let key = request.key;
            return request.fail(OpenError::Unreachable(key));
        };
        self.pending.push_back((peer, *connection, request));
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn handler(&self, peer: PeerId) -> Result<Handler, ConnectionDenied> {
        let remote = public_key(&peer).ok_or_else(|| ConnectionDenied::new(NotEd25519))?;
        Ok(Handler {
            remote,
            acceptors: self.acceptors.clone(),
            counters: self.counters.clone(),
            rate: self.rate,
            allowance: Allowance::new(self.rate, Instant::now()),
            requests: VecDeque::new(),
        })
    }
}

/// A peer's key is not an ed25519 key.
#[derive(Debug, thiserror::Error)]
#[error("the peer's key is not an ed25519 key")]
struct NotEd25519;

impl NetworkBehaviour for Streams {
    type ConnectionHandler = Handler;
    type ToSwarm = Infallible;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.handler(peer)
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.handler(peer)
    }

    fn on_swarm_event(&mut self, event: FromSwarm) {
        match event {
            FromSwarm::ConnectionEstablished(event) => {
                self.connections.entry(event.peer_id).or_default().push(event.connection_id);
            }
            FromSwarm::ConnectionClosed(event) => {
                if let Some(connections) = self.connections.get_mut(&event.peer_id) {
                    connections.retain(|connection| *connection != event.connection_id);
                    if connections.is_empty() {
                        self.connections.remove(&event.peer_id);
                    }
                }
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {}
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        if let Some((peer_id, connection, event)) = self.pending.pop_front() {
            // If that connection is gone by now, the request is dropped, and its caller learns that the connection
            // was lost.
            return Poll::Ready(ToSwarm::NotifyHandler { peer_id, handler: NotifyHandler::One(connection), event });
        }
        self.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

/// The part of one connection.
pub(super) struct Handler {
    remote: PublicKey,
    acceptors: Acceptors,
    counters: Arc<Counters>,
    rate: Rate,
    /// What is left of the streams that the peer may open.
    allowance: Allowance,
    requests: VecDeque<OpenRequest>,
}

/// A caller that waits for a stream under negotiation.
pub(super) struct Waiting {
    key: PublicKey,
    reply: oneshot::Sender<Result<Stream, OpenError>>,
}

impl ConnectionHandler for Handler {
    type FromBehaviour = OpenRequest;
    type ToBehaviour = Infallible;
    type InboundProtocol = Upgrade;
    type OutboundProtocol = Upgrade;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = (StreamProtocol, Waiting);

    fn listen_protocol(&self) -> SubstreamProtocol<Upgrade> {
        SubstreamProtocol::new(Upgrade(self.acceptors.protocols()), ())
    }

    fn poll(
        &mut self,
        _: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Upgrade, Self::OutboundOpenInfo, Self::ToBehaviour>> {
        while let Some(OpenRequest { key, protocol, reply }) = self.requests.pop_front() {
            if reply.is_closed() {
                continue;
            }
            let info = (protocol.clone(), Waiting { key, reply });
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest {
                protocol: SubstreamProtocol::new(Upgrade(vec![protocol]), info),
            });
        }
        // `on_behaviour_event` is always followed by another poll.
        Poll::Pending
    }

    fn on_behaviour_event(&mut self, request: OpenRequest) {
        self.requests.push_back(request);
    }

    fn on_connection_event(&mut self, event: ConnectionEvent<Upgrade, Upgrade, (), Self::OutboundOpenInfo>) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
                protocol: (stream, protocol), ..
            }) => {
                if !self.allowance.take(1.0, self.rate, Instant::now()) {
                    return one(&self.counters.streams_refused);
                }
                let taken = self.acceptors.hand_out(self.remote, &protocol, stream);
                add(&self.counters.streams_dropped, usize::from(!taken));
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound {
                protocol: (stream, _),
                info: (_, waiting),
            }) => {
                let _ = waiting.reply.send(Ok(stream));
            }
            ConnectionEvent::DialUpgradeError(DialUpgradeError { info: (protocol, waiting), error }) => {
                let error = match error {
                    StreamUpgradeError::Timeout => OpenError::TimedOut(waiting.key),
                    StreamUpgradeError::NegotiationFailed => OpenError::Unsupported { peer: waiting.key, protocol },
                    StreamUpgradeError::Io(_) => OpenError::Lost(waiting.key),
                    StreamUpgradeError::Apply(never) => match never {},
                };
                let _ = waiting.reply.send(Err(error));
            }
            _ => {}
        }
    }
}

/// Negotiates one of these protocols, and hands out the bare stream.
#[derive(Debug)]
pub(super) struct Upgrade(Vec<StreamProtocol>);

impl UpgradeInfo for Upgrade {
    type Info = StreamProtocol;
    type InfoIter = std::vec::IntoIter<StreamProtocol>;

    fn protocol_info(&self) -> Self::InfoIter {
        self.0.clone().into_iter()
    }
}

impl InboundUpgrade<Stream> for Upgrade {
    type Output = (Stream, StreamProtocol);
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Infallible>>;

    fn upgrade_inbound(self, stream: Stream, protocol: StreamProtocol) -> Self::Future {
        ready(Ok((stream, protocol)))
    }
}

impl OutboundUpgrade<Stream> for Upgrade {
    type Output = (Stream, StreamProtocol);
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Infallible>>;

    fn upgrade_outbound(self, stream: Stream, protocol: StreamProtocol) -> Self::Future {
        ready(Ok((stream, protocol)))
    }
}
