//! What travels for blobs and deliveries, and reading it without believing any of it.

use std::{collections::BTreeMap, io, time::Duration};

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use meshwork_core::{
    codec::{self, ByteString},
    digest::Digest,
    types::{AttemptId, BlobRef, Delivery, Manifest},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_tuple::{Deserialize_tuple, Serialize_tuple};
use tokio::time::timeout;

use super::MANIFEST_BYTES_MAX;

/// How long a transfer may make no progress.
pub(super) const STALL_MAX: Duration = Duration::from_secs(10);
/// How long a peer that serves keeps a stream on which nothing is asked.
pub(super) const IDLE_MAX: Duration = Duration::from_secs(60);
/// The most bytes of a frame: an offer with its manifest.
pub(super) const FRAME_BYTES_MAX: usize = MANIFEST_BYTES_MAX + 1024;
/// Read and written at once.
pub(super) const CHUNK_BYTES: usize = 64 << 10;
/// The most files that a manifest may name.
const FILES_MAX: usize = 16_384;
/// The most bytes of a refusal's words.
pub(super) const REASON_BYTES_MAX: usize = 256;

/// A request for a blob: its digest, and from which byte on. Answered by a [`Head`], and, if that is `Found`, the bytes.
pub(super) const REQUEST_BYTES: usize = 40;
/// An answer's first bytes.
pub(super) const HEAD_BYTES: usize = 9;

pub(super) fn request(digest: &Digest, offset: u64) -> [u8; REQUEST_BYTES] {
    let mut bytes = [0; REQUEST_BYTES];
    bytes[..32].copy_from_slice(digest.as_bytes());
    bytes[32..].copy_from_slice(&offset.to_le_bytes());
    bytes
}

pub(super) fn parse_request(bytes: &[u8; REQUEST_BYTES]) -> (Digest, u64) {
    let (digest, offset) = bytes.split_first_chunk::<32>().expect("a request is longer than that");
    (Digest(*digest), u64::from_le_bytes(offset.try_into().expect("eight bytes are left")))
}

/// How an answer begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Head {
    /// The blob has so many bytes in all; those from the offset on follow.
    Found(u64),
    /// It is not here, or has no byte at the offset.
    Missing,
    /// Too much is being served.
    Busy,
}

impl Head {
    pub(super) fn encode(self) -> [u8; HEAD_BYTES] {
        let (kind, bytes) = match self {
            Self::Found(bytes) => (0, bytes),
            Self::Missing => (1, 0),
            Self::Busy => (2, 0),
        };
        let mut head = [kind; HEAD_BYTES];
        head[1..].copy_from_slice(&u64::to_le_bytes(bytes));
        head
    }

    pub(super) fn decode(head: &[u8; HEAD_BYTES]) -> Option<Self> {
        let bytes = u64::from_le_bytes(head[1..].try_into().expect("eight bytes follow the first"));
        match (head[0], bytes) {
            (0, bytes) => Some(Self::Found(bytes)),
            (1, 0) => Some(Self::Missing),
            (2, 0) => Some(Self::Busy),
            _ => None,
        }
    }
}

/// What a worker asks a holder to hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub(super) struct Offer {
    pub(super) attempt: AttemptId,
    /// The bytes of the manifest and all that it names.
    pub(super) bytes: u64,
    /// The manifest's encoding.
    pub(super) manifest: ByteString,
}

/// What a holder says to an offer, and again after it was sent what it wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Answer {
    /// Send these of the manifest's [`parts`], by their places: the bytes of one after the other and nothing else.
    Wanted(Vec<u32>),
    /// No, for this reason.
    Refused(String),
    /// It is all here, durably.
    Held(Delivery),
}

/// The distinct blobs that a manifest names, in the order of their first naming, and the bytes of all of them and the
/// manifest's `encoding_bytes`.
///
/// # Errors
/// If it names one digest with two sizes, too many files, or sizes whose sum is no number.
pub fn parts(manifest: &Manifest, encoding_bytes: u64) -> Result<(Vec<BlobRef>, u64), &'static str> {
    if manifest.files.len() > FILES_MAX {
        return Err("it names too many files");
    }
    let mut sizes = BTreeMap::new();
    let mut blobs = Vec::new();
    let mut sum = encoding_bytes;
    let files = manifest.files.iter().map(|file| file.blob);
    for blob in [manifest.stdout, manifest.stderr].into_iter().chain(files) {
        match sizes.insert(blob.digest, blob.bytes) {
            None => {
                sum = sum.checked_add(blob.bytes).ok_or("its sizes add up to no number")?;
                blobs.push(blob);
            }
            Some(bytes) if bytes == blob.bytes => {}
            Some(_) => return Err("it names one digest with two sizes"),
        }
    }
    Ok((blobs, sum))
}

