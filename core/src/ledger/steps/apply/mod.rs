//! What each transaction does, one file for each. `check_…` says why it would be void and changes nothing; the function
//! of the transaction's name executes one that passed.

mod claim;
mod control;
mod drain;
mod extend;
mod govern;
mod recur;
mod report;
mod spawn;
mod submit;

pub(in crate::ledger) use control::Controlled;
