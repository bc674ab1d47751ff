//! The store of blobs: one file for each, at `blobs/ab/abcd…`, within a quota.
//!
//! A file is written under another name in `blobs/new`, synced and renamed, and then its directory is synced, in this
//! order. So a file with a blob's name is that blob, whatever crashes. Files in `blobs/new` at a start are leftovers.
//!
//! A file that the index lacks was lost from it in a crash. It is read and checked once before it counts.
//!
//! Every blob costs the quota what it costs the disk, at least: whole pages, and an entry in the directory and in the
//! index. Otherwise many tiny blobs would fill the disk long before the quota.

use std::{
    collections::{BTreeSet, HashMap},
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use lru::LruCache;
use meshwork_core::{
    blobs::cost,
    digest::Digest,
    types::{AttemptId, BlobRef},
};
use redb::Database;

use super::{
    BLOB_BYTES_MAX,
    checked::{Stamp, keep_damaged},
    error::StoreError,
    holdings::{DeliveryId, Holdings, Whose},
    index::{Entry, Index, Indexed},
};
use crate::{disk_space::DiskSpace, metrics::Metrics};

/// How long a blob is kept, whatever the ledger says, after a client has uploaded it: a large job's inputs may take
/// hours, and the job is submitted after the last of them.
pub const UPLOAD_KEPT_FOR: Duration = Duration::from_secs(24 * 3600);
/// How much more than needed is evicted at once, as a part of the quota: so that not every blob makes a search.
const EVICTED_PART: u64 = 16;

/// The folder of damaged files, beside those of the blobs.
const DAMAGED: &str = "damaged";

/// How much a store may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// The most that all blobs may [cost], in bytes.
    pub bytes_max: u64,
    /// The most blobs, each of which takes memory.
    pub blobs_max: usize,
}

impl Quota {
    /// So many bytes, and at most 2^20 blobs.
    #[must_use]
    pub const fn of_bytes(bytes_max: u64) -> Self {
        Self { bytes_max, blobs_max: 1 << 20 }
    }
}

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

/// What is known of a stored blob while the process runs.
struct Stored {
    entry: Entry,
    /// How its file looked when it was last known to be the blob; `None` if it was not checked since the start.
    stamp: Option<Stamp>,
    /// How many [`Kept`](super::Kept)s there are.
    pins: u32,
    /// Until when it is not evicted whatever the ledger says, in milliseconds since the Unix epoch.
    kept_until_ms: u64,
}

struct State {
    /// The stored blobs, by their last use.
    blobs: LruCache<Digest, Stored>,
    /// What was known of blobs whose files were damaged, until they are stored again.
    damaged: HashMap<Digest, Entry>,
    /// The outputs and checkpoints that the blobs belong to.
    holdings: Holdings,
    /// What all stored blobs cost.
    used: u64,
    /// What is reserved for blobs that are being written.
    reserved: u64,
    /// How many blobs are being written.
    writing: usize,
}

struct Inner {
    dir: PathBuf,
    new: PathBuf,
    quota: Quota,
    disk_space: DiskSpace,
    metrics: Arc<Metrics>,
    state: Mutex<State>,
    index: Index,
    next_name: AtomicU64,
}

impl std::fmt::Debug for BlobStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the blobs in {}", self.0.dir.display())
    }
}

/// The stored blobs. Cheap to clone. Methods that return an [`io`] error wait for the disk; all others never wait.
#[derive(Clone)]
pub struct BlobStore(Arc<Inner>);

