//! The words of a node's HTTP API: what it is asked ([`Page`], [`UsageQuery`] …) and what it answers, as JSON. A node
//! writes these types and its clients read them; whoever talks to a node needs this crate and `meshwork-core`, and
//! nothing that a node is made of: no mesh, no sandbox, no store.
//!
//! `docs/glossary.md` explains the words.
//!
//! Each answer says which request it belongs to. Some are made of the ledger's own views, by a `From` beside the type.
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
    chain::{AcceptedView, AdmissionView, BlobView, BlockView, ErrorView, TransactionView},
    events::EventView,
    governance::{AuthorityView, ChangeView, GovernanceView, KeyView, LimitView, ProposalView, RulesView},
    jobs::{
        ArrayView, AttemptView, CheckpointView, ExplanationView, JobView, ReceiptPosition, TaskCounts, TaskState,
        TaskView, TimelineView, ended_in_words,
    },
    node::{Keep, NodeFile, PeerView, Progress, Role, StatusView, WorkerView},
    queries::{
        BLOCKS_DEFAULT, BLOCKS_MAX, BlockRange, EventFilter, LIST_MAX, PROOFS_MAX, Page, USAGE_ROWS_MAX, UsageQuery,
    },
    recurring::{OccurrenceView, OccurrencesView, RecurringState, RecurringView},
    usage::{AccountView, UsageBy, UsagePageView, UsageSide, UsageView},
};
