//! The data that a peer keeps on disk, in one redb file: final blocks and what their execution produced, snapshots,
//! and the journal of consensus.
//!
//! The crash argument: everything that one step of the replica wants stored is one redb transaction, so a crash
//! leaves all of it or nothing. A step with a journal record is synced before anything is sent. A step without one
//! may be lost in a crash. That is safe because its blocks are final, so other peers have them. An authority's own
//! journal also keeps those that it voted for until a later synced step has stored them. [`redb::Durability::None`]
//! frees no pages either, so a synced step follows at least every [`SYNC_EVERY`].
//!
//! What the disk has changed is noticed where it is read, before redb sees it (`pages.rs`). From then on every read and
//! write fails, and [`Store::damage`] says why.

mod long;
mod pages;
mod prune;
mod read;
mod recover;
mod salvage;
mod snapshots;
mod tables;
#[cfg(test)]
mod tests;

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use meshwork_api::Keep;
use meshwork_core::{
    codec::{self, DecodeError},
    digest::Digest,
    identity::NetworkId,
    merkle::Position,
    replica::{Action, Executed},
    types::Height,
};
pub use pages::Damage;
pub use read::{FinalizedBlocks, Reader, StoredBlock};
use redb::{Database, Durability, ReadableDatabase, ReadableTable};
pub use salvage::{OthersTable, salvage};
use thiserror::Error;

/// How long a step without a journal record may stay unsynced.
pub const SYNC_EVERY: Duration = Duration::from_millis(250);
/// The most proofs of broken promises that are kept.
const EVIDENCE_MAX: u64 = 1024;
/// redb's page cache, in bytes. What is asked for often is already in the replica's memory, so a large cache would
/// only use memory.
const CACHE_BYTES: usize = 16 << 20;

