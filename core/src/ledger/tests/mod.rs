//! One test for each rule; its name is the sentence that it proves. `mesh` is a small network to tell stories with,
//! `random` tells thousands of them.

mod adaptive;
mod admission;
mod agreement;
mod bookkeeper;
mod claims;
mod control;
mod deaths;
mod dependencies;
mod explain;
mod explained;
mod forecast;
mod governance;
pub(in crate::ledger) mod mesh;
mod occurrences;
mod owed;
mod random;
mod recovery;
mod recurring;
mod reports;
mod rules;
mod scheduling;
mod setbacks;
mod snapshots;
mod spawn;
mod speculation;
mod statuses;
mod stored;
mod strangers;
mod timeline;
mod trials;
mod trust;
mod unclaimed;
mod usage;
