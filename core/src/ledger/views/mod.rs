//! Read-only queries of the ledger.

pub mod explain;
mod forecast;
mod governance;
mod last_failure;
pub(in crate::ledger) mod owed;
pub(in crate::ledger) mod query;
pub(in crate::ledger) mod recurring;
pub(in crate::ledger) mod replicas;
mod rules;
pub mod timeline;
mod usage;
