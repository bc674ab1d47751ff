//! The store of blobs: one file for each, at `blobs/ab/abcd…`, within a quota.
//!
//! A file is written under another name in `blobs/new`, synced and renamed, and then its directory is synced, in this
//! order. So a file with a blob's name is that blob, whatever crashes. Files in `blobs/new` at a start are leftovers.
//!
//! A file that the index lacks was lost from it in a crash. It is read and checked once before it counts.

use std::{
    collections::{BTreeSet, HashMap},
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use meshwork_core::{digest::Digest, types::BlobRef};
use redb::Database;

use super::{
    BLOB_BYTES_MAX,
    error::StoreError,
    index::{Entry, Index},
};
use crate::disk_space::DiskSpace;

/// The most blobs in the store.
const BLOBS_MAX: usize = 1 << 20;

/// A stored blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobInfo {
    /// Its name and size.
    pub blob: BlobRef,
    /// When it was stored, in milliseconds since the Unix epoch.
    pub added_ms: u64,
    /// Whether it is announced in the Kademlia table.
    pub announced: bool,
}

#[derive(Default)]
struct State {
    entries: HashMap<Digest, Entry>,
    /// Bytes of all blobs.
    bytes: u64,
    /// Bytes reserved for blobs that are being written.
    reserved: u64,
}

struct Inner {
    dir: PathBuf,
    new: PathBuf,
    quota: u64,
    disk_space: DiskSpace,
    state: Mutex<State>,
    index: Index,
    next_name: AtomicU64,
}

/// The stored blobs. Cheap to clone. Methods that return an [`io`] error wait for the disk; all others never wait.
#[derive(Clone)]
pub struct BlobStore(Arc<Inner>);

impl BlobStore {
    /// Opens the store in `dir/blobs`, which may hold `quota` bytes, with its index in `database`.
    ///
    /// # Errors
    /// The directory or the index cannot be read or created.
    pub fn open(dir: &Path, database: Arc<Database>, quota: u64, disk_space: DiskSpace) -> Result<Self, StoreError> {
        let dir = dir.join("blobs");
        let new = dir.join("new");
        if new.exists() {
            fs::remove_dir_all(&new)?;
        }
        fs::create_dir_all(&new)?;
        let (index, known) = Index::open(database)?;
        let entries = reconcile(&dir, &known, &index)?;
        let bytes = entries.values().map(|entry| entry.bytes).sum();
        let state = Mutex::new(State { entries, bytes, reserved: 0 });
        Ok(Self(Arc::new(Inner { dir, new, quota, disk_space, state, index, next_name: AtomicU64::new(0) })))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a blob is stored.
    #[must_use]
    pub fn has(&self, digest: &Digest) -> bool {
        self.lock().entries.contains_key(digest)
    }

    /// A stored blob with its size; `None` if it is not stored.
    #[must_use]
    pub fn get(&self, digest: &Digest) -> Option<BlobRef> {
        self.lock().entries.get(digest).map(|entry| BlobRef { digest: *digest, bytes: entry.bytes })
    }

    /// The path of a blob's file, which must not be changed; `None` if it is not stored.
    #[must_use]
    pub fn path(&self, digest: &Digest) -> Option<PathBuf> {
        self.has(digest).then(|| place(&self.0.dir, digest))
    }

    /// All stored blobs, in no particular order.
    #[must_use]
    pub fn list(&self) -> Vec<BlobInfo> {
        let state = self.lock();
        let infos = state.entries.iter().map(|(digest, entry)| BlobInfo {
            blob: BlobRef { digest: *digest, bytes: entry.bytes },
            added_ms: entry.added_ms,
            announced: entry.announced,
        });
        infos.collect()
    }

    /// The newest blobs of at least `bytes_min` bytes, at most `count` of them.
    #[must_use]
    pub fn newest(&self, bytes_min: u64, count: usize) -> Vec<Digest> {
        let state = self.lock();
        let large = state.entries.iter().filter(|(_, entry)| entry.bytes >= bytes_min);
        let mut large: Vec<(u64, Digest)> = large.map(|(digest, entry)| (entry.added_ms, *digest)).collect();
        drop(state);
        large.sort_unstable_by(|one, other| other.cmp(one));
        large.into_iter().take(count).map(|(_, digest)| digest).collect()
    }

    /// The bytes of all blobs.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.lock().bytes
    }

