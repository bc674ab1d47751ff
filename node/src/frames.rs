//! Reading a stream's messages, of those who send at will and of those who answer; [`meshwork_core::frames`] cuts them.

use std::{io, time::Duration};

use futures::{AsyncRead, AsyncReadExt};
use meshwork_core::frames::{Cutter, FrameError};
use thiserror::Error;
use tokio::time::timeout;

/// How long a message is waited for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// How long until it begins; for ever if nothing is said, as between messages that come at will.
    pub(crate) begin: Option<Duration>,
    /// How long it may make no progress once it has begun.
    pub(crate) stall: Duration,
}

/// Why a stream of messages ended early.
#[derive(Debug, Error)]
pub(crate) enum StreamError {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("the stream ends within a message")]
    Truncated,
    #[error("nothing came for too long")]
    Stalled,
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl StreamError {
    /// Whether the sender is to blame, rather than the connection.
    pub(crate) fn is_malice(&self) -> bool {
        matches!(self, Self::Frame(_))
    }
}

impl From<StreamError> for io::Error {
    fn from(error: StreamError) -> Self {
        let kind = match error {
            StreamError::Frame(_) => io::ErrorKind::InvalidData,
            StreamError::Truncated => io::ErrorKind::UnexpectedEof,
            StreamError::Stalled => io::ErrorKind::TimedOut,
            StreamError::Io(error) => return error,
        };
        Self::new(kind, error)
    }
}

/// The messages of a stream.
pub(crate) struct Frames<R> {
    stream: R,
    cutter: Cutter,
    patience: Patience,
}

impl<R: AsyncRead + Unpin> Frames<R> {
    pub(crate) const fn new(stream: R, cutter: Cutter, patience: Patience) -> Self {
        Self { stream, cutter, patience }
    }

    /// The next message; `None` at the proper end of the stream.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<u8>>, StreamError> {
        loop {
            if let Some(message) = self.cutter.next_message()? {
                return Ok(Some(message));
            }
            let begun = self.cutter.has_begun();
            let wait = if begun { Some(self.patience.stall) } else { self.patience.begin };
            let read = self.stream.read(self.cutter.spare());
            let bytes = match wait {
                Some(wait) => timeout(wait, read).await.map_err(|_| StreamError::Stalled)?,
                None => read.await,
            };
            match bytes? {
                0 if begun => return Err(StreamError::Truncated),
                0 => return Ok(None),
                bytes => self.cutter.filled(bytes),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::io::Cursor;
    use meshwork_core::frames::append;

    use super::*;

    async fn all(bytes: &[u8], bytes_max: usize) -> Result<Vec<Vec<u8>>, StreamError> {
        let patience = Patience { begin: None, stall: Duration::from_secs(1) };
        let mut frames = Frames::new(Cursor::new(bytes), Cutter::new(bytes_max), patience);
        let mut messages = Vec::new();
        while let Some(message) = frames.next().await? {
            messages.push(message);
        }
        Ok(messages)
    }

    #[tokio::test]
    async fn messages_come_as_they_were_sent_and_then_the_streams_end() {
        let messages: Vec<Vec<u8>> = [1, 5, 40_000, 900_000].map(|size| vec![size as u8; size]).into();
        let mut stream = Vec::new();
        for message in &messages {
            append(message, &mut stream);
        }
        assert_eq!(all(&stream, 1 << 20).await.unwrap(), messages);
    }

    #[tokio::test]
    async fn who_announces_too_much_is_to_blame_and_who_breaks_off_is_not() {
        let error = all(&u32::MAX.to_le_bytes(), 100).await.unwrap_err();
        assert!(matches!(error, StreamError::Frame(FrameError::TooLarge { bytes_max: 100, .. })) && error.is_malice());
        assert!(all(&[0; 4], 100).await.unwrap_err().is_malice());
        for cut_short in [&[9, 0, 0, 0, 1][..], &[9, 0]] {
            let error = all(cut_short, 100).await.unwrap_err();
            assert!(matches!(error, StreamError::Truncated) && !error.is_malice());
        }
    }
}
