//! Reading a stream's messages; [`meshwork_core::frames`] cuts them.

use std::{io, time::Duration};

use futures::{AsyncRead, AsyncReadExt};
use meshwork_core::frames::{Cutter, FrameError};
use thiserror::Error;
use tokio::time::timeout;

/// How long the rest of a message that has begun may take to make any progress.
const STALL_MAX: Duration = Duration::from_secs(60);

/// Why a stream of messages ended before its time.
#[derive(Debug, Error)]
pub(super) enum StreamError {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("the stream ends within a message")]
    Truncated,
    #[error("a message has begun and does not go on")]
    Stalled,
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl StreamError {
    /// Whether the sender is to blame, rather than the line.
    pub(super) fn is_malice(&self) -> bool {
        matches!(self, Self::Frame(_))
    }
}

/// The messages of one stream.
pub(super) struct Frames<R> {
    stream: R,
    cutter: Cutter,
}

impl<R: AsyncRead + Unpin> Frames<R> {
    pub(super) fn new(stream: R, bytes_max: usize) -> Self {
        Self { stream, cutter: Cutter::new(bytes_max) }
    }

    /// The next message; none at the stream's proper end.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<u8>>, StreamError> {
        loop {
            if let Some(message) = self.cutter.next_message()? {
                return Ok(Some(message));
            }
            let begun = self.cutter.has_begun();
            let read = self.stream.read(self.cutter.room());
            // Between messages a stream may rest for as long as it likes.
            let bytes =
                if begun { timeout(STALL_MAX, read).await.map_err(|_| StreamError::Stalled)? } else { read.await }?;
            match bytes {
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
        let mut frames = Frames::new(Cursor::new(bytes), bytes_max);
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
