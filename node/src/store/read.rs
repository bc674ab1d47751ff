//! Reading what was stored: at start-up, for peers that catch up, and for people.

use std::{collections::BTreeMap, sync::Arc};

use meshwork_core::{
    codec,
    consensus::{Evidence, Record, Standing},
    digest::Digest,
    merkle::{self, Position},
    proof::Proof,
    replica::{BLOCKS_BYTES_MAX, EndedJob, Recovered},
    types::{Block, Certificate, Header, Height, JobId, Receipt},
};
use redb::{ReadTransaction, ReadableDatabase, ReadableTable};
use serde::{Serialize, de::DeserializeOwned};

use super::{Store, StoreError, tables};

/// A final block with its receipts.
#[derive(Debug)]
pub struct StoredBlock {
    /// The block.
    pub block: Block,
    /// What happened in it.
    pub receipts: Vec<Receipt>,
}

/// Consecutive final blocks, oldest first, with the proof that the last of them is final, and so all of them.
#[derive(Debug)]
pub struct FinalBlocks {
    /// At least one.
    pub blocks: Vec<Arc<Block>>,
    /// The finalization of the last one.
    pub finalization: Certificate,
}

/// The most bytes of anything in the store.
const STORED_BYTES_MAX: usize = 1 << 31;

fn decode<T: Serialize + DeserializeOwned>(what: &'static str, bytes: &[u8]) -> Result<T, StoreError> {
    codec::decode(bytes, STORED_BYTES_MAX).map_err(|error| StoreError::Damaged { what, error })
}

fn digest(bytes: &[u8]) -> Result<Digest, StoreError> {
    bytes.try_into().map(Digest).map_err(|_| StoreError::Missing("a digest"))
}

fn get<T: Serialize + DeserializeOwned>(
    read: &ReadTransaction,
    table: redb::TableDefinition<u64, &[u8]>,
    what: &'static str,
    height: Height,
) -> Result<Option<T>, StoreError> {
    read.open_table(table)?.get(height.0)?.map(|bytes| decode(what, bytes.value())).transpose()
}

/// A reader of the store: cheap to make, and safe beside the writer.
#[derive(Clone, Debug)]
pub struct Reader(Arc<redb::Database>);

impl Store {
    /// A reader.
    #[must_use]
    pub fn reader(&self) -> Reader {
        Reader(self.database())
    }

