//! The parameters of requests: the part of an address after the `?`.

use meshwork_core::{digest::Digest, types::JobId};
use serde::{Deserialize, Serialize};

use crate::{TaskState, UsageBy, UsageSide};

/// The most jobs, tasks or recurring jobs in one answer, and the default.
pub const LIST_MAX: u32 = 1000;
/// The most proofs in one answer, and the default.
pub const PROOFS_MAX: u32 = 256;
/// The most blocks in one answer.
pub const BLOCKS_MAX: u64 = 256;
/// The number of blocks in an answer by default.
pub const BLOCKS_DEFAULT: u64 = 20;
/// The most rows of accounts in one answer, and the default.
pub const USAGE_ROWS_MAX: usize = 1000;

/// The wanted part of a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// The first index. Default: 0. Lists that begin with the newest do not use it.
    pub from: Option<u32>,
    /// The most items in the answer.
    pub limit: Option<usize>,
    /// Only tasks in this state.
    pub state: Option<TaskState>,
}

impl Page {
    /// The number of items to give: at most `most`, which is also the default.
    #[must_use]
    pub fn limit(&self, most: u32) -> usize {
        self.limit.map_or(most as usize, |limit| limit.min(most as usize))
    }
}

/// The wanted blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockRange {
    /// The first height. Default: the newest blocks.
    pub from: Option<u64>,
    /// The most blocks in the answer.
    pub limit: Option<u64>,
}

/// The wanted events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventFilter {
    /// Only events of this job.
    pub job: Option<JobId>,
    /// Whether to send events of single tasks. Default: true.
    pub tasks: Option<bool>,
}

/// The wanted accounts. [`crate::UsagePageView`] explains each field.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageQuery {
    /// What a row stands for: a submitter, worker, job or day.
    #[serde(default)]
    pub by: UsageBy,
    /// If rows are days: whether they count keys as submitters or as workers.
    #[serde(default, rename = "as")]
    pub side: UsageSide,
    /// Only this key's accounts. It is a text, so that the node can say what is wrong with it.
    pub key: Option<String>,
    /// The first day.
    pub from: Option<u32>,
    /// The last day.
    pub to: Option<u32>,
    /// The row to continue after: the `next` of the answer before.
    pub after: Option<String>,
    /// The most rows in the answer.
    pub limit: Option<usize>,
}

/// The query of `POST /v1/blobs/verify`: from where to go on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct After {
    /// The digest after which to begin. Default: with the lowest
    pub after: Option<Digest>,
}
