//! Cuts a stream of bytes into messages. On the stream, a message is its length, four bytes, least significant
//! first, and then that many bytes. An empty message is an error.
//!
//! To read a stream, call [`Cutter::next_message`] for messages. When there is none, read into [`Cutter::spare`]
//! and pass the number of bytes to [`Cutter::filled`].

use thiserror::Error;

/// The number of bytes of a message's length.
const LENGTH_BYTES: usize = 4;
/// How many bytes a cutter reads at once, unless a message has begun. Many small messages come in one read.
const BUFFER_BYTES: usize = 32 << 10;
/// The most that a message's memory grows ahead of the bytes that have come: an announced length is only a
/// claim.
const GROW_BYTES: usize = 256 << 10;

/// Why a stream is no sequence of messages. No honest sender causes it.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum FrameError {
    /// A message is longer than it may be.
    #[error("a message of {bytes} bytes is announced, and {bytes_max} are allowed")]
    TooLarge {
        /// The announced length.
        bytes: usize,
        /// The longest allowed.
        bytes_max: usize,
    },
    /// A message has no bytes.
    #[error("an empty message")]
    Empty,
}

/// The length of the message that follows these bytes.
///
/// # Errors
/// The length is 0, or more than `bytes_max`.
fn length(header: [u8; LENGTH_BYTES], bytes_max: usize) -> Result<usize, FrameError> {
    match u32::from_le_bytes(header) as usize {
        0 => Err(FrameError::Empty),
        bytes if bytes > bytes_max => Err(FrameError::TooLarge { bytes, bytes_max }),
        bytes => Ok(bytes),
    }
}

/// Appends a message in its form on a stream.
///
/// # Panics
/// If the message has 4 GiB or more. An empty message, which the receiver would refuse, panics in debug builds
/// only.
pub fn append(message: &[u8], stream: &mut Vec<u8>) {
    debug_assert!(!message.is_empty(), "an empty message is never sent");
    let length = u32::try_from(message.len()).expect("a message's length has a bound below 4 GiB");
    stream.extend_from_slice(&length.to_le_bytes());
    stream.extend_from_slice(message);
}

/// Cuts one stream into messages, in whatever pieces its bytes come.
#[derive(Debug)]
pub struct Cutter {
    bytes_max: usize,
    /// Bytes that have come and are not cut yet: `buffer[start..end]`. Empty while a message is only partly
    /// here.
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    partial: Option<Partial>,
}

/// A message whose length is known but whose bytes have not all come.
#[derive(Debug)]
struct Partial {
    length: usize,
    /// As long as the bytes that have come and the space for more, at most `length`.
    bytes: Vec<u8>,
    filled: usize,
}

