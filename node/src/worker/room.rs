//! Whether this machine has room for what more tasks leave. A worker that has none claims nothing: it would run programs
//! and have to throw away what they leave.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use meshwork_core::blobs::costs;

use crate::blobs::BlobStore;

/// How many bytes a task may leave unless its submitter says otherwise.
const OUTPUT_BYTES: u64 = 16 << 20;
/// The part of all that blobs may take which is enough for every worker.
const ENOUGH_PART: u64 = 8;
/// How long a worker that had no room for an attempt claims nothing, if it gets none meanwhile. It may have room for
/// other tasks.
const LACKS_FOR: Duration = Duration::from_secs(30);

/// The room that attempts lacked here.
#[derive(Default)]
pub(super) struct Room(Mutex<Option<(Instant, u64)>>);

impl Room {
    /// Notes that there was no room for so many bytes that an attempt needs or leaves. What can never fit says nothing of
    /// other tasks.
    pub(super) fn lacks(&self, bytes: u64, store: &BlobStore) {
        if costs([bytes]) > store.bytes_max() {
            return;
        }
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), bytes));
    }

    /// The sizes of the blobs for which there is to be room before more tasks are taken: of one for each slot, and of
    /// what was lacking.
    pub(super) fn wanted(&self, slots: u32, store: &BlobStore) -> Vec<u64> {
        let (slots, most) = (u64::from(slots.max(1)), store.bytes_max() / ENOUGH_PART);
        let each = OUTPUT_BYTES.min(most / slots);
        let mut lacking = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lacking.is_some_and(|(since, bytes)| since.elapsed() >= LACKS_FOR || has_room(store, &[bytes])) {
            *lacking = None;
        }
        let least = (0..slots).map(|_| each).collect();
        lacking.map_or(least, |(_, bytes)| vec![bytes])
    }
}

/// Whether blobs of these sizes fit besides all others.
pub(super) fn has_room(store: &BlobStore, sizes: &[u64]) -> bool {
    store.has_room(costs(sizes.iter().copied()), sizes.len())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{blobs::Quota, disk_space::DiskSpace, metrics::Metrics};

    #[test]
    fn there_is_to_be_room_for_what_every_slot_may_leave_and_for_what_was_lacking() {
        let directory = tempfile::tempdir().unwrap();
        let database = Arc::new(redb::Database::create(directory.path().join("db")).unwrap());
        let (quota, space) = (Quota::of_bytes(64 << 20), DiskSpace::of(directory.path()));
        let store = BlobStore::open(directory.path(), database, quota, space, Metrics::new()).unwrap();
        let room = Room::default();
        let wanted = room.wanted(2, &store);
        assert_eq!(wanted, [4 << 20; 2]);
        assert!(has_room(&store, &wanted));
        // No store of this size ever has room for it.
        room.lacks(1 << 30, &store);
        assert_eq!(room.wanted(2, &store), wanted);
        store.put(&vec![7; 40 << 20]).unwrap();
        room.lacks(32 << 20, &store);
        assert_eq!(room.wanted(2, &store), [32 << 20]);
        assert!(!has_room(&store, &[32 << 20]));
        // There is room for this now.
        room.lacks(1 << 20, &store);
        assert_eq!(room.wanted(2, &store), wanted);
    }
}
