//! Reads stored data: at start-up, for peers that catch up, and for people.

use std::sync::Arc;

use meshwork_core::{
    codec,
    digest::Digest,
    merkle::{self, Position},
    proof::{Handover, Proof},
    replica::{BLOCKS_BYTES_MAX, EndedJob},
    types::{AuthoritySet, Block, Certificate, Closing, Epoch, Genesis, Height, JobId, Receipt},
};
use redb::{ReadTransaction, ReadableDatabase, ReadableTable};
use serde::{Serialize, de::DeserializeOwned};

use super::{Store, StoreError, long, tables};

/// A final block with its receipts.
#[derive(Debug)]
pub struct StoredBlock {
    /// The block.
    pub block: Block,
    /// The receipts of its execution.
    pub receipts: Vec<Receipt>,
}

/// Consecutive final blocks, oldest first. The proof that the last one is final covers all of them.
#[derive(Debug)]
pub struct FinalizedBlocks {
    /// The blocks, at least one.
    pub blocks: Vec<Arc<Block>>,
    /// The finalization of the last block.
    pub finalization: Certificate,
}

/// The most blocks in one answer, as soon as one of them can end it. The receiver executes them in one step, and
/// holds the results until they are stored.
const RUN_BLOCKS_MAX: usize = 256;

/// The most bytes of any stored value.
const STORED_BYTES_MAX: usize = 1 << 31;

pub(super) fn decode<T: Serialize + DeserializeOwned>(what: &'static str, bytes: &[u8]) -> Result<T, StoreError> {
    codec::decode(bytes, STORED_BYTES_MAX).map_err(|error| StoreError::Damaged { what, error })
}

pub(super) fn digest(bytes: &[u8]) -> Result<Digest, StoreError> {
    bytes.try_into().map(Digest).map_err(|_| StoreError::Missing("a digest"))
}

pub(super) fn get<T: Serialize + DeserializeOwned>(
    read: &ReadTransaction,
    table: redb::TableDefinition<u64, &[u8]>,
    what: &'static str,
    height: Height,
) -> Result<Option<T>, StoreError> {
    read.open_table(table)?.get(height.0)?.map(|bytes| decode(what, bytes.value())).transpose()
}

pub(super) fn get_long<T: Serialize + DeserializeOwned>(
    read: &ReadTransaction,
    table: long::Table,
    what: &'static str,
    height: Height,
) -> Result<Option<T>, StoreError> {
    long::get(read, table, height.0)?.map(|bytes| decode(what, &bytes)).transpose()
}

/// A reader of the store. It is cheap to create, and may run beside the writer.
#[derive(Clone, Debug)]
pub struct Reader(pub(super) Arc<redb::Database>);

impl Store {
    /// A reader.
    #[must_use]
    pub fn reader(&self) -> Reader {
        Reader(self.database())
    }
}

impl Reader {
    /// A final block and its receipts.
    ///
    /// # Errors
    /// The disk fails, or the store is damaged.
    pub fn block(&self, height: Height) -> Result<Option<StoredBlock>, StoreError> {
        let read = self.0.begin_read()?;
        let block: Option<Block> = get_long(&read, tables::BLOCKS, "a block", height)?;
        let receipts: Option<Vec<Receipt>> = get_long(&read, tables::RECEIPTS, "receipts", height)?;
        Ok(block.zip(receipts).map(|(block, receipts)| StoredBlock { block, receipts }))
    }

    /// The lowest stored height. All blocks above it are stored too.
    ///
    /// # Errors
    /// The disk fails.
    pub fn lowest_block(&self) -> Result<Option<Height>, StoreError> {
        let read = self.0.begin_read()?;
        Ok(long::lowest(&read, tables::BLOCKS)?.map(Height))
    }

    /// The result of this peer's own execution of a height: the root over all receipts up to it and, at a snapshot
    /// height, the digest of the state.
    ///
    /// # Errors
    /// The disk fails, or the store is damaged.
    pub fn result(&self, height: Height) -> Result<(Option<Digest>, Option<Digest>), StoreError> {
        let read = self.0.begin_read()?;
        let root = read.open_table(tables::ROOTS)?.get(height.0)?;
        let state = read.open_table(tables::SNAPSHOT_DIGESTS)?.get(height.0)?;
        let of = |bytes: Option<redb::AccessGuard<'_, &[u8]>>| bytes.map(|bytes| digest(bytes.value())).transpose();
        Ok((of(root)?, of(state)?))
    }