    /// What a replica starts from.
    ///
    /// # Errors
    /// The disk fails, or the store is damaged.
    pub fn recover(&self, standing: Standing) -> Result<Recovered, StoreError> {
        let read = self.database.begin_read()?;
        let snapshots = read.open_table(tables::SNAPSHOTS)?;
        let snapshot = snapshots.last()?.map(|(height, bytes)| (Height(height.value()), bytes.value().to_vec()));
        let from = snapshot.as_ref().map_or(0, |(height, _)| height.0) + 1;
        let mut blocks: Vec<Arc<Block>> = Vec::new();
        for entry in read.open_table(tables::BLOCKS)?.range(from..)? {
            blocks.push(Arc::new(decode("a block", entry?.1.value())?));
        }
        let tip: Option<Header> = match (blocks.last(), &snapshot) {
            (Some(block), _) => Some(block.header.clone()),
            (None, Some((height, _))) => {
                let block: Option<Block> = get(&read, tables::BLOCKS, "a block", *height)?;
                Some(block.ok_or(StoreError::Missing("the block of the newest snapshot"))?.header)
            }
            (None, None) => None,
        };
        let tip = match tip {
            Some(tip) => {
                let finalization = get(&read, tables::FINALIZATIONS, "a finalization", tip.height)?;
                Some((tip, finalization.ok_or(StoreError::Missing("the newest block's finalization"))?))
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
        // Generous: a digest is due only a lag after its height, and old ones are ignored.
        let snapshots_from = result_height.saturating_sub(1 << 16);
        Ok(Recovered {
            snapshot: snapshot.map(|(_, bytes)| bytes),
            blocks,
            tip,
            roots: digests(&read, tables::ROOTS, final_height)?,
            snapshots: digests(&read, tables::SNAPSHOT_DIGESTS, snapshots_from)?,
            journal,
            evidence,
            standing,
        })
    }
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

impl Reader {
    /// A final block and its receipts.
    ///
    /// # Errors
    /// The disk fails, or the store is damaged.
    pub fn block(&self, height: Height) -> Result<Option<StoredBlock>, StoreError> {
        let read = self.0.begin_read()?;
        let block: Option<Block> = get(&read, tables::BLOCKS, "a block", height)?;
        let receipts: Option<Vec<Receipt>> = get(&read, tables::RECEIPTS, "receipts", height)?;
        Ok(block.zip(receipts).map(|(block, receipts)| StoredBlock { block, receipts }))
    }

    /// What happened at a height; nothing if it is not final here.
    ///
    /// # Errors
    /// The disk fails, or the store is damaged.
    pub fn receipts(&self, height: Height) -> Result<Vec<Receipt>, StoreError> {
        let read = self.0.begin_read()?;
        Ok(get(&read, tables::RECEIPTS, "receipts", height)?.unwrap_or_default())
    }

    /// An ended job, if it was executed here.
    ///
    /// # Errors
    /// The disk fails, or the store is damaged.
    pub fn ended_job(&self, id: JobId) -> Result<Option<EndedJob>, StoreError> {
        let read = self.0.begin_read()?;
        let found = read.open_table(tables::ENDED_JOBS)?.get(id.0.0.as_slice())?;
        found.map(|bytes| decode("an ended job", bytes.value())).transpose()
    }

    /// Final blocks from a height on: as many as fit [`BLOCKS_BYTES_MAX`] and end with one that has a finalization of its
    /// own, or those up to the first such one if they fit `bytes_max`; nothing if there are none.
    ///
    /// # Errors
    /// The disk fails, or the store is damaged.
    pub fn blocks_from(&self, from: Height, bytes_max: usize) -> Result<Option<FinalBlocks>, StoreError> {
        let read = self.0.begin_read()?;
        let finalizations = read.open_table(tables::FINALIZATIONS)?;
        let mut blocks: Vec<Arc<Block>> = Vec::new();
        let mut found = None;
        let mut bytes_sum = 0;
        for entry in read.open_table(tables::BLOCKS)?.range(from.0..)? {
            let (height, bytes) = entry?;
            bytes_sum += bytes.value().len();
            if bytes_sum > if found.is_some() { BLOCKS_BYTES_MAX } else { bytes_max } {
                break;
            }
            blocks.push(Arc::new(decode("a block", bytes.value())?));
            if let Some(certificate) = finalizations.get(height.value())? {
                found = Some((blocks.len(), certificate.value().to_vec()));
            }
        }
        let Some((count, certificate)) = found else { return Ok(None) };
        blocks.truncate(count);
        Ok(Some(FinalBlocks { blocks, finalization: decode("a finalization", &certificate)? }))
    }

    /// The proof of the receipt at a place, made with the newest finalized header; nothing if there is no such receipt, or
    /// no final header carries its height's result yet.
    ///
    /// # Errors
    /// The disk fails, or the store is damaged.
    pub fn proof(&self, height: Height, index: u32) -> Result<Option<Proof>, StoreError> {
        Ok(self.proofs(&[(height, index)])?.pop().flatten())
    }

    /// The proofs of receipts at these places, as [`Reader::proof`] makes them.
    ///
    /// # Errors
    /// The disk fails, or the store is damaged.
    pub fn proofs(&self, places: &[(Height, u32)]) -> Result<Vec<Option<Proof>>, StoreError> {
        let read = self.0.begin_read()?;
        let newest = read.open_table(tables::FINALIZATIONS)?.last()?.map(|(height, bytes)| {
            let finalization: Result<Certificate, _> = decode("a finalization", bytes.value());
            finalization.map(|finalization| (Height(height.value()), finalization))
        });
        let Some((carrier_height, finalization)) = newest.transpose()? else {
            return Ok(vec![None; places.len()]);
        };
        let carrier: Option<Block> = get(&read, tables::BLOCKS, "a block", carrier_height)?;
        let header = carrier.ok_or(StoreError::Missing("a finalized block"))?.header;
        let history = read.open_table(tables::HISTORY)?;
        let mut node = |position: Position| {
            let bytes = history.get((position.level, position.index)).ok()??;
            digest(bytes.value()).ok()
        };
        let mut known: Option<(Height, Vec<Receipt>, Vec<Digest>)> = None;
        let mut proofs = Vec::with_capacity(places.len());
        for (height, index) in places {
            if *height > header.result_height || *height == Height(0) {
                proofs.push(None);
                continue;
            }
            if known.as_ref().is_none_or(|(at, ..)| at != height) {
                let receipts: Vec<Receipt> =
                    get(&read, tables::RECEIPTS, "receipts", *height)?.ok_or(StoreError::Missing("receipts"))?;
                let leaves = receipts.iter().map(Receipt::digest).collect();
                known = Some((*height, receipts, leaves));
            }
            let Some((_, receipts, leaves)) = &known else { continue };
            let made = receipts.get(*index as usize).and_then(|receipt| {
                Some(Proof {
                    receipt: receipt.clone(),
                    height: *height,
                    index: *index,
                    count: u32::try_from(leaves.len()).ok()?,
                    block_path: merkle::path_of(leaves, *index as usize)?,
                    history_path: merkle::path(height.0 - 1, header.result_height.0, &mut node)?,
                    headers: vec![header.clone()],
                    finalization: finalization.clone(),
                })
            });
            proofs.push(made);
        }
        Ok(proofs)
    }
}
