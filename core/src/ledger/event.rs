//! What a block changed, for workers, event streams and tests. Events are not part of the state, and nothing is
//! proven by them.

use serde::{Deserialize, Serialize};

use crate::{
    identity::PublicKey,
    ledger::RecurringEndReason,
    types::{AttemptId, BlockTime, Change, Incarnation, JobId, RecurringId, SkipReason, TaskId, TransactionId},
};

/// One thing that happened, in the order in which it happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LedgerEvent {
    /// A job was admitted.
    JobAdmitted {
        /// Which.
        job: JobId,
        /// How many tasks it has.
        tasks: u32,
    },
    /// Every task of a job has an outcome, or it was cancelled.
    JobEnded {
        /// Which.
        job: JobId,
        /// How many of its tasks were cancelled. No [`LedgerEvent::TaskDone`] is sent for them.
        cancelled: u64,
        /// How many were skipped, likewise.
        skipped: u64,
    },
    /// Tasks were added to a job.
    JobExtended {
        /// Which.
        job: JobId,
        /// How many it has with them.
        tasks: u32,
    },
    /// A job was closed: nothing more can be added to it.
    JobClosed {
        /// Which.
        job: JobId,
    },
    /// An ended job was dropped from the state.
    JobForgotten {
        /// Which.
        job: JobId,
    },
    /// A recurring job was admitted.
    RecurringAdmitted {
        /// Which.
        recurring: RecurringId,
    },
    /// A recurring job was paused, or resumed.
    RecurringPaused {
        /// Which.
        recurring: RecurringId,
        /// Whether it is paused now.
        paused: bool,
    },
    /// An occurrence of a recurring job was run.
    RecurringRun {
        /// Which.
        recurring: RecurringId,
        /// Which occurrence.
        occurrence: BlockTime,
        /// As which job.
        job: JobId,
    },
    /// Occurrences of a recurring job, one or several in a row, were not run.
    RecurringSkipped {
        /// Which.
        recurring: RecurringId,
        /// The first occurrence.
        first: BlockTime,
        /// The last occurrence.
        last: BlockTime,
        /// How many there are.
        occurrences: u64,
        /// Why.
        why: SkipReason,
    },
    /// A recurring job has ended: none of its further occurrences is run.
    RecurringEnded {
        /// Which.
        recurring: RecurringId,
        /// Why.
        why: RecurringEndReason,
    },
    /// An ended recurring job was dropped from the state.
    RecurringForgotten {
        /// Which.
        recurring: RecurringId,
    },
    /// A worker's claim began to stand, or the worker came back as a new incarnation.
    ClaimBegan {
        /// Who.
        worker: PublicKey,
        /// The incarnation of its process.
        incarnation: Incarnation,
    },
    /// A worker's claim ended.
    ClaimEnded {
        /// Who.
        worker: PublicKey,
        /// Whether the worker drained. Otherwise its claim ran out.
        drained: bool,
    },
    /// A worker was given an attempt.
    Leased {
        /// Which.
        attempt: AttemptId,
        /// Who.
        worker: PublicKey,
        /// The incarnation that may run it.
        incarnation: Incarnation,
        /// Whether it took resources at once. Otherwise it took a waiting place.
        running: bool,
        /// Whether it is a speculative attempt, beside a slow one that still lives.
        speculative: bool,
    },
    /// A waiting attempt took resources.
    Started {
        /// Which.
        attempt: AttemptId,
        /// Who holds it.
        worker: PublicKey,
    },
    /// An attempt ended.
    Ended {
        /// Which.
        attempt: AttemptId,
        /// Who held it.
        worker: PublicKey,
        /// Why.
        why: EndReason,
        /// Whether another attempt of its task lives on.
        goes_on: bool,
    },
    /// An attempt whose slice is spent was asked to stop at its next checkpoint, for a submitter that waits.
    PreemptionRequested {
        /// Which.
        attempt: AttemptId,
        /// Who holds it.
        worker: PublicKey,
    },
    /// An attempt's program has saved a checkpoint.
    Checkpointed {
        /// Which.
        attempt: AttemptId,
        /// Who holds it.
        worker: PublicKey,
    },
    /// A replica's worker has committed itself to its answer. The attempt holds no resources any more.
    Committed {
        /// Which.
        attempt: AttemptId,
        /// Who holds it.
        worker: PublicKey,
    },
    /// It was drawn whether the answer of a worker that is relied on is compared with others.
    ComparisonDrawn {
        /// Which attempt.
        attempt: AttemptId,
        /// Who holds it.
        worker: PublicKey,
        /// Whether it is compared.
        compared: bool,
    },
    /// A replica's worker is asked to reveal its answer, because all that were asked for have committed themselves.
    RevealAsked {
        /// Which.
        attempt: AttemptId,
        /// Who holds it.
        worker: PublicKey,
    },
    /// A task has its outcome.
    TaskDone {
        /// Which.
        task: TaskId,
        /// Whether the outcome is a success.
        succeeded: bool,
    },
    /// A quorum of the authorities has approved a change.
    ChangeApproved {
        /// The proposal.
        proposal: TransactionId,
        /// What changes.
        change: Box<Change>,
    },
    /// A worker's verdict on an attempt changed nothing.
    ReportIgnored {
        /// Which attempt.
        attempt: AttemptId,
        /// Who said it.
        worker: PublicKey,
        /// Why.
        why: IgnoredReason,
    },
}

