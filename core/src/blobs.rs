//! Messages between peers about blobs, decoded without trusting any of it. A blob itself travels as its bytes
//! and nothing else.
//!
//! *Fetching:* a [`Request`], answered by a [`Head`] and, if that is `Found`, the bytes from the offset on.
//!
//! *Delivering* an output to a second holder: a [`DeliveryOffer`], answered by [`DeliveryAnswer`]s. Each is one of the
//! [frames](crate::frames), of canonical CBOR.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_tuple::{Deserialize_tuple, Serialize_tuple};

use crate::{
    codec::{self, ByteString, DecodeError},
    digest::Digest,
    types::{AttemptId, BlobRef, Delivery, Manifest},
};

/// The most bytes of a manifest's encoding.
pub const MANIFEST_BYTES_MAX: usize = 1 << 20;
/// The most bytes of an offer or an answer: an offer with its manifest.
pub const FRAME_BYTES_MAX: usize = MANIFEST_BYTES_MAX + 1024;
/// The most bytes of a refusal's reason.
pub const REASON_BYTES_MAX: usize = 256;
/// The most files that a manifest may name.
const FILES_MAX: usize = 16_384;

/// The unit in which a blob takes space, in bytes: a page of the usual file systems.
const PAGE_BYTES: u64 = 4096;
/// What a blob takes besides its pages, in bytes: an inode and a name in a directory (about 400 bytes), a record of an
/// index, and memory.
const ENTRY_BYTES: u64 = 1024;

/// What a blob of so many bytes costs who keeps it, in bytes. Ten thousand tiny files would otherwise cost next to
/// nothing and fill disks.
#[must_use]
pub const fn cost(bytes: u64) -> u64 {
    let pages = bytes.div_ceil(PAGE_BYTES);
    (if pages == 0 { 1 } else { pages }).saturating_mul(PAGE_BYTES).saturating_add(ENTRY_BYTES)
}

/// What blobs of these sizes cost together.
#[must_use]
pub fn costs(sizes: impl IntoIterator<Item = u64>) -> u64 {
    sizes.into_iter().fold(0, |sum, bytes| sum.saturating_add(cost(bytes)))
}

/// The most that the files of a task may cost which may leave `output_bytes`: about 200 tiny files cost it nothing.
#[must_use]
pub const fn output_cost_max(output_bytes: u64) -> u64 {
    output_bytes.saturating_add(MANIFEST_BYTES_MAX as u64)
}

/// Asks for a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// The digest of the blob.
    pub digest: Digest,
    /// The first byte to send.
    pub offset: u64,
}

impl Request {
    /// Bytes of a request.
    pub const BYTES: usize = 40;

    /// Encodes the request: the digest, then the offset, least significant byte first.
    #[must_use]
    pub fn encode(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..32].copy_from_slice(self.digest.as_bytes());
        bytes[32..].copy_from_slice(&self.offset.to_le_bytes());
        bytes
    }

    /// Decodes a request. Any bytes are one.
    #[must_use]
    pub fn decode(bytes: &[u8; Self::BYTES]) -> Self {
        let (digest, offset) = bytes.split_first_chunk::<32>().expect("a request is longer than that");
        Self { digest: Digest(*digest), offset: u64::from_le_bytes(offset.try_into().expect("eight bytes are left")) }
    }
}

/// The beginning of the answer to a [`Request`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// The blob has this many bytes in all; the bytes from the offset on follow.
    Found(u64),
    /// This peer lacks the blob, or the blob has no byte at the offset.
    Missing,
    /// This peer is serving too much already.
    Busy,
}

impl Head {
    /// Bytes of a head.
    pub const BYTES: usize = 9;

    /// Encodes the head: its kind, then the blob's size, least significant byte first, or zeros.
    #[must_use]
    pub fn encode(self) -> [u8; Self::BYTES] {
        let (kind, bytes) = match self {
            Self::Found(bytes) => (0, bytes),
            Self::Missing => (1, 0),
            Self::Busy => (2, 0),
        };
        let mut head = [kind; Self::BYTES];
        head[1..].copy_from_slice(&u64::to_le_bytes(bytes));
        head
    }

