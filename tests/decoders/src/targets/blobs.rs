//! The messages between peers about blobs, and the frames that carry these and direct messages.

use meshwork_core::{
    blobs::{DeliveryAnswer, DeliveryOffer, FRAME_BYTES_MAX, Head, Offered, Request, decode_manifest, parts, wanted},
    digest::Digest,
    frames::{Cutter, append},
    types::{BlobRef, Manifest},
};

use super::canonical;
use crate::memory::bounded;

/// The largest message that the frames of [`frames`] may hold.
const MESSAGE_BYTES_MAX: usize = 600;

/// An output's manifest.
pub(super) fn manifest(bytes: &[u8]) -> bool {
    let Some(manifest) = canonical::<Manifest>(bytes, bytes.len()) else { return false };
    assert_eq!(decode_manifest(bytes).as_ref(), Ok(&manifest));
    let pieces = manifest.pieces();
    for content in manifest.contents() {
        let piece = pieces[&content.digest];
        assert!(piece.content == content && piece.offset + content.bytes <= piece.blob.bytes, "it lies in its blob");
        assert!(piece.is_whole() || manifest.packs().contains(&piece.blob), "and that is its own or a pack");
    }
    if let Ok((blobs, sum)) = parts(&manifest, None, bytes.len() as u64) {
        let counted: u64 = blobs.iter().map(|blob| blob.bytes).sum();
        assert_eq!(counted + bytes.len() as u64, sum);
        assert!((1..=manifest.files().len() + 1).contains(&blobs.len()));
    }
    true
}

/// A worker's request that a peer hold a blob.
pub(super) fn offer(bytes: &[u8]) -> bool {
    let Some(offer) = canonical::<DeliveryOffer>(bytes, FRAME_BYTES_MAX) else { return false };
    if let Ok(Offered { parts, .. }) = offer.offered() {
        assert!(parts.iter().chain(&offer.stderr).all(|blob| blob.bytes <= offer.bytes));
    }
    true
}

/// The answer of a holder.
pub(super) fn answer(bytes: &[u8]) -> bool {
    let Some(answer) = canonical::<DeliveryAnswer>(bytes, FRAME_BYTES_MAX) else { return false };
    if let DeliveryAnswer::Wanted(places) = answer {
        let parts = [1, 2, 3].map(|bytes| BlobRef { digest: Digest::ZERO, bytes });
        if let Some(blobs) = wanted(&parts, &places) {
            assert!(blobs.len() == places.len() && blobs.len() <= parts.len(), "no part is sent twice");
        }
    }
    true
}

/// A request for a blob.
pub(super) fn request(bytes: &[u8]) -> bool {
    let Ok(bytes) = bytes.try_into() else { return false };
    assert_eq!(Request::decode(&bytes).encode(), bytes);
    true
}

/// The head of the answer to it.
pub(super) fn head(bytes: &[u8]) -> bool {
    let Ok(bytes) = bytes.try_into() else { return false };
    let Some(head) = Head::decode(&bytes) else { return false };
    assert_eq!(head.encode(), bytes);
    true
}

/// A stream of frames; the first byte says how many bytes arrive at a time. Whether it holds whole messages to
/// its end.
pub(super) fn frames(bytes: &[u8]) -> bool {
    let Some((piece, stream)) = bytes.split_first() else { return false };
    let mut cutter = Cutter::new(MESSAGE_BYTES_MAX);
    let mut again = Vec::new();
    let mut rest = stream;
    loop {
        // The cutter's own memory was taken when it was made.
        match bounded(bytes, || cutter.next_message()) {
            Ok(Some(message)) => {
                assert!((1..=MESSAGE_BYTES_MAX).contains(&message.len()));
                append(&message, &mut again);
                assert!(stream.starts_with(&again), "messages are what came");
            }
            Ok(None) if rest.is_empty() => break,
            Ok(None) => {
                let spare = cutter.spare();
                let come = spare.len().min(usize::from(*piece).max(1)).min(rest.len());
                assert!(come > 0, "there is room for what comes");
                spare[..come].copy_from_slice(&rest[..come]);
                rest = &rest[come..];
                cutter.filled(come);
            }
            Err(_) => return false,
        }
    }
    assert_eq!(again == stream, !cutter.has_begun(), "a message that has begun is known to have");
    !cutter.has_begun()
}
