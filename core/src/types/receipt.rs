//! What the ledger says happened. Receipts are what proofs prove.

use serde::{Deserialize, Serialize};
use serde_tuple::{Deserialize_tuple, Serialize_tuple};
use thiserror::Error;

use super::{Agreement, AttemptId, Height, KeyLimit, TransactionId, Verdict};
use crate::{digest::Digest, identity::PublicKey};

/// One thing that happened on the ledger, in the order in which it happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
// Most receipts are outcomes: a box for each would cost more than it saves elsewhere.
#[allow(clippy::large_enum_variant)]
pub enum Receipt {
    /// A transaction was executed, or was void.
    Transaction(TransactionReceipt),
    /// A task has its only outcome.
    Outcome(OutcomeReceipt),
}

impl Receipt {
    /// The receipt's digest, which is a leaf under a block's receipts root.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of_value("meshwork 1 receipt", self)
    }
}

/// The fate of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct TransactionReceipt {
    /// The transaction.
    pub id: TransactionId,
    /// Executed, or void and why.
    pub result: Result<(), VoidReason>,
}

/// The one accepted outcome of a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct OutcomeReceipt {
    /// The task and the attempt whose outcome it is.
    pub attempt: AttemptId,
    /// The worker that ran it.
    pub worker: PublicKey,
    /// The height at which it was accepted.
    pub height: Height,
    /// The outcome. A failure here is the last one: no retry is left.
    pub verdict: Verdict,
    /// Who gave which answer, if the task was computed by several workers.
    pub agreement: Option<Agreement>,
}

