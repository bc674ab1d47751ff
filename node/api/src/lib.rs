//! The words of a node's HTTP API: requests ([`Page`], [`UsageQuery`] …) and answers, as JSON. A node writes these
//! types and its clients read them. A client needs this crate and `meshwork-core`, but no part of a node: no mesh, no
//! sandbox, no store.
//!
//! `docs/glossary.md` explains the words.
//!
//! Each answer names its request. Some answers are made from the ledger's own views, by a `From` beside the type.
#![forbid(unsafe_code)]

mod chain;
mod events;
mod governance;
mod jobs;
mod node;
mod queries;
mod recurring;
mod usage;

pub use self::{
    chain::{AcceptedView, AdmissionView, BlobView, BlockView, ErrorView, TransactionView, VerifiedView},
    events::EventView,
    governance::{AuthorityView, ChangeView, GovernanceView, KeyView, LimitView, ProposalView, RulesView},
    jobs::{
        ArrayView, AttemptView, CheckpointView, Comparison, ExplanationView, JobView, ReceiptPosition, ReplicasView,
        TaskCounts, TaskState, TaskView, TimelineView, attempt_in_words, ended_in_words, outcome_in_words,
        setback_in_words,
    },
    node::{Keep, NodeFile, PeerView, Progress, RecordView, Role, StatusView, TrackView, WorkerView},
    queries::{
        After, BLOCKS_DEFAULT, BLOCKS_MAX, BlockRange, EventFilter, LIST_MAX, PROOFS_MAX, Page, USAGE_ROWS_MAX,
        UsageQuery,
    },
    recurring::{OccurrenceView, OccurrencesView, RecurringState, RecurringView},
    usage::{AccountView, UsageBy, UsagePageView, UsageSide, UsageView},
};
