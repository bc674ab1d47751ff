//! Reading a damaged store: what redb may see of it.

use std::{fs::File, io, ops::Bound, path::Path};

use redb::{BackendError, Builder, ConcurrencyMode, ReadOnlyDatabase, StorageBackend, backends::FileBackend};

use super::{Damage, NOT_CLOSED, STATE_AT, Sealed, bytes_in};
use crate::store::StoreError;

/// Opens a damaged store to read what is whole in it, as of the newest commit. The first damage that is met ends the
/// use of what this returns.
///
/// That commit must have been synced. Where the disk lacks a page of it, the page's older content may still have its
/// checksum, and nobody compares redb's own here.
pub(in crate::store) fn open_damaged(
    file: &Path,
    key: &[u8; 32],
    cache_bytes: usize,
) -> Result<ReadOnlyDatabase, StoreError> {
    let opened = File::open(file).map_err(redb::StorageError::Io)?;
    let sealed = Sealed::new(FileBackend::new(opened)?, *key, Damage::default());
    sealed.header().map_err(redb::StorageError::Io)?;
    if !sealed.lock().was_synced {
        return Err(StoreError::Unreadable("its newest commit may not be whole".into()));
    }
    let mut builder = Builder::new();
    // So redb reads neither the state of its allocator nor the file's length. Only a store that was closed in order has
    // both as its header says.
    builder.set_cache_size(cache_bytes).set_concurrency_mode(ConcurrencyMode::SingleWriter);
    Ok(builder.open_read_only_with_backend(AsIfClosed(sealed))?)
}

/// A damaged store as redb may read it: as if it had been closed in order. redb would otherwise first read all of it
/// and, because of the damage, refuse. A store that was not closed lacks only what writing would need.
///
/// Every lock is granted, because whoever has it open for writing can write nothing more.
#[derive(Debug)]
struct AsIfClosed(Sealed<FileBackend>);

impl StorageBackend for AsIfClosed {
    fn len(&self) -> io::Result<u64> {
        self.0.file.len().map(bytes_in)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)?;
        if offset == 0
            && let Some(state) = out.get_mut(STATE_AT)
        {
            *state &= !NOT_CLOSED;
        }
        Ok(())
    }

    fn set_len(&self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn sync_data(&self) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn write(&self, _: u64, _: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn try_lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        Ok(true)
    }

    fn try_lock_shared_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        Ok(true)
    }

    fn lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }

    fn lock_shared_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }

    fn unlock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }

    fn query_lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        Ok(false)
    }
}
