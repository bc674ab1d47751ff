//! Attacks on the server, with bounds so low that few connections reach them.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
};

use axum::{
    Extension,
    extract::{Request as AxumRequest, State},
    middleware::{from_fn, from_fn_with_state},
    routing::{get, post, put},
};
use futures::StreamExt;
use hyper::body::Bytes;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    task::JoinHandle,
    time::{sleep, timeout},
};

use super::*;
use crate::api::error::ApiError;

/// How long the slowest machine may take for anything here.
const LONG: Duration = Duration::from_secs(30);
/// How many bytes `/large` answers with: more than the sockets on both sides hold.
const LARGE_BYTES: usize = 8 << 20;
/// A pace that a client falls below within a test.
const QUICK: Pace = Pace { period: Duration::from_millis(300), bytes_min: 1 << 10 };
const NONE: Bound = Bound { all: 0, each_address: 0 };
const ONE: Bound = Bound { all: 1, each_address: 1 };

/// How many requests were begun, how many are being answered, and how many were at most.
#[derive(Default)]
struct Counts {
    begun: AtomicUsize,
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Counts {
    fn begin(&self) {
        self.begun.fetch_add(1, SeqCst);
        self.most.fetch_max(self.now.fetch_add(1, SeqCst) + 1, SeqCst);
    }
}

struct Server {
    address: SocketAddr,
    metrics: Arc<Metrics>,
    counts: Arc<Counts>,
    stop: CancellationToken,
    serving: JoinHandle<io::Result<()>>,
}

async fn lookup(State(counts): State<Arc<Counts>>) -> &'static str {
    counts.begin();
    sleep(Duration::from_millis(20)).await;
    counts.now.fetch_sub(1, SeqCst);
    "found"
}

async fn large(State(counts): State<Arc<Counts>>) -> Vec<u8> {
    counts.begin();
    vec![b'x'; LARGE_BYTES]
}

async fn gather(Extension(visit): Extension<Arc<Visit>>, request: AxumRequest) -> Result<String, ApiError> {
    Gathered::of(&visit, request).await.map(|whole| format!("gathered {}", whole.bytes.len()))
}

async fn upload(Extension(visit): Extension<Arc<Visit>>, request: AxumRequest) -> Result<String, ApiError> {
    let mut chunks = request.into_body().into_data_stream();
    let mut bytes = 0;
    while let Some(chunk) = chunks.next().await {
        bytes += chunk.map_err(|error| broken(&visit, &error))?.len();
    }
    Ok(format!("stored {bytes}"))
}

async fn quiet() -> Body {
    Body::from_stream(futures::stream::pending::<io::Result<Bytes>>())
}

async fn busy() -> Body {
    Body::from_stream(futures::stream::repeat_with(|| Ok::<_, io::Error>(Bytes::from(vec![b'e'; 16 << 10]))))
}

impl Server {
    fn start(limits: Limits) -> Self {
        let (counts, metrics, stop) = (Arc::<Counts>::default(), Metrics::new(), CancellationToken::new());
        let of_kind = |kind, routes: Router<Arc<Counts>>| routes.route_layer(from_fn_with_state(kind, within_bounds));
        let router = Router::new()
            .route("/health", get(|| async { "healthy" }))
            .route_layer(from_fn(always))
            .merge(of_kind(Kind::Answer, Router::new().route("/lookup", get(lookup)).route("/large", get(large))))
            .merge(of_kind(Kind::Transactions, Router::new().route("/gather", post(gather))))
            .merge(of_kind(Kind::Upload, Router::new().route("/upload", put(upload))))
            .merge(of_kind(Kind::Events, Router::new().route("/quiet", get(quiet)).route("/busy", get(busy))))
            .with_state(Arc::clone(&counts));
        let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let serving = serve("test", router, listener, limits, Arc::clone(&metrics), stop.clone());
        Self { address, metrics, counts, stop, serving: tokio::spawn(serving) }
    }

    /// A connection on which this was sent.
    async fn send(&self, text: &str) -> TcpStream {
        let mut tcp = TcpStream::connect(self.address).await.unwrap();
        tcp.write_all(text.as_bytes()).await.unwrap();
        tcp
    }