    /// Decodes a head, if these bytes are one.
    #[must_use]
    pub fn decode(head: &[u8; Self::BYTES]) -> Option<Self> {
        let bytes = u64::from_le_bytes(head[1..].try_into().expect("eight bytes follow the first"));
        match (head[0], bytes) {
            (0, bytes) => Some(Self::Found(bytes)),
            (1, 0) => Some(Self::Missing),
            (2, 0) => Some(Self::Busy),
            _ => None,
        }
    }
}

/// A worker's request that a holder keep an output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct DeliveryOffer {
    /// The attempt whose output it is.
    pub attempt: AttemptId,
    /// The bytes of the manifest and all blobs that it names.
    pub bytes: u64,
    /// The encoded manifest.
    pub manifest: ByteString,
}

impl DeliveryOffer {
    /// The offered blobs: the distinct ones that the manifest names; see [`parts`].
    ///
    /// # Errors
    /// What is wrong with the offer.
    pub fn parts(&self) -> Result<Vec<BlobRef>, &'static str> {
        let manifest = decode_manifest(&self.manifest).map_err(|_| "the manifest is none")?;
        let (parts, bytes) = parts(&manifest, self.manifest.len() as u64)?;
        if bytes == self.bytes { Ok(parts) } else { Err("the manifest has another sum of bytes") }
    }
}

/// A holder's answer to an offer. It answers once more after the worker has sent what it wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeliveryAnswer {
    /// Send these of the manifest's [`parts`], by their indices in rising order: the bytes of one after the
    /// other and nothing else. See [`wanted`].
    Wanted(Vec<u32>),
    /// The holder refuses, for this reason.
    Refused(String),
    /// The holder has everything, durably.
    Stored(Delivery),
}

/// Decodes a manifest.
///
/// # Errors
/// The bytes are not a manifest.
pub fn decode_manifest(bytes: &[u8]) -> Result<Manifest, DecodeError> {
    codec::decode(bytes, MANIFEST_BYTES_MAX)
}

/// The distinct blobs that a manifest names, in the order of their first naming, and the bytes of all of them
/// and of the manifest's `encoding_bytes`.
///
/// # Errors
/// The manifest names one digest with two sizes, or too many files, or sizes whose sum overflows.
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

/// The parts with these indices. `None` if there is no such part, or one is named twice: a worker sends each at
/// most once, however often a holder asks.
#[must_use]
pub fn wanted(parts: &[BlobRef], places: &[u32]) -> Option<Vec<BlobRef>> {
    if !places.is_sorted_by(|one, next| one < next) {
        return None;
    }
    places.iter().map(|place| parts.get(*place as usize).copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::OutputFile;

    #[test]
    fn heads_and_requests_read_as_they_were_written() {
        for head in [Head::Found(7), Head::Missing, Head::Busy] {
            assert_eq!(Head::decode(&head.encode()), Some(head));
        }
        assert_eq!(Head::decode(&[9; Head::BYTES]), None);
        let request = Request { digest: Digest::of(b"x"), offset: 5 };
        assert_eq!(Request::decode(&request.encode()), request);
    }

    #[test]
    fn nobody_can_have_a_part_sent_twice_or_one_that_is_not_there() {
        let parts = [1, 2, 3].map(|bytes| BlobRef { digest: Digest::of(&[bytes]), bytes: u64::from(bytes) });
        assert_eq!(wanted(&parts, &[0, 2]), Some(vec![parts[0], parts[2]]));
        assert_eq!(wanted(&parts, &[]), Some(Vec::new()));
        for places in [&[0, 0][..], &[2, 0], &[3], &[0, u32::MAX]] {
            assert_eq!(wanted(&parts, places), None, "{places:?}");
        }
    }

    #[test]
    fn tiny_files_cost_what_they_take_and_a_task_may_leave_only_so_many() {
        assert_eq!([cost(0), cost(1), cost(4096), cost(4097)], [5120, 5120, 5120, 9216]);
        assert_eq!(cost(u64::MAX), u64::MAX, "and nothing overflows");
        let most = output_cost_max(1_700_000);
        assert!(costs([170; 500]) <= most && costs([170; 10_000]) > most);
        assert!(costs([1_700_000]) <= most, "one file of all that it may leave");
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
