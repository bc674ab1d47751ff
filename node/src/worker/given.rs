//! What an attempt is given: files, and folders of files that are blobs of their own or lie in packs.
//!
//! Nothing is copied for an attempt. A program reads each file out of the blob that it lies in, and any number of
//! attempts share that. Whether a manifest's packs have the contents that it names is found out once on this machine,
//! since that can never change.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroUsize,
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
};

use futures::{StreamExt, TryStreamExt};
use lru::LruCache;
use meshwork_core::{
    blobs::{GIVEN_FILES_MAX, GIVEN_PATHS_BYTES_MAX, MANIFEST_BYTES_MAX, decode_manifest},
    digest::Digest,
    ledger::ProducedInput,
    types::{AttemptId, BlobRef, Failure, Manifest, OutputFile, Piece, Verdict},
};
use meshwork_sandbox::InputFile;
use tracing::warn;

use super::task::failed;
use crate::blobs::{Kept, holds};

/// The most blobs of one folder that are fetched at the same time.
const FETCHED_AT_ONCE: usize = 8;
/// The most manifests that are remembered as true.
const TRUE_MAX: NonZeroUsize = NonZeroUsize::new(4096).expect("it is not zero");

/// Fetches blobs for attempts.
pub(super) trait Fetches: Sync {
    /// A blob, checked.
    ///
    /// # Errors
    /// The verdict on the attempt that needs it, if it is not to be had.
    fn fetch(&self, blob: BlobRef) -> impl Future<Output = Result<Kept, Verdict>> + Send;
}

/// The manifests whose packs were found to have the contents that they name.
pub(super) struct TrueManifests(Mutex<LruCache<Digest, ()>>);

impl Default for TrueManifests {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(TRUE_MAX)))
    }
}

impl TrueManifests {
    fn has(&self, manifest: &Digest) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(manifest).is_some()
    }

    fn add(&self, manifest: Digest) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).put(manifest, ());
    }
}

/// A content that is here: a blob, or a range of one. While this lives, the blob is not evicted.
struct Content {
    blob: Arc<Kept>,
    /// `None` if the content is all of the blob.
    range: Option<Range<u64>>,
}

/// The files and folders of one attempt, each with its path: below `/in` if that is relative, and otherwise where it is
/// mounted.
#[derive(Default)]
pub(super) struct Given {
    files: Vec<(String, Content)>,
    folders: Vec<String>,
    paths_bytes: usize,
}

/// An attempt has more files, or longer paths, than one may be given.
#[derive(Debug)]
pub(super) struct TooMuch;

impl From<TooMuch> for Verdict {
    fn from(_: TooMuch) -> Self {
        bad_input(&format!(
            "all together are more than {GIVEN_FILES_MAX} files, or their paths take more than {GIVEN_PATHS_BYTES_MAX} bytes"
        ))
    }
}

impl Given {
    /// What the sandbox is given.
    pub(super) fn files(&self) -> Vec<(String, InputFile)> {
        let file = |Content { blob, range }: &Content| InputFile { path: blob.path().to_owned(), range: range.clone() };
        self.files.iter().map(|(path, content)| (path.clone(), file(content))).collect()
    }

    /// The folders that the sandbox is given besides those that lead to files.
    pub(super) fn folders(&self) -> &[String] {
        &self.folders
    }

    /// Counts so many paths, before anything is fetched for them.
    fn count(&mut self, paths: usize, bytes: usize) -> Result<(), TooMuch> {
        self.paths_bytes = self.paths_bytes.saturating_add(bytes);
        let all = self.files.len().saturating_add(self.folders.len()).saturating_add(paths);
        if all > GIVEN_FILES_MAX || self.paths_bytes > GIVEN_PATHS_BYTES_MAX { Err(TooMuch) } else { Ok(()) }
    }

    /// Takes a file that is a blob.
    ///
    /// # Errors
    /// The verdict on the attempt that needs it.
    pub(super) async fn take_file(&mut self, from: &impl Fetches, path: &str, blob: BlobRef) -> Result<(), Verdict> {
        self.count(1, path.len())?;
        let blob = Arc::new(from.fetch(blob).await?);
        self.files.push((path.to_owned(), Content { blob, range: None }));
        Ok(())
    }

    /// Takes a folder: all that its manifest names.
    ///
    /// # Errors
    /// The verdict on the attempt that needs it.
    pub(super) async fn take_folder(
        &mut self,
        from: &impl Fetches,
        known: &TrueManifests,
        path: &str,
        folder: BlobRef,
    ) -> Result<(), Verdict> {
        self.add_folder(path)?;
        self.take_all(from, known, path, folder).await
    }

    /// Has a folder be there, whatever comes to be in it.
    ///
    /// # Errors
    /// There are too many already.
    pub(super) fn add_folder(&mut self, path: &str) -> Result<(), TooMuch> {
        self.count(1, path.len())?;
        self.folders.push(path.to_owned());
        Ok(())
    }

    async fn take_all(
        &mut self,
        from: &impl Fetches,
        known: &TrueManifests,
        path: &str,
        manifest: BlobRef,
    ) -> Result<(), Verdict> {
        let read = fetch_manifest(from, path, manifest).await?;
        let files: Vec<&OutputFile> = read.files().iter().collect();
        let below = files.iter().map(|file| &file.path).chain(read.empty_folders());
        let bytes = below.map(|below| path.len() + 1 + below.len()).sum();
        self.count(files.len() + read.empty_folders().len(), bytes)?;
        let contents = unpack(from, known, path, (manifest.digest, &read), &files).await?;
        self.files.extend(files.iter().zip(contents).map(|(file, content)| (join(path, &file.path), content)));
        self.folders.extend(read.empty_folders().iter().map(|folder| join(path, folder)));
        Ok(())
    }

