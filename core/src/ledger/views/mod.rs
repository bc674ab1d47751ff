//! What others may ask of the ledger. Nothing here changes it.

pub mod explain;
mod forecast;
pub(in crate::ledger) mod query;
pub(in crate::ledger) mod recurring;
pub mod timeline;
mod usage;