    /// The receipts of a height; empty if it is not final here.
    ///
    /// # Errors
    /// The disk fails, or the store is damaged.
    pub fn receipts(&self, height: Height) -> Result<Vec<Receipt>, StoreError> {
        let read = self.0.begin_read()?;
        Ok(get_long(&read, tables::RECEIPTS, "receipts", height)?.unwrap_or_default())
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

    /// What a peer in this epoch lacks from a height on; `None` if there is nothing.
    ///
    /// If the height below `from` is its epoch's last, the answer is the closing blocks there. Otherwise it is final
    /// blocks, up to the end of their epoch and then including its closing blocks.
    ///
    /// The answer has as many blocks as fit into [`BLOCKS_BYTES_MAX`] and end with one that has a finalization of its
    /// own. If that is none, it has the blocks up to the first such one, if they fit into `bytes_max`.
    ///
    /// # Errors
    /// The disk fails, or the store is damaged.
    pub fn blocks_from(
        &self,
        epoch: Epoch,
        from: Height,
        bytes_max: usize,
    ) -> Result<Option<FinalizedBlocks>, StoreError> {
        let read = self.0.begin_read()?;
        let below: Option<Closing> = get(&read, tables::CLOSINGS, "closing blocks", from.previous())?;
        if let Some(Closing { blocks, finalization }) = below.filter(|closing| closing.finalization.epoch == epoch) {
            return Ok(Some(FinalizedBlocks { blocks, finalization }));
        }
        let finalizations = read.open_table(tables::FINALIZATIONS)?;
        let mut blocks: Vec<Arc<Block>> = Vec::new();
        let mut found = None;
        let mut bytes_sum = 0;
        for (expected, entry) in (from.0..).zip(long::from(&read, tables::BLOCKS, from.0)?) {
            let (height, bytes) = entry?;
            let is_long = found.is_some() && blocks.len() >= RUN_BLOCKS_MAX;
            if height != expected || is_long {
                break;
            }
            bytes_sum += bytes.len();
            if bytes_sum > if found.is_some() { BLOCKS_BYTES_MAX } else { bytes_max } {
                break;
            }
            let block: Arc<Block> = Arc::new(decode("a block", &bytes)?);
            let is_last = block.header.role.ends_epoch();
            blocks.push(block);
            if let Some(certificate) = finalizations.get(height)? {
                found = Some((blocks.len(), decode("a finalization", certificate.value())?));
            }
            if is_last {
                let closing: Option<Closing> = get(&read, tables::CLOSINGS, "closing blocks", Height(height))?;
                if let Some(closing) = closing {
                    blocks.extend(closing.blocks);
                    found = Some((blocks.len(), closing.finalization));
                }
                break;
            }
        }
        let Some((count, finalization)) = found else { return Ok(None) };
        blocks.truncate(count);
        Ok(Some(FinalizedBlocks { blocks, finalization }))
    }

    /// The handovers that began each epoch from 1 up to this one.
    ///
    /// # Errors
    /// The disk fails, or the store is damaged.
    pub fn handovers(&self, epoch: Epoch) -> Result<Vec<Handover>, StoreError> {
        let read = self.0.begin_read()?;
        let mut handovers = Vec::new();
        for entry in read.open_table(tables::HANDOVERS)?.range(1..=epoch.0)? {
            handovers.push(decode("a handover", entry?.1.value())?);
        }
        Ok(handovers)
    }

    /// The authorities of an epoch; `None` if it has not begun here. Those of epoch 0 are the genesis'.
    ///
    /// # Errors
    /// The disk fails, or the store is damaged.
    pub fn authorities(&self, epoch: Epoch, genesis: &Genesis) -> Result<Option<AuthoritySet>, StoreError> {
        if epoch == Epoch(0) {
            return Ok(Some(genesis.authority_set()));
        }
        let read = self.0.begin_read()?;
        let found: Option<Handover> = get(&read, tables::HANDOVERS, "a handover", Height(epoch.0))?;
        Ok(found.map(|handover| handover.authorities))
    }

    /// The proof of the receipt at a place, made with the newest finalized header. `None` if there is no such
    /// receipt, or no final header carries its height's result yet.
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
        let carrier: Option<Block> = get_long(&read, tables::BLOCKS, "a block", carrier_height)?;
        let header = carrier.ok_or(StoreError::Missing("a finalized block"))?.header;
        let handovers = self.handovers(header.epoch)?;
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
                // They may have been pruned, or be below the snapshot that this peer started from.
                let receipts: Option<Vec<Receipt>> = get_long(&read, tables::RECEIPTS, "receipts", *height)?;
                let Some(receipts) = receipts else {
                    proofs.push(None);
                    continue;
                };
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
                    handovers: handovers.clone(),
                })
            });
            proofs.push(made);
        }
        Ok(proofs)
    }
}