    /// Takes another task's output, or the one file of it that the input names.
    ///
    /// # Errors
    /// The verdict on the attempt that needs it.
    pub(super) async fn take_output(
        &mut self,
        from: &impl Fetches,
        known: &TrueManifests,
        ProducedInput { producer, path, manifest, file }: &ProducedInput,
    ) -> Result<(), Verdict> {
        let Some(name) = file else {
            // What is in it makes it be there.
            return self.take_all(from, known, path, *manifest).await;
        };
        self.count(1, path.len())?;
        let read = fetch_manifest(from, path, *manifest).await?;
        let Some(wanted) = read.files().iter().find(|output| output.path == *name) else {
            return Err(failed(Failure::OutputMissing { task: *producer, file: name.clone() }));
        };
        let contents = unpack(from, known, path, (manifest.digest, &read), &[wanted]).await?;
        self.files.extend(contents.into_iter().map(|content| (path.clone(), content)));
        Ok(())
    }
}

/// The checkpoint of an earlier attempt. Without it the attempt starts over.
pub(super) async fn saved_before(
    from: &impl Fetches,
    known: &TrueManifests,
    attempt: AttemptId,
    manifest: BlobRef,
) -> Given {
    let mut saved = Given::default();
    match saved.take_all(from, known, "", manifest).await {
        Ok(()) => saved,
        Err(verdict) => {
            warn!(%attempt, ?verdict, "a checkpoint is not to be had, and its task starts over");
            Given::default()
        }
    }
}

fn join(folder: &str, below: &str) -> String {
    if folder.is_empty() { below.to_owned() } else { format!("{folder}/{below}") }
}

/// The verdict on an attempt that cannot be given one of its inputs, on this machine or any other.
fn bad_input(why: &str) -> Verdict {
    let end = why.floor_char_boundary(Failure::TEXT_BYTES_MAX);
    failed(Failure::BadInput(why[..end].to_owned()))
}

/// This machine cannot read what it has.
fn cannot_read(blob: &Digest, error: &dyn std::fmt::Display) -> Verdict {
    warn!(%blob, %error, "what an attempt is to be given cannot be read here");
    Verdict::Returned
}

/// The manifest of what belongs at a path.
async fn fetch_manifest(from: &impl Fetches, path: &str, manifest: BlobRef) -> Result<Manifest, Verdict> {
    if manifest.bytes > MANIFEST_BYTES_MAX as u64 {
        return Err(bad_input(&format!("the list of {path:?} has more than {MANIFEST_BYTES_MAX} bytes")));
    }
    let kept = from.fetch(manifest).await?;
    let encoding = tokio::fs::read(kept.path()).await.map_err(|error| cannot_read(&manifest.digest, &error))?;
    decode_manifest(&encoding).map_err(|error| bad_input(&format!("the list of {path:?} is none: {error}")))
}

/// Fetches the contents of these files of a manifest, in their order.
async fn unpack(
    from: &impl Fetches,
    known: &TrueManifests,
    path: &str,
    (digest, manifest): (Digest, &Manifest),
    files: &[&OutputFile],
) -> Result<Vec<Content>, Verdict> {
    let pieces = manifest.pieces();
    // A manifest that was decoded says of each content where it lies.
    let lacking = || bad_input(&format!("the list of {path:?} does not say where its files are"));
    let mut of_files = Vec::with_capacity(files.len());
    for file in files {
        of_files.push(*pieces.get(&file.content.digest).ok_or_else(lacking)?);
    }
    let needed: BTreeSet<BlobRef> = of_files.iter().map(|piece| piece.blob).collect();
    let fetching = needed.into_iter().map(async |blob| Ok::<_, Verdict>((blob, Arc::new(from.fetch(blob).await?))));
    let blobs: BTreeMap<BlobRef, Arc<Kept>> =
        futures::stream::iter(fetching).buffer_unordered(FETCHED_AT_ONCE).try_collect().await?;
    if !known.has(&digest) {
        let mut of_blobs: BTreeMap<BlobRef, Vec<Piece>> = BTreeMap::new();
        for piece in of_files.iter().filter(|piece| !piece.is_whole()) {
            of_blobs.entry(piece.blob).or_default().push(*piece);
        }
        for (blob, pieces) in of_blobs {
            let kept = Arc::clone(blobs.get(&blob).ok_or_else(lacking)?);
            match holds(kept, pieces).await {
                Ok(true) => {}
                Ok(false) => return Err(bad_input(&format!("{path:?} has other files than its list says"))),
                Err(error) => return Err(cannot_read(&blob.digest, &error)),
            }
        }
        if files.len() == manifest.files().len() {
            known.add(digest);
        }
    }
    let mut contents = Vec::with_capacity(files.len());
    for piece in of_files {
        let blob = Arc::clone(blobs.get(&piece.blob).ok_or_else(lacking)?);
        let range = (!piece.is_whole()).then(|| piece.offset..piece.offset + piece.content.bytes);
        contents.push(Content { blob, range });
    }
    Ok(contents)
}

#[cfg(test)]
mod tests;
