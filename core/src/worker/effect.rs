//! All that can go out.

use std::sync::Arc;

use crate::{
    replica::Assignment,
    types::{Action, AttemptId, BlockTime, Output, Spawn, Usage},
};

/// What the worker calls a transaction of which it has not heard the id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// What is to be done. Nothing has to wait for what comes before it, but for what concerns the same attempt.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Fetch and compile what an attempt needs, and say [`super::Progress::Prepared`].
    Prepare(Arc<Assignment>),
    /// Run an attempt, which is prepared: say [`super::Progress::Saved`] for each checkpoint that another holds,
    /// [`super::Progress::Ran`] when the program has ended, and [`super::Progress::Ended`] when a large output is
    /// delivered.
    Run(Arc<Assignment>),
    /// Stop whatever goes on for an attempt, and let go of what was prepared. Nothing that it leaves counts, and
    /// nothing more has to be said of it.
    Stop(AttemptId),
    /// Have an output delivered to another holder, since the ledger did not believe the last one, and say
    /// [`super::Progress::Ended`].
    Deliver {
        /// Whose.
        attempt: AttemptId,
        /// The output.
        output: Output,
        /// What the attempt used.
        usage: Usage,
        /// What its program asks for.
        spawns: Vec<Spawn>,
    },
    /// Say [`super::Input::LookedUp`]: a claim is due.
    LookUp {
        /// Whether the large blobs that are here are to be looked up too.
        blobs: bool,
    },
    /// Sign a transaction, say [`super::Input::Signed`], and hand it in; say [`super::Input::Refused`] if it is not
    /// taken.
    HandIn {
        /// What it is called here.
        ticket: Ticket,
        /// A claim, a report or a drain.
        action: Action,
        /// Until when it may be executed.
        expires: BlockTime,
    },
    /// The worker has left. Nothing more comes from it.
    Left {
        /// Whether the ledger knows; else what it held comes back when its claim runs out.
        is_known: bool,
    },
}
