//! Recovers what a replica starts from. A disk may have changed what was written, so everything that has a digest is
//! checked against it.

use std::{collections::BTreeMap, sync::Arc};

use meshwork_core::{
    consensus::{Evidence, Record, VotingStatus},
    digest::Digest,
    replica::Recovered,
    snapshot::Chunks,
    types::{Block, Certificate, Closing, Height},
};
use redb::{ReadTransaction, ReadableDatabase, ReadableTable};

use super::{
    Store, StoreError, long,
    read::{decode, digest, get},
    snapshots::header,
    tables,
};

impl Store {
    /// What a replica starts from.
    ///
    /// # Errors
    /// The disk fails, or the store is damaged.
    pub fn recover(&self, voting_status: VotingStatus) -> Result<Recovered, StoreError> {
        self.read_all(voting_status).map_err(|error| self.damage.explains(error))
    }

    fn read_all(&self, voting_status: VotingStatus) -> Result<Recovered, StoreError> {
        let read = self.database.begin_read()?;
        let snapshot = newest_snapshot(&read)?;
        let from = snapshot.as_ref().map_or(Height(1), |(height, _)| height.next());
        let blocks = blocks_from(&read, from)?;
        let tip = match (blocks.last(), &snapshot) {
            (Some(block), _) => Some(block.header.clone()),
            (None, Some((height, _))) => {
                Some(header(&read, *height)?.ok_or(StoreError::Missing("the block of the newest snapshot"))?)
            }
            (None, None) => None,
        };
        let mut closing: Option<Closing> = None;
        let tip = match tip {
            Some(tip) => {
                let finalization: Option<Certificate> =
                    get(&read, tables::FINALIZATIONS, "a finalization", tip.height)?;
                closing = get(&read, tables::CLOSINGS, "closing blocks", tip.height)?;
                Some((tip, finalization))
            }
            None => None,
        };
        let (final_height, result_height) =
            tip.as_ref().map_or((0, 0), |(tip, _)| (tip.final_height.0, tip.result_height.0));
        let mut journal: Vec<Record> = Vec::new();
        for entry in read.open_table(tables::JOURNAL)?.iter()? {
            journal.push(decode("a journal record", entry?.1.value())?);
        }
        let mut evidence: Vec<Evidence> = Vec::new();
        for entry in read.open_table(tables::EVIDENCE)?.iter()? {
            evidence.push(decode("a proof of a broken promise", entry?.1.value())?);
        }
        let fork = match read.open_table(tables::FORKS)?.get(0)? {
            Some(entry) => Some(decode("the proof of a fork", entry.value())?),
            None => None,
        };
        // Generous: a digest is due only a lag after its height, and old ones are ignored.
        let snapshots_from = result_height.saturating_sub(1 << 16);
        Ok(Recovered {
            snapshot: snapshot.map(|(_, bytes)| bytes),
            blocks,
            tip,
            closing,
            roots: digests(&read, tables::ROOTS, final_height)?,
            snapshots: digests(&read, tables::SNAPSHOT_DIGESTS, snapshots_from)?,
            journal,
            evidence,
            fork,
            voting_status,
        })
    }
}

/// The newest undamaged snapshot. If the last one is damaged, there is one before it.
fn newest_snapshot(read: &ReadTransaction) -> Result<Option<(Height, Vec<u8>)>, StoreError> {
    let mut is_any = false;
    for entry in read.open_table(tables::SNAPSHOTS)?.iter()?.rev() {
        let (height, chunks) = entry?;
        let (height, chunks): (u64, Chunks) = (height.value(), decode("a snapshot", chunks.value())?);
        let bytes = long::get(read, tables::SNAPSHOT_BYTES, height)?.unwrap_or_default();
        if Chunks::of(&bytes) == chunks {
            return Ok(Some((Height(height), bytes)));
        }
        is_any = true;
    }
    if is_any { Err(StoreError::False("a snapshot")) } else { Ok(None) }
}

/// All blocks from a height on, oldest first. Each must be the child of the one before.
fn blocks_from(read: &ReadTransaction, from: Height) -> Result<Vec<Arc<Block>>, StoreError> {
    let mut blocks: Vec<Arc<Block>> = Vec::new();
    let mut parent: Option<Digest> = None;
    for entry in long::from(read, tables::BLOCKS, from.0)? {
        let block: Arc<Block> = Arc::new(decode("a block", &entry?.1)?);
        if !block.is_whole() || parent.is_some_and(|parent| block.header.parent != parent) {
            return Err(StoreError::False("a block"));
        }
        parent = Some(block.header.digest());
        blocks.push(block);
    }
    Ok(blocks)
}

fn digests(
    read: &ReadTransaction,
    table: redb::TableDefinition<u64, &[u8]>,
    from: u64,
) -> Result<BTreeMap<Height, Digest>, StoreError> {
    let mut digests = BTreeMap::new();
    for entry in read.open_table(table)?.range(from..)? {
        let (height, bytes) = entry?;
        digests.insert(Height(height.value()), digest(bytes.value())?);
    }
    Ok(digests)
}