#[cfg(test)]
mod tests {
    use meshwork_api::Keep;
    use meshwork_core::{
        consensus::VotingStatus,
        identity::NetworkId,
        ledger::Applied,
        replica::{Action, Executed},
        types::{BlockTime, Header, Role, Signers, Statement, View},
    };

    use super::*;

    fn block(epoch: u64, height: u64, role: Role, parent: Digest) -> Arc<Block> {
        let header = Header {
            epoch: Epoch(epoch),
            view: View(height),
            role,
            height: Height(height),
            parent,
            time: BlockTime(height),
            transactions: Block::transactions_digest(&[]),
            final_height: Height(0),
            result_height: Height(0),
            result: Digest::ZERO,
            snapshots: Vec::new(),
        };
        Arc::new(Block { header, transactions: Vec::new() })
    }

    fn finalization(block: &Block) -> Certificate {
        let header = &block.header;
        let statement = Statement::Finalize(header.view, header.digest());
        Certificate { epoch: header.epoch, statement, signers: Signers::of([]), signatures: Vec::new() }
    }

    fn executed(block: &Arc<Block>, is_final: bool) -> Action {
        Action::Executed(Box::new(Executed {
            block: Arc::clone(block),
            digest: block.header.digest(),
            finalization: is_final.then(|| finalization(block)),
            root: Digest::ZERO,
            applied: Applied::default(),
            assignments: Vec::new(),
            ended: Vec::new(),
            snapshot: None,
        }))
    }

    #[test]
    fn blocks_are_served_to_the_end_of_an_epoch_with_its_closing_blocks_and_then_from_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::open(&dir.path().join("store"), &[9; 32], &NetworkId([1; 32]), Keep::Full).unwrap();
        let first = block(0, 1, Role::Inner, Digest::ZERO);
        let last = block(0, 2, Role::Last, first.header.digest());
        let closes = block(0, 2, Role::Closing(Some(Digest::ZERO)), last.header.digest());
        let closing = Closing { blocks: vec![Arc::clone(&closes)], finalization: finalization(&closes) };
        let closed = Action::Closed(Height(2), Box::new(closing.clone()));
        store.write(&[executed(&first, true), executed(&last, false), closed]).unwrap();
        // A restart here is after the epoch's end.
        let recovered = store.recover(VotingStatus::Voting).unwrap();
        assert_eq!(recovered.tip, Some((last.header.clone(), None)));
        assert_eq!(recovered.closing, Some(closing));
        let next = block(1, 3, Role::Inner, last.header.digest());
        store.write(&[executed(&next, true)]).unwrap();
        let served = |epoch, from| {
            let found = store.reader().blocks_from(Epoch(epoch), Height(from), 1 << 20).unwrap().expect("some");
            assert_eq!(found.finalization, finalization(found.blocks.last().expect("at least one")));
            found.blocks
        };
        assert_eq!(served(0, 1), [&first, &last, &closes].map(Arc::clone));
        assert_eq!(
            served(0, 3),
            [Arc::clone(&closes)],
            "for one who has the last block, and not what closed its epoch"
        );
        assert_eq!(served(1, 3), [Arc::clone(&next)]);
        assert!(store.recover(VotingStatus::Voting).unwrap().closing.is_none(), "that epoch is over for long");
    }
}
