//! Turns a snapshot from other peers into the records from which a replica starts, as if it had stored them
//! itself.

use std::sync::Arc;

use thiserror::Error;

use super::{Executed, Snapshot, executed};
use crate::{
    digest::Digest,
    identity::PublicKey,
    ledger::{Ledger, RestoreError},
    merkle::Position,
    proof::Handover,
    snapshot::{Certified, Chunks},
    types::{Block, Genesis, Header},
};

/// Everything to store, in place of all blocks and snapshots that were stored before. The journal stays,
/// because it holds promises.
#[derive(Debug)]
pub struct Installation {
    /// The header of the snapshot's height.
    pub header: Header,
    /// The snapshot, taken up.
    pub snapshot: Snapshot,
    /// The root over all receipts up to its height.
    pub root: Digest,
    /// The history tree's subtrees that proofs of later receipts will need.
    pub history: Vec<(Position, Digest)>,
    /// The blocks after it, up to one that has its own finalization, with their results. At least one.
    pub executed: Vec<Executed>,
    /// The end of each epoch so far, from the first on.
    pub handovers: Vec<Handover>,
}

/// Why a snapshot could not be taken up. A peer that sent it is not to blame: each chunk and block was checked
/// when it came.
#[derive(Debug, Error)]
pub enum InstallError {
    /// A chunk is missing or out of order.
    #[error("these bytes are not the snapshot")]
    NotTheSnapshot,
    /// A block is missing or out of order.
    #[error("these blocks are not those after the snapshot")]
    NotTheBlocks,
    /// The snapshot is certified, but this program cannot take it up: the program is of another version, or
    /// wrong.
    #[error("the snapshot cannot be taken up: {0}")]
    Restore(#[from] RestoreError),
}

impl Installation {
    /// Takes up a snapshot that was [verified](Certified::verify), from all its bytes and the blocks after it;
    /// `me` is this peer.
    ///
    /// # Errors
    /// The bytes or the blocks are not the certified ones, or this program cannot take them up.
    pub fn of(
        genesis: &Arc<Genesis>,
        me: &PublicKey,
        certified: Certified,
        bytes: Vec<u8>,
        blocks: Vec<Arc<Block>>,
    ) -> Result<Self, InstallError> {
        let chunks = Chunks::of(&bytes);
        if chunks != certified.chunks {
            return Err(InstallError::NotTheSnapshot);
        }
        let are_those = blocks.iter().enumerate().all(|(place, block)| certified.is_block(place, block));
        let mut headers = certified.headers.into_iter();
        let Some(header) = headers.next().filter(|_| are_those && headers.len() == blocks.len()) else {
            return Err(InstallError::NotTheBlocks);
        };
        let mut ledger = Ledger::restore(Arc::clone(genesis), &bytes)?;
        if ledger.height() != header.height {
            return Err(InstallError::NotTheSnapshot);
        }
        let (root, history) = (ledger.receipts_root(), ledger.history().peaks().collect());
        let snapshot = Snapshot { chunks, bytes, receipts_from: ledger.oldest_admission() };
        let execute = |block: Arc<Block>| {
            let digest = block.header.digest();
            let came = executed::execute(&mut ledger, &block);
            let finalization = certified.finalization.statement.block() == Some(digest);
            let finalization = finalization.then(|| certified.finalization.clone());
            Executed::of(&ledger, me, (block, digest), finalization, came)
        };
        Ok(Self {
            executed: blocks.into_iter().map(execute).collect(),
            header,
            snapshot,
            root,
            history,
            handovers: certified.handovers,
        })
    }
}
