//! The store's file: redb's pages, each under a keyed checksum.
//!
//! redb trusts what it reads. Where a disk has changed a page, it would panic or answer falsely. So this module stands
//! between redb and the file, and hands on a page only if its checksum fits. The checksum covers the page and its
//! place, and its key is derived from the node's key. Nothing above has to check what it reads from the store.
//!
//! The file begins with three pages of its own: redb's header twice, and the *mark*. Then come groups of 256 of redb's
//! pages, each after a page with their checksums. A checksum lies within one sector of the disk, as does a header.
//!
//! **Crashes.** redb never writes over a page that a synced commit needs, so a page that was cut off while it was
//! written is one that nobody reads again. There is one exception. After a crash redb tries the commit that was being
//! written, finds by checksums of its own whether it is whole, and otherwise goes back to the one before. Meanwhile
//! pages come as they are ([`Sealed::may_be_torn`]). For a commit that was synced there is no going back, because a
//! vote may have been sent since: the mark, written after each sync, says which header was. The mark itself is synced
//! only with the next commit. If power fails before, the newest commit counts as one that was being written: it is
//! whole, and redb finds that.

mod damaged;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeSet,
    fs::OpenOptions,
    io::{self, ErrorKind::InvalidData, Read},
    ops::{Bound, Range},
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

pub(super) use damaged::open_damaged;
use redb::{BackendError, Builder, Database, StorageBackend, backends::FileBackend};
use tokio_util::sync::CancellationToken;

use super::StoreError;

/// Bytes of a page.
const PAGE: u64 = 4096;
/// Pages under one page of checksums.
const GROUP_PAGES: u64 = PAGE / SUM as u64;
/// Bytes of a group with its checksums.
const GROUP: u64 = (1 + GROUP_PAGES) * PAGE;
/// Bytes of a checksum.
const SUM: usize = 16;
/// Where the two copies of the header are.
const HEADERS_AT: [u64; 2] = [0, PAGE];
/// Where the mark is.
const MARK_AT: u64 = 2 * PAGE;
/// Where the groups begin.
const GROUPS_AT: u64 = 3 * PAGE;
/// Bytes of redb's header.
const HEADER: usize = 320;
/// What a header and a mark begin with.
const MAGIC: &[u8; 16] = b"meshwork store\n\x07";
/// What the files of earlier versions begin with, which had no checksums: redb's own file.
const BARE: &[u8; 4] = b"redb";

/// What was found to be damaged while a store was in use.
#[derive(Clone, Debug, Default)]
pub struct Damage {
    what: Arc<OnceLock<String>>,
    found: CancellationToken,
}

impl Damage {
    /// The first damage, in words; `None` if there is none.
    #[must_use]
    pub fn what(&self) -> Option<&str> {
        self.what.get().map(String::as_str)
    }

    /// Waits until something is damaged, and says what.
    pub async fn found(&self) -> &str {
        self.found.cancelled().await;
        self.what().unwrap_or_default()
    }

    /// The error itself, or the damage that is behind it: redb says the cause only once.
    pub(super) fn explains(&self, error: StoreError) -> StoreError {
        self.what().map_or(error, |what| StoreError::Unreadable(what.to_owned()))
    }

    fn is_found(&self, what: String) -> io::Error {
        let error = io::Error::new(InvalidData, what.clone());
        // Only the first counts: redb reads nothing more after it.
        let _ = self.what.set(what);
        self.found.cancel();
        error
    }
}

/// Opens a store's file, or creates it.
pub(super) fn open(file: &Path, key: &[u8; 32], cache_bytes: usize, damage: &Damage) -> Result<Database, StoreError> {
    let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(file);
    let opened = opened.map_err(redb::StorageError::Io)?;
    let mut first = [0; BARE.len()];
    if (&opened).read_exact(&mut first).is_ok() && first == *BARE {
        return Err(StoreError::OtherFormat { found: BARE_FORMAT, expected: super::tables::FORMAT });
    }
    let sealed = Sealed::new(FileBackend::new(opened)?, *key, damage.clone());
    create(sealed, cache_bytes)
}

/// The format of the last store without checksums.
const BARE_FORMAT: u64 = 6;

fn create<B: StorageBackend>(sealed: Sealed<B>, cache_bytes: usize) -> Result<Database, StoreError> {
    let sealed = Arc::new(sealed);
    let mut builder = Builder::new();
    let recovering = Arc::clone(&sealed);
    builder.set_cache_size(cache_bytes).set_repair_callback(move |_| recovering.may_be_torn());
    let database = builder.create_with_backend(Shared(Arc::clone(&sealed)))?;
    sealed.is_recovering.store(false, Relaxed);
    sealed.lock().is_open = true;
    Ok(database)
}

/// redb's header as it was written last, and how many commits were before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Header {
    number: u64,
    bytes: [u8; HEADER],
}

