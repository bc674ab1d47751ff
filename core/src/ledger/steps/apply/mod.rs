//! Executes transactions, one file for each kind. `check_…` says why a transaction would be void and changes nothing.
//! The function with the transaction's name executes one that passed the check.

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
