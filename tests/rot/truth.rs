//! What a peer answered before anything happened to its files, and whether it still answers the same, or nothing.

use std::{collections::BTreeMap, fmt};

use meshwork::client::{Client, ClientError};
use meshwork_api::{JobView, Role, StatusView, TaskView};
use meshwork_core::types::{BlobRef, Genesis, JobId, OutcomeReceipt, Receipt, TaskId};
use serde_json::Value;

/// How many of the blobs are programs that need no arguments.
const READY_PROGRAMS: usize = 2;

/// How a peer answers after something happened to its files.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Answers that were as before.
    pub(crate) equal: usize,
    /// What it said that it does not have.
    pub(crate) absent: usize,
}

/// How a peer stands that was started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It votes.
    Votes,
    /// It does not vote, and has every block that it had.
    Follows,
    /// It does not have every block that it had.
    Behind,
}

/// Why a peer's answers are not what they should be.
pub(crate) enum Wrong {
    /// It did not answer, or said that its store is damaged. It has to be asked again.
    Unanswered(String),
    /// It answered something that is not so.
    Lie(String),
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unanswered(why) => write!(f, "no answer: {why}"),
            Self::Lie(what) => write!(f, "not so: {what}"),
        }
    }
}

/// What a peer answered.
pub(crate) struct Truth {
    genesis: Genesis,
    status: StatusView,
    /// Paths of the API, and the answers.
    answers: BTreeMap<String, Value>,
    receipts: BTreeMap<JobId, BTreeMap<TaskId, OutcomeReceipt>>,
    blobs: Vec<BlobRef>,
}

impl Truth {
    /// Asks a peer everything about these jobs and blobs, and about the blocks up to its height.
    pub(crate) async fn of(client: &Client, genesis: &Genesis, jobs: &[JobId], blobs: &[BlobRef]) -> Self {
        let status = client.status().await.expect("it answers");
        let mut paths = vec!["/v1/governance".to_owned(), "/v1/recurring".to_owned()];
        let lowest = status.blocks_from.expect("some").0;
        paths.extend((lowest..=status.height.0).map(|height| format!("/v1/blocks/{height}")));
        let (mut receipts, mut answers) = (BTreeMap::new(), BTreeMap::new());
        for job in jobs {
            let view: JobView = client.job(*job).await.expect("it is known");
            assert_eq!(view.counts.succeeded, u64::from(view.tasks), "all is done: {view:?}");
            let tasks: Vec<TaskView> = client.tasks(*job, 0, 1000, None).await.expect("it is known");
            paths.extend([format!("/v1/jobs/{job}"), format!("/v1/jobs/{job}/arrays")]);
            paths.extend([format!("/v1/jobs/{job}/tasks?from=0&limit=1000"), format!("/v1/transactions/{}", job.0)]);
            paths.extend([format!("/v1/jobs/{job}/timeline?from=0&limit=1000")]);
            let proved = proved(client, genesis, *job).await.unwrap_or_else(|wrong| panic!("{wrong}"));
            assert_eq!(proved.len(), tasks.len());
            receipts.insert(*job, proved);
        }
        for path in paths {
            let answer = client.ask(&path).await.unwrap_or_else(|error| panic!("{path}: {error}"));
            answers.insert(path.clone(), lasting(&path, answer));
        }
        let truth = Self { genesis: genesis.clone(), status, answers, receipts, blobs: blobs.to_vec() };
        let tally = truth.compare(client).await.unwrap_or_else(|wrong| panic!("{wrong}"));
        assert_eq!(tally.absent, 0, "everything is there");
        truth
    }

    /// The network's genesis.
    pub(crate) const fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    /// Programs that it ran and that need no arguments: the first of the blobs.
    pub(crate) fn ready_programs(&self) -> &[BlobRef] {
        &self.blobs[..READY_PROGRAMS]
    }