    /// The answer to a request on a connection of its own.
    async fn ask(&self, method: &str, path: &str) -> String {
        rest(self.send(&format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")).await)
            .await
    }

    async fn is_healthy(&self) -> bool {
        self.ask("GET", "/health").await.ends_with("healthy")
    }

    /// How often this was refused.
    fn refused(&self, reason: &str) -> u64 {
        self.metrics.refused.get_or_create(&crate::metrics::Reason { reason: format!("API: {reason}") }).get()
    }

    async fn until_refused(&self, reason: &str, times: u64) {
        let all = async {
            while self.refused(reason) < times {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(LONG, all).await.unwrap_or_else(|_| panic!("refused {} times: {reason}", self.refused(reason)));
    }

    async fn stop(self) {
        self.stop.cancel();
        timeout(LONG, self.serving).await.unwrap().unwrap().unwrap();
    }
}

/// All that still comes on a connection.
async fn rest(mut tcp: TcpStream) -> String {
    let mut text = Vec::new();
    // A reset ends a connection too.
    let _ = timeout(LONG, tcp.read_to_end(&mut text)).await.expect("the connection ends");
    String::from_utf8(text).unwrap()
}

fn body_of(method: &str, path: &str, bytes: usize) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {bytes}\r\n\r\n")
}

#[tokio::test]
async fn slow_heads_beyond_the_bound_make_way_for_new_connections() {
    let server = Server::start(Limits { waiting: Bound { all: 8, each_address: 6 }, ..Limits::default() });
    let mut slow = Vec::new();
    for _ in 0..20 {
        slow.push(server.send("GET /health HTTP/1.1\r\nHost: ").await);
    }
    assert!(server.is_healthy().await);
    server.until_refused("too many waiting connections", 15).await;
    assert_eq!(rest(slow.remove(0)).await, "", "the oldest was closed");
    let mut newest = slow.pop().unwrap();
    newest.write_all(b"localhost\r\n\r\n").await.unwrap();
    assert!(rest(newest).await.ends_with("healthy"), "one that goes on in time is answered");
    server.stop().await;
}

#[tokio::test]
async fn idle_connections_beyond_the_bound_make_way_for_new_ones() {
    let server = Server::start(Limits { waiting: Bound { all: 8, each_address: 6 }, ..Limits::default() });
    let mut idle = Vec::new();
    for _ in 0..20 {
        let mut tcp = server.send("GET /lookup HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
        let mut answer = [0; 12];
        tcp.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200");
        idle.push(tcp);
    }
    assert!(server.is_healthy().await);
    assert!(rest(idle.remove(0)).await.ends_with("found"), "the oldest was closed after its answer");
    server.stop().await;
}

#[tokio::test]
async fn a_head_that_takes_too_long_is_given_up_and_a_connection_that_is_idle_is_closed() {
    let server = Server::start(Limits { head_time: Duration::from_millis(200), ..Limits::default() });
    let slow = server.send("GET /health HTTP/1.1\r\nHost: ").await;
    let idle = server.send("GET /lookup HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    let silent = server.send("").await;
    assert_eq!(rest(slow).await, "");
    assert!(rest(idle).await.ends_with("found"));
    assert_eq!(rest(silent).await, "");
    assert_eq!(server.refused("a slow head"), 1, "who is idle did nothing wrong");
    server.stop().await;
}

#[tokio::test]
async fn a_body_that_comes_slowly_is_given_up_and_its_place_comes_back() {
    let server = Server::start(Limits { transactions: ONE, uploads: ONE, send_pace: QUICK, ..Limits::default() });
    for (method, path) in [("POST", "/gather"), ("PUT", "/upload")] {
        for _ in 0..2 {
            let mut slow = server.send(&body_of(method, path, 100_000)).await;
            slow.write_all(b"x").await.unwrap();
            let answer = rest(slow).await;
            assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("too slowly"), "{answer}");
        }
    }
    assert_eq!(server.refused("a slow body"), 4);
    server.stop().await;
}

#[tokio::test]
async fn requests_beyond_the_bound_of_their_kind_are_told_when_to_come_again_and_health_is_answered() {
    let limits = Limits { transactions: ONE, uploads: ONE, event_streams: ONE, answers: NONE, ..Limits::default() };
    let server = Server::start(limits);
    let held = [
        server.send(&body_of("POST", "/gather", 5)).await,
        server.send(&body_of("PUT", "/upload", 5)).await,
        server.send("GET /quiet HTTP/1.1\r\nHost: localhost\r\n\r\n").await,
    ];
    let kinds = [
        ("POST", "/gather", "too many submissions"),
        ("PUT", "/upload", "too many uploads"),
        ("GET", "/quiet", "too many event streams"),
        ("GET", "/lookup", "too many requests"),
    ];
    // The held ones were sent before, and may be heard after.
    sleep(Duration::from_millis(200)).await;
    for (method, path, reason) in kinds {
        let answer = server.ask(method, path).await;
        assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("retry-after: 1"), "{answer}");
        assert!(answer.contains("at once") && answer.contains("try again"), "{answer}");
        assert_eq!(server.refused(reason), 1, "{reason}");
        assert!(server.is_healthy().await);
    }
    let [mut body, upload, events] = held;
    body.write_all(b"hello").await.unwrap();
    let mut answer = vec![0; 12];
    body.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, b"HTTP/1.1 200");
    drop((upload, events));
    for (method, path) in [("POST", "/gather"), ("PUT", "/upload")] {
        let again = async { while !server.ask(method, path).await.starts_with("HTTP/1.1 200") {} };
        timeout(LONG, again).await.expect("its place comes back");
    }
    server.stop().await;
}

#[tokio::test]
async fn bodies_that_are_held_take_no_more_than_their_bound() {
    const KIB: usize = 1 << 10;
    let bytes = Bound { all: 160 * KIB, each_address: 100 * KIB };
    let server = Server::start(Limits { transaction_bytes: bytes, ..Limits::default() });
    let mut held = server.send(&body_of("POST", "/gather", 90 * KIB)).await;
    held.write_all(&vec![b'x'; 80 * KIB]).await.unwrap();
    // It has come, or the next one would fit.
    sleep(Duration::from_millis(300)).await;
    let mut second = server.send(&body_of("POST", "/gather", 90 * KIB)).await;
    second.write_all(&vec![b'x'; 80 * KIB]).await.unwrap();
    let answer = rest(second).await;
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("retry-after: 1"), "{answer}");
    assert_eq!(server.refused("too many bytes of transactions"), 1);
    held.write_all(&vec![b'x'; 10 * KIB]).await.unwrap();
    let mut answer = vec![0; 12];
    held.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, b"HTTP/1.1 200");
    let too_large = rest(server.send(&body_of("POST", "/gather", GATHERED_BYTES_MAX + 1)).await).await;
    assert!(too_large.starts_with("HTTP/1.1 413"), "{too_large}");
    server.stop().await;
}

