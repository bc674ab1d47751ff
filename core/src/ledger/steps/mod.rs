//! What a block does, in order: time passes (`deadlines`), transactions are executed (`apply`), what has run out ends
//! (`deadlines`), what recurs is run (`recurring`), tasks are matched to claims (`matching`, `speculation`), and who
//! has had most is to be preempted (`preemption`). `recovery` says what becomes of a task whose attempt ended without
//! an outcome, and `rules` what follows when a quorum has changed one.

pub(in crate::ledger) mod apply;
mod deadlines;
mod matching;
mod preemption;
mod recovery;
mod recurring;
mod rules;
mod speculation;