    /// How many more bytes the quota allows.
    #[must_use]
    pub fn bytes_free(&self) -> u64 {
        let state = self.lock();
        self.0.quota.saturating_sub(state.bytes + state.reserved)
    }

    /// Whether a blob of so many bytes could be stored now. Nothing is reserved.
    ///
    /// # Errors
    /// A [`StoreError`] if the blob is too large, or there is no space for it.
    pub fn check_space(&self, bytes: u64) -> Result<(), StoreError> {
        if bytes > BLOB_BYTES_MAX {
            return Err(StoreError::TooLarge { bytes_max: BLOB_BYTES_MAX });
        }
        self.reserve(bytes).map(drop)
    }

    pub(super) fn announced(&self) -> Vec<Digest> {
        self.lock().entries.iter().filter(|(_, entry)| entry.announced).map(|(digest, _)| *digest).collect()
    }

    /// Records whether a blob is announced; false if it is not stored.
    pub(super) fn set_announced(&self, digest: &Digest, announced: bool) -> bool {
        let mut state = self.lock();
        let Some(entry) = state.entries.get_mut(digest) else { return false };
        entry.announced = announced;
        let entry = *entry;
        drop(state);
        self.0.index.note(*digest, Some(entry));
        true
    }

    /// Stores bytes durably.
    ///
    /// # Errors
    /// A [`StoreError`] if the blob is too large, there is no space for it, or the disk fails.
    pub fn put(&self, bytes: &[u8]) -> Result<BlobRef, StoreError> {
        Ok(self.put_all(&[bytes])?[0])
    }

    /// Stores several blobs durably, with fewer syncs than one by one. On an error, some of them may be stored.
    ///
    /// # Errors
    /// Those of [`BlobStore::put`].
    pub fn put_all(&self, blobs: &[&[u8]]) -> Result<Vec<BlobRef>, StoreError> {
        let mut stored = Vec::with_capacity(blobs.len());
        let mut fresh = Vec::new();
        let mut dirs = BTreeSet::new();
        for bytes in blobs {
            let blob = BlobRef { digest: Digest::of(bytes), bytes: bytes.len() as u64 };
            stored.push(blob);
            if blob.bytes > BLOB_BYTES_MAX {
                return Err(StoreError::TooLarge { bytes_max: BLOB_BYTES_MAX });
            }
            if self.has(&blob.digest) {
                continue;
            }
            let reservation = self.reserve(blob.bytes)?;
            let name = self.new_name();
            let written = File::create_new(&name).and_then(|mut file| {
                file.write_all(bytes)?;
                file.sync_data()
            });
            dirs.insert(written.and_then(|()| self.rename(&name, &blob.digest)).inspect_err(|_| {
                let _ = fs::remove_file(&name);
            })?);
            fresh.push((blob, reservation));
        }
        for dir in dirs {
            File::open(dir)?.sync_all()?;
        }
        for (blob, reservation) in fresh {
            self.insert(blob, reservation);
        }
        Ok(stored)
    }

    /// Stores a file's content durably.
    ///
    /// # Errors
    /// Those of [`BlobStore::put`], or the file cannot be read.
    pub fn put_file(&self, path: &Path) -> Result<BlobRef, StoreError> {
        let mut file = File::open(path)?;
        let mut writer = super::writer::BlobWriter::new(self.clone(), BLOB_BYTES_MAX);
        let mut chunk = vec![0; 256 << 10];
        loop {
            match file.read(&mut chunk)? {
                0 => return writer.finish(None),
                bytes => writer.write(&chunk[..bytes])?,
            }
        }
    }

