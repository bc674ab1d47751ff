//! What is whole in a damaged store, for the one that takes its place.
//!
//! A page that can be read is what was written (`pages.rs`). So whatever is found is true, and only some may be
//! missing. Without its journal an authority could not vote again, so for one bad page the rest is worth taking over.
//!
//! What a peer starts from must be there whole. Of what it only keeps for others, the readable part is enough:
//! receipts, ended jobs, and the tree over the receipts, of which proofs are made if they can be; and the newest
//! blocks.

use std::path::Path;

use meshwork_core::{identity::NetworkId, snapshot::Chunks};
use redb::{
    AccessGuard, Key, ReadTransaction, ReadableDatabase, ReadableTable, StorageError, TableDefinition, WriteTransaction,
};

use super::{CACHE_BYTES, Damage, StoreError, long, pages, read::decode, set_up, tables};

/// A table that others have in the store.
pub type OthersTable = TableDefinition<'static, &'static [u8], &'static [u8]>;

/// Makes a store of what is whole in another, and in some tables that others have in it.
///
/// # Errors
/// Too little is whole, its newest commit may not be, or the disk fails. There may then be a file, of no use.
pub fn salvage(
    damaged: &Path,
    new: &Path,
    key: &[u8; 32],
    network: &NetworkId,
    others: &[OthersTable],
) -> Result<(), StoreError> {
    let from = Source { file: damaged, key };
    let database = pages::open(new, key, CACHE_BYTES, &Damage::default())?;
    set_up(&database, network)?;
    // One transaction: a journal's identity without its journal would be worse than neither.
    let write = database.begin_write()?;
    from.whole(&write, tables::META)?;
    from.whole(&write, tables::JOURNAL)?;
    from.whole(&write, tables::FINALIZATIONS)?;
    from.whole(&write, tables::CLOSINGS)?;
    from.whole(&write, tables::HANDOVERS)?;
    from.whole(&write, tables::ROOTS)?;
    from.whole(&write, tables::SNAPSHOTS)?;
    from.whole(&write, tables::SNAPSHOT_HEADERS)?;
    from.whole(&write, tables::SNAPSHOT_DIGESTS)?;
    from.snapshots(&write)?;
    from.newest_heights(&write, tables::BLOCKS)?;
    has_newest(&write)?;
    if !from.lowest_heights(&write, tables::RECEIPTS)? {
        from.newest_heights(&write, tables::RECEIPTS)?;
    }
    from.some(&write, tables::HISTORY)?;
    from.some(&write, tables::ENDED_JOBS)?;
    from.some(&write, tables::EVIDENCE)?;
    from.some(&write, tables::FORKS)?;
    others.iter().try_for_each(|table| from.some(&write, *table))?;
    write.commit()?;
    Ok(())
}

/// Whether the newest block that was executed is there. The journal says nothing about the views up to that block's, so
/// an authority that began below it could vote in them again.
fn has_newest(write: &WriteTransaction) -> Result<(), StoreError> {
    let Some(newest) = write.open_table(tables::ROOTS)?.last()?.map(|(height, _)| height.value()) else {
        return Ok(());
    };
    let is_there = write.open_table(tables::BLOCKS)?.get((newest, 0))?.is_some()
        || write.open_table(tables::SNAPSHOT_HEADERS)?.get(newest)?.is_some();
    if is_there { Ok(()) } else { Err(StoreError::Missing("the newest block")) }
}

/// A damaged store.
struct Source<'a> {
    file: &'a Path,
    key: &'a [u8; 32],
}

type Entry<'a, K> = Result<(AccessGuard<'a, K>, AccessGuard<'a, &'static [u8]>), StorageError>;

impl Source<'_> {
    /// A look at the store, which the first damage ends.
    fn look(&self) -> Result<ReadTransaction, StoreError> {
        Ok(pages::open_damaged(self.file, self.key, CACHE_BYTES)?.begin_read()?)
    }

    fn whole<K: Key>(
        &self,
        write: &WriteTransaction,
        table: TableDefinition<'static, K, &'static [u8]>,
    ) -> Result<(), StoreError> {
        let mut to = write.open_table(table)?;
        for entry in self.look()?.open_table(table)?.iter()? {
            let (key, value) = entry?;
            to.insert(key.value(), value.value())?;
        }
        Ok(())
    }

    /// What lies before the first damage and after the last.
    fn some<K: Key>(
        &self,
        write: &WriteTransaction,
        table: TableDefinition<'static, K, &'static [u8]>,
    ) -> Result<(), StoreError> {
        let mut to = write.open_table(table)?;
        let mut copy = |entries: &mut dyn Iterator<Item = Entry<'_, K>>| -> Result<bool, StoreError> {
            for entry in entries {
                let Ok((key, value)) = entry else { return Ok(false) };
                to.insert(key.value(), value.value())?;
            }
            Ok(true)
        };
        if let Ok(from) = self.look()?.open_table(table)
            && copy(&mut from.iter()?)?
        {
            return Ok(());
        }
        if let Ok(from) = self.look()?.open_table(table) {
            copy(&mut from.iter()?.rev())?;
        }
        Ok(())
    }

    /// The snapshots that are whole. The others are dropped.
    fn snapshots(&self, write: &WriteTransaction) -> Result<(), StoreError> {
        let mut snapshots = write.open_table(tables::SNAPSHOTS)?;
        let mut damaged = Vec::new();
        for entry in snapshots.iter()? {
            let (height, chunks) = entry?;
            let (height, chunks): (u64, Chunks) = (height.value(), decode("a snapshot", chunks.value())?);
            match long::get(&self.look()?, tables::SNAPSHOT_BYTES, height) {
                Ok(Some(bytes)) if Chunks::of(&bytes) == chunks => {
                    long::put(write, tables::SNAPSHOT_BYTES, height, &bytes)?;
                }
                _ => damaged.push(height),
            }
        }
        for height in damaged {
            snapshots.remove(height)?;
        }
        Ok(())
    }

    /// The values above the last damage.
    fn newest_heights(&self, write: &WriteTransaction, table: long::Table) -> Result<bool, StoreError> {
        let Ok(from) = self.look()?.open_table(table) else { return Ok(false) };
        copy_heights(write, table, from.iter()?.rev())
    }

    /// The values below the first damage. Whether there is none.
    fn lowest_heights(&self, write: &WriteTransaction, table: long::Table) -> Result<bool, StoreError> {
        let Ok(from) = self.look()?.open_table(table) else { return Ok(false) };
        copy_heights(write, table, from.iter()?)
    }
}

/// Copies values up to the first damage. Whether there is none. The value before it may have other pieces beyond.
fn copy_heights<'a>(
    write: &WriteTransaction,
    table: long::Table,
    entries: impl Iterator<Item = Entry<'a, (u64, u32)>>,
) -> Result<bool, StoreError> {
    let mut to = write.open_table(table)?;
    let mut pieces: Vec<((u64, u32), Vec<u8>)> = Vec::new();
    let mut put = |pieces: &mut Vec<((u64, u32), Vec<u8>)>| -> Result<(), StoreError> {
        for (key, piece) in pieces.drain(..) {
            to.insert(key, piece.as_slice())?;
        }
        Ok(())
    };
    for entry in entries {
        let Ok((key, piece)) = entry else { return Ok(false) };
        if pieces.last().is_some_and(|((height, _), _)| *height != key.value().0) {
            put(&mut pieces)?;
        }
        pieces.push((key.value(), piece.value().to_vec()));
    }
    put(&mut pieces)?;
    Ok(true)
}
