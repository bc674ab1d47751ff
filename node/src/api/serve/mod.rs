//! Serves HTTP so that no client can keep others from an answer.
//!
//! * Connections live on a thread of their own. What looks something up runs elsewhere, a few at a time. So the thread
//!   always comes round to the next connection, however busy the node is.
//! * A connection is accepted at once, always. It *waits* until it has sent a whole request's head, and among those
//!   that wait, the oldest is closed for a new one ([`waiting`]).
//! * A request has a place among those of its kind, or is answered 503 at once ([`admit`]). It has the place until
//!   the last byte of its answer is with the system.
//! * A client that sends a head, a body or nothing, or reads an answer, below a least rate is dropped ([`pace`]). So
//!   every place comes back.
//! * Health and metrics need no place: they wait for nothing, and their connection closes after the answer.
//!
//! All bounds are in [`limits`].

mod admit;
mod body;
mod limits;
mod pace;
mod places;
mod refused;
mod stream;
#[cfg(test)]
mod tests;
mod visit;
mod waiting;

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, thread, time::Duration};

use axum::{Router, body::Body, response::Response};
use hyper::{
    Request,
    body::Incoming,
    server::conn::http1::Builder,
    service::{Service, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    runtime::Handle,
    sync::{Semaphore, oneshot},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;
use tracing::debug;

pub use self::limits::{Bound, Limits, Pace};
pub(super) use self::{
    admit::{Kind, always, within_bounds},
    body::{GATHERED_BYTES_MAX, Gathered, TooSlow, broken, declared_bytes},
    refused::Refused,
    visit::Visit,
};
use self::{
    body::{HandedOver, PacedBody},
    pace::PaceWatch,
    places::{Address, Places},
    stream::Stream,
    waiting::{Number, Waiting},
};
use crate::metrics::Metrics;

/// How long open requests may take to finish once the node stops. Event streams end then too.
const STOP_TIME: Duration = Duration::from_millis(500);
/// How many connections the system may hold until they are accepted.
const BACKLOG: u32 = 4096;
/// The bytes that the system holds of a connection in each direction. By itself it would hold megabytes for a client
/// that does not read.
const SOCKET_BUFFER_BYTES: u32 = 256 << 10;
/// How long to wait when accepting fails because there are no file descriptors left.
const AGAIN_AFTER: Duration = Duration::from_millis(10);

/// What is bounded, and how much of it is taken.
pub(super) struct Bounds {
    limits: Limits,
    waiting: Waiting,
    requests: [Arc<Places>; Kind::ALL.len()],
    transaction_bytes: Arc<Places>,
    answer_bytes: Arc<Places>,
    turns: Arc<Semaphore>,
    metrics: Arc<Metrics>,
    main: Handle,
}

impl Bounds {
    /// `main` is the runtime on which requests are answered.
    fn new(limits: Limits, metrics: Arc<Metrics>, main: Handle) -> Arc<Self> {
        Arc::new(Self {
            waiting: Waiting::new(limits.waiting),
            requests: Kind::ALL.map(|kind| {
                Places::new(match kind {
                    Kind::Answer => limits.answers,
                    Kind::Transactions => limits.transactions,
                    Kind::Upload => limits.uploads,
                    Kind::Download => limits.downloads,
                    Kind::Events => limits.event_streams,
                })
            }),
            transaction_bytes: Places::new(limits.transaction_bytes),
            answer_bytes: Places::new(limits.answer_bytes),
            turns: Arc::new(Semaphore::new(limits.answers_at_once)),
            limits,
            metrics,
            main,
        })
    }

    fn requests(&self, kind: Kind) -> &Arc<Places> {
        &self.requests[kind as usize]
    }

    /// Notes that a connection waits. Another may be closed for it.
    fn enter(&self, address: Address, closes: &CancellationToken) -> Number {
        let (number, closed) = self.waiting.enter(address, closes.clone());
        if closed {
            self.refuse(Refused::Waiting);
        }
        number
    }

    fn refuse(&self, refused: Refused) {
        self.metrics.refuse(refused.reason());
    }
}

/// Listens for connections on an address.
///
/// # Errors
/// The system's.
pub(crate) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A node that starts again would otherwise have to wait until old connections are forgotten.
    socket.set_reuseaddr(cfg!(unix))?;
    socket.set_send_buffer_size(SOCKET_BUFFER_BYTES)?;
    socket.set_recv_buffer_size(SOCKET_BUFFER_BYTES)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves requests on a thread of its own until `stop` is cancelled. Requests are answered on the runtime that this is
/// called on.
///
/// # Errors
/// There is no such thread to be had.
pub(super) async fn serve(
    name: &'static str,
    router: Router,
    listener: TcpListener,
    limits: Limits,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
) -> io::Result<()> {
    let bounds = Bounds::new(limits, metrics, Handle::current());
    let listener = listener.into_std()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (ended, end) = oneshot::channel();
    thread::Builder::new().name(name.to_owned()).spawn(move || {
        let served = runtime.block_on(async {
            // As one task among the connections, it takes turns with them.
            let accepting = tokio::spawn(accept_all(bounds, router, TcpListener::from_std(listener)?, stop));
            accepting.await.map_err(io::Error::other)
        });
        // Whoever no longer waits needs no result.
        let _ = ended.send(served);
    })?;
    end.await.unwrap_or_else(|_| Err(io::Error::other("the thread that serves HTTP has ended unexpectedly")))
}

async fn accept_all(bounds: Arc<Bounds>, router: Router, listener: TcpListener, stop: CancellationToken) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
            () = stop.cancelled() => break,
        };
        match accepted {
            Ok((tcp, from)) => {
                let Ok(local) = tcp.local_addr() else { continue };
                let visit = Visit::new(Arc::clone(&bounds), from.ip(), local.ip());
                connections.spawn(receive(visit, router.clone(), tcp, stop.clone()));
            }
            // The client has gone already.
            Err(error) if is_of_the_client(&error) => {}
            Err(error) => {
                debug!(%error, "a connection was not accepted");
                if bounds.waiting.close_one() {
                    bounds.refuse(Refused::Waiting);
                }
                tokio::time::sleep(AGAIN_AFTER).await;
            }
        }
    }
    // Event streams do not end by themselves.
    let _ = tokio::time::timeout(STOP_TIME, connections.join_all()).await;
}

