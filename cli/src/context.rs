//! What every command works with, and what a person means by the first digits of an id.

use std::{future::Future, str::FromStr};

use meshwork_core::types::JobId;

use crate::{
    client::Client,
    failure::{Done, Failure},
    output::Output,
    settings::Settings,
};

/// What every command works with.
pub struct Context {
    /// The settings: where files and the node are.
    pub settings: Settings,
    /// Where and how to print.
    pub output: Output,
}

/// What people name by the first digits of it, and how it is spoken of.
pub struct Named {
    /// It, as in "is not a job".
    pub one: &'static str,
    /// What has the digits, as in "no job's id".
    pub of_one: &'static str,
    /// What has them where several do.
    pub of_several: &'static str,
    /// Where a person finds them.
    pub listed: &'static str,
}

const JOB: Named =
    Named { one: "job", of_one: "job's id", of_several: "jobs' ids", listed: "`meshwork jobs` lists them" };

/// What these digits name: all of them, or those that only one of `all` starts with, which is asked for only then.
///
/// # Errors
/// They are too few or no digits, nothing starts with them, or more than one thing does.
pub async fn find<T: FromStr + ToString>(
    named: &Named,
    digits: &str,
    all: impl Future<Output = Done<Vec<T>>>,
) -> Done<T> {
    const DIGITS_MIN: usize = 4;
    if let Ok(found) = digits.parse() {
        return Ok(found);
    }
    let Named { one, of_one, of_several, listed } = named;
    if digits.len() < DIGITS_MIN || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(Failure::usage(format!(
            "{digits:?} is not a {one}: write all digits of it, or at least the first {DIGITS_MIN}; {listed}."
        )));
    }
    let digits = digits.to_ascii_lowercase();
    let mut found: Vec<T> = all.await?.into_iter().filter(|one| one.to_string().starts_with(&digits)).collect();
    match (found.pop(), found.len()) {
        (Some(only), 0) => Ok(only),
        (None, _) => Err(Failure::usage(format!("No {of_one} starts with {digits}; {listed}."))),
        (_, others) => {
            Err(Failure::usage(format!("{} {of_several} start with {digits}; write more digits.", others + 1)))
        }
    }
}

/// The job whose id starts with these digits.
///
/// # Errors
/// No job's id starts with them, or more than one does.
pub async fn find_job(client: &Client, digits: &str) -> Done<JobId> {
    let all = async { Ok(client.jobs().await?.iter().map(|job| job.id).collect()) };
    find(&JOB, digits, all).await
}
