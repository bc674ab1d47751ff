//! Usage accounts in the API.

use meshwork_core::{
    identity::PublicKey,
    types::{Height, JobId},
};
use serde::{Deserialize, Serialize};

/// The subject of each row of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UsageBy {
    /// A key that submitted tasks.
    #[default]
    Submitter,
    /// A key that was given tasks.
    Worker,
    /// A job that the ledger has not forgotten.
    Job,
    /// A day.
    Day,
}

/// Which accounts rows of days add up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UsageSide {
    /// Accounts of keys as submitters.
    #[default]
    Submitter,
    /// Accounts of keys as workers.
    Worker,
}

/// `GET /v1/usage`, with `by=submitter|worker|job|day` and, as wanted, `as=submitter|worker`, `key=KEY`, `from=DAY`,
/// `to=DAY`, `after=PLACE` and `limit=1000`.
///
/// Days are whole days of block time in UTC, numbered from 1970-01-01. A range includes both ends. Jobs are those
/// admitted on these days, each with all its usage. `key` is the submitter, or the worker where rows are workers; `as`
/// says which it is where rows are days.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UsagePageView {
    /// The height of the ledger that the rows come from.
    pub height: Height,
    /// The day of that height's block.
    pub today: u32,
    /// Submitters and workers in the order of their keys, jobs in the order of their admission, days oldest first.
    pub rows: Vec<UsageView>,
    /// The `after` of the next request, if there are more rows.
    pub next: Option<String>,
}

/// The usage of one key or job, or of all keys on one day.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UsageView {
    /// The day, numbered from 1970-01-01, if rows are days; the day of admission, if rows are jobs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub day: Option<u32>,
    /// The key; of a job, its submitter. Without a key, a row of keys is that of all keys that have no accounts of
    /// their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<PublicKey>,
    /// The job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobId>,
    /// The name that the submitter gave the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The figures.
    #[serde(flatten)]
    pub account: AccountView,
}

/// What was submitted, used and lost.
#[doc(inline)]
pub use meshwork_core::ledger::AccountView;
