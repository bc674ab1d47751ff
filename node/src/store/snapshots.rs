//! Snapshots in the store: kept in chunks, offered to other peers with the headers that vouch for them, and installed
//! from other peers.

use meshwork_core::{
    codec,
    replica::{Installation, Snapshot},
    snapshot::{CHUNK_BYTES, Certified, Chunks, SnapshotOffer},
    types::{Block, Certificate, Header, Height, SnapshotDigest},
};
use redb::{Durability, ReadableDatabase, ReadableTable, WriteTransaction};

use super::{
    Reader, Store, StoreError, long,
    read::{decode, get, get_long},
    store_executed, store_history, tables,
};

/// How many snapshots are kept: the newest, and one to fall back on.
const KEPT: usize = 2;
/// The most headers between a snapshot and a header that vouches for it. A peer that would need more waits for the
/// next snapshot.
const HEADERS_MAX: usize = 512;

/// Stores a snapshot and removes the oldest. Returns the height of the oldest that is left.
pub(super) fn put(write: &WriteTransaction, height: u64, snapshot: &Snapshot) -> Result<u64, StoreError> {
    let state = snapshot.chunks.state();
    write.open_table(tables::SNAPSHOT_DIGESTS)?.insert(height, state.0.as_slice())?;
    let mut snapshots = write.open_table(tables::SNAPSHOTS)?;
    snapshots.insert(height, codec::encode(&snapshot.chunks).as_slice())?;
    long::put(write, tables::SNAPSHOT_BYTES, height, &snapshot.bytes)?;
    let heights: Vec<u64> = snapshots.iter()?.map(|entry| entry.map(|(at, _)| at.value())).collect::<Result<_, _>>()?;
    let oldest = heights.iter().rev().nth(KEPT - 1).or(heights.first()).copied().unwrap_or(height);
    snapshots.retain_in(..oldest, |_, _| false)?;
    long::forget_below(write, tables::SNAPSHOT_BYTES, oldest)?;
    Ok(oldest)
}

impl Store {
    /// Stores another peer's snapshot, synced, in place of all blocks and snapshots. The journal stays, and so do
    /// stored receipts of lower heights and ended jobs.
    ///
    /// # Errors
    /// The disk fails.
    pub fn install(&mut self, installation: &Installation) -> Result<(), StoreError> {
        let mut write = self.database.begin_write()?;
        write.set_durability(Durability::Immediate)?;
        write.open_table(tables::BLOCKS)?.retain(|_, _| false)?;
        write.open_table(tables::FINALIZATIONS)?.retain(|_, _| false)?;
        write.open_table(tables::CLOSINGS)?.retain(|_, _| false)?;
        write.open_table(tables::SNAPSHOTS)?.retain(|_, _| false)?;
        write.open_table(tables::SNAPSHOT_BYTES)?.retain(|_, _| false)?;
        write.open_table(tables::SNAPSHOT_DIGESTS)?.retain(|_, _| false)?;
        let height = installation.header.height.0;
        put(&write, height, &installation.snapshot)?;
        write.open_table(tables::ROOTS)?.insert(height, installation.root.0.as_slice())?;
        store_history(&write, &installation.history)?;
        for (epoch, handover) in (1..).zip(&installation.handovers) {
            write.open_table(tables::HANDOVERS)?.insert(epoch, codec::encode(handover).as_slice())?;
        }
        // The snapshot's own block was not fetched. Other peers ask for its header.
        write.open_table(tables::SNAPSHOT_HEADERS)?.insert(height, codec::encode(&installation.header).as_slice())?;
        for executed in &installation.executed {
            store_executed(&write, executed, self.keep)?;
        }
        write.commit()?;
        Ok(())
    }
}

impl Reader {
    /// The newest snapshot that stored headers vouch for; `None` if there is none.
    ///
    /// # Errors
    /// The disk fails, or the store is damaged.
    pub fn offer(&self) -> Result<Option<SnapshotOffer>, StoreError> {
        let read = self.0.begin_read()?;
        let snapshots = read.open_table(tables::SNAPSHOTS)?;
        for entry in snapshots.iter()?.rev() {
            let (height, bytes) = entry?;
            let chunks: Chunks = decode("a snapshot", bytes.value())?;
            let digest = SnapshotDigest { height: Height(height.value()), state: chunks.state() };
            if let Some((headers, finalization)) = self.vouching_for(&digest)? {
                let handovers = self.handovers(finalization.epoch)?;
                let blocks_from = self.lowest_block()?.unwrap_or(digest.height.next());
                let certified = Certified { chunks, headers, finalization, handovers };
                return Ok(Some(SnapshotOffer { certified, blocks_from }));
            }
        }
        Ok(None)
    }

    /// The headers from a snapshot's height up to a final one that carries its digest, or that descends from one that
    /// does.
    fn vouching_for(&self, digest: &SnapshotDigest) -> Result<Option<(Vec<Header>, Certificate)>, StoreError> {
        let read = self.0.begin_read()?;
        let Some(own) = header(&read, digest.height)? else { return Ok(None) };
        let mut headers = vec![own];
        let mut is_carried = false;
        for entry in long::from(&read, tables::BLOCKS, digest.height.0 + 1)?.take(HEADERS_MAX) {
            let header = decode::<Block>("a block", &entry?.1)?.header;
            let height = header.height;
            is_carried |= header.snapshots.contains(digest);
            let may_end = is_carried && header.final_height >= digest.height;
            headers.push(header);
            if may_end && let Some(finalization) = get(&read, tables::FINALIZATIONS, "a finalization", height)? {
                return Ok(Some((headers, finalization)));
            }
        }
        Ok(None)
    }

    /// A chunk of a stored snapshot, by its place from 0; `None` if it is not stored.
    ///
    /// # Errors
    /// The disk fails.
    pub fn snapshot_chunk(&self, height: Height, place: u32) -> Result<Option<Vec<u8>>, StoreError> {
        let read = self.0.begin_read()?;
        let from = place as usize * CHUNK_BYTES;
        let chunk = long::part(&read, tables::SNAPSHOT_BYTES, height.0, from..from + CHUNK_BYTES)?;
        Ok((!chunk.is_empty()).then_some(chunk))
    }
}

/// The header of a stored block, or of an installed snapshot, whose block is not stored.
pub(super) fn header(read: &redb::ReadTransaction, height: Height) -> Result<Option<Header>, StoreError> {
    let block: Option<Block> = get_long(read, tables::BLOCKS, "a block", height)?;
    match block {
        Some(block) => Ok(Some(block.header)),
        None => get(read, tables::SNAPSHOT_HEADERS, "a snapshot's header", height),
    }
}