impl Header {
    /// The header that is written next. It has the same number if it has the same commits: redb notes that the file is
    /// open before it reads it, and whether what it then reads was synced must still be known to whoever reads next.
    fn next(last: Option<Self>, bytes: [u8; HEADER]) -> Self {
        let commits = |bytes: &[u8; HEADER]| (bytes[STATE_AT] & SECOND_IS_NEWEST, bytes[COMMITS_AT..].to_vec());
        let number = match last {
            Some(last) if commits(&last.bytes) == commits(&bytes) => last.number,
            last => last.map_or(0, |last| last.number) + 1,
        };
        Self { number, bytes }
    }
}

/// Where redb's header says in which state the file is.
const STATE_AT: usize = 9;
/// The bit there which says that the file was not closed.
const NOT_CLOSED: u8 = 2;
/// The bit there which says which of the two commits is the newest.
const SECOND_IS_NEWEST: u8 = 1;
/// Where the two commits begin in redb's header. They reach to its end.
const COMMITS_AT: usize = 64;

#[derive(Debug, Default)]
struct State {
    header: Option<Header>,
    /// The number of the newest header that is known to be synced, with all that was written before it.
    marked: u64,
    /// Whether the header was known to be synced when it was read.
    was_synced: bool,
    /// Whether redb has opened the file. Until then it writes headers of commits that it has not checked yet.
    is_open: bool,
    /// Pages that were read during a recovery although their checksum did not fit.
    doubtful: BTreeSet<u64>,
}

/// A file of pages with checksums.
#[derive(Debug)]
struct Sealed<B> {
    file: B,
    key: Key,
    damage: Damage,
    state: Mutex<State>,
    is_recovering: AtomicBool,
}

struct Key([u8; 32]);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a key")
    }
}

/// Consecutive pages of one group: where they are in what redb reads or writes, where in the file, and where their
/// checksums are.
struct Run {
    first: u64,
    bytes: Range<usize>,
    at: u64,
    sums_at: u64,
}

fn runs(offset: u64, length: usize) -> io::Result<Vec<Run>> {
    let pages = length as u64 / PAGE;
    if !offset.is_multiple_of(PAGE) || offset == 0 || pages * PAGE != length as u64 {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the store reads and writes whole pages"));
    }
    let (mut first, end) = (offset / PAGE - 1, offset / PAGE - 1 + pages);
    let mut runs = Vec::with_capacity(1);
    let mut from = 0;
    while first < end {
        let (group, place) = (first / GROUP_PAGES, first % GROUP_PAGES);
        let count = (end - first).min(GROUP_PAGES - place);
        let group_at = GROUPS_AT + group * GROUP;
        let to = from + (count * PAGE) as usize;
        let (at, sums_at) = (group_at + (1 + place) * PAGE, group_at + place * SUM as u64);
        runs.push(Run { first, bytes: from..to, at, sums_at });
        (first, from) = (first + count, to);
    }
    Ok(runs)
}

/// How long the file is that holds so many bytes of redb's.
fn file_bytes(bytes: u64) -> u64 {
    if bytes == 0 {
        return 0;
    }
    let pages = (bytes / PAGE).saturating_sub(1);
    let (full, rest) = (pages / GROUP_PAGES, pages % GROUP_PAGES);
    GROUPS_AT + full * GROUP + if rest > 0 { (1 + rest) * PAGE } else { 0 }
}

/// How many bytes of redb's a file of a length holds.
fn bytes_in(file_bytes: u64) -> u64 {
    if file_bytes == 0 {
        return 0;
    }
    let groups = file_bytes.saturating_sub(GROUPS_AT);
    let (full, rest) = (groups / GROUP, groups % GROUP);
    (1 + full * GROUP_PAGES + (rest / PAGE).saturating_sub(1)) * PAGE
}

