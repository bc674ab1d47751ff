//! Pruning: which part of the past is kept, and what is dropped once snapshots replace it.

use std::{fs, path::Path};

use meshwork_api::Keep;
use redb::{Database, WriteTransaction};
use tracing::warn;

use super::{StoreError, long, tables};

/// Whether ended jobs are kept after the ledger has forgotten them.
pub(super) const fn remembers_jobs(keep: Keep) -> bool {
    !matches!(keep, Keep::Pruned)
}

/// The highest level that the history tree could ever reach.
const LEVELS: u8 = 64;

/// Removes what is not to be kept, given that there are snapshots from a height on. `receipts_from` is the lowest
/// height at which a task that the ledger knows can have a receipt.
pub(super) fn prune(
    write: &WriteTransaction,
    keep: Keep,
    snapshots_from: u64,
    receipts_from: u64,
) -> Result<(), StoreError> {
    if keep == Keep::Archive {
        return Ok(());
    }
    long::forget_below(write, tables::BLOCKS, snapshots_from)?;
    write.open_table(tables::FINALIZATIONS)?.retain_in(..snapshots_from, |_, _| false)?;
    write.open_table(tables::CLOSINGS)?.retain_in(..snapshots_from, |_, _| false)?;
    write.open_table(tables::ROOTS)?.retain_in(..snapshots_from, |_, _| false)?;
    write.open_table(tables::SNAPSHOT_HEADERS)?.retain_in(..snapshots_from, |_, _| false)?;
    if keep == Keep::Full {
        return Ok(());
    }
    let from = receipts_from.min(snapshots_from);
    long::forget_below(write, tables::RECEIPTS, from)?;
    // A path from a leaf at this place or later needs two subtrees per level: the one that holds the place, and the
    // one before.
    let mut history = write.open_table(tables::HISTORY)?;
    for level in 0..LEVELS {
        let needed = (from >> level).saturating_sub(2);
        if needed == 0 {
            break;
        }
        history.retain_in((level, 0)..(level, needed), |_, _| false)?;
    }
    Ok(())
}

/// A file smaller than this many bytes is left as it is.
const COMPACT_FROM_BYTES: u64 = 64 << 20;

/// Returns space to the disk if more than half of the file is unused. The store works as well without it, so a
/// failure is only logged.
pub(super) fn give_back(database: &mut Database, file: &Path) {
    let is_worth = |database: &Database| -> Result<bool, StoreError> {
        let bytes = fs::metadata(file).map_or(0, |file| file.len());
        if bytes < COMPACT_FROM_BYTES {
            return Ok(false);
        }
        let write = database.begin_write()?;
        let stats = write.stats()?;
        write.abort()?;
        Ok(stats.allocated_pages() * (stats.page_size() as u64) < bytes / 2)
    };
    match is_worth(database) {
        Ok(true) => {
            if let Err(error) = database.compact() {
                warn!(%error, "the store could not be made smaller");
            }
        }
        Ok(false) => {}
        Err(error) => warn!(%error, "the store's free room is unknown"),
    }
}
