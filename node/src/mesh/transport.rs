//! The transports: TCP with noise and yamux, and QUIC, both by IP address or by name. Every stream's bytes are counted.

use std::{
    io,
    pin::Pin,
    sync::{Arc, atomic::AtomicU64},
    task::{Context, Poll, ready},
    time::Duration,
};

use futures::{AsyncRead, AsyncWrite, io::IoSlice};
use libp2p::{
    PeerId, Transport,
    core::{
        muxing::{StreamMuxer, StreamMuxerBox, StreamMuxerEvent, SubstreamBox},
        transport::Boxed,
        upgrade::Version,
    },
    identity::Keypair,
    noise, quic, tcp, yamux,
};

use tokio::time::{Sleep, sleep};

use super::{
    admission::{Gate, Handshakes},
    allowance::Rate,
    error::MeshError,
    metrics::{Counters, add},
    names::Named,
};

/// How long a connection's handshakes may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long closing a connection may take. A peer that reads nothing would otherwise hold its descriptor for ever.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// The most streams of one TCP connection, as far as yamux is concerned; the swarm negotiates far fewer at once.
///
/// Yamux lets a peer send 256 KiB unread on each stream. It lets fast streams send more, as long as the sum over this
/// many streams stays below 1 GiB. So this number leaves 32 MiB for fast streams.
const YAMUX_STREAMS_MAX: usize = (1 << 12) - (1 << 7);

/// The transports that a connection can use. `handshakes` is how many each address may begin. TCP and QUIC count by
/// themselves, because whoever sends a datagram can name any address as its own.
pub(super) fn transport(
    keypair: &Keypair,
    handshakes: Rate,
    counters: Arc<Counters>,
) -> Result<Boxed<(PeerId, StreamMuxerBox)>, MeshError> {
    let noise = noise::Config::new(keypair)
        .map_err(|error| MeshError::Transport { what: "noise", source: io::Error::other(error) })?;
    let mut yamux = yamux::Config::default();
    yamux.set_max_num_streams(YAMUX_STREAMS_MAX);
    let tcp = tcp::tokio::Transport::new(tcp::Config::default().nodelay(true))
        .upgrade(Version::V1Lazy)
        .authenticate(noise)
        .multiplex(yamux)
        .timeout(HANDSHAKE_TIMEOUT)
        .boxed();
    let quic = quic::tokio::Transport::new(quic::Config::new(keypair))
        .map(|(peer, connection), _| (peer, StreamMuxerBox::new(connection)));
    let gate = || Handshakes::new(handshakes, counters.clone());
    let (tcp, quic) = (Gate::new(tcp, gate()), Gate::new(quic.boxed(), gate()));
    let either = tcp.or_transport(quic).map(move |either, _| {
        let (peer, muxer) = either.into_inner();
        (peer, StreamMuxerBox::new(Connection { inner: muxer, counters: counters.clone(), close_by: None }))
    });
    Ok(Named::new(either.boxed()).boxed())
}

/// A connection whose streams' bytes are counted, and which closes in time.
struct Connection {
    inner: StreamMuxerBox,
    counters: Arc<Counters>,
    close_by: Option<Pin<Box<Sleep>>>,
}

impl Connection {
    fn counted(&self, inner: SubstreamBox) -> Counted {
        Counted { inner, counters: self.counters.clone() }
    }
}

impl StreamMuxer for Connection {
    type Substream = Counted;
    type Error = io::Error;

    fn poll_inbound(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<Counted>> {
        let inner = ready!(Pin::new(&mut self.inner).poll_inbound(cx))?;
        Poll::Ready(Ok(self.counted(inner)))
    }

    fn poll_outbound(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<Counted>> {
        let inner = ready!(Pin::new(&mut self.inner).poll_outbound(cx))?;
        Poll::Ready(Ok(self.counted(inner)))
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Poll::Ready(closed) = Pin::new(&mut self.inner).poll_close(cx) {
            return Poll::Ready(closed);
        }
        let close_by = self.close_by.get_or_insert_with(|| Box::pin(sleep(CLOSE_TIMEOUT)));
        close_by.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<StreamMuxerEvent>> {
        Pin::new(&mut self.inner).poll(cx)
    }
}

/// A stream whose bytes are counted.
struct Counted {
    inner: SubstreamBox,
    counters: Arc<Counters>,
}

fn counted(result: io::Result<usize>, counter: &AtomicU64) -> Poll<io::Result<usize>> {
    if let Ok(bytes) = &result {
        add(counter, *bytes);
    }
    Poll::Ready(result)
}

impl AsyncRead for Counted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let result = ready!(Pin::new(&mut self.inner).poll_read(cx, buffer));
        counted(result, &self.counters.wire_bytes_in)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        let result = ready!(Pin::new(&mut self.inner).poll_write(cx, buffer));
        counted(result, &self.counters.wire_bytes_out)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = ready!(Pin::new(&mut self.inner).poll_write_vectored(cx, buffers));
        counted(result, &self.counters.wire_bytes_out)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_close(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A connection to a peer that reads nothing: it never gets to be closed.
    struct Stuck;

    impl StreamMuxer for Stuck {
        type Substream = SubstreamBox;
        type Error = io::Error;

        fn poll_inbound(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<SubstreamBox>> {
            Poll::Pending
        }

        fn poll_outbound(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<SubstreamBox>> {
            Poll::Pending
        }

        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }

        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<StreamMuxerEvent>> {
            Poll::Pending
        }
    }

    #[tokio::test]
    async fn a_connection_is_closed_although_its_peer_reads_nothing() {
        let inner = StreamMuxerBox::new(Stuck);
        let mut connection = Connection { inner, counters: Arc::default(), close_by: None };
        let mut close = |cx: &mut Context<'_>| Pin::new(&mut connection).poll_close(cx);
        assert!(close(&mut Context::from_waker(futures::task::noop_waker_ref())).is_pending());
        // The time is over at once instead of after some seconds.
        connection.close_by = Some(Box::pin(sleep(Duration::ZERO)));
        let closed = std::future::poll_fn(|cx| Pin::new(&mut connection).poll_close(cx)).await;
        assert_eq!(closed.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
