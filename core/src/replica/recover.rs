//! What a driver stored, and gives back after a restart.

use std::{collections::BTreeMap, sync::Arc};

use thiserror::Error;

use crate::{
    consensus::{Evidence, Fork, Record, VotingStatus},
    digest::Digest,
    ledger::RestoreError,
    types::{Block, Certificate, Closing, Header, Height},
};

/// What was stored before a restart.
#[derive(Debug)]
pub struct Recovered {
    /// The newest stored snapshot of the ledger.
    pub snapshot: Option<Vec<u8>>,
    /// The final blocks after it, oldest first.
    pub blocks: Vec<Arc<Block>>,
    /// The newest final block's header, from `blocks` or the snapshot's height, and its own finalization.
    /// `None` for the finalization means that the block is its epoch's last, and `closing` shows it to be
    /// final.
    pub tip: Option<(Header, Option<Certificate>)>,
    /// The closing blocks that were stored beside the newest final block.
    pub closing: Option<Closing>,
    /// The receipts roots of all heights from the tip's F on.
    pub roots: BTreeMap<Height, Digest>,
    /// The state digests of snapshot heights, at least those that no final header has carried.
    pub snapshots: BTreeMap<Height, Digest>,
    /// The round's journal.
    pub journal: Vec<Record>,
    /// Proofs that authorities broke promises.
    pub evidence: Vec<Evidence>,
    /// The stored proof of a fork.
    pub fork: Option<Fork>,
    /// Whether the journal is the one that belongs to this key.
    pub voting_status: VotingStatus,
}

impl Recovered {
    /// Nothing stored: the very first start.
    #[must_use]
    pub const fn nothing(voting_status: VotingStatus) -> Self {
        Self {
            snapshot: None,
            blocks: Vec::new(),
            tip: None,
            closing: None,
            roots: BTreeMap::new(),
            snapshots: BTreeMap::new(),
            journal: Vec::new(),
            evidence: Vec::new(),
            fork: None,
            voting_status,
        }
    }
}

/// Why the stored parts do not fit together.
#[derive(Debug, Error)]
pub enum RecoverError {
    /// The snapshot is not one of this network's ledger.
    #[error("the stored snapshot cannot be restored: {0}")]
    Snapshot(#[from] RestoreError),
    /// The blocks do not follow each other, or not the snapshot.
    #[error("the stored blocks have a gap: height {found} follows {height}")]
    Gap {
        /// The height before the gap.
        height: Height,
        /// The height after it.
        found: Height,
    },
    /// Nothing stored shows the newest block to be final.
    #[error("no finalization of the newest stored block, at height {0}, is stored")]
    NotFinal(Height),
}
