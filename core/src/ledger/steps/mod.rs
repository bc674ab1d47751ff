//! What a block does, in order.
//!
//! 1. Time passes (`deadlines`).
//! 2. Transactions are executed (`apply`).
//! 3. Claims, attempts and back-offs expire (`deadlines`), tasks that no claim could hold for long end (`unclaimed`), and
//!    occurrences of recurring jobs are run (`recurring`).
//! 4. Tasks are matched to claims (`matching`, `speculation`).
//! 5. Preemptions are requested from the submitters who have had most (`preemption`).
//!
//! `recovery` decides what becomes of a task whose attempt ended without an outcome, and `deaths` what becomes of
//! programs whose workers died. `rules` carries out a quorum's changes of rules.

mod agreement;
pub(in crate::ledger) mod apply;
mod deadlines;
mod deaths;
mod matching;
mod preemption;
mod recovery;
mod recurring;
mod rules;
mod speculation;
mod unclaimed;
