//! A connection's bytes: a client that reads too slowly is dropped, and one that is still sending when its request has
//! been answered gets the time to read the answer.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Sleep, sleep},
};

use super::{pace::PaceWatch, refused::Refused, visit::Visit};

/// How much is thrown away of what a client still sends when its request has been answered. After that it is no longer
/// read, and may read the answer.
const LINGER_BYTES_MAX: usize = 512 << 10;
/// How much of it is read at a time.
const LINGER_BYTES: usize = 16 << 10;

pub(super) struct Stream {
    tcp: TcpStream,
    visit: Arc<Visit>,
    reads: PaceWatch,
    lingers: Option<Pin<Box<Sleep>>>,
    thrown_away: usize,
}

impl Stream {
    pub(super) fn new(tcp: TcpStream, visit: Arc<Visit>) -> Self {
        let reads = PaceWatch::new(visit.bounds().limits.read_pace);
        Self { tcp, visit, reads, lingers: None, thrown_away: 0 }
    }

    /// Watches how fast the client takes what is written.
    fn paced(&mut self, written: Poll<io::Result<usize>>, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(Ok(bytes)) => {
                self.reads.moved(bytes);
                Poll::Ready(Ok(bytes))
            }
            Poll::Ready(error) => Poll::Ready(error),
            Poll::Pending => {
                ready!(self.reads.poll_too_slow(context));
                let refused = self.visit.refuse(Refused::SlowReader);
                Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, refused.to_string())))
            }
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        ready!(Pin::new(&mut self.tcp).poll_read(context, into))?;
        if into.filled().len() > before {
            self.visit.heard();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.tcp).poll_write(context, bytes);
        self.paced(written, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.tcp).poll_write_vectored(context, pieces);
        self.paced(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    /// The HTTP library flushes when it has handed over all that it had.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.tcp).poll_flush(context))?;
        self.visit.flushed();
        Poll::Ready(Ok(()))
    }

    /// Says that nothing more comes, and leaves the socket open until the client closes it too, or for a while. If it
    /// were closed while bytes arrive, the system could take back the answer. Some of them are thrown away, for a
    /// client that reads only once it has sent everything.
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.lingers.is_none() {
            ready!(Pin::new(&mut this.tcp).poll_shutdown(context))?;
            this.visit.ends();
        }
        let lingers = this.lingers.get_or_insert_with(|| Box::pin(sleep(this.visit.bounds().limits.linger_time)));
        let mut bytes = [0; LINGER_BYTES];
        while lingers.as_mut().poll(context).is_pending() {
            if this.thrown_away > LINGER_BYTES_MAX {
                return Poll::Pending;
            }
            let mut buffer = ReadBuf::new(&mut bytes);
            ready!(Pin::new(&mut this.tcp).poll_read(context, &mut buffer))?;
            if buffer.filled().is_empty() {
                break;
            }
            this.thrown_away += buffer.filled().len();
        }
        Poll::Ready(Ok(()))
    }
}
