//! The worker's effects: everything that it can ask for.

use std::sync::Arc;

use crate::{
    replica::Assignment,
    types::{Action, AttemptId, BlockTime, Verdict},
};

/// The worker's name for a transaction until it hears the id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// One thing to do. Effects on one attempt are carried out in order; others need not wait for each other.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Fetch and compile what an attempt needs, then answer [`super::Progress::Prepared`].
    Prepare(Arc<Assignment>),
    /// Run a prepared attempt. Answer [`super::Progress::Saved`] for each checkpoint that a second holder has,
    /// [`super::Progress::Ran`] when the program has ended, and [`super::Progress::Ended`] when its outcome is known
    /// and a large output is delivered. If its task has redundancy, an [`Answer`](crate::types::Answer) is not delivered
    /// yet: answer [`super::Progress::Answered`].
    Run(Arc<Assignment>),
    /// Stop all work for an attempt, and drop what was prepared. No answer is needed, and no outcome counts.
    Stop(AttemptId),
    /// Deliver the output of a verdict to another holder, because the ledger did not believe the last one. Then answer
    /// [`super::Progress::Ended`].
    Deliver {
        /// The attempt.
        attempt: AttemptId,
        /// Its verdict, which names the last holder.
        verdict: Verdict,
    },
    /// Reveal the answer of a replica ([`super::Progress::Answered`]): deliver its output, if it is large, to a holder
    /// that did not have it before. Then answer [`super::Progress::Ended`]. This may be asked for again, if the ledger
    /// does not believe the holder.
    Reveal(AttemptId),
    /// The ledger has heard that the process before this one died of this attempt. It need not be remembered any more.
    Forget(AttemptId),
    /// Look up what a claim needs, then answer [`super::Input::LookedUp`].
    LookUp {
        /// Whether to look up the large blobs on this machine too.
        blobs: bool,
    },
    /// Sign a transaction, answer [`super::Input::Signed`], and hand it in. If the replica refuses it, answer
    /// [`super::Input::Refused`].
    HandIn {
        /// The worker's name for it.
        ticket: Ticket,
        /// A claim, a report or a drain.
        action: Action,
        /// The last block time at which it may be executed.
        expires: BlockTime,
    },
    /// The worker has left. No more effects follow.
    Left {
        /// Whether the drain was executed. If not, the worker's attempts go back when its claim runs out.
        is_known: bool,
    },
}
