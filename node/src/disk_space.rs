//! The space on the disk that holds what this peer stores: how much is free, how much the ledger takes of what the peer
//! may use, and whether that leaves enough to take on more.
//!
//! A peer that cannot store cannot go on, so it stops taking on more while a reserve is left: its worker offers
//! nothing, and no blob is taken. What it has it keeps, and blocks are stored in the reserve. Only when that is gone
//! too does the node stop; it starts again when there is space.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::time::sleep;
use tracing::{info, warn};

/// How often the disk is checked.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The reserve on a large disk, in bytes.
const RESERVE_BYTES: u64 = 256 << 20;
/// The reserve on a smaller disk: one part in this many.
const RESERVE_PART: u64 = 8;

/// The size and free space of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Disk {
    bytes: u64,
    free_bytes: u64,
}

impl Disk {
    /// The disk that holds a directory. It counts as boundless if the system does not say.
    fn of(folder: &Path) -> Self {
        let unknown = Self { bytes: u64::MAX, free_bytes: u64::MAX };
        rustix::fs::statvfs(folder).map_or(unknown, |disk| Self {
            bytes: disk.f_blocks.saturating_mul(disk.f_frsize),
            free_bytes: disk.f_bavail.saturating_mul(disk.f_frsize),
        })
    }

    fn reserve_bytes(self) -> u64 {
        RESERVE_BYTES.min(self.bytes / RESERVE_PART)
    }

    /// Whether more may be taken on. Once it may not, half a reserve more is asked for, so that it does not go to and
    /// fro.
    fn is_enough(self, was_enough: bool) -> bool {
        let reserve = self.reserve_bytes();
        self.free_bytes >= if was_enough { reserve } else { reserve + reserve / 2 }
    }
}

/// How much this peer may use in all, and the file whose size counts first.
struct Budget {
    store: PathBuf,
    bytes_max: u64,
}

struct Inner {
    folder: PathBuf,
    budget: Option<Budget>,
    free_bytes: AtomicU64,
    store_bytes: AtomicU64,
    is_enough: AtomicBool,
    has_room: AtomicBool,
}

/// The space that is left. Cheap to clone.
#[derive(Clone)]
pub struct DiskSpace(Arc<Inner>);

impl DiskSpace {
    /// Checks the disk that holds a directory.
    #[must_use]
    pub fn of(folder: &Path) -> Self {
        Self::new(folder, None)
    }

    /// Checks the disk that holds a directory, and a store's file, which takes its part of so many bytes that this peer
    /// may use in all.
    #[must_use]
    pub fn within(folder: &Path, store: PathBuf, bytes_max: u64) -> Self {
        Self::new(folder, Some(Budget { store, bytes_max }))
    }

    fn new(folder: &Path, budget: Option<Budget>) -> Self {
        let space = Self(Arc::new(Inner {
            folder: folder.to_owned(),
            budget,
            free_bytes: AtomicU64::new(u64::MAX),
            store_bytes: AtomicU64::new(0),
            is_enough: AtomicBool::new(true),
            has_room: AtomicBool::new(true),
        }));
        space.look();
        space
    }

    /// Whether more may be taken on, as of the last check.
    #[must_use]
    pub fn is_enough(&self) -> bool {
        self.0.is_enough.load(Relaxed)
    }

    /// Whether there is enough, and room for what more tasks leave within what this peer may use.
    #[must_use]
    pub fn takes_tasks(&self) -> bool {
        self.is_enough() && self.0.has_room.load(Relaxed)
    }

    /// Records whether there is room for so many bytes that tasks leave. Without it no more tasks are taken.
    pub(crate) fn note_room(&self, has_room: bool, bytes: u64) {
        match (self.0.has_room.swap(has_room, Relaxed), has_room) {
            (true, false) => warn!(
                bytes,
                "there is no room for what tasks may leave, so no more tasks are taken until there is. Give this peer more \
                 space (--disk)"
            ),
            (false, true) => info!("there is room for what tasks leave again"),
            _ => {}
        }
    }

    /// Free bytes, as of the last check.
    #[must_use]
    pub fn free_bytes(&self) -> u64 {
        self.0.free_bytes.load(Relaxed)
    }

    /// Bytes that the ledger's store takes, as of the last check; 0 if nobody said how much it may take.
    #[must_use]
    pub fn store_bytes(&self) -> u64 {
        self.0.store_bytes.load(Relaxed)
    }

    /// Checks again, and returns whether there is enough.
    fn look(&self) -> bool {
        let disk = Disk::of(&self.0.folder);
        let store_bytes =
            self.0.budget.as_ref().and_then(|budget| fs::metadata(&budget.store).ok()).map_or(0, |file| file.len());
        let bytes_max = self.0.budget.as_ref().map_or(u64::MAX, |budget| budget.bytes_max);
        let is_within = store_bytes < bytes_max;
        let was_enough = self.is_enough();
        let is_enough = disk.is_enough(was_enough) && is_within;
        self.0.free_bytes.store(disk.free_bytes, Relaxed);
        self.0.store_bytes.store(store_bytes, Relaxed);
        self.0.is_enough.store(is_enough, Relaxed);
        let (folder, free) = (self.0.folder.display(), disk.free_bytes);
        match (was_enough, is_enough) {
            (true, false) if !is_within => warn!(
                store_bytes,
                bytes_max,
                "the ledger alone takes all the space that this peer may use: no more tasks and no more blobs are taken. \
                 Give it more (--disk), or have it keep less (--keep)"
            ),
            (true, false) => warn!(
                %folder, free_bytes = free,
                "the disk is nearly full: no more tasks and no more blobs are taken until there is space"
            ),
            (false, true) => info!(%folder, free_bytes = free, "there is space on the disk again"),
            _ => {}
        }
        is_enough
    }

    /// Goes on looking, and tells each time how many bytes are free.
    pub(crate) async fn watch(self, tell: impl Fn(u64)) {
        loop {
            self.look();
            tell(self.free_bytes());
            sleep(LOOK_EVERY).await;
        }
    }

    /// Waits until there is enough.
    pub(crate) async fn until_enough(&self) {
        self.0.is_enough.store(false, Relaxed);
        while !self.look() {
            sleep(LOOK_EVERY).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_store_takes_its_part_of_what_the_peer_may_use() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("store");
        let space = DiskSpace::within(folder.path(), store.clone(), 5_000);
        assert_eq!((space.store_bytes(), space.is_enough()), (0, true));
        fs::write(&store, [0; 4_000]).unwrap();
        assert!(space.look() && space.store_bytes() == 4_000);
        fs::write(&store, [0; 5_000]).unwrap();
        assert!(!space.look(), "nothing is left for anything else");
        fs::write(&store, [0; 4_999]).unwrap();
        assert!(space.look());
    }

    #[test]
    fn a_reserve_is_left_and_what_is_scarce_has_to_become_plenty_first() {
        let large = |free_bytes| Disk { bytes: 1 << 40, free_bytes };
        assert!(large(RESERVE_BYTES).is_enough(true) && !large(RESERVE_BYTES - 1).is_enough(true));
        assert!(!large(RESERVE_BYTES).is_enough(false) && large(RESERVE_BYTES * 3 / 2).is_enough(false));
        let small = |free_bytes| Disk { bytes: 80 << 20, free_bytes };
        assert!(small(10 << 20).is_enough(true) && !small((10 << 20) - 1).is_enough(true));
        let space = DiskSpace::of(Path::new("/nowhere/at/all"));
        assert!(space.is_enough(), "where the system does not say, writing will");
    }
}
