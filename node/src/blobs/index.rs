//! The index of blobs in redb: which blobs are stored, their sizes, since when, and whether they are announced; and
//! which outputs and checkpoints they belong to.
//!
//! The directory is the truth, and the index saves reading it. A blob counts as stored once its file has its name and
//! both are synced. So one thread writes changes of the index in groups, mostly without a sync. After a crash, the
//! next start finds the lost ones in the directory.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

use meshwork_core::{codec, digest::Digest};
use redb::{Database, Durability, ReadableDatabase, ReadableTable, TableDefinition, TableError};

use super::{
    error::StoreError,
    holdings::{Delivery, DeliveryId},
};

/// Digest to bytes, time of arrival (milliseconds since the Unix epoch), and whether the blob is announced.
const BLOBS: TableDefinition<&[u8; 32], (u64, u64, bool)> = TableDefinition::new("blobs");

/// Attempt and manifest to the delivery's order and blobs, all in canonical CBOR.
pub const DELIVERIES: TableDefinition<&[u8], &[u8]> = TableDefinition::new("deliveries");
/// The most bytes of a record of a delivery: the digests of as many files as a manifest may name, and some more.
const RECORD_BYTES_MAX: usize = 1 << 20;

/// The most changes that wait to be written.
const CHANGES_MAX: usize = 4096;
/// The most changes in one transaction.
const CHANGES_AT_ONCE: usize = 1024;
/// One in this many transactions is synced, because redb frees no page before one is.
const SYNC_EVERY: u32 = 64;

/// What the index knows about a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) bytes: u64,
    pub(super) added_ms: u64,
    pub(super) announced: bool,
}

/// A change to the index; `None` removes.
enum Change {
    Blob(Digest, Option<Entry>),
    Delivery(DeliveryId, Option<Delivery>),
}

/// What the index holds.
pub(super) struct Indexed {
    pub(super) blobs: HashMap<Digest, Entry>,
    /// `None` if no delivery was ever recorded: what the blobs belong to is not known then.
    pub(super) deliveries: Option<Vec<(DeliveryId, Delivery)>>,
}

/// The handle to the thread that writes the index. Dropping it ends the thread after everything is written and
/// synced.
pub(super) struct Index {
    changes: Option<SyncSender<Change>>,
    thread: Option<thread::JoinHandle<()>>,
}

fn wrong(error: impl std::fmt::Display) -> StoreError {
    StoreError::Index(error.to_string())
}

impl Index {
    /// Reads the index and starts its thread.
    pub(super) fn open(database: Arc<Database>) -> Result<(Self, Indexed), StoreError> {
        let indexed = Indexed { blobs: read(&database)?, deliveries: read_deliveries(&database)? };
        let (changes, receiver) = sync_channel(CHANGES_MAX);
        let thread = thread::Builder::new().name("blob-index".to_owned()).spawn(move || write(&database, &receiver))?;
        Ok((Self { changes: Some(changes), thread: Some(thread) }, indexed))
    }

    /// Records a blob, or its removal. Waits only if very many changes wait already.
    pub(super) fn note(&self, digest: Digest, entry: Option<Entry>) {
        self.change(Change::Blob(digest, entry));
    }

    /// Records a delivery, or its end. If it is recorded before its blobs, a crash that leaves the index a blob leaves
    /// it what the blob belongs to.
    pub(super) fn note_delivery(&self, id: DeliveryId, delivery: Option<Delivery>) {
        self.change(Change::Delivery(id, delivery));
    }

    fn change(&self, change: Change) {
        if let Some(changes) = &self.changes {
            // The thread ends only after this handle.
            let _ = changes.send(change);
        }
    }
}

impl Drop for Index {
    fn drop(&mut self) {
        self.changes = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn read(database: &Database) -> Result<HashMap<Digest, Entry>, StoreError> {
    let transaction = database.begin_read().map_err(wrong)?;
    let table = match transaction.open_table(BLOBS) {
        Ok(table) => table,
        Err(TableError::TableDoesNotExist(_)) => return Ok(HashMap::new()),
        Err(error) => return Err(wrong(error)),
    };
    let mut entries = HashMap::new();
    for item in table.iter().map_err(wrong)? {
        let (digest, value) = item.map_err(wrong)?;
        let (bytes, added_ms, announced) = value.value();
        entries.insert(Digest(*digest.value()), Entry { bytes, added_ms, announced });
    }
    Ok(entries)
}

fn read_deliveries(database: &Database) -> Result<Option<Vec<(DeliveryId, Delivery)>>, StoreError> {
    let transaction = database.begin_read().map_err(wrong)?;
    let table = match transaction.open_table(DELIVERIES) {
        Ok(table) => table,
        Err(TableError::TableDoesNotExist(_)) => return Ok(None),
        Err(error) => return Err(wrong(error)),
    };
    let mut deliveries = Vec::new();
    for item in table.iter().map_err(wrong)? {
        let (key, value) = item.map_err(wrong)?;
        let (attempt, manifest) = codec::decode(key.value(), RECORD_BYTES_MAX).map_err(wrong)?;
        let (order, blobs): (u64, Vec<Digest>) = codec::decode(value.value(), RECORD_BYTES_MAX).map_err(wrong)?;
        deliveries.push((DeliveryId { attempt, manifest }, Delivery { order, blobs: blobs.into() }));
    }
    Ok(Some(deliveries))
}

fn write(database: &Database, changes: &Receiver<Change>) {
    let mut since_sync = 0;
    while let Ok(first) = changes.recv() {
        let mut group = vec![first];
        while group.len() < CHANGES_AT_ONCE
            && let Ok(next) = changes.try_recv()
        {
            group.push(next);
        }
        since_sync = (since_sync + 1) % SYNC_EVERY;
        commit(database, &group, since_sync == 0);
    }
    if since_sync != 0 {
        commit(database, &[], true);
    }
}

fn key_of(id: &DeliveryId) -> Vec<u8> {
    codec::encode(&(id.attempt, id.manifest))
}

fn commit(database: &Database, group: &[Change], sync: bool) {
    let result = (|| -> Result<(), redb::Error> {
        let mut transaction = database.begin_write()?;
        transaction.set_durability(if sync { Durability::Immediate } else { Durability::None })?;
        {
            let mut blobs = transaction.open_table(BLOBS)?;
            let mut deliveries = transaction.open_table(DELIVERIES)?;
            for change in group {
                match change {
                    Change::Blob(digest, Some(entry)) => {
                        blobs.insert(digest.as_bytes(), (entry.bytes, entry.added_ms, entry.announced))?;
                    }
                    Change::Blob(digest, None) => {
                        blobs.remove(digest.as_bytes())?;
                    }
                    Change::Delivery(id, Some(Delivery { order, blobs })) => {
                        let value = codec::encode(&(order, &**blobs));
                        deliveries.insert(key_of(id).as_slice(), value.as_slice())?;
                    }
                    Change::Delivery(id, None) => {
                        deliveries.remove(key_of(id).as_slice())?;
                    }
                }
            }
        }
        transaction.commit()?;
        Ok(())
    })();
    if let Err(error) = result {
        // Nothing is lost: the next start finds the files.
        tracing::error!(%error, "the index of blobs was not written");
    }
}
