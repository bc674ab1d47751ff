//! The worker's inputs: everything that it can be told.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::Ticket;
use crate::{
    digest::Digest,
    identity::PublicKey,
    ledger::{EndReason, IgnoredReason, LedgerEvent},
    replica::{Assignment, Executed, NetworkTime},
    types::{AttemptId, Incarnation, Labels, Receipt, Resources, TransactionId, Verdict},
};

/// A worker's key and what it offers.
#[derive(Clone, Debug)]
pub struct Config {
    /// Its key.
    pub key: PublicKey,
    /// How many tasks may run at once.
    pub slots: u32,
    /// What they may use together.
    pub resources: Resources,
    /// The labels that tasks may require of this machine.
    pub labels: Labels,
    /// What the process before this one died of.
    pub died_of: Vec<Died>,
}

/// An attempt that a worker's process had begun to compile or run, and had not ended, when it died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Died {
    /// The attempt.
    pub attempt: AttemptId,
    /// Whether the process compiled and ran nothing then but this attempt's program for its job.
    pub alone: bool,
}

/// One input of the worker.
#[derive(Clone, Debug)]
pub enum Input {
    /// A block was executed. A block that holds nothing for this worker may be left out.
    Executed(News),
    /// The worker missed some blocks. This is what the ledger says of it now.
    Resynchronized(LedgerStatus),
    /// All the progress that is known by now of what the worker has begun.
    Progress(Vec<Progress>),
    /// Time has passed. The driver sends this a few times each second.
    Tick {
        /// How busy the machine is: 0 idle to 1000 full.
        load: u16,
        /// Whether the disk has space for what more tasks bring and leave.
        has_disk_space: bool,
    },
    /// The answer to [`super::Effect::LookUp`].
    LookedUp(LookedUp),
    /// A transaction was signed. The driver says so before it hands the transaction in.
    Signed {
        /// The worker's name for the transaction.
        ticket: Ticket,
        /// The transaction's id.
        id: TransactionId,
    },
    /// This peer's own replica refused a transaction.
    Refused(Ticket),
    /// Take no more attempts until [`Input::Resume`].
    Pause,
    /// Take attempts again.
    Resume,
    /// Leave.
    Drain,
}

/// What an executed block holds for one worker.
#[derive(Clone, Debug, Default)]
pub struct News {
    /// What happened, in the ledger's order.
    pub happened: Vec<Happened>,
    /// The worker's transactions in the block, each with whether it was executed or void.
    pub receipts: Vec<(TransactionId, bool)>,
    /// The attempts that the worker was given.
    pub assignments: Vec<Assignment>,
}

/// An event of the ledger that concerns a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happened {
    /// An attempt that the worker held has ended.
    Ended {
        /// The attempt.
        attempt: AttemptId,
        /// Why it ended.
        why: EndReason,
    },
    /// The ledger ignored the worker's verdict on an attempt.
    Ignored {
        /// The attempt.
        attempt: AttemptId,
        /// Why the verdict was ignored.
        why: IgnoredReason,
    },
    /// A claim of the worker's key began to stand. It may be that of another process, which replaces the one before.
    ClaimBegan(Incarnation),
    /// The claim of the worker's key has ended.
    ClaimEnded {
        /// Whether its process drained. Otherwise the claim ran out.
        drained: bool,
    },
    /// An attempt is to be preempted at its next checkpoint.
    PreemptionRequested(AttemptId),
    /// The ledger knows a checkpoint of an attempt.
    Checkpointed(AttemptId),
    /// The ledger knows the worker's commitment to its answer.
    Committed(AttemptId),
    /// The ledger asks for the answer to which the worker has committed itself.
    RevealAsked(AttemptId),
}

impl News {
    /// What a block holds for the worker with this key. `executed` must come from the worker's own peer.
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
            LedgerEvent::ClaimEnded { worker, drained } if worker == key => {
                Some(Self::ClaimEnded { drained: *drained })
            }
            LedgerEvent::PreemptionRequested { attempt, worker } if worker == key => {
                Some(Self::PreemptionRequested(*attempt))
            }
            LedgerEvent::Checkpointed { attempt, worker } if worker == key => Some(Self::Checkpointed(*attempt)),
            LedgerEvent::Committed { attempt, worker } if worker == key => Some(Self::Committed(*attempt)),
            LedgerEvent::RevealAsked { attempt, worker } if worker == key => Some(Self::RevealAsked(*attempt)),
            _ => None,
        }
    }
}

/// What the ledger says of a worker's key at one height.
#[derive(Clone, Debug, Default)]
pub struct LedgerStatus {
    /// The leases of the key, each with the incarnation that may run it.
    pub leases: Vec<Assignment>,
    /// The incarnation whose claim stands, if there is one.
    pub stands: Option<Incarnation>,
    /// Those of the leases to whose answers the key has committed itself, each with whether it is asked to reveal it.
    pub committed: BTreeMap<AttemptId, bool>,
}

/// How far something has come that the worker began.
#[derive(Clone, Debug)]
pub enum Progress {
    /// Everything that an attempt needs is here; or an error, which is the attempt's verdict.
    Prepared(AttemptId, Result<(), Verdict>),
    /// An attempt's program ran for this long and has ended, so its slot is free.
    Ran(AttemptId, Duration),
    /// An attempt's program has saved a checkpoint, and a second holder has it.
    Saved(AttemptId, Verdict),
    /// A replica's answer is known here, and this is the commitment to it. The answer stays here until it is asked for.
    Answered(AttemptId, Digest),
    /// An attempt's verdict. A stopped attempt has none.
    Ended(AttemptId, Verdict),
}

/// What the peer's replica and blob store say before a claim.
#[derive(Clone, Debug)]
pub struct LookedUp {
    /// Whether the peer knows of finalized blocks that it lacks.
    pub lacks_blocks: bool,
    /// The network's time.
    pub network_time: NetworkTime,
    /// The newest sequence number and incarnation of the worker's key that the ledger knows, if any.
    pub last: Option<(u64, Incarnation)>,
    /// The large blobs on this machine, if the worker asked for them.
    pub blobs: Option<BTreeSet<Digest>>,
}
