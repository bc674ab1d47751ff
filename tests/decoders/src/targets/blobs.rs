//! What peers say about blobs, and the frames in which this and direct messages travel.

use meshwork_core::{
    blobs::{Answer, FRAME_BYTES_MAX, Head, Offer, Request, decode_manifest, parts, wanted},
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
    if let Ok((blobs, sum)) = parts(&manifest, bytes.len() as u64) {
        let counted: u64 = blobs.iter().map(|blob| blob.bytes).sum();
        assert_eq!(counted + bytes.len() as u64, sum);
        assert!((1..=manifest.files.len() + 2).contains(&blobs.len()));
    }
    true
}

/// What a worker asks a holder to hold.
pub(super) fn offer(bytes: &[u8]) -> bool {
    let Some(offer) = canonical::<Offer>(bytes, FRAME_BYTES_MAX) else { return false };
    if let Ok(blobs) = offer.parts() {
        assert!(blobs.iter().all(|blob| blob.bytes <= offer.bytes));
    }
    true
}

/// What a holder answers.
pub(super) fn answer(bytes: &[u8]) -> bool {
    let Some(answer) = canonical::<Answer>(bytes, FRAME_BYTES_MAX) else { return false };
    if let Answer::Wanted(places) = answer {
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

/// How the answer to it begins.
pub(super) fn head(bytes: &[u8]) -> bool {
    let Ok(bytes) = bytes.try_into() else { return false };
    let Some(head) = Head::decode(&bytes) else { return false };
    assert_eq!(head.encode(), bytes);
    true
}

/// A stream of frames, of which so many bytes come at a time as the first byte says. Whether it is whole messages to its end.
pub(super) fn frames(bytes: &[u8]) -> bool {
    let Some((piece, stream)) = bytes.split_first() else { return false };
    let mut cutter = Cutter::new(MESSAGE_BYTES_MAX);
    let mut again = Vec::new();
    let mut rest = stream;
    loop {
        // What the cutter itself keeps was taken when it was made.
        match bounded(bytes, || cutter.next_message()) {
            Ok(Some(message)) => {
                assert!((1..=MESSAGE_BYTES_MAX).contains(&message.len()));
                append(&message, &mut again);
                assert!(stream.starts_with(&again), "messages are what came");
            }
            Ok(None) if rest.is_empty() => break,
            Ok(None) => {
                let room = cutter.room();
                let come = room.len().min(usize::from(*piece).max(1)).min(rest.len());
                assert!(come > 0, "there is room for what comes");
                room[..come].copy_from_slice(&rest[..come]);
                rest = &rest[come..];
                cutter.filled(come);
            }
            Err(_) => return false,
        }
    }
    assert_eq!(again == stream, !cutter.has_begun(), "a message that has begun is known to have");
    !cutter.has_begun()
}
