//! All that can come in.

use std::{collections::BTreeSet, time::Duration};

use super::Ticket;
use crate::{
    digest::Digest,
    identity::PublicKey,
    ledger::{EndReason, IgnoredReason, LedgerEvent},
    replica::{Assignment, Executed, NetworkTime},
    types::{AttemptId, Incarnation, Labels, Receipt, Resources, TransactionId, Verdict},
};

/// Who works, and what it offers.
#[derive(Clone, Debug)]
pub struct Config {
    /// Its key.
    pub key: PublicKey,
    /// How many tasks may run at once.
    pub slots: u32,
    /// What these may take together.
    pub resources: Resources,
    /// What tasks may require of this machine.
    pub labels: Labels,
}

/// What the worker is told.
#[derive(Clone, Debug)]
pub enum Input {
    /// A block was executed. One that holds nothing for this worker need not be told.
    Executed(News),
    /// Some blocks were missed: what the ledger says now.
    Resynchronized(LedgerStatus),
    /// What became of what it had done, all that is known by now.
    Progress(Vec<Progress>),
    /// Some time has passed. Comes a few times each second.
    Tick {
        /// How busy the machine is: 0 idle to 1000 full.
        load: u16,
        /// Whether the disk has space for what more tasks bring and leave.
        has_disk_space: bool,
    },
    /// What [`super::Effect::LookUp`] wants to be known.
    LookedUp(LookedUp),
    /// A transaction was signed, and has this id. Comes before it is handed in.
    Signed {
        /// Which.
        ticket: Ticket,
        /// Its id.
        id: TransactionId,
    },
    /// This peer's own replica has not taken a transaction.
    Refused(Ticket),
    /// It is to take no more, until [`Input::Resume`].
    Pause,
    /// It may take more again.
    Resume,
    /// It is to leave.
    Drain,
}

/// What an executed block holds for one worker.
#[derive(Clone, Debug, Default)]
pub struct News {
    /// What happened, in the ledger's order.
    pub happened: Vec<Happened>,
    /// The worker's transactions in the block, and whether each was executed; the others were void.
    pub receipts: Vec<(TransactionId, bool)>,
    /// The attempts that it was given.
    pub assignments: Vec<Assignment>,
}

/// What happened to a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happened {
    /// An attempt that it held has ended.
    Ended {
        /// Which.
        attempt: AttemptId,
        /// Why.
        why: EndReason,
    },
    /// A word of its on an attempt changed nothing.
    Ignored {
        /// Which attempt.
        attempt: AttemptId,
        /// Why.
        why: IgnoredReason,
    },
    /// A claim of its key began to stand, or that of another process took its place.
    ClaimBegan(Incarnation),
    /// The claim of its key stands no more.
    ClaimEnded,
    /// An attempt is to make room for others at its next checkpoint.
    PreemptionRequested(AttemptId),
    /// The ledger knows a checkpoint of an attempt.
    Checkpointed(AttemptId),
}

impl News {
    /// What a block holds for the worker with this key: `executed` is its own peer's.
    #[must_use]
    pub fn of(executed: &Executed, key: &PublicKey) -> Self {
        let applied = &executed.applied;
        let receipts = applied.receipts.iter().filter_map(|receipt| match receipt {
            Receipt::Transaction(receipt) => Some(receipt),
            Receipt::Outcome(_) => None,
        });
        let own = executed.block.transactions.iter().zip(receipts).filter(|(signed, _)| signed.signer() == *key);
        Self {
            happened: applied.events.iter().filter_map(|event| Happened::of(event, key)).collect(),
            receipts: own.map(|(_, receipt)| (receipt.id, receipt.result.is_ok())).collect(),
            assignments: executed.assignments.clone(),
        }
    }

    /// Whether the block holds nothing for the worker.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.happened.is_empty() && self.receipts.is_empty() && self.assignments.is_empty()
    }

    /// Whether a transaction of the worker's was executed in the block.
    pub(super) fn executes(&self, id: TransactionId) -> bool {
        self.receipts.contains(&(id, true))
    }
}

impl Happened {
    fn of(event: &LedgerEvent, key: &PublicKey) -> Option<Self> {
        match event {
            LedgerEvent::Ended { attempt, worker, why, .. } if worker == key => {
                Some(Self::Ended { attempt: *attempt, why: *why })
            }
            LedgerEvent::ReportIgnored { attempt, worker, why } if worker == key => {
                Some(Self::Ignored { attempt: *attempt, why: *why })
            }
            LedgerEvent::ClaimBegan { worker, incarnation } if worker == key => Some(Self::ClaimBegan(*incarnation)),
            LedgerEvent::ClaimEnded { worker, .. } if worker == key => Some(Self::ClaimEnded),
            LedgerEvent::PreemptionRequested { attempt, worker } if worker == key => {
                Some(Self::PreemptionRequested(*attempt))
            }
            LedgerEvent::Checkpointed { attempt, worker } if worker == key => Some(Self::Checkpointed(*attempt)),
            _ => None,
        }
    }
}

/// What the ledger says of a worker's key at one height.
#[derive(Clone, Debug)]
pub struct LedgerStatus {
    /// What the key holds, each with the process that may run it.
    pub leases: Vec<Assignment>,
    /// The process whose claim stands, if one does.
    pub stands: Option<Incarnation>,
}

/// What became of something that the worker had done.
#[derive(Clone, Debug)]
pub enum Progress {
    /// Everything that an attempt needs is here, or what its outcome is because that cannot be.
    Prepared(AttemptId, Result<(), Verdict>),
    /// Its program ran for so long, and its slot is free.
    Ran(AttemptId, Duration),
    /// Its program has saved a checkpoint, which another holds.
    Saved(AttemptId, Verdict),
    /// Its outcome. What was stopped has none.
    Ended(AttemptId, Verdict),
}

/// What this peer's replica says before a claim.
#[derive(Clone, Debug)]
pub struct LookedUp {
    /// Whether the peer knows of final blocks that it lacks.
    pub lacks_blocks: bool,
    /// What time it is on the network.
    pub network_time: NetworkTime,
    /// The newest sequence number and incarnation of the worker's key that the ledger knows, if any.
    pub last: Option<(u64, Incarnation)>,
    /// The large blobs that are here, if they were asked for.
    pub blobs: Option<BTreeSet<Digest>>,
}
