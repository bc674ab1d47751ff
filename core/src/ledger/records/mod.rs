//! What is so: what a snapshot holds, and nothing that can be computed from it.

pub(in crate::ledger) mod governance;
pub(in crate::ledger) mod jobs;
pub(in crate::ledger) mod lease_time;
pub(in crate::ledger) mod recurring;
pub(in crate::ledger) mod replay;
pub(in crate::ledger) mod rules;
pub(in crate::ledger) mod usage;
pub(in crate::ledger) mod workers;

use serde_tuple::{Deserialize_tuple, Serialize_tuple};

/// What happened since the genesis, whether or not it is still remembered in detail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Counters {
    /// Jobs admitted.
    pub jobs: u64,
    /// Their tasks.
    pub tasks: u64,
    /// Leases given, copies among them.
    pub leases: u64,
    /// Copies of slow attempts given.
    pub copies: u64,
    /// Tasks that ended with a success.
    pub succeeded: u64,
    /// Tasks that ended with a failure.
    pub failed: u64,
    /// Tasks cancelled.
    pub cancelled: u64,
    /// Tasks skipped.
    pub skipped: u64,
    /// Attempts lost or drained, begun or not.
    pub lost: u64,
    /// Successes taken of attempts that had been lost.
    pub late: u64,
    /// Items of reports that changed nothing.
    pub ignored: u64,
}