impl BlobStore {
    /// Opens the store in `dir/blobs`, with its index in `database`.
    ///
    /// # Errors
    /// The directory or the index cannot be read or created.
    pub fn open(
        dir: &Path,
        database: Arc<Database>,
        quota: Quota,
        disk_space: DiskSpace,
        metrics: Arc<Metrics>,
    ) -> Result<Self, StoreError> {
        let dir = dir.join("blobs");
        let new = dir.join("new");
        if new.exists() {
            fs::remove_dir_all(&new)?;
        }
        fs::create_dir_all(&new)?;
        let (index, Indexed { blobs: known, deliveries }) = Index::open(database)?;
        let entries = reconcile(&dir, &known, &index)?;
        let used = entries.values().map(|entry| cost(entry.bytes)).sum();
        // When each was last used is not known any more. Its age says something about that.
        let mut by_age: Vec<(Digest, Entry)> = entries.into_iter().collect();
        by_age.sort_unstable_by_key(|(digest, entry)| (entry.added_ms, *digest));
        let mut blobs = LruCache::unbounded();
        for (digest, entry) in by_age {
            // What a blob belongs to that the index has lost is not known. Somebody may be owed it.
            let is_known = deliveries.is_some() && known.contains_key(&digest);
            let kept_from_ms = match (is_known, entry.announced) {
                (false, _) => now_ms(),
                (true, true) => entry.added_ms,
                (true, false) => 0,
            };
            blobs.put(digest, Stored { entry, stamp: None, pins: 0, kept_until_ms: kept_until_ms(kept_from_ms) });
        }
        let holdings = Holdings::restored(deliveries.unwrap_or_default());
        let state = State { blobs, damaged: HashMap::new(), holdings, used, reserved: 0, writing: 0 };
        let (state, next_name) = (Mutex::new(state), AtomicU64::new(0));
        Ok(Self(Arc::new(Inner { dir, new, quota, disk_space, metrics, state, index, next_name })))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a blob is stored.
    #[must_use]
    pub fn has(&self, digest: &Digest) -> bool {
        self.lock().blobs.contains(digest)
    }

    /// A stored blob with its size; `None` if it is not stored.
    #[must_use]
    pub fn get(&self, digest: &Digest) -> Option<BlobRef> {
        self.lock().blobs.peek(digest).map(|stored| BlobRef { digest: *digest, bytes: stored.entry.bytes })
    }

    /// Where a blob's file is, if it is stored.
    pub(super) fn place(&self, digest: &Digest) -> PathBuf {
        place(&self.0.dir, digest)
    }

    /// A stored blob, which is used now and pinned until [`BlobStore::unpin`].
    pub(super) fn note_use(&self, digest: &Digest) -> Option<BlobRef> {
        let mut state = self.lock();
        let stored = state.blobs.get_mut(digest)?;
        stored.pins += 1;
        Some(BlobRef { digest: *digest, bytes: stored.entry.bytes })
    }

    pub(super) fn unpin(&self, digest: &Digest) {
        if let Some(stored) = self.lock().blobs.peek_mut(digest) {
            // A blob that was removed and stored again meanwhile has lost its pins.
            stored.pins = stored.pins.saturating_sub(1);
        }
    }

    pub(super) fn stamp(&self, digest: &Digest) -> Option<Stamp> {
        self.lock().blobs.peek(digest)?.stamp
    }

    pub(super) fn set_stamp(&self, digest: &Digest, stamp: Option<Stamp>) {
        if let Some(stored) = self.lock().blobs.peek_mut(digest) {
            stored.stamp = stamp;
        }
    }

    /// All stored blobs, in no particular order.
    #[must_use]
    pub fn list(&self) -> Vec<BlobInfo> {
        let state = self.lock();
        let infos = state.blobs.iter().map(|(digest, Stored { entry, .. })| BlobInfo {
            blob: BlobRef { digest: *digest, bytes: entry.bytes },
            added_ms: entry.added_ms,
            announced: entry.announced,
        });
        infos.collect()
    }

    /// The newest blobs of at least `bytes_min` bytes, at most `count` of them, that people may have stored: those of no
    /// output or checkpoint.
    #[must_use]
    pub fn newest(&self, bytes_min: u64, count: usize) -> Vec<Digest> {
        let state = self.lock();
        let large = state.blobs.iter().filter(|(_, stored)| stored.entry.bytes >= bytes_min);
        let large = large.filter(|(digest, _)| !state.holdings.has(digest));
        let mut large: Vec<(u64, Digest)> = large.map(|(digest, stored)| (stored.entry.added_ms, *digest)).collect();
        drop(state);
        large.sort_unstable_by(|one, other| other.cmp(one));
        large.into_iter().take(count).map(|(_, digest)| digest).collect()
    }

    /// What all blobs [cost].
    #[must_use]
    pub fn used(&self) -> u64 {
        self.lock().used
    }

    /// How much it may hold now: the ledger's store takes its part of the bytes first.
    fn quota(&self) -> Quota {
        let Inner { quota, disk_space, .. } = &*self.0;
        Quota { bytes_max: quota.bytes_max.saturating_sub(disk_space.store_bytes()), ..*quota }
    }

    /// How much all blobs may [cost], after the ledger's store has taken its part.
    #[must_use]
    pub fn bytes_max(&self) -> u64 {
        self.quota().bytes_max
    }

    /// How much more the quota allows to be used.
    #[must_use]
    pub fn free(&self) -> u64 {
        let bytes_max = self.quota().bytes_max;
        let state = self.lock();
        bytes_max.saturating_sub(state.used + state.reserved)
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
        self.lock().blobs.iter().filter(|(_, stored)| stored.entry.announced).map(|(digest, _)| *digest).collect()
    }

    /// Records that a blob was uploaded and is announced, or no longer is; false if it is not stored.
    pub(super) fn set_announced(&self, digest: &Digest, announced: bool) -> bool {
        let mut state = self.lock();
        let Some(stored) = state.blobs.get_mut(digest) else { return false };
        stored.entry.announced = announced;
        stored.kept_until_ms = if announced { kept_until_ms(now_ms()) } else { 0 };
        let entry = stored.entry;
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
            if self.check(&blob.digest)?.is_some() {
                continue;
            }
            let reservation = self.reserve(blob.bytes)?;
            let name = self.new_name();
            let written = File::create_new(&name).and_then(|mut file| {
                file.write_all(bytes)?;
                file.sync_data()?;
                Ok((self.rename(&name, &blob.digest)?, Stamp::of(&file.metadata()?)))
            });
            let (dir, stamp) = written.inspect_err(|_| {
                let _ = fs::remove_file(&name);
            })?;
            dirs.insert(dir);
            fresh.push((blob, stamp, reservation));
        }
        for dir in dirs {
            File::open(dir)?.sync_all()?;
        }
        for (blob, stamp, reservation) in fresh {
            self.insert(blob, stamp, reservation);
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

    /// Removes a blob; false if it was not stored. A reader that has the file open can read on.
    ///
    /// # Errors
    /// The disk fails.
    pub fn remove(&self, digest: &Digest) -> Result<bool, StoreError> {
        Ok(self.remove_if(digest, |_| true)?.is_some())
    }

    /// Removes a blob that is stored, if it may go.
    fn remove_if(&self, digest: &Digest, may_go: impl FnOnce(&State) -> bool) -> Result<Option<BlobInfo>, StoreError> {
        let mut state = self.lock();
        if !may_go(&state) {
            return Ok(None);
        }
        let Some(Stored { entry, .. }) = state.take(digest) else { return Ok(None) };
        // Under the lock, so that it is not stored anew in between.
        let result = fs::remove_file(self.place(digest));
        drop(state);
        self.0.index.note(*digest, None);
        match result {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            _ => {
                let Entry { bytes, added_ms, announced } = entry;
                Ok(Some(BlobInfo { blob: BlobRef { digest: *digest, bytes }, added_ms, announced }))
            }
        }
    }

    /// Sets a damaged file aside, and reports it. The blob counts as not stored from now on.
    pub(super) fn set_aside(&self, digest: &Digest, why: &str) {
        let mut state = self.lock();
        let Some(Stored { entry, .. }) = state.take(digest) else { return };
        state.damaged.insert(*digest, entry);
        // Under the lock, so that it is not stored anew in between.
        let moved = keep_damaged(&self.place(digest), &self.0.dir.join(DAMAGED), digest);
        drop(state);
        self.0.index.note(*digest, None);
        self.0.metrics.blobs_damaged.inc();
        tracing::error!(%digest, bytes = entry.bytes, why, "a stored blob is damaged and is set aside");
        if let Err(error) = moved.or_else(|_| fs::remove_file(self.place(digest)))
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::error!(%digest, %error, "a damaged file cannot be moved");
        }
    }

    /// Records that these blobs, and the manifest that names them, are an output or checkpoint, the newest of its
    /// attempt. They need not be stored yet. True if that is news.
    pub(super) fn hold(&self, id: DeliveryId, mut blobs: Vec<Digest>) -> bool {
        blobs.push(id.manifest);
        blobs.sort_unstable();
        blobs.dedup();
        let mut state = self.lock();
        let news = !state.holdings.has_delivery(id);
        let delivery = state.holdings.add(id, blobs.into());
        drop(state);
        self.0.index.note_delivery(id, Some(delivery));
        news
    }

    /// Gives up outputs and checkpoints, with the blobs that belong to no other. Blobs in use, and those that a client
    /// has uploaded, stay.
    pub(super) fn give_up(&self, ids: &[DeliveryId]) -> Result<(), StoreError> {
        for id in ids {
            let unshared = self.lock().holdings.remove(*id);
            for digest in unshared {
                self.remove_if(&digest, |state| state.may_be_given_up(&digest))?;
            }
            // Last, so that a crash leaves no blob whose delivery is forgotten.
            self.0.index.note_delivery(*id, None);
        }
        Ok(())
    }

    pub(super) fn deliveries_of(&self, whose: Whose) -> Vec<DeliveryId> {
        self.lock().holdings.of(whose)
    }

    pub(super) fn deliveries_count(&self, attempt: &AttemptId) -> usize {
        self.lock().holdings.count_of(attempt)
    }

    /// Whether so many blobs of these costs would fit.
    pub(crate) fn has_room(&self, costs: u64, blobs: usize) -> bool {
        let Quota { bytes_max, blobs_max } = self.quota();
        self.lock().has_room(costs, blobs, bytes_max, blobs_max)
    }

    /// The blobs that may be evicted as far as is known here, the least recently used first.
    pub(super) fn evictable(&self) -> Vec<Digest> {
        let (state, now_ms) = (self.lock(), now_ms());
        let least_recent_first = state.blobs.iter().rev();
        least_recent_first.filter(|(digest, _)| state.is_evictable(digest, now_ms)).map(|(digest, _)| *digest).collect()
    }

    /// Evicts of these blobs, in their order, as many as make room for so many others, and some more.
    pub(super) fn evict(&self, unused: &[Digest], costs: u64, blobs: usize) -> Result<Vec<BlobInfo>, StoreError> {
        let Quota { bytes_max, blobs_max } = self.quota();
        let (bytes_max, blobs_max) =
            (bytes_max - bytes_max / EVICTED_PART, blobs_max - blobs_max / EVICTED_PART as usize);
        let mut evicted = Vec::new();
        for digest in unused {
            if self.lock().has_room(costs, blobs, bytes_max, blobs_max) {
                break;
            }
            // It may have come into use meanwhile.
            if let Some(blob) = self.remove_if(digest, |state| state.is_evictable(digest, now_ms()))? {
                self.0.metrics.blobs_evicted.inc();
                evicted.push(blob);
            }
        }
        Ok(evicted)
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

    /// Records a blob whose file is durable, and how the file looked once it had been written.
    pub(super) fn insert(&self, blob: BlobRef, stamp: Option<Stamp>, reservation: Reservation) {
        let mut state = self.lock();
        let announced = state.damaged.remove(&blob.digest).is_some_and(|entry| entry.announced);
        let entry = Entry { bytes: blob.bytes, added_ms: now_ms(), announced };
        let news = !state.blobs.contains(&blob.digest);
        if news {
            state.blobs.put(blob.digest, Stored { entry, stamp, pins: 0, kept_until_ms: 0 });
            state.used += cost(blob.bytes);
        }
        drop(state);
        drop(reservation);
        if news {
            self.0.index.note(blob.digest, Some(entry));
        }
    }

    /// Reserves space for a blob of so many bytes until the reservation is dropped.
    pub(super) fn reserve(&self, bytes: u64) -> Result<Reservation, StoreError> {
        let mut state = self.lock();
        if state.blobs.len() + state.writing >= self.0.quota.blobs_max {
            return Err(StoreError::TooMany(self.0.quota.blobs_max));
        }
        state.writing += 1;
        drop(state);
        let mut reservation = Reservation { store: self.clone(), bytes: 0, cost: 0 };
        reservation.grow(bytes)?;
        Ok(reservation)
    }
}

impl State {
    fn has_room(&self, costs: u64, blobs: usize, bytes_max: u64, blobs_max: usize) -> bool {
        let used = self.used.saturating_add(self.reserved).saturating_add(costs);
        used <= bytes_max && (self.blobs.len() + self.writing).saturating_add(blobs) <= blobs_max
    }

    fn is_evictable(&self, digest: &Digest, now_ms: u64) -> bool {
        let unused = |stored: &Stored| stored.pins == 0 && stored.kept_until_ms <= now_ms;
        self.blobs.peek(digest).is_some_and(unused) && !self.holdings.has(digest)
    }

    fn may_be_given_up(&self, digest: &Digest) -> bool {
        let unused = |stored: &Stored| stored.pins == 0 && !stored.entry.announced;
        self.blobs.peek(digest).is_some_and(unused) && !self.holdings.has(digest)
    }

    /// Takes a blob out of the books.
    fn take(&mut self, digest: &Digest) -> Option<Stored> {
        let stored = self.blobs.pop(digest)?;
        self.used -= cost(stored.entry.bytes);
        Some(stored)
    }
}

/// Space that is reserved for a blob being written.
pub(super) struct Reservation {
    store: BlobStore,
    bytes: u64,
    cost: u64,
}

impl Reservation {
    pub(super) fn grow(&mut self, bytes: u64) -> Result<(), StoreError> {
        let (quota, disk_space) = (self.store.quota(), &self.store.0.disk_space);
        if !disk_space.is_enough() {
            return Err(StoreError::NoDiskSpace { free: disk_space.free_bytes() });
        }
        let more = cost(self.bytes.saturating_add(bytes)) - self.cost;
        let mut state = self.store.lock();
        let used = state.used + state.reserved;
        if used.saturating_add(more) > quota.bytes_max {
            return Err(StoreError::Full { bytes: more, used, quota: quota.bytes_max });
        }
        state.reserved += more;
        drop(state);
        self.bytes += bytes;
        self.cost += more;
        Ok(())
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut state = self.store.lock();
        state.reserved -= self.cost;
        state.writing -= 1;
    }
}

/// Until when a blob is kept that was uploaded at a time; both in milliseconds since the Unix epoch.
fn kept_until_ms(from_ms: u64) -> u64 {
    if from_ms == 0 { 0 } else { from_ms.saturating_add(UPLOAD_KEPT_FOR.as_millis() as u64) }
}

/// Milliseconds since the Unix epoch.
fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
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
        if !sub.file_type()?.is_dir() || sub.file_name() == "new" || sub.file_name() == DAMAGED {
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
                tracing::warn!(%digest, "a file that is not the blob it is named after is set aside");
                keep_damaged(&file.path(), &dir.join(DAMAGED), &digest)?;
            }
        }
    }
    for digest in known.keys().filter(|digest| !entries.contains_key(digest)) {
        index.note(*digest, None);
    }
    Ok(entries)
}