#[tokio::test]
async fn who_does_not_read_is_dropped_and_the_place_comes_back() {
    let server = Server::start(Limits { event_streams: ONE, read_pace: QUICK, ..Limits::default() });
    for times in 1..=2 {
        let deaf = server.send("GET /busy HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
        server.until_refused("a slow reader", times).await;
        drop(deaf);
    }
    let deaf = server.send("GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    server.until_refused("a slow reader", 3).await;
    drop(deaf);
    assert_eq!(server.refused("too many event streams"), 0);
    server.stop().await;
}

#[tokio::test]
async fn who_sends_many_requests_and_reads_no_answer_gets_one_at_a_time() {
    const MANY: usize = 6;
    let server = Server::start(Limits::default());
    let mut pipelined = server.send(&"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(MANY)).await;
    let begun = || server.counts.begun.load(SeqCst);
    timeout(LONG, async {
        while begun() == 0 {
            sleep(Duration::from_millis(5)).await
        }
    })
    .await
    .unwrap();
    sleep(Duration::from_millis(300)).await;
    assert_eq!(begun(), 1);
    let mut read = vec![0; 64 << 10];
    let mut left = MANY * LARGE_BYTES;
    while left > 0 {
        left = left.saturating_sub(timeout(LONG, pipelined.read(&mut read)).await.unwrap().unwrap());
    }
    assert_eq!(begun(), MANY);
    server.stop().await;
}

#[tokio::test]
async fn a_request_that_follows_a_refused_one_is_not_looked_at() {
    let server = Server::start(Limits { answers: NONE, ..Limits::default() });
    let pipelined = server.send(&"GET /lookup HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(50)).await;
    assert_eq!(rest(pipelined).await.matches("HTTP/1.1 503").count(), 1);
    assert_eq!(server.refused("too many requests"), 1);
    server.stop().await;
}

#[tokio::test]
async fn answers_that_nobody_reads_take_no_more_than_their_bound() {
    let bytes = Bound { all: LARGE_BYTES * 3 / 2, each_address: LARGE_BYTES * 3 / 2 };
    let server = Server::start(Limits { answer_bytes: bytes, ..Limits::default() });
    let mut unread = server.send("GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    let mut answer = [0; 12];
    unread.read_exact(&mut answer).await.unwrap();
    let second = server.ask("GET", "/large").await;
    assert!(
        second.starts_with("HTTP/1.1 503") && second.contains("ask for less"),
        "{}",
        &second[..200.min(second.len())]
    );
    assert_eq!(server.refused("too many bytes of answers"), 1);
    drop(unread);
    server.stop().await;
}

#[tokio::test]
async fn a_few_requests_are_looked_up_at_a_time_and_all_are_answered() {
    let server = Arc::new(Server::start(Limits { answers_at_once: 2, ..Limits::default() }));
    let all: Vec<_> = (0..20)
        .map(|_| {
            let server = Arc::clone(&server);
            tokio::spawn(async move { server.ask("GET", "/lookup").await })
        })
        .collect();
    for answer in all {
        assert!(answer.await.unwrap().ends_with("found"));
    }
    assert_eq!(server.counts.most.load(SeqCst), 2);
}

#[tokio::test]
async fn a_refusal_reaches_a_client_that_is_still_sending() {
    let server = Server::start(Limits { uploads: NONE, ..Limits::default() });
    // All of the first is thrown away. The second is larger than what is.
    for bytes in [400 << 10, 32 << 20] {
        let (mut reads, mut writes) = server.send(&body_of("PUT", "/upload", bytes)).await.into_split();
        let sending = tokio::spawn(async move { writes.write_all(&vec![b'x'; bytes]).await });
        let mut answer = [0; 12];
        timeout(LONG, reads.read_exact(&mut answer)).await.unwrap().unwrap();
        assert_eq!(&answer, b"HTTP/1.1 503", "{bytes} bytes");
        sending.abort();
    }
    server.stop().await;
}

#[tokio::test]
async fn a_head_that_is_too_large_or_none_is_refused() {
    let server = Server::start(Limits::default());
    let large = format!("GET /health HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(64 << 10));
    assert!(rest(server.send(&large).await).await.starts_with("HTTP/1.1 431"));
    assert!(rest(server.send("hello\r\n\r\n").await).await.starts_with("HTTP/1.1 400"));
    server.until_refused("a wrong head", 2).await;
    server.stop().await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_address_that_has_used_up_its_places_takes_none_from_another() {
    let server = Server::start(Limits { event_streams: Bound { all: 3, each_address: 1 }, ..Limits::default() });
    let listens = async |from: &str| {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(format!("{from}:0").parse().unwrap()).unwrap();
        let mut tcp = socket.connect(server.address).await.unwrap();
        tcp.write_all(b"GET /quiet HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        let mut answer = [0; 12];
        tcp.read_exact(&mut answer).await.unwrap();
        (tcp, answer[9..] == *b"200")
    };
    let first = listens("127.0.0.1").await;
    assert!(first.1 && !listens("127.0.0.1").await.1);
    assert!(listens("127.0.0.2").await.1);
    server.stop().await;
}
