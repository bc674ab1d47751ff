//! The kinds of bad connections. Each is opened again some time after the peer closed it.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use futures::FutureExt;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, Interest},
    net::{TcpSocket, TcpStream},
    task::JoinSet,
    time::sleep,
};

/// How long a connection that was closed stays closed. Systems have some ten thousand ports for connections.
const CLOSED_FOR: Duration = Duration::from_secs(5);
/// How often a slow connection sends a byte.
const BYTE_EVERY: Duration = Duration::from_secs(1);
/// The bytes of a body that is held, but for the last: somewhat less than a request with transactions may have.
const BODY_BYTES: usize = 15 << 20;

/// What a bad connection does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attack {
    /// It sends a head, byte by byte.
    SlowHead,
    /// It sends transactions, byte by byte.
    SlowBody,
    /// It sends nearly all of a large body, and then nothing.
    HeldBody,
    /// It sends a blob, byte by byte.
    SlowUpload,
    /// It asks once, and then stays.
    Idle,
    /// It listens to events and does not read them.
    DeafEvents,
    /// It asks for large answers, one after the other, and does not read them.
    DeafRequests,
}

impl Attack {
    pub(crate) const ALL: [Self; 7] = [
        Self::SlowHead,
        Self::SlowBody,
        Self::HeldBody,
        Self::SlowUpload,
        Self::Idle,
        Self::DeafEvents,
        Self::DeafRequests,
    ];

    fn request(self) -> String {
        let head = |line: &str, more: &str| format!("{line} HTTP/1.1\r\nHost: localhost\r\n{more}\r\n");
        let body = format!("Content-Type: application/cbor\r\nContent-Length: {BODY_BYTES}\r\n");
        match self {
            Self::SlowHead => "GET /health HTTP/1.1\r\nHost: localhost\r\nX: ".to_owned(),
            Self::SlowBody | Self::HeldBody => head("POST /v1/transactions", &body),
            Self::SlowUpload => head("PUT /v1/blobs", &body),
            Self::Idle => head("GET /v1/genesis", ""),
            Self::DeafEvents => head("GET /v1/events", ""),
            Self::DeafRequests => head("GET /v1/blocks?from=1&limit=256", "").repeat(50),
        }
    }

    /// Does it on a connection until that is closed.
    async fn run(self, mut tcp: TcpStream, piece: &[u8]) -> std::io::Result<()> {
        tcp.write_all(self.request().as_bytes()).await?;
        match self {
            Self::HeldBody => {
                for _ in 0..(BODY_BYTES - 1) / piece.len() {
                    tcp.write_all(piece).await?;
                }
            }
            Self::Idle => {
                tcp.read_exact(&mut [0; 16]).await?;
            }
            _ => {}
        }
        let trickles = matches!(self, Self::SlowHead | Self::SlowBody | Self::SlowUpload);
        loop {
            sleep(BYTE_EVERY).await;
            if tcp
                .ready(Interest::READABLE)
                .now_or_never()
                .is_some_and(|ready| ready.is_ok_and(|now| now.is_read_closed()))
            {
                return Ok(());
            }
            if trickles {
                tcp.write_all(b"x").await?;
            }
        }
    }
}

/// Many connections that do the same.
pub(crate) struct Flood {
    tasks: JoinSet<()>,
    open: Arc<AtomicUsize>,
    opened: Arc<AtomicUsize>,
}

impl Flood {
    pub(crate) fn start(attack: Attack, address: SocketAddr, connections: usize) -> Self {
        let (open, opened) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let piece: Arc<[u8]> = vec![b'x'; 64 << 10].into();
        let mut tasks = JoinSet::new();
        for _ in 0..connections {
            let (open, opened, piece) = (Arc::clone(&open), Arc::clone(&opened), Arc::clone(&piece));
            tasks.spawn(async move {
                loop {
                    if let Ok(tcp) = connect(address).await {
                        open.fetch_add(1, Relaxed);
                        opened.fetch_add(1, Relaxed);
                        // However it ends, it is opened again.
                        let _ = attack.run(tcp, &piece).await;
                        open.fetch_sub(1, Relaxed);
                    }
                    sleep(CLOSED_FOR).await;
                }
            });
        }
        Self { tasks, open, opened }
    }

    /// Closes all. Returns how many were open, and how many were opened in all.
    pub(crate) async fn stop(mut self) -> (usize, usize) {
        let open = self.open.load(Relaxed);
        self.tasks.shutdown().await;
        (open, self.opened.load(Relaxed))
    }
}

async fn connect(address: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // The system forgets the connection at once, or there would soon be no ports left.
    socket.set_zero_linger()?;
    socket.connect(address).await
}
