//! What can be asked besides a path: the part of an address after the `?`.

use meshwork_core::types::JobId;
use serde::{Deserialize, Serialize};

use crate::{TaskState, UsageBy, UsageSide};

/// The most jobs, tasks or recurring jobs in one answer, and what is given if nobody says how many.
pub const LIST_MAX: u32 = 1000;
/// The most proofs in one answer, likewise.
pub const PROOFS_MAX: u32 = 256;
/// The most blocks in one answer.
pub const BLOCKS_MAX: u64 = 256;
/// How many blocks are given if nobody says.
pub const BLOCKS_DEFAULT: u64 = 20;
/// The most rows of accounts in one answer, and what is given if nobody says how many.
pub const USAGE_ROWS_MAX: usize = 1000;

/// Which part of a list is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// The first index; 0 if none is said. Lists that begin with the newest have none.
    pub from: Option<u32>,
    /// How many at most.
    pub limit: Option<usize>,
    /// Only tasks in this state.
    pub state: Option<TaskState>,
}

impl Page {
    /// How many are given: at most `most`, which is also meant if nobody says.
    #[must_use]
    pub fn limit(&self, most: u32) -> usize {
        self.limit.map_or(most as usize, |limit| limit.min(most as usize))
    }
}

/// Which blocks are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockRange {
    /// The first height; the newest blocks are meant if none is said.
    pub from: Option<u64>,
    /// How many at most.
    pub limit: Option<u64>,
}

/// Which events are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventFilter {
    /// Only what happens to this job.
    pub job: Option<JobId>,
    /// Whether to send events of single tasks. Default: true.
    pub tasks: Option<bool>,
}

/// Which accounts are wanted: [`crate::UsagePageView`] says what each field means.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageQuery {
    /// What a row stands for: a submitter, worker, job or day.
    #[serde(default)]
    pub by: UsageBy,
    /// With a row for each day: whether it counts keys as submitters or as workers.
    #[serde(default, rename = "as")]
    pub side: UsageSide,
    /// Only this key's. It is a text, so that the node can say what is wrong with one.
    pub key: Option<String>,
    /// The first day.
    pub from: Option<u32>,
    /// The last day.
    pub to: Option<u32>,
    /// After which row to go on: what the answer before named as `next`.
    pub after: Option<String>,
    /// How many rows at most.
    pub limit: Option<usize>,
}
