//! What every command works with, and how an id is found by its first digits.

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

impl Context {
    /// The node, after it did not answer `silence` times in a row. The first of these is told to the person who waits.
    ///
    /// # Errors
    /// No node is known now.
    pub fn find_again(&self, silence: u32) -> Done<Client> {
        if silence == 1 {
            self.output.note("The node does not answer; waiting until it does.");
        }
        self.settings.client()
    }
}

/// A kind of thing that is found by the first digits of its id, in the words of messages.
pub struct Named {
    /// One such thing, as in "is not a job".
    pub one: &'static str,
    /// Its id, as in "no job's id".
    pub of_one: &'static str,
    /// Several ids, as in "3 jobs' ids".
    pub of_several: &'static str,
    /// Where a person finds them.
    pub listed: &'static str,
}

const JOB: Named =
    Named { one: "job", of_one: "job's id", of_several: "jobs' ids", listed: "`meshwork jobs` lists them" };

/// Finds the id that these digits are, or the only one of `all` that starts with them. Awaits `all` only in the second
/// case.
///
/// # Errors
/// The digits are too few or malformed, no id starts with them, or more than one does.
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
