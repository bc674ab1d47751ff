//! What node and runner say to each other over a socket: messages, bytes and open files.
//!
//! Each side reads exactly what the other announced, and allocates nothing that exceeds a bound. Reads and writes wait
//! for a short time only and then ask a [`Watch`] whether to go on.

use std::{
    fs::File,
    io::{self, IoSlice, IoSliceMut, Read, Write},
    mem::MaybeUninit,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
    time::Duration,
};

use meshwork_core::codec;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage};
use serde::{Serialize, de::DeserializeOwned};
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use crate::run_clock::Until;

/// The most bytes of a message: the paths of 10,000 files of 1,024 bytes, and what is around them.
const MESSAGE_BYTES_MAX: u32 = 16 << 20;
/// How many open files travel at a time. The kernel takes 253.
const FILES_AT_ONCE: usize = 128;
/// How long a read or write waits before it asks whether to go on.
const GLANCE: Duration = Duration::from_millis(50);
/// How many bytes are read at a time, so that little is allocated before it has come.
const PIECE_BYTES: usize = 1 << 20;

/// Why nothing more comes.
#[derive(Debug, Error)]
pub(crate) enum WireError {
    /// The other process is gone.
    #[error("the other process has ended")]
    Closed,
    /// Whoever waits does not want it any more.
    #[error("the run was stopped")]
    Stopped,
    /// It took longer than it may.
    #[error("it took too long")]
    TooLate,
    /// The other process broke the protocol.
    #[error("the other process said something that cannot be understood: {0}")]
    Malformed(String),
    /// The socket failed.
    #[error(transparent)]
    Io(io::Error),
}

impl From<io::Error> for WireError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => Self::Closed,
            _ => Self::Io(error),
        }
    }
}

impl From<rustix::io::Errno> for WireError {
    fn from(errno: rustix::io::Errno) -> Self {
        io::Error::from(errno).into()
    }
}

/// Until when to wait.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watch {
    /// Stops waiting when cancelled.
    pub stop: CancellationToken,
    /// When to give up.
    pub until: Option<Until>,
}

impl Watch {
    fn check(&self) -> Result<(), WireError> {
        if self.stop.is_cancelled() {
            Err(WireError::Stopped)
        } else if self.until.as_ref().is_some_and(|until| until.left().is_none()) {
            Err(WireError::TooLate)
        } else {
            Ok(())
        }
    }
}

/// One end of the socket between a node and a runner.
#[derive(Debug)]
pub(crate) struct Channel {
    stream: UnixStream,
    watch: Watch,
}

impl Channel {
    /// The node's end, and the runner's.
    pub(crate) fn pair() -> io::Result<(Self, OwnedFd)> {
        let (ours, theirs) = UnixStream::pair()?;
        Ok((Self::new(ours)?, theirs.into()))
    }

    /// A channel over a socket. It waits without end until it is told otherwise.
    pub(crate) fn new(stream: UnixStream) -> io::Result<Self> {
        stream.set_read_timeout(Some(GLANCE))?;
        stream.set_write_timeout(Some(GLANCE))?;
        Ok(Self { stream, watch: Watch::default() })
    }

