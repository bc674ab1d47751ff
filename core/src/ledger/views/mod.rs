//! What others may ask of the ledger. Nothing here changes it.

pub mod explain;
mod forecast;
mod governance;
pub(in crate::ledger) mod query;
pub(in crate::ledger) mod recurring;
mod rules;
pub mod timeline;
mod usage;
