//! The one door through which stored bytes leave: to a task, to another peer, to a client.
//!
//! A disk may change what was written to it. So a blob's file is read and compared with its digest before its first
//! use in this process, and again if its size or time of modification is not what it was then. What this process has
//! written itself was hashed on its way to the disk.
//!
//! A file that is not its blob is set aside in `blobs/damaged`, and the blob counts as not stored: it has to be fetched
//! again.

use std::{
    fs::{self, File, Metadata},
    io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use meshwork_core::{digest::Digest, types::BlobRef};
use rustix::io::Errno;

use super::{error::StoreError, store::BlobStore};

/// The most damaged files that are kept for a look.
const DAMAGED_MAX: usize = 16;
/// The most bytes of damaged files that are kept: one blob of the largest size.
const DAMAGED_BYTES_MAX: u64 = super::BLOB_BYTES_MAX;

/// The most blobs that are verified in one go.
const VERIFIED_MAX: u64 = 4096;

/// How a file looked when it was known to be its blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    bytes: u64,
    modified: SystemTime,
}

impl Stamp {
    /// `None` if the system keeps no time of modification. Such a file is checked before each use.
    pub(super) fn of(metadata: &Metadata) -> Option<Self> {
        Some(Self { bytes: metadata.len(), modified: metadata.modified().ok()? })
    }
}

/// What came of comparing stored blobs with their digests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// How many were read.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Those that were damaged.
    pub damaged: Vec<BlobRef>,
    /// The last that was read, if there are more.
    pub last: Option<Digest>,
}

/// A stored blob that was checked. While this lives, the blob is not evicted.
#[derive(Debug)]
pub struct Kept {
    store: BlobStore,
    blob: BlobRef,
    path: PathBuf,
}

impl Kept {
    /// Its name and size.
    #[must_use]
    pub const fn blob(&self) -> BlobRef {
        self.blob
    }

    /// The path of its file, which must not be changed.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens its file.
    ///
    /// # Errors
    /// The disk fails.
    pub fn open(&self) -> io::Result<File> {
        File::open(&self.path)
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.store.unpin(&self.blob.digest);
    }
}

impl BlobStore {
    /// A stored blob, checked; `None` if it is not stored, or its file is damaged and was set aside.
    ///
    /// # Errors
    /// The disk fails.
    pub fn check(&self, digest: &Digest) -> Result<Option<Kept>, StoreError> {
        let Some(kept) = self.pin(digest) else { return Ok(None) };
        let file = match kept.open() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.set_aside(digest, "it is gone");
                return Ok(None);
            }
            opened => opened?,
        };
        let stamp = Stamp::of(&file.metadata()?);
        if stamp.is_some() && stamp == self.stamp(digest) {
            return Ok(Some(kept));
        }
        Ok(self.compare(digest, &file, stamp).then_some(kept))
    }

    /// Compares a blob's file with its digest. Sets it aside if it is damaged.
    fn compare(&self, digest: &Digest, file: &File, stamp: Option<Stamp>) -> bool {
        let mut hasher = blake3::Hasher::new();
        let why = match hasher.update_reader(file).map(|hasher| hasher.finalize()) {
            Ok(found) if found.as_bytes() == digest.as_bytes() => {
                self.set_stamp(digest, stamp);
                return true;
            }
            Ok(_) => "its bytes have another digest".to_owned(),
            Err(error) => error.to_string(),
        };
        self.set_aside(digest, &why);
        false
    }

    /// Compares the stored blobs with their digests, whether or not that was done before: those after this one, in the
    /// order of their digests, until so many bytes are read or all are done. Nothing is used by this.
    ///
    /// # Errors
    /// The disk fails.
    pub fn verify(&self, after: Option<Digest>, bytes_max: u64) -> Result<Verified, StoreError> {
        let mut blobs: Vec<BlobRef> = self.list().into_iter().map(|info| info.blob).collect();
        blobs.retain(|blob| after.is_none_or(|after| blob.digest > after));
        blobs.sort_unstable_by_key(|blob| blob.digest);
        let mut verified = Verified::default();
        for blob in blobs {
            if verified.bytes >= bytes_max || verified.blobs >= VERIFIED_MAX {
                return Ok(verified);
            }
            verified.last = Some(blob.digest);
            let is_whole = match File::open(self.place(&blob.digest)) {
                // It may have been given up just now.
                Err(error) if error.kind() == io::ErrorKind::NotFound && !self.has(&blob.digest) => continue,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    self.set_aside(&blob.digest, "it is gone");
                    false
                }
                // What cannot be read is as good as lost, but for want of descriptors.
                Err(error) if matches!(Errno::from_io_error(&error), Some(Errno::MFILE | Errno::NFILE)) => {
                    return Err(error.into());
                }
                Err(error) => {
                    self.set_aside(&blob.digest, &error.to_string());
                    false
                }
                Ok(file) => {
                    let stamp = file.metadata().ok().and_then(|metadata| Stamp::of(&metadata));
                    self.compare(&blob.digest, &file, stamp)
                }
            };
            verified.blobs += 1;
            verified.bytes += blob.bytes;
            if !is_whole {
                verified.damaged.push(blob);
            }
        }
        verified.last = None;
        Ok(verified)
    }

    /// [`BlobStore::check`], if that takes no reading: `None` also if the file has yet to be compared with its digest.
    #[must_use]
    pub fn checked_already(&self, digest: &Digest) -> Option<Kept> {
        let kept = self.pin(digest)?;
        let stamp = Stamp::of(&fs::metadata(&kept.path).ok()?)?;
        (self.stamp(digest) == Some(stamp)).then_some(kept)
    }

    /// A blob's bytes, checked; `None` if it is not stored.
    ///
    /// # Errors
    /// The disk fails.
    pub fn read(&self, digest: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(kept) = self.check(digest)? else { return Ok(None) };
        Ok(Some(fs::read(kept.path())?))
    }

    pub(super) fn pin(&self, digest: &Digest) -> Option<Kept> {
        let blob = self.note_use(digest)?;
        Some(Kept { store: self.clone(), blob, path: self.place(digest) })
    }
}

/// Moves a damaged file where somebody may look at it, and makes room there for the newest ones.
pub(super) fn keep_damaged(file: &Path, damaged: &Path, digest: &Digest) -> io::Result<()> {
    fs::create_dir_all(damaged)?;
    fs::rename(file, damaged.join(digest.to_string()))?;
    let mut files = Vec::new();
    for file in fs::read_dir(damaged)? {
        let file = file?;
        let metadata = file.metadata()?;
        files.push((metadata.modified()?, metadata.len(), file.path()));
    }
    files.sort_unstable_by(|one, other| other.cmp(one));
    let mut bytes = 0;
    for (place, (_, length, path)) in files.into_iter().enumerate() {
        bytes += length;
        if place >= DAMAGED_MAX || bytes > DAMAGED_BYTES_MAX {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}
