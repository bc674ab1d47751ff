//! What an attempt is given of other attempts' outputs and checkpoints: files that are blobs of their own or lie in packs.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use meshwork_core::{
    blobs::decode_manifest,
    ledger::ProducedInput,
    types::{AttemptId, BlobRef, Failure, OutputFile, Piece, Verdict},
};
use meshwork_sandbox::InputFile;
use tracing::warn;

use super::task::{TaskContext, failed};
use crate::blobs::{Kept, holds};

/// A content that is here: a blob, or a range of one. While this lives, the blob is not evicted.
pub(super) struct Content {
    blob: Arc<Kept>,
    /// `None` if the content is all of the blob.
    range: Option<Range<u64>>,
}

impl Content {
    /// What the sandbox is given.
    pub(super) fn file(&self) -> InputFile {
        InputFile { path: self.blob.path().to_owned(), range: self.range.clone() }
    }
}

impl From<Kept> for Content {
    fn from(blob: Kept) -> Self {
        Self { blob: Arc::new(blob), range: None }
    }
}

/// Fetches another task's output, or the one file of it that the input names.
///
/// # Errors
/// The verdict on the attempt that needs it.
pub(super) async fn taken_from(
    context: &TaskContext,
    taken: &ProducedInput,
    inputs: &mut Vec<(String, Content)>,
) -> Result<(), Verdict> {
    let unavailable = || failed(Failure::InputUnavailable(taken.manifest.digest));
    let cannot_read = |error: &dyn std::fmt::Display| {
        warn!(manifest = %taken.manifest.digest, %error, "an output of another task cannot be read here");
        Verdict::Returned
    };
    let kept = context.fetch(taken.manifest).await?;
    let encoding = tokio::fs::read(kept.path()).await.map_err(|error| cannot_read(&error))?;
    let manifest = decode_manifest(&encoding).map_err(|_| unavailable())?;
    let wanted: Vec<&OutputFile> = match &taken.file {
        Some(file) => manifest.files().iter().filter(|output| output.path == *file).collect(),
        None => manifest.files().iter().collect(),
    };
    if let Some(file) = taken.file.as_ref().filter(|_| wanted.is_empty()) {
        return Err(failed(Failure::OutputMissing { task: taken.producer, file: file.clone() }));
    }
    let pieces = manifest.pieces();
    let mut of_blobs: BTreeMap<BlobRef, Vec<Piece>> = BTreeMap::new();
    for file in &wanted {
        let piece = pieces.get(&file.content.digest).ok_or_else(unavailable)?;
        of_blobs.entry(piece.blob).or_default().push(*piece);
    }
    let mut blobs = BTreeMap::new();
    for (blob, pieces) in of_blobs {
        let kept = Arc::new(context.fetch(blob).await?);
        match holds(Arc::clone(&kept), pieces).await {
            Ok(true) => blobs.insert(blob, kept),
            // It is so wherever the task runs.
            Ok(false) => return Err(unavailable()),
            Err(error) => return Err(cannot_read(&error)),
        };
    }
    for OutputFile { path, content } in wanted {
        let piece = pieces.get(&content.digest).ok_or_else(unavailable)?;
        let blob = Arc::clone(blobs.get(&piece.blob).ok_or_else(unavailable)?);
        let range = (!piece.is_whole()).then(|| piece.offset..piece.offset + content.bytes);
        let place = if taken.file.is_some() { taken.path.clone() } else { format!("{}/{path}", taken.path) };
        inputs.push((place, Content { blob, range }));
    }
    Ok(())
}

/// Fetches the checkpoint of an earlier attempt. Without it the attempt starts over.
pub(super) async fn saved_before(
    context: &TaskContext,
    attempt: AttemptId,
    manifest: BlobRef,
) -> Vec<(String, Content)> {
    let taken = ProducedInput { producer: attempt.task.index, path: String::new(), manifest, file: None };
    let mut saved = Vec::new();
    match taken_from(context, &taken, &mut saved).await {
        Ok(()) => saved.into_iter().map(|(path, file)| (path.trim_start_matches('/').to_owned(), file)).collect(),
        Err(verdict) => {
            warn!(%attempt, ?verdict, "a checkpoint is not to be had, and its task starts over");
            Vec::new()
        }
    }
}