/// Why a transaction changed nothing.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VoidReason {
    /// Its expiry is before the block's time, or too far after it.
    #[error("its expiry has passed, or lies further ahead than the genesis allows")]
    Expired,
    /// It was executed before.
    #[error("it was executed before")]
    Replayed,
    /// The signer may not do this on this network.
    #[error("this key is not permitted to do that on this network")]
    NotPermitted,
    /// A field exceeds a bound of the genesis, or makes no sense.
    #[error("a field exceeds a bound of the genesis or makes no sense")]
    Malformed,
    /// The job's deadline has passed already.
    #[error("the job's deadline has passed already")]
    DeadlinePassed,
    /// The job has more tasks than one may have, or none.
    #[error("the job has no tasks, or more than the genesis allows in one job")]
    TooManyTasks,
    /// The signer has as many unfinished tasks as it may have.
    #[error(
        "this key has so many unfinished tasks that these would be more than it may have; there is room again as they end"
    )]
    KeyTasksFull,
    /// The network has as many unfinished tasks as it may have.
    #[error(
        "the network has so many unfinished tasks that these would be more than it may have; there is room again as they end"
    )]
    TasksFull,
    /// The signer's unfinished tasks may leave as much output as is allowed.
    #[error(
        "this key's unfinished tasks may leave so much output that with these it would be more than it may be; there is room again as they end"
    )]
    KeyOutputFull,
    /// The network's unfinished tasks may leave as much output as is allowed.
    #[error(
        "the network's unfinished tasks may leave so much output that with these it would be more than it may be; there is room again as they end"
    )]
    OutputFull,
    /// The signer is unproven, and unproven keys together have as much of the network's room as they may.
    #[error(
        "this key is new here, and new keys together have as much of the network's room as they may; there is room again as what they have ends, or once an authority gives this key a quota"
    )]
    UnprovenFull,
    /// The signer is not vouched for, and what room is left is kept for keys that are.
    #[error(
        "what room the network has left is kept for keys with a quota of their own; there is room again as what others have ends"
    )]
    KeptForVouched,
    /// The definitions of the signer's unfinished jobs take as many bytes as they may.
    #[error(
        "the definitions of this key's unfinished jobs take so many bytes that with this they would take more than they may; there is room again as the jobs end"
    )]
    KeyDefinitionsFull,
    /// The definitions of the network's unfinished jobs take as many bytes as they may.
    #[error(
        "the definitions of the network's unfinished jobs take so many bytes that with this they would take more than they may; there is room again as the jobs end"
    )]
    DefinitionsFull,
    /// The signer's jobs of today make every peer store as much for good as one key's may in a day.
    #[error(
        "this key's jobs of today have every peer store so much for good that with these it would be more than they may in a day; there is room again after midnight (UTC)"
    )]
    KeyDailyStoredFull,
    /// All jobs of today, or those of new keys, make every peer store as much for good as they may in a day.
    #[error(
        "the jobs of today have every peer store as much for good as they may in a day, or as new keys' jobs may; there is room again after midnight (UTC), or once an authority gives this key a quota"
    )]
    DailyStoredFull,
    /// The unfinished jobs of the signer, or of the network, have as many different needs as they may.
    #[error("unfinished jobs ask for as many different combinations of resources and labels as is allowed")]
    NeedsFull,
    /// The job has ended, or takes no more arrays.
    #[error("nothing can be added to the job any more")]
    JobClosed,
    /// A task depends on one that does not come before it in its job, or takes an output that no task leaves.
    #[error(
        "a task waits for, or takes from, one that does not stand before it in its job or leaves nothing to others"
    )]
    BadDependency,
    /// The tasks of a job depend on more single tasks than they may.
    #[error("the job's tasks wait for more single tasks, taken together, than is allowed")]
    TooManyEdges,
    /// There is no such job, or it has ended and is forgotten.
    #[error("there is no such job here")]
    UnknownJob,
    /// Only the job's submitter may do that.
    #[error("only the job's submitter may do that")]
    NotYours,
    /// A task with replicas saves checkpoints or spawns tasks.
    #[error("a task with replicas can neither save checkpoints nor spawn tasks")]
    RedundancyExcludes,
    /// None of the selected tasks exists and is unfinished.
    #[error("none of the tasks that were named is unfinished")]
    NothingSelected,
    /// The tasks of a job would be in more different states than is allowed.
    #[error("the job's tasks would stand in more different ways than is allowed")]
    TooManySegments,
    /// Within one block, as many tasks of the signer, or of all, have been changed as may be.
    #[error("as many tasks are changed in this block as may be; sign and send it again")]
    ControlsFull,
    /// The signer has as many recurring jobs as it may have.
    #[error("this key has as many recurring jobs as it may have; there is room again once one has ended or is deleted")]
    KeyRecurringFull,
    /// The network has as many recurring jobs as it may have.
    #[error(
        "the network has as many recurring jobs as it may have; there is room again once one has ended or is deleted"
    )]
    RecurringFull,
    /// The recurring job has no occurrence left.
    #[error("no occurrence of the recurring job is still to come")]
    NeverRuns,
    /// There is no such recurring job, or it has ended and is forgotten.
    #[error("there is no such recurring job here")]
    UnknownRecurring,
    /// The recurring job has ended, or was deleted.
    #[error("the recurring job has ended, or was deleted")]
    RecurringEnded,
    /// The sequence number is not above the last executed one.
    #[error("its sequence number is not above that of an earlier claim or drain")]
    OldSequence,
    /// The claim's incarnation is below one that was executed before.
    #[error("its incarnation is older than one seen before")]
    OldIncarnation,
    /// The key has made no claim, or is forgotten as a worker.
    #[error("this key is not known as a worker; a worker claims first")]
    UnknownWorker,
    /// There are as many workers as is allowed.
    #[error("the network has as many workers as the genesis allows")]
    WorkersFull,
    /// Only an authority of the present epoch may do that.
    #[error("only one of the present authorities may propose or approve a change")]
    NotAuthority,
    /// There is no such open proposal.
    #[error("there is no such proposal here, or it is no longer open")]
    UnknownProposal,
    /// The signer has approved the proposal already, or made it.
    #[error("this authority has approved that proposal already")]
    ApprovedBefore,
    /// The signer has as many open proposals as it may have.
    #[error("this authority has as many open proposals as one may have")]
    ProposalsFull,
    /// The key is one of the next epoch's authorities already.
    #[error("this key is an authority already, or is going to be")]
    AuthorityPresent,
    /// The key is none of the next epoch's authorities.
    #[error("this key is no authority, or is going to be none")]
    AuthorityAbsent,
    /// There would be no authority, or more than there may be.
    #[error("there would be no authority left, or more than there may be")]
    AuthorityCount,
    /// With this many authorities, stalls that the network must bear could outlast the genesis' bounds on
    /// leases.
    #[error("so many authorities may stall the network for longer than the genesis lets leases outlast")]
    LeasesTooShort,
    /// The proposal changes nothing.
    #[error("that is so already")]
    NothingToChange,
    /// As many keys are listed, or have a quota of their own, as is allowed.
    #[error("as many keys are listed there, or have a quota of their own, as may")]
    RulesFull,
}

impl VoidReason {
    /// The limit of the signer that is reached, if that is the reason.
    #[must_use]
    pub const fn key_limit(self) -> Option<KeyLimit> {
        match self {
            Self::KeyTasksFull => Some(KeyLimit::Tasks),
            Self::KeyOutputFull => Some(KeyLimit::OutputBytes),
            Self::KeyDefinitionsFull => Some(KeyLimit::DefinitionBytes),
            Self::KeyRecurringFull => Some(KeyLimit::Recurring),
            Self::KeyDailyStoredFull => Some(KeyLimit::DailyStoredBytes),
            _ => None,
        }
    }
}
