//! Agreement: the answers of a task that several workers compute, and what is the same about them.
//!
//! Everything reported is public, so a worker that waits could copy what others say. Therefore a worker first *commits*
//! itself to its answer, by a digest that says nothing of it, and *reveals* the answer once all have committed.

use serde::{Deserialize, Serialize};
use serde_tuple::{Deserialize_tuple, Serialize_tuple};

use super::{
    AttemptId, AttemptNumber, BlobRef, Failure, OutcomeReceipt, Output, Redundancy, Remains, Setback, Usage, Verdict,
};
use crate::{
    codec::{self, fixed_bytes},
    digest::Digest,
    identity::{PublicKey, SecretKey},
};

fixed_bytes! {
    /// What keeps a commitment from being guessed: 32 bytes that only the worker knows until it reveals its answer.
    Salt, 32, "a salt"
}

/// From so many agreed answers in a row on, a worker is relied on.
pub const RELIED_FROM: u16 = 10;

const CONTEXT: &str = "meshwork 1 answer";

/// What a replica computed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// The program ended with this status, which its task counts as a success, and left this output.
    Succeeded(i32, Output, Usage),
    /// The program failed for this reason, which is the same everywhere ([`Setback::is_of_machine`] does not hold), and
    /// this remains of what it wrote.
    Failed(Failure, Remains, Usage),
}

impl Answer {
    /// The answer in a verdict on an attempt without replicas, if it is one that workers can agree on.
    ///
    /// # Errors
    ///
    /// The verdict, if it is none: failures of the machine, tasks that were spawned, and what is no outcome.
    pub fn of(verdict: Verdict) -> Result<Self, Box<Verdict>> {
        match verdict {
            Verdict::Succeeded(status, output, usage, spawns) if spawns.is_empty() => {
                Ok(Self::Succeeded(status, output, usage))
            }
            Verdict::Failed(failure, remains, usage) if !failure.setback().is_of_machine() => {
                Ok(Self::Failed(failure, remains, usage))
            }
            other => Err(Box::new(other)),
        }
    }

    /// The digest of what must be the same: how the program ended, standard output, and the files under `/out`.
    #[must_use]
    pub fn digest(&self) -> Digest {
        match self {
            Self::Succeeded(status, output, _) => Self::digest_of_success(*status, &output.answer()),
            Self::Failed(failure, remains, _) => Self::digest_of_failure(failure, remains.answer().as_ref()),
        }
    }

    /// The digest of a success with this status, whose output has this [name](Output::answer). Its size is part of it,
    /// because who knows only a wrong size cannot fetch the output.
    #[must_use]
    pub fn digest_of_success(status: i32, output: &BlobRef) -> Digest {
        Self::digest_of(None, Some(status), Some(output))
    }

    /// The digest of a failure of this kind, whose output, if it is kept, has this [name](Output::answer). Reasons in
    /// words are no part of it.
    #[must_use]
    pub fn digest_of_failure(failure: &Failure, output: Option<&BlobRef>) -> Digest {
        let status = if let Failure::Exited(status) = failure { Some(*status) } else { None };
        Self::digest_of(Some(failure.setback()), status, output)
    }

    fn digest_of(setback: Option<Setback>, status: Option<i32>, output: Option<&BlobRef>) -> Digest {
        Digest::of_value(CONTEXT, &(setback, status, output))
    }

    /// A worker's commitment to the answer with this digest.
    #[must_use]
    pub fn commitment(answer: &Digest, attempt: &AttemptId, worker: &PublicKey, salt: &Salt) -> Digest {
        let parts: [&[u8]; 4] = [&codec::encode(attempt), &worker.0, &answer.0, &salt.0];
        Digest::of_parts("meshwork 1 commitment", &parts)
    }

    /// The resources that the replica used.
    #[must_use]
    pub const fn usage(&self) -> &Usage {
        match self {
            Self::Succeeded(_, _, usage) | Self::Failed(_, _, usage) => usage,
        }
    }
}

