//! The scheduling policies: small, pure, integer-only. They know nothing of the ledger that asks them.
//!
//! `docs/glossary.md` explains the words.
//!
//! * [`order`]: which ready task goes next, by a sequence of policies.
//! * [`placement`]: which claim a task goes to, by the submitter's wishes and a sequence of policies.
//! * [`estimate`]: how long a program's attempts take, learned from those that ended.
//! * [`recovery`]: what happens to a task whose attempt ended without an outcome, and where it may go again.
//! * [`ready`]: the queue of ready tasks, grouped by need, so that a task that fits nowhere holds up only its
//!   like.

pub mod estimate;
pub mod order;
pub mod placement;
pub mod ready;
pub mod recovery;