impl<B: StorageBackend> Sealed<B> {
    fn new(file: B, key: [u8; 32], damage: Damage) -> Self {
        Self { file, key: Key(key), damage, state: Mutex::default(), is_recovering: AtomicBool::new(false) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sum(&self, page: u64, bytes: &[u8]) -> [u8; SUM] {
        let mut hasher = blake3::Hasher::new_keyed(&self.key.0);
        hasher.update(bytes).update(&page.to_le_bytes());
        *hasher.finalize().as_bytes().first_chunk().expect("a hash is longer")
    }

    /// A record of the file's head: so many bytes, with a number, under a checksum of their own.
    fn record(&self, number: u64, bytes: &[u8]) -> Vec<u8> {
        let mut record = [MAGIC, number.to_le_bytes().as_slice(), bytes].concat();
        let sum = self.sum(u64::MAX, &record);
        record.extend_from_slice(&sum);
        record
    }

    /// The number and the bytes of a record; `None` if it is not one.
    fn read_record<const N: usize>(&self, at: u64) -> Option<(u64, [u8; N])> {
        let mut record = vec![0; MAGIC.len() + 8 + N + SUM];
        self.file.read(at, &mut record).ok()?;
        let number = u64::from_le_bytes(*record[MAGIC.len()..].first_chunk()?);
        let bytes: [u8; N] = *record[MAGIC.len() + 8..].first_chunk()?;
        (self.record(number, &bytes) == record).then_some((number, bytes))
    }

    /// redb's header. A crash may leave the two copies of a header different, and each is as good: neither was synced.
    fn header(&self) -> io::Result<Header> {
        let mut state = self.lock();
        if let Some(header) = state.header {
            return Ok(header);
        }
        let copies = HEADERS_AT.into_iter().filter_map(|at| self.read_record(at));
        let Some((number, bytes)) = copies.max_by_key(|(number, _)| *number) else {
            return Err(self.damage.is_found("its head is not what was written with this key".into()));
        };
        let marked = self.read_record::<0>(MARK_AT).map_or(0, |(number, _)| number);
        if number < marked {
            return Err(self.damage.is_found("its head is older than the newest that was synced".into()));
        }
        state.header = Some(Header { number, bytes });
        state.marked = marked;
        state.was_synced = number == marked;
        Ok(Header { number, bytes })
    }

    fn set_header(&self, bytes: [u8; HEADER]) -> io::Result<()> {
        let mut state = self.lock();
        let header = Header::next(state.header, bytes);
        state.header = Some(header);
        let record = self.record(header.number, &bytes);
        HEADERS_AT.into_iter().try_for_each(|at| self.file.write(at, &record))
    }

    /// redb recovers from a crash. It checks by itself what it reads, unless its newest commit was synced.
    fn may_be_torn(&self) {
        let was_synced = self.lock().was_synced;
        self.is_recovering.store(!was_synced, Relaxed);
    }

    fn read_run(&self, run: &Run, out: &mut [u8]) -> io::Result<()> {
        let mut sums = vec![0; out.len() / PAGE as usize * SUM];
        let read = self.file.read(run.at, out).and_then(|()| self.file.read(run.sums_at, &mut sums));
        if read.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::UnexpectedEof) {
            return Err(self.damage.is_found("it was cut short".into()));
        }
        read?;
        for ((page, bytes), sum) in (run.first..).zip(out.chunks(PAGE as usize)).zip(sums.chunks(SUM)) {
            if self.sum(page, bytes) == sum {
                continue;
            }
            if !self.is_recovering.load(Relaxed) {
                return Err(self.damage.is_found(format!("page {page} is not what was written")));
            }
            self.lock().doubtful.insert(page);
        }
        Ok(())
    }

    /// Gives the pages that redb has found to be good by itself their checksums. The others are read no more.
    fn seal_again(&self, pages: &BTreeSet<u64>) -> io::Result<()> {
        let mut bytes = vec![0; PAGE as usize];
        for page in pages {
            for run in runs((page + 1) * PAGE, bytes.len())? {
                self.file.read(run.at, &mut bytes)?;
                self.file.write(run.sums_at, &self.sum(*page, &bytes))?;
            }
        }
        Ok(())
    }
}

impl<B: StorageBackend> Sealed<B> {
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        if offset == 0 && out.len() <= HEADER {
            out.copy_from_slice(&self.header()?.bytes[..out.len()]);
            return Ok(());
        }
        runs(offset, out.len())?.iter().try_for_each(|run| self.read_run(run, &mut out[run.bytes.clone()]))
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        if offset == 0
            && let Ok(header) = data.try_into()
        {
            return self.set_header(header);
        }
        for run in runs(offset, data.len())? {
            let pages = data[run.bytes.clone()].chunks(PAGE as usize);
            let sums: Vec<u8> = (run.first..).zip(pages).flat_map(|(page, bytes)| self.sum(page, bytes)).collect();
            self.file.write(run.at, &data[run.bytes.clone()])?;
            self.file.write(run.sums_at, &sums)?;
        }
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let (doubtful, written) = {
            let mut state = self.lock();
            (std::mem::take(&mut state.doubtful), state.header.map_or(0, |header| header.number))
        };
        self.seal_again(&doubtful)?;
        self.file.sync_data()?;
        let mut state = self.lock();
        // Where a synced commit is opened, redb is given only what was written, and has nothing to go back to.
        if (state.is_open || state.was_synced) && written > state.marked {
            state.marked = written;
            self.file.write(MARK_AT, &self.record(written, &[]))?;
        }
        Ok(())
    }
}

/// What redb is given.
#[derive(Debug)]
struct Shared<B>(Arc<Sealed<B>>);

impl<B: StorageBackend> StorageBackend for Shared<B> {
    fn len(&self) -> io::Result<u64> {
        self.0.file.len().map(bytes_in)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.0.file.set_len(file_bytes(bytes))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.0.file.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.file.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.file.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.file.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.file.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.file.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.file.query_lock_range(start, end)
    }
}