fn stalled(_: tokio::time::error::Elapsed) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "nothing came for too long")
}

/// Reads some bytes, at least one unless the stream has ended.
pub(super) async fn read_some(stream: &mut (impl AsyncRead + Unpin), buffer: &mut [u8]) -> io::Result<usize> {
    timeout(STALL_MAX, stream.read(buffer)).await.map_err(stalled)?
}

/// Fills the buffer.
pub(super) async fn read_all(stream: &mut (impl AsyncRead + Unpin), mut buffer: &mut [u8]) -> io::Result<()> {
    while !buffer.is_empty() {
        match read_some(stream, buffer).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            bytes => buffer = &mut buffer[bytes..],
        }
    }
    Ok(())
}

/// Writes all bytes.
pub(super) async fn write_all(stream: &mut (impl AsyncWrite + Unpin), mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match timeout(STALL_MAX, stream.write(bytes)).await.map_err(stalled)?? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            written => bytes = &bytes[written..],
        }
    }
    Ok(())
}

/// Sends on its way what was written.
pub(super) async fn flush(stream: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
    timeout(STALL_MAX, stream.flush()).await.map_err(stalled)?
}

/// Writes a value: four bytes of length, least significant first, then its canonical encoding.
pub(super) async fn write_value(stream: &mut (impl AsyncWrite + Unpin), value: &impl Serialize) -> io::Result<()> {
    let bytes = codec::encode(value);
    let length = u32::try_from(bytes.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    write_all(stream, &[&length.to_le_bytes()[..], &bytes].concat()).await?;
    flush(stream).await
}

/// Reads a value; the buffer grows with what comes, not with what is announced.
pub(super) async fn read_value<T: Serialize + DeserializeOwned>(
    stream: &mut (impl AsyncRead + Unpin),
    bytes_max: usize,
    wait: Duration,
) -> io::Result<T> {
    let invalid = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
    let mut length = [0; 4];
    // Before the first byte more patience may be due: the other side has work to do.
    match timeout(wait, stream.read(&mut length[..1])).await.map_err(stalled)?? {
        0 => return Err(io::ErrorKind::UnexpectedEof.into()),
        _ => read_all(stream, &mut length[1..]).await?,
    }
    let length = u32::from_le_bytes(length) as usize;
    if length > bytes_max {
        return Err(invalid(format!("{length} bytes are announced, and {bytes_max} are allowed")));
    }
    let mut bytes = Vec::new();
    while bytes.len() < length {
        let have = bytes.len();
        bytes.resize(length.min(have + CHUNK_BYTES), 0);
        read_all(stream, &mut bytes[have..]).await?;
    }
    codec::decode(&bytes, bytes_max).map_err(|error| invalid(error.to_string()))
}

#[cfg(test)]
mod tests {
    use meshwork_core::types::OutputFile;

    use super::*;

    #[test]
    fn heads_and_requests_read_as_they_were_written() {
        for head in [Head::Found(7), Head::Missing, Head::Busy] {
            assert_eq!(Head::decode(&head.encode()), Some(head));
        }
        assert_eq!(Head::decode(&[9; HEAD_BYTES]), None);
        let digest = Digest::of(b"x");
        assert_eq!(parse_request(&request(&digest, 5)), (digest, 5));
    }

    #[test]
    fn a_manifests_parts_are_counted_once_each() {
        let blob = |bytes: &[u8]| BlobRef { digest: Digest::of(bytes), bytes: bytes.len() as u64 };
        let file = |path: &str, blob| OutputFile { path: path.to_owned(), blob };
        let (a, b) = (blob(b"aa"), blob(b"bbb"));
        let mut manifest = Manifest { stdout: a, stderr: b, files: vec![file("x", a), file("y", b)] };
        assert_eq!(parts(&manifest, 10), Ok((vec![a, b], 15)));
        manifest.files.push(file("z", BlobRef { bytes: 4, ..b }));
        assert!(parts(&manifest, 10).is_err());
        manifest.files = vec![file("z", BlobRef { digest: Digest::ZERO, bytes: u64::MAX })];
        assert!(parts(&manifest, 10).is_err());
    }
}
