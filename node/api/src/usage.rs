//! What keys and jobs used.

use meshwork_core::{
    identity::PublicKey,
    types::{Height, JobId},
};
use serde::{Deserialize, Serialize};

/// What there is one row for each of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UsageBy {
    /// Each key that submitted anything.
    #[default]
    Submitter,
    /// Each key that was given anything.
    Worker,
    /// Each job that the ledger has not forgotten.
    Job,
    /// Each day.
    Day,
}

/// Whose accounts are meant where days are asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UsageSide {
    /// Those of keys as submitters.
    #[default]
    Submitter,
    /// Those of keys as workers.
    Worker,
}

/// `GET
/// /v1/usage?by=submitter|worker|job|day[&as=submitter|worker][&key=KEY][&from=DAY][&to=DAY][&after=PLACE][&limit=1000]`
///
/// Days are whole ones of block time in UTC, by how many they are after 1970-01-01; both ends of a range count. Of
/// jobs, those are meant that were admitted on these days, each with all that it used. `key` is the submitter, or the
/// worker where workers are asked for; `as` says which it is for days.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UsagePageView {
    /// The height whose ledger says so.
    pub height: Height,
    /// The day of that height's block.
    pub today: u32,
    /// Submitters and workers in the order of their keys, jobs in that of their admission, days oldest first.
    pub rows: Vec<UsageView>,
    /// What to give as `after` for the next rows, if there are more.
    pub next: Option<String>,
}

/// What one key or job used, or all on one day.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UsageView {
    /// The day, by how many it is after 1970-01-01, where there is one row for each; of a job, when it was admitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub day: Option<u32>,
    /// Whose it is: the submitter's of a job. A row of keys that has none is that of all keys that have no accounts of
    /// their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<PublicKey>,
    /// The job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobId>,
    /// What its submitter calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The figures.
    #[serde(flatten)]
    pub account: AccountView,
}

/// What was submitted, used and lost.
#[doc(inline)]
pub use meshwork_core::ledger::AccountView;