fn is_of_the_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}

/// Answers a connection's requests until it ends, or has waited longest of too many.
async fn receive(visit: Arc<Visit>, router: Router, tcp: TcpStream, stop: CancellationToken) {
    // A response's head and body are written separately. With Nagle's algorithm, the body would wait for the head's
    // acknowledgement.
    let _ = tcp.set_nodelay(true);
    tokio::select! {
        () = visit.closes() => {}
        ended = answer(&visit, router, tcp, stop) => {
            if let Err(error) = ended {
                debug!(%error, "a connection broke");
                // Who is silent between two requests does nothing wrong.
                if error.is_timeout() && visit.is_amid_head() {
                    visit.refuse(Refused::SlowHead);
                } else if error.is_parse() {
                    visit.refuse(Refused::WrongHead);
                }
            }
        }
    }
}

async fn answer(visit: &Arc<Visit>, router: Router, tcp: TcpStream, stop: CancellationToken) -> hyper::Result<()> {
    let limits = &visit.bounds().limits;
    let send_pace = limits.send_pace;
    // A connection that sends nothing needs no buffers.
    tokio::select! {
        heard = tokio::time::timeout(limits.head_time, tcp.readable()) => {
            let Ok(Ok(())) = heard else { return Ok(()) };
        }
        () = stop.cancelled() => return Ok(()),
    }
    let mut http = Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.head_time).max_buf_size(limits.head_bytes);
    let router = TowerToHyperService::new(router);
    let service = service_fn(|request: Request<Incoming>| {
        let (visit, router) = (Arc::clone(visit), router.clone());
        async move {
            visit.begin().await;
            let mut request = request.map(|body| Body::new(PacedBody::new(body, PaceWatch::new(send_pace))));
            request.extensions_mut().insert(Arc::clone(&visit));
            let response: Response = router.call(request).await?;
            Ok::<_, Infallible>(response.map(|body| HandedOver::new(body, visit)))
        }
    });
    let connection = http.serve_connection(TokioIo::new(Stream::new(tcp, Arc::clone(visit))), service);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            tokio::time::timeout(STOP_TIME, connection).await.unwrap_or(Ok(()))
        }
    }
}
