//! The data that travels, is signed and is stored. Little behaviour lives here, and no rule of consensus or scheduling.

mod agreement;
mod authorities;
mod block;
mod control;
mod cron;
mod genesis;
mod govern;
mod ids;
mod job;
mod manifest;
mod outcome;
mod path;
mod receipt;
mod recurring;
mod task;
mod task_limit;
mod transaction;
mod vote;

pub use agreement::{Agreement, Answer, Answered, Basis, RELIED_FROM, Salt};
pub use authorities::{AuthoritySet, AuthoritySetError};
pub use block::{Block, Closing, Header, Proposal, Role, SnapshotDigest};
pub use control::{Amendment, Control, Deadline, Directive, Filter, Selection, Terms};
pub use cron::Cron;
pub use genesis::{
    Access, Authority, ConsensusParameters, Genesis, GenesisError, LedgerLimits, OrderPolicy, PlacementPolicy,
    ScheduleParameters,
};
pub use govern::{Change, Govern, KeyLimit, Limit, NetworkLimit, Permission, Quota};
pub use ids::{
    AttemptId, AttemptNumber, AuthorityIndex, BlockTime, Epoch, Height, Incarnation, JobId, RecurringId, TaskId,
    TaskIdError, TransactionId, View,
};
pub use job::{After, AfterJob, Array, Extend, Submit, Times, When};
pub use manifest::{Manifest, ManifestError, OutputFile, Packed, Packer, Piece};
pub use outcome::{
    Delivery, DeliveryStatement, Failure, FailureKind, InlineOutput, Output, Remains, Spawn, Usage, Verdict,
};
pub(crate) use path::folders_of;
pub use path::{DEPTH_MAX, OWN_FOLDERS, PATH_BYTES_MAX, is_mount_sound, is_path_sound, is_tree_path_sound};
pub use receipt::{OutcomeReceipt, Receipt, TransactionReceipt, VoidReason};
pub use recurring::{CatchUp, Occurrence, Overlap, Recur, Recurring, SkipReason};
pub use task::{
    BlobRef, Edges, Input, Labels, Limits, OutputOf, Part, Producer, Program, Redundancy, Resources, Retry, Setback,
    Source, TaskSpec, Tasks,
};
pub use task_limit::{MemoryUse, OutputUse, TaskLimit};
pub use transaction::{Action, Claim, Drain, Envelope, Report, ReportItem, SignedTransaction, Transaction};
pub use vote::{Certificate, Signers, Statement, Vote};