    /// Asks a peer the same again. Each answer must be the same, or that it has nothing of the kind.
    ///
    /// # Errors
    /// An answer is another, or there is none.
    pub(crate) async fn compare(&self, client: &Client) -> Result<Tally, Wrong> {
        let mut tally = Tally::default();
        let status = client.status().await.map_err(unanswered)?;
        if status.network != self.status.network || !status.convicted.is_empty() {
            return Err(Wrong::Lie(format!("{status:?}")));
        }
        for (path, truth) in &self.answers {
            let answer = absent_or(client.ask::<Value>(path).await)?;
            // What is so at the moment can be so at another height only if nothing was lost.
            let is_of_a_height =
                path.starts_with("/v1/blocks") || path.contains("jobs") || path.contains("transactions");
            match answer.map(|answer| lasting(path, answer)) {
                Some(answer) if answer == *truth => tally.equal += 1,
                Some(answer) if is_part_of(&answer, truth) => tally.absent += 1,
                None => tally.absent += 1,
                Some(_) if !is_of_a_height && status.height < self.status.height => tally.absent += 1,
                Some(answer) => return Err(Wrong::Lie(format!("{path}: {answer}, and not {truth}"))),
            }
        }
        for (job, receipts) in &self.receipts {
            for (task, receipt) in proved(client, &self.genesis, *job).await? {
                if receipts.get(&task) != Some(&receipt) {
                    return Err(Wrong::Lie(format!("a proof of something else: {receipt:?}")));
                }
                tally.equal += 1;
            }
        }
        for blob in &self.blobs {
            let mut bytes = Vec::new();
            match absent_or(client.get_blob(blob, &[], &mut bytes).await)? {
                Some(()) => tally.equal += 1,
                None => tally.absent += 1,
            }
        }
        Ok(tally)
    }

    /// How a peer stands. One that votes must be where it was, and one that lost its journal must not vote.
    ///
    /// # Errors
    /// It votes, and went back.
    pub(crate) async fn standing(&self, client: &Client) -> Result<Standing, Wrong> {
        let status = client.status().await.map_err(unanswered)?;
        let is_behind = status.height < self.status.height || status.view < self.status.view;
        match (status.role, is_behind) {
            (Role::Authority, true) => Err(Wrong::Lie(format!("it votes, and is behind: {status:?}"))),
            (Role::Authority, false) => Ok(Standing::Votes),
            (_, true) => Ok(Standing::Behind),
            (_, false) => Ok(Standing::Follows),
        }
    }
}

/// Whether an answer says nothing that the truth does not, and only leaves something out.
fn is_part_of(answer: &Value, truth: &Value) -> bool {
    match (answer, truth) {
        (Value::Null, _) => true,
        (Value::Array(answers), Value::Array(truths)) => {
            let same_length = answers.len() == truths.len();
            answers.is_empty() || same_length && answers.iter().zip(truths).all(|(one, other)| is_part_of(one, other))
        }
        (Value::Object(answers), Value::Object(truths)) => {
            answers.iter().all(|(name, answer)| truths.get(name).is_some_and(|truth| is_part_of(answer, truth)))
        }
        _ => answer == truth,
    }
}

/// An answer without the height and time at which it is given.
fn lasting(path: &str, mut answer: Value) -> Value {
    if (path.ends_with("/governance") || path.contains("/timeline"))
        && let Some(fields) = answer.as_object_mut()
    {
        fields.remove("height");
        fields.remove("time_us");
    }
    answer
}

fn unanswered(error: ClientError) -> Wrong {
    match error {
        ClientError::Content(_) | ClientError::Nonsense { .. } => Wrong::Lie(error.to_string()),
        error => Wrong::Unanswered(error.to_string()),
    }
}

fn absent_or<T>(answer: Result<T, ClientError>) -> Result<Option<T>, Wrong> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.is_absent() => Ok(None),
        Err(error) => Err(unanswered(error)),
    }
}

/// The outcomes of a job's tasks that a peer proves.
async fn proved(client: &Client, genesis: &Genesis, job: JobId) -> Result<BTreeMap<TaskId, OutcomeReceipt>, Wrong> {
    let mut proved = BTreeMap::new();
    for proof in absent_or(client.proofs(job, 0).await)?.unwrap_or_default() {
        proof.verify(genesis).map_err(|error| Wrong::Lie(format!("a proof does not hold: {error}")))?;
        let Receipt::Outcome(outcome) = proof.receipt else {
            return Err(Wrong::Lie("a proof of no outcome".into()));
        };
        proved.insert(outcome.attempt.task, outcome);
    }
    Ok(proved)
}
