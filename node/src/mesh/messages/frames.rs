//! Cutting a stream of bytes into messages.

use std::{io, time::Duration};

use futures::{AsyncRead, AsyncReadExt};
use thiserror::Error;
use tokio::time::timeout;

/// How long the rest of a message that has begun may take to make any progress.
const STALL_MAX: Duration = Duration::from_secs(60);
/// Read at once, if there is so much; small messages come many to a read.
const READ_BYTES: usize = 32 << 10;
/// The most that a message's buffer grows ahead of what has come: an announced length is only a claim.
const GROW_BYTES: usize = 256 << 10;

/// Why a stream of messages ended before its time.
#[derive(Debug, Error)]
pub(super) enum FrameError {
    #[error("a message of {bytes} bytes is announced, and {bytes_max} are allowed")]
    TooLarge { bytes: usize, bytes_max: usize },
    #[error("an empty message")]
    Empty,
    #[error("the stream ends within a message")]
    Truncated,
    #[error("a message has begun and does not go on")]
    Stalled,
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl FrameError {
    /// Whether the sender is to blame, rather than the line.
    pub(super) fn is_malice(&self) -> bool {
        matches!(self, Self::TooLarge { .. } | Self::Empty)
    }
}

/// The messages of one stream.
pub(super) struct Frames<R> {
    stream: R,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    bytes_max: usize,
}

impl<R: AsyncRead + Unpin> Frames<R> {
    pub(super) fn new(stream: R, bytes_max: usize) -> Self {
        Self { stream, buffer: vec![0; READ_BYTES].into(), start: 0, end: 0, bytes_max }
    }

    /// The next message; none at the stream's proper end.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<u8>>, FrameError> {
        if !self.fill_header().await? {
            return Ok(None);
        }
        let (header, _) = self.buffer[self.start..self.end].split_first_chunk::<4>().expect("it was filled");
        let length = u32::from_le_bytes(*header) as usize;
        if length > self.bytes_max {
            return Err(FrameError::TooLarge { bytes: length, bytes_max: self.bytes_max });
        }
        if length == 0 {
            return Err(FrameError::Empty);
        }
        self.start += 4;
        let have = length.min(self.end - self.start);
        let mut message = Vec::with_capacity(length.min(GROW_BYTES));
        message.extend_from_slice(&self.buffer[self.start..self.start + have]);
        self.start += have;
        while message.len() < length {
            let filled = message.len();
            message.resize(length.min(filled + GROW_BYTES), 0);
            let read = self.stream.read(&mut message[filled..]);
            let bytes = timeout(STALL_MAX, read).await.map_err(|_| FrameError::Stalled)??;
            if bytes == 0 {
                return Err(FrameError::Truncated);
            }
            message.truncate(filled + bytes);
        }
        Ok(Some(message))
    }

    /// Reads until a length is there; false if the stream ends before it begins.
    async fn fill_header(&mut self) -> Result<bool, FrameError> {
        while self.end - self.start < 4 {
            let begun = self.end > self.start;
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
            let read = self.stream.read(&mut self.buffer[self.end..]);
            let bytes =
                if begun { timeout(STALL_MAX, read).await.map_err(|_| FrameError::Stalled)?? } else { read.await? };
            match bytes {
                0 if begun => return Err(FrameError::Truncated),
                0 => return Ok(false),
                _ => self.end += bytes,
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use futures::io::Cursor;
    use proptest::prelude::*;

    use super::*;

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
    }

    fn framed(messages: &[Vec<u8>]) -> Vec<u8> {
        messages.iter().flat_map(|m| [&(m.len() as u32).to_le_bytes()[..], m].concat()).collect()
    }

    async fn all(bytes: Vec<u8>, bytes_max: usize) -> Result<Vec<Vec<u8>>, FrameError> {
        let mut frames = Frames::new(Cursor::new(bytes), bytes_max);
        let mut messages = Vec::new();
        while let Some(message) = frames.next().await? {
            messages.push(message);
        }
        Ok(messages)
    }

    #[test]
    fn messages_of_all_sizes_come_as_they_were_sent() {
        let messages: Vec<Vec<u8>> =
            [1, 5, READ_BYTES - 4, READ_BYTES, 3 * GROW_BYTES + 1].map(|size| vec![size as u8; size]).into();
        assert_eq!(block_on(all(framed(&messages), 1 << 20)).unwrap(), messages);
    }

    #[test]
    fn a_claimed_length_above_the_bound_is_refused_before_anything_is_allocated() {
        let error = block_on(all(u32::MAX.to_le_bytes().to_vec(), 100)).unwrap_err();
        assert!(matches!(error, FrameError::TooLarge { bytes_max: 100, .. }) && error.is_malice());
        assert!(matches!(block_on(all(vec![0; 4], 100)), Err(FrameError::Empty)));
        assert!(matches!(block_on(all(vec![9, 0, 0, 0, 1], 100)), Err(FrameError::Truncated)));
        assert!(matches!(block_on(all(vec![9, 0], 100)), Err(FrameError::Truncated)));
    }

    proptest! {
        #[test]
        fn any_bytes_are_messages_or_an_error(bytes: Vec<u8>) {
            if let Ok(messages) = block_on(all(bytes.clone(), 64)) {
                prop_assert_eq!(framed(&messages), bytes);
            }
        }
    }
}