impl Cutter {
    /// A cutter for a stream from its start, whose messages have at most `bytes_max` bytes.
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        Self::with_buffer(bytes_max, BUFFER_BYTES)
    }

    /// The same for a stream on which something else follows a message: nothing beyond the message is taken in.
    #[must_use]
    pub fn exact(bytes_max: usize) -> Self {
        Self::with_buffer(bytes_max, LENGTH_BYTES)
    }

    fn with_buffer(bytes_max: usize, buffer_bytes: usize) -> Self {
        Self { bytes_max, buffer: vec![0; buffer_bytes].into(), start: 0, end: 0, partial: None }
    }

    /// The next message, if all of it has come.
    ///
    /// # Errors
    /// The next bytes are no message. What follows on the stream then means nothing.
    pub fn next_message(&mut self) -> Result<Option<Vec<u8>>, FrameError> {
        if self.partial.is_none() {
            let waiting = &self.buffer[self.start..self.end];
            let Some((header, rest)) = waiting.split_first_chunk() else { return Ok(None) };
            let length = length(*header, self.bytes_max)?;
            let have = length.min(rest.len());
            let mut bytes = Vec::with_capacity(length.min(GROW_BYTES));
            bytes.extend_from_slice(&rest[..have]);
            self.start += LENGTH_BYTES + have;
            self.partial = Some(Partial { length, bytes, filled: have });
        }
        let whole = self.partial.take_if(|partial| partial.filled == partial.length);
        Ok(whole.map(|partial| partial.bytes))
    }

    /// The space to read into. It is never empty after [`Cutter::next_message`] has returned `None`.
    pub fn spare(&mut self) -> &mut [u8] {
        if let Some(Partial { length, bytes, filled }) = &mut self.partial {
            if bytes.len() == *filled {
                bytes.resize((*length).min(*filled + GROW_BYTES), 0);
            }
            return &mut bytes[*filled..];
        }
        self.buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        &mut self.buffer[self.end..]
    }

    /// Notes that this many bytes were read into [`Cutter::spare`].
    ///
    /// # Panics
    /// If there are more bytes than space.
    pub fn filled(&mut self, bytes: usize) {
        let (end, spare) = match &mut self.partial {
            Some(partial) => (&mut partial.filled, partial.bytes.len()),
            None => (&mut self.end, self.buffer.len()),
        };
        assert!(bytes <= spare - *end, "more was read than there was room for");
        *end += bytes;
    }

    /// Whether part of a message has come. A stream that ends now ends too early.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.partial.is_some() || self.end > self.start
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn framed(messages: &[Vec<u8>]) -> Vec<u8> {
        let mut stream = Vec::new();
        for message in messages {
            append(message, &mut stream);
        }
        stream
    }

    /// The messages of a stream whose bytes come at most `piece` at a time, and whether the stream ends between
    /// two messages.
    fn cut(mut stream: &[u8], bytes_max: usize, piece: usize) -> Result<(Vec<Vec<u8>>, bool), FrameError> {
        let mut cutter = Cutter::new(bytes_max);
        let mut messages = Vec::new();
        loop {
            while let Some(message) = cutter.next_message()? {
                messages.push(message);
            }
            if stream.is_empty() {
                return Ok((messages, !cutter.has_begun()));
            }
            let spare = cutter.spare();
            let bytes = spare.len().min(piece).min(stream.len());
            assert!(bytes > 0, "there is room");
            spare[..bytes].copy_from_slice(&stream[..bytes]);
            cutter.filled(bytes);
            stream = &stream[bytes..];
        }
    }

    #[test]
    fn messages_of_all_sizes_come_as_they_were_sent() {
        let sizes = [1, 5, BUFFER_BYTES - 4, BUFFER_BYTES, 3 * GROW_BYTES + 1];
        let messages: Vec<Vec<u8>> = sizes.map(|size| vec![size as u8; size]).into();
        for piece in [1, 7, BUFFER_BYTES - 1, BUFFER_BYTES, usize::MAX] {
            assert_eq!(cut(&framed(&messages), 1 << 20, piece), Ok((messages.clone(), true)), "{piece}");
        }
    }

    #[test]
    fn a_claimed_length_above_the_bound_is_refused_before_anything_is_allocated() {
        let too_large = FrameError::TooLarge { bytes: u32::MAX as usize, bytes_max: 100 };
        assert_eq!(cut(&u32::MAX.to_le_bytes(), 100, 4), Err(too_large));
        assert_eq!(cut(&[0; 4], 100, 4), Err(FrameError::Empty));
    }

    #[test]
    fn a_message_takes_memory_as_it_comes_and_not_as_it_is_announced() {
        let mut cutter = Cutter::new(u32::MAX as usize);
        let header = [0xff, 0xff, 0xff, 0x7f];
        cutter.spare()[..4].copy_from_slice(&header);
        cutter.filled(4);
        assert_eq!(cutter.next_message(), Ok(None));
        assert_eq!(cutter.spare().len(), GROW_BYTES);
        cutter.filled(1);
        assert_eq!(cutter.next_message(), Ok(None));
        assert_eq!(cutter.spare().len(), GROW_BYTES - 1);
    }

    #[test]
    fn an_exact_cutter_takes_in_nothing_beyond_a_message() {
        let message = vec![7; 3 * GROW_BYTES + 1];
        let mut stream = framed(std::slice::from_ref(&message));
        stream.extend([9; 100]);
        let (mut cutter, mut taken) = (Cutter::exact(1 << 20), 0);
        let whole = loop {
            if let Some(whole) = cutter.next_message().expect("a message") {
                break whole;
            }
            let spare = cutter.spare();
            let bytes = spare.len().min(stream.len() - taken);
            spare[..bytes].copy_from_slice(&stream[taken..taken + bytes]);
            cutter.filled(bytes);
            taken += bytes;
        };
        assert_eq!((whole, taken), (message, stream.len() - 100));
    }

    #[test]
    fn a_stream_that_ends_within_a_message_is_known_to() {
        for stream in [&[9, 0][..], &[9, 0, 0, 0], &[9, 0, 0, 0, 1]] {
            assert_eq!(cut(stream, 100, 1), Ok((Vec::new(), false)), "{stream:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_messages_or_an_error(stream: Vec<u8>, piece in 1..64usize) {
            if let Ok((messages, true)) = cut(&stream, 64, piece) {
                prop_assert_eq!(framed(&messages), stream);
            }
        }
    }
}