    /// A blob's bytes, checked against its digest; `None` if it is not stored. A file that no longer matches its name
    /// is removed, and counts as not stored.
    ///
    /// # Errors
    /// The disk fails.
    pub fn read(&self, digest: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(path) = self.path(digest) else { return Ok(None) };
        match fs::read(&path) {
            Ok(bytes) if Digest::of(&bytes) == *digest => Ok(Some(bytes)),
            Ok(_) => {
                tracing::error!(%digest, "a blob's file has changed on the disk");
                self.remove(digest)?;
                Ok(None)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.remove(digest)?;
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Removes a blob; false if it was not stored. A reader that has the file open can read on.
    ///
    /// # Errors
    /// The disk fails.
    pub fn remove(&self, digest: &Digest) -> Result<bool, StoreError> {
        let mut state = self.lock();
        let Some(entry) = state.entries.remove(digest) else { return Ok(false) };
        state.bytes -= entry.bytes;
        // Under the lock, so that it is not stored anew in between.
        let result = fs::remove_file(place(&self.0.dir, digest));
        drop(state);
        self.0.index.note(*digest, None);
        match result {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(true),
        }
    }

    /// A name for a file that is being written.
    pub(super) fn new_name(&self) -> PathBuf {
        self.0.new.join(self.0.next_name.fetch_add(1, Relaxed).to_string())
    }

    /// Gives a synced file its blob's name, and returns the directory to sync.
    pub(super) fn rename(&self, from: &Path, digest: &Digest) -> io::Result<PathBuf> {
        let to = place(&self.0.dir, digest);
        let dir = to.parent().expect("a blob's file is in a directory").to_owned();
        if !dir.exists() {
            fs::create_dir_all(&dir)?;
            File::open(&self.0.dir)?.sync_all()?;
        }
        fs::rename(from, &to)?;
        Ok(dir)
    }

    /// Records a blob whose file is durable.
    pub(super) fn insert(&self, blob: BlobRef, reservation: Reservation) {
        let added = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let added_ms = u64::try_from(added.as_millis()).unwrap_or(u64::MAX);
        let entry = Entry { bytes: blob.bytes, added_ms, announced: false };
        let mut state = self.lock();
        let news = !state.entries.contains_key(&blob.digest);
        if news {
            state.entries.insert(blob.digest, entry);
            state.bytes += blob.bytes;
        }
        drop(state);
        drop(reservation);
        if news {
            self.0.index.note(blob.digest, Some(entry));
        }
    }

    /// Reserves bytes of the quota until the reservation is dropped.
    pub(super) fn reserve(&self, bytes: u64) -> Result<Reservation, StoreError> {
        let mut reservation = Reservation { store: self.clone(), bytes: 0 };
        reservation.grow(bytes)?;
        Ok(reservation)
    }
}

/// Bytes of the quota that are reserved for a blob being written.
pub(super) struct Reservation {
    store: BlobStore,
    bytes: u64,
}

impl Reservation {
    pub(super) fn grow(&mut self, bytes: u64) -> Result<(), StoreError> {
        let Inner { quota, disk_space, .. } = &*self.store.0;
        if !disk_space.is_enough() {
            return Err(StoreError::NoDiskSpace { free: disk_space.free_bytes() });
        }
        let mut state = self.store.lock();
        let used = state.bytes + state.reserved;
        if used.saturating_add(bytes) > *quota {
            return Err(StoreError::Full { bytes, used, quota: *quota });
        }
        if state.entries.len() >= BLOBS_MAX {
            return Err(StoreError::TooMany(BLOBS_MAX));
        }
        state.reserved += bytes;
        drop(state);
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.store.lock().reserved -= self.bytes;
    }
}

fn place(dir: &Path, digest: &Digest) -> PathBuf {
    let name = digest.to_string();
    dir.join(&name[..2]).join(name)
}

/// The blobs that the directory really holds: those that the index knows with the right size, and other files that
/// prove to be blobs.
fn reconcile(dir: &Path, known: &HashMap<Digest, Entry>, index: &Index) -> Result<HashMap<Digest, Entry>, StoreError> {
    let mut entries = HashMap::with_capacity(known.len());
    for sub in fs::read_dir(dir)? {
        let sub = sub?;
        if !sub.file_type()?.is_dir() || sub.file_name() == "new" {
            continue;
        }
        for file in fs::read_dir(sub.path())? {
            let file = file?;
            let Some(digest) = file.file_name().to_str().and_then(|name| name.parse::<Digest>().ok()) else { continue };
            let bytes = file.metadata()?.len();
            if let Some(entry) = known.get(&digest).filter(|entry| entry.bytes == bytes) {
                entries.insert(digest, *entry);
            } else if bytes <= BLOB_BYTES_MAX && Digest::of(&fs::read(file.path())?) == digest {
                let announced = known.get(&digest).is_some_and(|entry| entry.announced);
                let entry = Entry { bytes, added_ms: 0, announced };
                index.note(digest, Some(entry));
                entries.insert(digest, entry);
            } else {
                tracing::warn!(%digest, "a file that is not the blob it is named after is removed");
                fs::remove_file(file.path())?;
            }
        }
    }
    for digest in known.keys().filter(|digest| !entries.contains_key(digest)) {
        index.note(*digest, None);
    }
    Ok(entries)
}