/// Errors of the store.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The file belongs to another network.
    #[error(
        "the store belongs to network {found}, not to {expected}; use another --home for this network, or remove the store"
    )]
    OtherNetwork {
        /// The network of the file.
        found: String,
        /// The expected network.
        expected: String,
    },
    /// The file was written by another version of this program.
    #[error("the store has format {found}, and this program reads format {expected}; use the program that wrote it")]
    OtherFormat {
        /// The file's format.
        found: u64,
        /// The format that this program reads.
        expected: u64,
    },
    /// Another process has the file open.
    #[error("the store is in use by another process; stop that one first, or use another --home")]
    InUse,
    /// Something in the file is not what was written.
    #[error("the store is damaged: {what}: {error}")]
    Damaged {
        /// The damaged thing.
        what: &'static str,
        /// What is wrong with it.
        error: DecodeError,
    },
    /// Something is missing from the file.
    #[error("the store is damaged: {0} is missing")]
    Missing(&'static str),
    /// Something in the file does not match its digest.
    #[error("the store is damaged: {0} is not what was stored")]
    False(&'static str),
    /// The file is not what was written, or reading it panicked.
    #[error("the store is damaged: {0}")]
    Unreadable(String),
    /// The disk or redb failed.
    #[error("the store failed: {0}")]
    Redb(#[from] redb::Error),
}

impl StoreError {
    /// Whether the file itself is damaged, so that trying again would not help.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        use std::io::ErrorKind::{InvalidData, UnexpectedEof};
        match self {
            Self::Damaged { .. } | Self::Missing(_) | Self::False(_) | Self::Unreadable(_) => true,
            Self::Redb(redb::Error::Io(error)) => matches!(error.kind(), InvalidData | UnexpectedEof),
            Self::Redb(redb::Error::Corrupted(_) | redb::Error::RepairAborted) => true,
            _ => false,
        }
    }

    /// Whether the only problem is that the disk is full.
    #[must_use]
    pub fn is_full(&self) -> bool {
        let full = |error: &std::io::Error| {
            matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
        };
        // After a first failure redb says only that there was one.
        matches!(self, Self::Redb(redb::Error::Io(error)) if full(error))
    }
}

macro_rules! from_redb {
    ($($error:ty),*) => {
        $(impl From<$error> for StoreError {
            fn from(error: $error) -> Self {
                Self::Redb(error.into())
            }
        })*
    };
}
from_redb!(redb::TransactionError, redb::TableError, redb::StorageError, redb::CommitError, redb::SetDurabilityError);

impl From<redb::DatabaseError> for StoreError {
    fn from(error: redb::DatabaseError) -> Self {
        match error {
            redb::DatabaseError::DatabaseAlreadyOpen => Self::InUse,
            other => Self::Redb(other.into()),
        }
    }
}

/// The store.
#[derive(Debug)]
pub struct Store {
    database: Arc<Database>,
    damage: Damage,
    synced: Instant,
    /// Whether anything was written since the last sync.
    unsynced: bool,
    keep: Keep,
}

impl Store {
    /// Opens the file, or creates it. `key` is for the checksums of its pages; only this node knows it.
    ///
    /// # Errors
    /// The file is of another network or another format, or is in use or damaged, or the disk fails.
    pub fn open(file: &Path, key: &[u8; 32], network: &NetworkId, keep: Keep) -> Result<Self, StoreError> {
        let damage = Damage::default();
        let opened = pages::open(file, key, CACHE_BYTES, &damage).and_then(|mut database| {
            prune::give_back(&mut database, file);
            set_up(&database, network)?;
            Ok(database)
        });
        let database = Arc::new(opened.map_err(|error| damage.explains(error))?);
        Ok(Self { database, damage, synced: Instant::now(), unsynced: false, keep })
    }

    /// What is found to be damaged while the store is in use.
    #[must_use]
    pub fn damage(&self) -> Damage {
        self.damage.clone()
    }

    /// The database itself, for readers and for the index of blobs, which has tables of its own in it.
    #[must_use]
    pub fn database(&self) -> Arc<Database> {
        Arc::clone(&self.database)
    }

    /// The journal's identity; `None` if it has none yet.
    ///
    /// # Errors
    /// The disk fails.
    pub fn journal_id(&self) -> Result<Option<Vec<u8>>, StoreError> {
        let meta = self.database.begin_read()?.open_table(tables::META)?;
        Ok(meta.get(tables::META_JOURNAL)?.map(|value| value.value().to_vec()))
    }

    /// Sets the journal's identity.
    ///
    /// # Errors
    /// The disk fails.
    pub fn set_journal_id(&self, id: &[u8]) -> Result<(), StoreError> {
        let write = self.database.begin_write()?;
        write.open_table(tables::META)?.insert(tables::META_JOURNAL, id)?;
        write.commit()?;
        Ok(())
    }

    /// Stores what these actions want stored in one transaction, and syncs it if one of them requires that.
    ///
    /// # Errors
    /// The disk fails. Messages that depend on this data must then not be sent.
    pub fn write(&mut self, actions: &[Action]) -> Result<(), StoreError> {
        let wants = |action: &Action| {
            !matches!(
                action,
                Action::Send { .. } | Action::Gossip(_) | Action::ServeBlocks { .. } | Action::VotingStatus(_)
            )
        };
        if !actions.iter().any(wants) {
            return Ok(());
        }
        let must_sync = actions.iter().any(|action| matches!(action, Action::Persist(_)));
        let sync = must_sync || self.synced.elapsed() >= SYNC_EVERY;
        let mut write = self.database.begin_write()?;
        if !sync {
            write.set_durability(Durability::None)?;
        }
        for action in actions {
            store_action(&write, action, self.keep)?;
        }
        write.commit()?;
        self.unsynced = !sync;
        if sync {
            self.synced = Instant::now();
        }
        Ok(())
    }

    /// Syncs unsynced data, if there is any and it is due, or at once if `now` is set.
    ///
    /// # Errors
    /// The disk fails.
    pub fn sync(&mut self, now: bool) -> Result<(), StoreError> {
        if self.unsynced && (now || self.synced.elapsed() >= SYNC_EVERY) {
            self.database.begin_write()?.commit()?;
            self.unsynced = false;
            self.synced = Instant::now();
        }
        Ok(())
    }

    /// When [`Store::sync`] is due; `None` if everything is synced.
    #[must_use]
    pub fn sync_due(&self) -> Option<Instant> {
        self.unsynced.then(|| self.synced + SYNC_EVERY)
    }
}

/// Checks whose store this is, and makes sure that every table exists, so that readers need not check.
fn set_up(database: &Database, network: &NetworkId) -> Result<(), StoreError> {
    let write = database.begin_write()?;
    {
        let mut meta = write.open_table(tables::META)?;
        let found = meta.get(tables::META_FORMAT)?.map(|value| value.value().to_vec());
        if let Some(found) = found {
            let found = found.try_into().map_or(0, u64::from_be_bytes);
            if found != tables::FORMAT {
                return Err(StoreError::OtherFormat { found, expected: tables::FORMAT });
            }
            let of = meta.get(tables::META_NETWORK)?.map(|value| value.value().to_vec()).unwrap_or_default();
            if of != network.0 {
                let found = of.try_into().map_or_else(|_| "unknown".into(), |id| NetworkId(id).to_string());
                return Err(StoreError::OtherNetwork { found, expected: network.to_string() });
            }
        } else {
            meta.insert(tables::META_FORMAT, tables::FORMAT.to_be_bytes().as_slice())?;
            meta.insert(tables::META_NETWORK, network.0.as_slice())?;
        }
        write.open_table(tables::BLOCKS)?;
        write.open_table(tables::FINALIZATIONS)?;
        write.open_table(tables::CLOSINGS)?;
        write.open_table(tables::HANDOVERS)?;
        write.open_table(tables::ROOTS)?;
        write.open_table(tables::RECEIPTS)?;
        write.open_table(tables::HISTORY)?;
        write.open_table(tables::SNAPSHOTS)?;
        write.open_table(tables::SNAPSHOT_BYTES)?;
        write.open_table(tables::SNAPSHOT_HEADERS)?;
        write.open_table(tables::SNAPSHOT_DIGESTS)?;
        write.open_table(tables::JOURNAL)?;
        write.open_table(tables::ENDED_JOBS)?;
        write.open_table(tables::EVIDENCE)?;
        write.open_table(tables::FORKS)?;
    }
    write.commit()?;
    Ok(())
}

fn store_action(write: &redb::WriteTransaction, action: &Action, keep: Keep) -> Result<(), StoreError> {
    match action {
        Action::Persist(record) => {
            let bytes = codec::encode(record);
            // A record without a place is never pruned.
            let (epoch, view) = record.place().map_or((u64::MAX, u64::MAX), |(epoch, view)| (epoch.0, view.0));
            // A record that is stored again gets the same key.
            let apart = u64::from_be_bytes(*blake3::hash(&bytes).as_bytes().first_chunk().expect("32 bytes hold 8"));
            write.open_table(tables::JOURNAL)?.insert((epoch, view, apart), bytes.as_slice())?;
        }
        Action::Prune(epoch, view) => {
            write.open_table(tables::JOURNAL)?.retain_in(..(epoch.0, view.0, 0), |_, _| false)?;
        }
        Action::Closed(last, closing) => {
            write.open_table(tables::CLOSINGS)?.insert(last.0, codec::encode(closing).as_slice())?;
        }
        Action::Epoch { epoch, handover } => {
            write.open_table(tables::HANDOVERS)?.insert(epoch.0, codec::encode(handover).as_slice())?;
        }
        Action::Executed(executed) => store_executed(write, executed, keep)?,
        Action::Evidence(evidence) => {
            let mut table = write.open_table(tables::EVIDENCE)?;
            let place = table.last()?.map_or(0, |(place, _)| place.value() + 1);
            if place < EVIDENCE_MAX {
                table.insert(place, codec::encode(evidence).as_slice())?;
            }
        }
        Action::Fork(fork) => {
            write.open_table(tables::FORKS)?.insert(0, codec::encode(fork).as_slice())?;
        }
        Action::Send { .. } | Action::Gossip(_) | Action::ServeBlocks { .. } | Action::VotingStatus(_) => {}
    }
    Ok(())
}

fn store_executed(write: &redb::WriteTransaction, executed: &Executed, keep: Keep) -> Result<(), StoreError> {
    let Height(height) = executed.block.header.height;
    long::put(write, tables::BLOCKS, height, &codec::encode(&executed.block))?;
    write.open_table(tables::ROOTS)?.insert(height, executed.root.0.as_slice())?;
    long::put(write, tables::RECEIPTS, height, &codec::encode(&executed.applied.receipts))?;
    if let Some(finalization) = &executed.finalization {
        write.open_table(tables::FINALIZATIONS)?.insert(height, codec::encode(finalization).as_slice())?;
    }
    if prune::remembers_jobs(keep) {
        let mut ended = write.open_table(tables::ENDED_JOBS)?;
        for job in &executed.ended {
            ended.insert(job.id.0.0.as_slice(), codec::encode(job).as_slice())?;
        }
    }
    store_history(write, &executed.applied.history)?;
    if let Some(snapshot) = &executed.snapshot {
        let oldest = snapshots::put(write, height, snapshot)?;
        prune::prune(write, keep, oldest, snapshot.receipts_from.0)?;
    }
    Ok(())
}

fn store_history(write: &redb::WriteTransaction, nodes: &[(Position, Digest)]) -> Result<(), StoreError> {
    let mut history = write.open_table(tables::HISTORY)?;
    for (position, node) in nodes {
        history.insert((position.level, position.index), node.0.as_slice())?;
    }
    Ok(())
}
