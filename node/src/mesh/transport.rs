//! The transports: TCP with noise and yamux, and QUIC, both behind DNS. Every stream's bytes are counted.

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
    dns,
    identity::Keypair,
    noise, quic, tcp, yamux,
};

use super::{
    error::MeshError,
    metrics::{Counters, add},
};

/// How long a connection's handshakes may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(20);

/// The transports that a connection can use.
pub(super) fn transport(
    keypair: &Keypair,
    counters: Arc<Counters>,
) -> Result<Boxed<(PeerId, StreamMuxerBox)>, MeshError> {
    let noise = noise::Config::new(keypair)
        .map_err(|error| MeshError::Transport { what: "noise", source: io::Error::other(error) })?;
    let tcp = tcp::tokio::Transport::new(tcp::Config::default().nodelay(true))
        .upgrade(Version::V1Lazy)
        .authenticate(noise)
        .multiplex(yamux::Config::default())
        .timeout(HANDSHAKE_TIMEOUT)
        .boxed();
    let quic = quic::tokio::Transport::new(quic::Config::new(keypair))
        .map(|(peer, connection), _| (peer, StreamMuxerBox::new(connection)));
    let either = tcp.or_transport(quic).map(move |either, _| {
        let (peer, muxer) = either.into_inner();
        (peer, StreamMuxerBox::new(Counted { inner: muxer, counters: counters.clone() }))
    });
    let dns = dns::tokio::Transport::system(either)
        .map_err(|source| MeshError::Transport { what: "name resolution", source })?;
    Ok(dns.boxed())
}

/// A connection or a stream whose bytes are counted.
struct Counted<T> {
    inner: T,
    counters: Arc<Counters>,
}

impl StreamMuxer for Counted<StreamMuxerBox> {
    type Substream = Counted<SubstreamBox>;
    type Error = io::Error;

    fn poll_inbound(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<Self::Substream>> {
        let inner = ready!(Pin::new(&mut self.inner).poll_inbound(cx))?;
        Poll::Ready(Ok(Counted { inner, counters: self.counters.clone() }))
    }

    fn poll_outbound(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<Self::Substream>> {
        let inner = ready!(Pin::new(&mut self.inner).poll_outbound(cx))?;
        Poll::Ready(Ok(Counted { inner, counters: self.counters.clone() }))
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_close(cx)
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<StreamMuxerEvent>> {
        Pin::new(&mut self.inner).poll(cx)
    }
}

fn counted(result: io::Result<usize>, counter: &AtomicU64) -> Poll<io::Result<usize>> {
    if let Ok(bytes) = &result {
        add(counter, *bytes);
    }
    Poll::Ready(result)
}

impl AsyncRead for Counted<SubstreamBox> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let result = ready!(Pin::new(&mut self.inner).poll_read(cx, buffer));
        counted(result, &self.counters.wire_bytes_in)
    }
}

impl AsyncWrite for Counted<SubstreamBox> {
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
