//! The scheduling policies: small, pure, integer-only. They know nothing of the ledger that asks them.
//!
//! * [`order`]: which ready task goes next. A policy gives each job a rank once, at admission.
//! * [`placement`]: which claim a task goes to. A policy gives each claim a score, which grows as work is placed on it.
//! * [`recovery`]: what becomes of a task whose attempt ended without an outcome, and where it may go again.
//! * [`ready`]: the queue of ready tasks, grouped by what they need, so that a task that fits nowhere holds up only its like.

pub mod order;
pub mod placement;
pub mod ready;
pub mod recovery;
