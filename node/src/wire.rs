//! Reads and writes values on streams of requests and answers. [`meshwork_core::blobs`] and
//! [`meshwork_core::snapshot`] define the values.

use std::{io, time::Duration};

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use meshwork_core::{
    codec,
    frames::{self, Cutter},
};
use serde::{Serialize, de::DeserializeOwned};
use tokio::time::{Instant, timeout, timeout_at};

use crate::frames::{Frames, Patience};

/// How long a transfer may make no progress.
pub(crate) const STALL_MAX: Duration = Duration::from_secs(10);
/// How long a serving peer keeps a stream without requests.
pub(crate) const IDLE_MAX: Duration = Duration::from_secs(60);
/// How many bytes are read and written at once.
pub(crate) const CHUNK_BYTES: usize = 64 << 10;

/// The least rate of a transfer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    /// How long a transfer may run before its rate counts.
    pub(crate) after: Duration,
    /// What it must keep up on average from then on, in bytes per second. Not 0.
    pub(crate) bytes_per_second: u64,
}

impl Rate {
    /// The least rate of all transfers: that of a modem in the nineties, times two.
    pub(crate) const LEAST: Self = Self { after: Duration::from_secs(10), bytes_per_second: 16 << 10 };
}

/// The pace of one transfer. One byte now and then is not a stall, and would never end.
pub(crate) struct Pace {
    rate: Rate,
    began: Instant,
    bytes: u64,
}

impl Pace {
    pub(crate) fn begin(rate: Rate) -> Self {
        Self { rate, began: Instant::now(), bytes: 0 }
    }

    /// By when more bytes must have come or gone.
    fn due(&self) -> Instant {
        self.began + self.rate.after + Duration::from_secs(self.bytes / self.rate.bytes_per_second)
    }

    /// [`read_some`], unless the transfer is too slow.
    pub(crate) async fn read_some(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
        buffer: &mut [u8],
    ) -> io::Result<usize> {
        let bytes = timeout_at(self.due(), read_some(stream, buffer)).await.map_err(stalled)??;
        self.bytes += bytes as u64;
        Ok(bytes)
    }

    /// [`read_all`], unless the transfer is too slow.
    pub(crate) async fn read_all(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
        mut buffer: &mut [u8],
    ) -> io::Result<()> {
        while !buffer.is_empty() {
            match self.read_some(stream, buffer).await? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                bytes => buffer = &mut buffer[bytes..],
            }
        }
        Ok(())
    }

    /// [`write_all`], unless the transfer is too slow.
    pub(crate) async fn write_all(&mut self, stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<()> {
        for chunk in bytes.chunks(CHUNK_BYTES) {
            timeout_at(self.due(), write_all(stream, chunk)).await.map_err(stalled)??;
            self.bytes += chunk.len() as u64;
        }
        Ok(())
    }
}

fn stalled(_: tokio::time::error::Elapsed) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "nothing came for too long")
}

/// Reads some bytes, at least one unless the stream has ended.
pub(crate) async fn read_some(stream: &mut (impl AsyncRead + Unpin), buffer: &mut [u8]) -> io::Result<usize> {
    timeout(STALL_MAX, stream.read(buffer)).await.map_err(stalled)?
}

/// Fills the buffer.
pub(crate) async fn read_all(stream: &mut (impl AsyncRead + Unpin), mut buffer: &mut [u8]) -> io::Result<()> {
    while !buffer.is_empty() {
        match read_some(stream, buffer).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            bytes => buffer = &mut buffer[bytes..],
        }
    }
    Ok(())
}

/// Writes all bytes.
pub(crate) async fn write_all(stream: &mut (impl AsyncWrite + Unpin), mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match timeout(STALL_MAX, stream.write(bytes)).await.map_err(stalled)?? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            written => bytes = &bytes[written..],
        }
    }
    Ok(())
}

/// Flushes what was written.
pub(crate) async fn flush(stream: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
    timeout(STALL_MAX, stream.flush()).await.map_err(stalled)?
}

/// Writes a value: a frame with its canonical encoding.
pub(crate) async fn write_value(stream: &mut (impl AsyncWrite + Unpin), value: &impl Serialize) -> io::Result<()> {
    let mut frame = Vec::new();
    frames::append(&codec::encode(value), &mut frame);
    write_all(stream, &frame).await?;
    flush(stream).await
}

/// Reads a value, which the other side may take `wait` to begin: it may have work to do. What follows the value stays
/// on the stream.
pub(crate) async fn read_value<T: Serialize + DeserializeOwned>(
    stream: &mut (impl AsyncRead + Unpin),
    bytes_max: usize,
    wait: Duration,
) -> io::Result<T> {
    let patience = Patience { begin: Some(wait), stall: STALL_MAX };
    let bytes = Frames::new(stream, Cutter::exact(bytes_max), patience).next().await?;
    let bytes = bytes.ok_or(io::ErrorKind::UnexpectedEof)?;
    codec::decode(&bytes, bytes_max).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))
}