    /// Another handle of the same end.
    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { stream: self.stream.try_clone()?, watch: self.watch.clone() })
    }

    /// Waits no longer than `watch` says, from now on.
    pub(crate) fn heed(&mut self, watch: Watch) {
        self.watch = watch;
    }

    pub(crate) fn send<T: Serialize>(&mut self, message: &T) -> Result<(), WireError> {
        let encoded = codec::encode(message);
        let length = u32::try_from(encoded.len()).ok().filter(|length| *length <= MESSAGE_BYTES_MAX);
        let length = length.ok_or_else(|| WireError::Malformed("a message is too long to be sent".into()))?;
        let mut bytes = Vec::with_capacity(4 + encoded.len());
        bytes.extend(length.to_le_bytes());
        bytes.extend(encoded);
        self.send_bytes(&bytes)
    }

    pub(crate) fn receive<T: Serialize + DeserializeOwned>(&mut self) -> Result<T, WireError> {
        let mut length = [0; 4];
        self.fill(&mut length)?;
        let length = u32::from_le_bytes(length);
        if length > MESSAGE_BYTES_MAX {
            return Err(WireError::Malformed(format!("a message of {length} bytes")));
        }
        let bytes = self.receive_bytes(u64::from(length))?;
        codec::decode(&bytes, MESSAGE_BYTES_MAX as usize).map_err(|error| WireError::Malformed(error.to_string()))
    }

    pub(crate) fn send_bytes(&mut self, mut bytes: &[u8]) -> Result<(), WireError> {
        while !bytes.is_empty() {
            match self.stream.write(bytes) {
                Ok(0) => return Err(WireError::Closed),
                Ok(written) => bytes = &bytes[written..],
                Err(error) => self.again(error)?,
            }
        }
        Ok(())
    }

    /// Receives this many bytes, which the caller has compared with a bound.
    pub(crate) fn receive_bytes(&mut self, length: u64) -> Result<Vec<u8>, WireError> {
        let too_long = || WireError::Malformed(format!("{length} bytes, which this machine cannot hold"));
        let length = usize::try_from(length).map_err(|_| too_long())?;
        let mut bytes = Vec::new();
        while bytes.len() < length {
            let (begin, end) = (bytes.len(), length.min(bytes.len() + PIECE_BYTES));
            bytes.try_reserve(end - begin).map_err(|_| too_long())?;
            bytes.resize(end, 0);
            self.fill(&mut bytes[begin..])?;
        }
        Ok(bytes)
    }

    /// Sends open files. Each batch travels with one byte.
    pub(crate) fn send_files(&mut self, files: &[BorrowedFd<'_>]) -> Result<(), WireError> {
        for batch in files.chunks(FILES_AT_ONCE) {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FILES_AT_ONCE))];
            loop {
                let mut control = SendAncillaryBuffer::new(&mut space);
                if !control.push(SendAncillaryMessage::ScmRights(batch)) {
                    return Err(WireError::Malformed("too many files at once".into()));
                }
                let sent = rustix::net::sendmsg(
                    &self.stream,
                    &[IoSlice::new(&[1])],
                    &mut control,
                    rustix::net::SendFlags::NOSIGNAL,
                );
                match sent {
                    Ok(_) => break,
                    Err(errno) => self.again(errno.into())?,
                }
            }
        }
        Ok(())
    }

    /// Receives this many open files.
    pub(crate) fn receive_files(&mut self, count: usize) -> Result<Vec<File>, WireError> {
        let mut files = Vec::new();
        while files.len() < count {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FILES_AT_ONCE))];
            let mut control = RecvAncillaryBuffer::new(&mut space);
            let mut byte = [0];
            let received = rustix::net::recvmsg(
                &self.stream,
                &mut [IoSliceMut::new(&mut byte)],
                &mut control,
                RecvFlags::CMSG_CLOEXEC,
            );
            match received {
                Ok(received) if received.bytes == 0 => return Err(WireError::Closed),
                Ok(_) => {}
                Err(errno) => {
                    self.again(errno.into())?;
                    continue;
                }
            }
            let before = files.len();
            for message in control.drain() {
                if let RecvAncillaryMessage::ScmRights(received) = message {
                    files.extend(received.map(File::from));
                }
            }
            if files.len() == before || files.len() > count {
                return Err(WireError::Malformed("files did not come as announced".into()));
            }
        }
        Ok(files)
    }

    /// Whether something waits to be read, or the other process has ended. Does not wait.
    pub(crate) fn is_readable(&self) -> bool {
        let mut events = [rustix::event::PollFd::new(&self.stream, rustix::event::PollFlags::IN)];
        rustix::event::poll(&mut events, Some(&rustix::time::Timespec::default())).is_ok_and(|ready| ready > 0)
    }

    fn fill(&mut self, mut buffer: &mut [u8]) -> Result<(), WireError> {
        while !buffer.is_empty() {
            match self.stream.read(buffer) {
                Ok(0) => return Err(WireError::Closed),
                Ok(read) => buffer = &mut buffer[read..],
                Err(error) => self.again(error)?,
            }
        }
        Ok(())
    }

    /// Passes over an error that only means that nothing came for a moment, unless the watch has ended.
    fn again(&self, error: io::Error) -> Result<(), WireError> {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => self.watch.check(),
            io::ErrorKind::Interrupted => Ok(()),
            _ => Err(error.into()),
        }
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