/// Why an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EndReason {
    /// Its success was accepted.
    Succeeded,
    /// Its program failed.
    Failed,
    /// It is a replica, and its answer counts among those that are compared.
    Answered,
    /// Its worker was asked for the answer to which it had committed itself, and did not reveal it in time.
    Unrevealed,
    /// Its worker revealed another answer than it had committed itself to.
    Mismatched,
    /// Its worker gave it back before it began.
    Returned,
    /// Its worker ran it, and could not keep or deliver what it left.
    Undelivered,
    /// It was preempted, at its last checkpoint.
    Preempted,
    /// Its worker's claim ran out.
    ClaimEnded,
    /// Its worker's process restarted.
    NewIncarnation,
    /// It ran longer than its wall time plus the allowance.
    TimedOut,
    /// Its worker's process died while it compiled or ran the program.
    HostDied {
        /// Whether the process compiled and ran nothing then but this program for this job.
        alone: bool,
    },
    /// Its worker drained.
    Drained,
    /// Its worker's claim changed and has no place for it any more.
    TakenBack,
    /// The outcome of another attempt was accepted.
    Superseded,
    /// Its job was cancelled.
    Cancelled,
}

impl EndReason {
    /// Whether the attempt was lost or drained.
    pub(super) const fn is_loss(self) -> bool {
        matches!(
            self,
            Self::ClaimEnded
                | Self::NewIncarnation
                | Self::TimedOut
                | Self::HostDied { .. }
                | Self::Drained
                | Self::Unrevealed
                | Self::Mismatched
                | Self::Undelivered
        )
    }

    /// Whether the worker committed itself to an answer that it did not give. So it had begun, also in a waiting place.
    pub(super) const fn breaks_commitment(self) -> bool {
        matches!(self, Self::Unrevealed | Self::Mismatched)
    }

    /// Whether the task avoids this worker afterwards.
    pub(super) const fn is_avoided(self) -> bool {
        self.is_loss() || matches!(self, Self::Returned)
    }
}

/// Why a report's item changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IgnoredReason {
    /// The task is unknown or forgotten.
    UnknownTask,
    /// This worker was not assigned that attempt, or the ledger has forgotten it.
    NotAssigned,
    /// The task has its outcome, or was cancelled.
    TaskEnded,
    /// The attempt was already reported: earlier in this report, or when it ended.
    Repeated,
    /// The attempt was lost before, and this is neither a success nor the death of its worker.
    Late,
    /// The verdict exceeds a bound or makes no sense.
    Malformed,
    /// The output is large, and no second holder confirms that it has it.
    NotDelivered,
    /// It is a replica's answer for which the ledger has not asked yet.
    NotAsked,
}
