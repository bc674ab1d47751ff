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

/// The most bytes of one blob.
pub const BLOB_BYTES_MAX: u64 = 256 << 20;
/// The most bytes of a manifest's encoding.
pub const MANIFEST_BYTES_MAX: usize = 1 << 20;
/// The most files and folders that one task is given, all its inputs together.
pub const GIVEN_FILES_MAX: usize = 8 * Manifest::FILES_MAX;
/// The most bytes of their paths.
pub const GIVEN_PATHS_BYTES_MAX: usize = 8 << 20;
/// The most bytes of an offer or an answer: an offer with its manifest.
pub const FRAME_BYTES_MAX: usize = MANIFEST_BYTES_MAX + 1024;
/// The most bytes of a refusal's reason.
pub const REASON_BYTES_MAX: usize = 256;
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
    /// The attempt whose output or checkpoint it is.
    pub attempt: AttemptId,
    /// Standard error, if there is any.
    pub stderr: Option<BlobRef>,
    /// The bytes of the manifest and of all distinct blobs besides.
    pub bytes: u64,
    /// The encoded manifest.
    pub manifest: ByteString,
}

/// What a [`DeliveryOffer`] offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offered {
    /// The manifest.
    pub manifest: Manifest,
    /// The distinct blobs besides; see [`parts`].
    pub parts: Vec<BlobRef>,
}

impl DeliveryOffer {
    /// What is offered, if that is sound.
    ///
    /// # Errors
    /// What is wrong with the offer.
    pub fn offered(&self) -> Result<Offered, &'static str> {
        let manifest = decode_manifest(&self.manifest).map_err(|_| "the manifest is none")?;
        let (parts, bytes) = parts(&manifest, self.stderr, self.manifest.len() as u64)?;
        if bytes == self.bytes { Ok(Offered { manifest, parts }) } else { Err("the manifest has another sum of bytes") }
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

/// The distinct blobs of an output besides its manifest: packs, contents that are blobs of their own, standard error.
/// And the bytes of all of them and of the manifest's `encoding_bytes`.
///
/// # Errors
/// One digest is named with two sizes, or the sum of sizes overflows.
pub fn parts(
    manifest: &Manifest,
    stderr: Option<BlobRef>,
    encoding_bytes: u64,
) -> Result<(Vec<BlobRef>, u64), &'static str> {
    let own = manifest.contents().filter(|content| content.bytes > Manifest::PACKED_BYTES_MAX);
    let mut sizes = BTreeMap::new();
    let mut blobs = Vec::new();
    let mut sum = encoding_bytes;
    for blob in manifest.packs().iter().copied().chain(own).chain(stderr) {
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
    fn a_blob_costs_its_pages_and_an_entry() {
        assert_eq!([cost(0), cost(1), cost(4096), cost(4097)], [5120, 5120, 5120, 9216]);
        assert_eq!(cost(u64::MAX), u64::MAX, "and nothing overflows");
    }

    #[test]
    fn what_an_output_costs_is_bounded_by_its_bytes_whatever_its_files() {
        let content = |length: usize, seed: u64| {
            let mut bytes = vec![0; length];
            blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
            bytes
        };
        let just_too_large = Manifest::PACKED_BYTES_MAX as usize + 1;
        for (count, length) in [(10_000, 170), (500, 0), (300, 65_536), (100, just_too_large), (0, 0)] {
            let files = (0..count).map(|seed| (format!("{seed}"), content(length, seed))).collect();
            let manifest = Manifest::of(Vec::new(), files, Vec::new()).manifest;
            let encoding_bytes = codec::encode(&manifest).len() as u64;
            let (parts, bytes) = parts(&manifest, Some(BlobRef::of(b"warning")), encoding_bytes).expect("sound");
            let sizes = parts.iter().map(|part| part.bytes).chain([encoding_bytes]);
            assert!(costs(sizes) <= bytes + bytes / 8 + 4 * cost(0), "{count} files of {length} bytes");
        }
    }

    #[test]
    fn an_outputs_parts_are_counted_once_each() {
        let large = vec![7; Manifest::PACKED_BYTES_MAX as usize + 1];
        let file = |path: &str, content: &[u8]| (path.to_owned(), content.to_vec());
        let files = vec![file("x", b"aa"), file("y", &large), file("z", &large)];
        let packed = Manifest::of(b"bbb".to_vec(), files, Vec::new());
        let [pack, own] = [b"bbbaa", large.as_slice()].map(BlobRef::of);
        let both = pack.bytes + own.bytes;
        assert_eq!(parts(&packed.manifest, None, 10), Ok((vec![pack, own], both + 10)));
        let stderr = BlobRef::of(b"warning");
        assert_eq!(parts(&packed.manifest, Some(stderr), 10), Ok((vec![pack, own, stderr], both + 17)));
        assert_eq!(parts(&packed.manifest, Some(own), 10), Ok((vec![pack, own], both + 10)));
        for wrong in [BlobRef { bytes: 4, ..own }, BlobRef { digest: Digest::ZERO, bytes: u64::MAX }] {
            assert!(parts(&packed.manifest, Some(wrong), 10).is_err(), "{wrong:?}");
        }
    }
}
