//! A final block as the driver gets it: what to store, and what remains known after the ledger has forgotten a
//! job.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_tuple::{Deserialize_tuple, Serialize_tuple};

use crate::{
    digest::Digest,
    identity::PublicKey,
    ledger::{Applied, Gone, Ledger, LedgerEvent, ProducedInput, TaskStateView},
    snapshot::Chunks,
    types::{
        AttemptId, BlobRef, Block, BlockTime, Certificate, Height, Incarnation, JobId, Occurrence, Part, Resources,
        TaskId, TaskSpec,
    },
};

/// A final block and what its execution produced.
#[derive(Debug)]
pub struct Executed {
    /// The block.
    pub block: Arc<Block>,
    /// Its digest.
    pub digest: Digest,
    /// Its own finalization. `None` if only a descendant has one.
    pub finalization: Option<Certificate>,
    /// The root over all receipts up to this height.
    pub root: Digest,
    /// What happened in it.
    pub applied: Applied,
    /// The attempts that it assigned to this peer's own worker.
    pub assignments: Vec<Assignment>,
    /// The jobs that ended in it.
    pub ended: Vec<EndedJob>,
    /// The ledger's state, at a snapshot height.
    pub snapshot: Option<Snapshot>,
}

impl Executed {
    /// A block's results, from the ledger as it is after the block; `me` is the peer whose worker gets the
    /// assignments.
    pub(super) fn of(
        ledger: &Ledger,
        me: &PublicKey,
        (block, digest): (Arc<Block>, Digest),
        finalization: Option<Certificate>,
        (applied, snapshot): (Applied, Option<Snapshot>),
    ) -> Self {
        let ended = applied.events.iter().filter_map(|event| match event {
            LedgerEvent::JobEnded { job, .. } => ended_job(ledger, *job),
            _ => None,
        });
        let ended = ended.collect();
        let assignments = applied.events.iter().filter_map(|event| match event {
            LedgerEvent::Leased { attempt, worker, incarnation, .. } if worker == me => {
                Assignment::of(ledger, *attempt, *incarnation)
            }
            _ => None,
        });
        let assignments = assignments.collect();
        Self { block, digest, finalization, root: ledger.receipts_root(), applied, assignments, ended, snapshot }
    }
}

/// Executes a block, and takes a snapshot if its height is a snapshot height.
pub(super) fn execute(ledger: &mut Ledger, block: &Block) -> (Applied, Option<Snapshot>) {
    let applied = ledger.apply(block);
    let is_due = block.header.height.0.is_multiple_of(ledger.genesis().consensus.snapshot_interval);
    let snapshot = is_due.then(|| {
        let bytes = ledger.snapshot();
        Snapshot { chunks: Chunks::of(&bytes), bytes, receipts_from: ledger.oldest_admission() }
    });
    (applied, snapshot)
}

/// An attempt that this peer's own worker was given, and what it is to run.
#[derive(Clone, Debug)]
pub struct Assignment {
    /// The attempt.
    pub attempt: AttemptId,
    /// The worker's process that got it.
    pub incarnation: Incarnation,
    /// What all tasks of its array share.
    pub spec: Arc<TaskSpec>,
    /// The resources that it may take of the worker.
    pub resources: Resources,
    /// What the task has of its own.
    pub part: Option<Part>,
    /// The task's place in its array.
    pub array_index: u32,
    /// The outputs of other tasks that it takes.
    pub produced: Vec<ProducedInput>,
    /// The manifest of the checkpoint that an earlier attempt saved. The attempt goes on from there.
    pub checkpoint: Option<BlobRef>,
    /// Whether others may take its output. The output must then be stored, however small.
    pub feeds: bool,
    /// Whether it runs with nothing beside it but its program for its job, because workers died while they ran that.
    pub alone: bool,
}

impl Assignment {
    /// A live attempt as the ledger has it; `None` if the ledger no longer has the task.
    #[must_use]
    pub fn of(ledger: &Ledger, attempt: AttemptId, incarnation: Incarnation) -> Option<Self> {
        let task = ledger.task(attempt.task)?;
        Some(Self {
            attempt,
            incarnation,
            spec: Arc::clone(task.spec),
            resources: task.resources,
            part: task.part.cloned(),
            array_index: task.array_index,
            produced: ledger.produced_inputs(attempt.task),
            checkpoint: task.checkpoint.map(|checkpoint| checkpoint.manifest),
            feeds: task.feeds,
            alone: ledger.runs_alone(attempt.task),
        })
    }
}

/// A job whose last task has ended: what remains known after the ledger has forgotten it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct EndedJob {
    /// Its id.
    pub id: JobId,
    /// The name that its submitter gave it.
    pub name: String,
    /// Its submitter.
    pub submitter: PublicKey,
    /// The height that admitted it.
    pub height: Height,
    /// The time of the block that admitted it.
    pub submitted: BlockTime,
    /// The time of the block in which its last task ended.
    pub ended: BlockTime,
    /// Its tasks in order.
    pub tasks: Vec<EndedTask>,
    /// The occurrence that it is, if it is one of a recurring job.
    pub occurrence_of: Option<Occurrence>,
}

/// How a task of an ended job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EndedTask {
    /// Well: the receipt's height, and its index there.
    Succeeded(Height, u32),
    /// Badly, likewise.
    Failed(Height, u32),
    /// Without an outcome: what happened instead.
    Gone(Gone),
}

impl EndedTask {
    /// The height and index of its outcome's receipt, if it has one.
    #[must_use]
    pub const fn receipt(&self) -> Option<(Height, u32)> {
        match self {
            Self::Succeeded(height, index) | Self::Failed(height, index) => Some((*height, *index)),
            Self::Gone(_) => None,
        }
    }
}

fn ended_job(ledger: &Ledger, id: JobId) -> Option<EndedJob> {
    let job = ledger.job(id)?;
    let ended = |index: u32| match ledger.task(TaskId { job: id, index })?.state {
        TaskStateView::Done { succeeded: true, height, receipt, .. } => Some(EndedTask::Succeeded(height, receipt)),
        TaskStateView::Done { height, receipt, .. } => Some(EndedTask::Failed(height, receipt)),
        TaskStateView::Gone(gone) => Some(EndedTask::Gone(gone)),
        _ => Some(EndedTask::Gone(Gone::Cancelled)),
    };
    Some(EndedJob {
        id,
        name: job.name.to_owned(),
        submitter: job.submitter,
        height: job.height,
        submitted: job.submitted,
        ended: job.ended?,
        tasks: (0..job.count).filter_map(ended).collect(),
        occurrence_of: job.occurrence_of,
    })
}

/// The ledger's state at a snapshot height.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The chunks of the encoding; their digest is the state's.
    pub chunks: Chunks,
    /// Its encoding.
    pub bytes: Vec<u8>,
    /// The lowest height at which a task that the ledger still knows can have a receipt.
    pub receipts_from: Height,
}