impl Salt {
    /// The salt of a worker's commitment on an attempt. It follows from the worker's key, so that it need not be stored.
    #[must_use]
    pub fn of(key: &SecretKey, attempt: &AttemptId) -> Self {
        Self(key.derive("meshwork 1 salt", &codec::encode(attempt)))
    }
}

impl From<Answer> for Verdict {
    fn from(answer: Answer) -> Self {
        match answer {
            Answer::Succeeded(status, output, usage) => Self::Succeeded(status, output, usage, Vec::new()),
            Answer::Failed(failure, remains, usage) => Self::Failed(failure, remains, usage),
        }
    }
}

/// One worker's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Answered {
    /// The attempt.
    pub attempt: AttemptNumber,
    /// The worker that held it.
    pub worker: PublicKey,
    /// Its [answer's digest](Answer::digest).
    pub answer: Digest,
}

/// Why an answer is enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Basis {
    /// So many workers had to give the same one.
    Quorum(u8),
    /// The one worker is relied on, because so many of its answers in a row were those of others, on tasks of the same
    /// submitter and program. Its answer was not compared.
    Relied(u16),
}

/// Who gave which answer to a task that several workers compute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Agreement {
    /// Why an answer is enough.
    pub basis: Basis,
    /// All answers, by attempt; at most [`Redundancy::REPLICAS_MAX`].
    pub answers: Vec<Answered>,
}

impl Agreement {
    /// The answer that was given most often, and how often, unless another was given as often.
    #[must_use]
    pub fn most(answers: &[Answered]) -> Option<(Digest, usize)> {
        let times = |answer: &Digest| answers.iter().filter(|other| other.answer == *answer).count();
        let (most, answer) = answers.iter().map(|one| (times(&one.answer), one.answer)).max()?;
        let is_tied = answers.iter().any(|one| one.answer != answer && times(&one.answer) == most);
        (!is_tied).then_some((answer, most))
    }

    /// Whether a ledger can have decided so: all answers are of different workers and attempts; one of them, which is
    /// the outcome's, has the quorum and more than any other; or none has, and the outcome says so.
    #[must_use]
    pub fn supports(&self, outcome: &OutcomeReceipt) -> bool {
        let Self { basis, answers } = self;
        let (quorum, is_known) = match basis {
            Basis::Quorum(quorum) => (usize::from(*quorum), *quorum >= 2),
            Basis::Relied(row) => (1, *row >= RELIED_FROM && answers.len() <= 1),
        };
        let are_apart = answers.is_sorted_by(|one, next| one.attempt < next.attempt)
            && (1..answers.len()).all(|at| answers[..at].iter().all(|one| one.worker != answers[at].worker));
        let agreed = Self::most(answers).filter(|(_, times)| *times >= quorum);
        let is_known = is_known && answers.len() <= usize::from(Redundancy::REPLICAS_MAX) && are_apart;
        let first = |answer: Option<Digest>| {
            answers
                .iter()
                .find(|one| answer.is_none_or(|answer| one.answer == answer))
                .is_some_and(|one| (one.attempt, one.worker) == (outcome.attempt.number, outcome.worker))
        };
        is_known
            && match (agreed, &outcome.verdict) {
                (None, Verdict::Failed(Failure::Disagreed, ..)) => first(None),
                (Some(_), Verdict::Failed(Failure::Disagreed, ..)) => false,
                // What the ledger itself decided, whatever was answered by then.
                (_, Verdict::Failed(Failure::Lost | Failure::EndedHosts, ..)) => true,
                (_, Verdict::Failed(failure, ..)) if failure.setback().is_of_machine() => true,
                (Some((answer, _)), verdict) => {
                    first(Some(answer)) && Answer::of(verdict.clone()).is_ok_and(|own| own.digest() == answer)
                }
                (None, _) => false,
            }
    }
}
