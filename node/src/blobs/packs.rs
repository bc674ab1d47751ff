//! Reads contents out of packs.
//!
//! A pack is its blob, which the store has checked. That it has the contents that a manifest names is the word of
//! whoever wrote the manifest. A holder compares them before it signs, because the task is done for good then; whoever
//! gives contents to a task compares them before the task sees them, because a holder may be in league with the worker.

use std::{os::unix::fs::FileExt, sync::Arc};

use meshwork_core::{
    digest::Digest,
    types::{Manifest, Piece},
};

use super::{BlobStore, Kept, blocking, error::StoreError};

/// Whether these pieces of a blob are the contents that they should be.
///
/// # Errors
/// The disk fails.
pub async fn holds(kept: Arc<Kept>, pieces: Vec<Piece>) -> Result<bool, StoreError> {
    blocking(move || holds_all(&kept, &pieces)).await
}

fn holds_all(kept: &Kept, pieces: &[Piece]) -> Result<bool, StoreError> {
    let file = kept.open()?;
    let mut content = Vec::new();
    for piece in pieces.iter().filter(|piece| !piece.is_whole()) {
        // Only small contents are in packs.
        content.resize(usize::try_from(piece.content.bytes).unwrap_or(usize::MAX), 0);
        file.read_exact_at(&mut content, piece.offset)?;
        if !piece.holds(&content) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether the packs of a manifest, which are stored, have the contents that it names.
pub(super) async fn all_hold(store: BlobStore, manifest: Manifest) -> Result<bool, StoreError> {
    blocking(move || {
        let mut pieces: Vec<Piece> = manifest.pieces().into_values().filter(|piece| !piece.is_whole()).collect();
        pieces.sort_unstable_by_key(|piece| (piece.blob.digest, piece.offset));
        for of_pack in pieces.chunk_by(|one, next| one.blob == next.blob) {
            let digest: Digest = of_pack[0].blob.digest;
            let kept = store.check(&digest)?.ok_or(StoreError::Damaged(digest))?;
            if !holds_all(&kept, of_pack)? {
                return Ok(false);
            }
        }
        Ok(true)
    })
    .await
}
