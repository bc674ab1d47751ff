//! `meshwork verify`: verifies proofs offline, with only the genesis.

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::Args;
use meshwork_api::outcome_in_words;
use meshwork_core::{
    proof::Proof,
    types::{Agreement, Answer, Answered, Basis, Genesis, OutcomeReceipt, Receipt},
};
use serde::Serialize;

use crate::{
    context::Context,
    failure::{Done, Failure},
    output::{Listing, words::short},
};

/// Which proofs to check.
#[derive(Args, Debug)]
pub struct Options {
    /// Proof files that `meshwork result` saved
    #[arg(value_name = "PROOF", required = true)]
    proofs: Vec<PathBuf>,
    /// Show only outcomes on which workers disagreed, and who was outvoted: the proof of a wrong answer
    #[arg(long)]
    disputed: bool,
}

/// What a file proves, if anything.
#[derive(Serialize)]
struct Verified {
    file: String,
    holds: bool,
    error: Option<String>,
    height: Option<u64>,
    task: Option<String>,
    attempt: Option<u32>,
    worker: Option<String>,
    outcome: String,
    /// The status with which the program ended, if it came to that.
    status: Option<i32>,
    /// Who answered what, if several workers computed the task.
    answers: Vec<AnswerOf>,
}

/// One worker's answer.
#[derive(Serialize)]
struct AnswerOf {
    attempt: u32,
    worker: String,
    /// The digest of what must be the same.
    answer: String,
    /// Whether it is the outcome's.
    is_outcome: bool,
}

impl Listing for Verified {
    const COLUMNS: &'static [&'static str] = &["file", "holds", "height", "task", "attempt", "worker", "outcome"];
    fn row(&self) -> Vec<String> {
        let task = self.task.as_ref().map(|task| match task.split_once('/') {
            Some((job, index)) => format!("{}/{index}", short(&job)),
            None => task.clone(),
        });
        vec![
            self.file.clone(),
            if self.holds { "yes" } else { "NO" }.into(),
            self.height.map(|height| height.to_string()).unwrap_or_default(),
            task.unwrap_or_default(),
            self.attempt.map(|number| number.to_string()).unwrap_or_default(),
            self.worker.as_ref().map(short).unwrap_or_default(),
            self.error.clone().unwrap_or_else(|| self.outcome.clone()),
        ]
    }
}

/// A worker's answer that was not the outcome.
#[derive(Serialize)]
struct Dispute {
    task: String,
    worker: String,
    attempt: u32,
    /// The digest of its answer.
    answer: String,
    /// The digest of the outcome's answer, if a quorum agreed on one.
    outcome: Option<String>,
    /// How many workers gave that one.
    agreed: usize,
}

impl Verified {
    /// The answers that were not the outcome.
    fn disputes(&self) -> Vec<Dispute> {
        let outcome = self.answers.iter().find(|answer| answer.is_outcome).map(|answer| answer.answer.clone());
        let agreed = self.answers.iter().filter(|answer| answer.is_outcome).count();
        let dispute = |answer: &AnswerOf| Dispute {
            task: self.task.clone().unwrap_or_default(),
            worker: answer.worker.clone(),
            attempt: answer.attempt,
            answer: answer.answer.clone(),
            outcome: outcome.clone(),
            agreed,
        };
        self.answers.iter().filter(|answer| !answer.is_outcome).map(dispute).collect()
    }
}

impl Listing for Dispute {
    const COLUMNS: &'static [&'static str] = &["task", "worker", "attempt", "answer", "outcome", "agreed on it"];
    fn row(&self) -> Vec<String> {
        let task = self
            .task
            .split_once('/')
            .map_or_else(|| self.task.clone(), |(job, index)| format!("{}/{index}", short(&job)));
        vec![
            task,
            short(&self.worker),
            self.attempt.to_string(),
            short(&self.answer),
            self.outcome.as_ref().map_or_else(|| "none".to_owned(), short),
            self.agreed.to_string(),
        ]
    }
}

/// Checks proofs and says what each one proves.
///
/// # Errors
/// There is no genesis, or a proof does not hold.
pub fn run(context: &Context, options: &Options) -> Done {
    let genesis = context.settings.genesis()?.ok_or_else(|| {
        Failure::usage("A proof is checked against a genesis, and there is none here; name it with --genesis FILE.")
    })?;
    let verify = |path: &PathBuf| {
        let bytes = fs::read(path).map_err(|error| Failure::given_file(path, &error))?;
        Ok(verify(path, &bytes, &genesis))
    };
    let verified: Vec<Verified> = options.proofs.iter().map(verify).collect::<Done<_>>()?;
    if options.disputed {
        let disputes: Vec<Dispute> = verified.iter().filter(|one| one.holds).flat_map(Verified::disputes).collect();
        context.output.listing(&disputes)?;
    } else {
        context.output.listing(&verified)?;
    }
    let bad = verified.iter().filter(|verified| !verified.holds).count();
    match bad {
        0 => Ok(()),
        _ => Err(Failure::proof(format!(
            "{bad} of {} proofs do not hold on network {}; do not rely on what they say.",
            verified.len(),
            genesis.network_id()
        ))),
    }
}

fn verify(path: &Path, bytes: &[u8], genesis: &Genesis) -> Verified {
    let file = path.display().to_string();
    let (proof, error) = match Proof::decode(bytes) {
        Ok(proof) => {
            let error = proof.verify(genesis).err().map(|error| error.to_string());
            (Some(proof), error)
        }
        Err(error) => (None, Some(format!("it is not a proof: {error}"))),
    };
    let height = proof.as_ref().map(|proof| proof.height.0);
    let mut verified = Verified {
        file,
        holds: error.is_none(),
        error,
        height,
        task: None,
        attempt: None,
        worker: None,
        outcome: String::new(),
        status: None,
        answers: Vec::new(),
    };
    match proof.map(|proof| proof.receipt) {
        Some(Receipt::Outcome(outcome)) => {
            verified.task = Some(outcome.attempt.task.to_string());
            verified.attempt = Some(outcome.attempt.number.0);
            verified.worker = Some(outcome.worker.to_string());
            verified.outcome = outcome_in_words(&outcome.verdict);
            verified.status = outcome.verdict.status();
            if let Some(agreement) = &outcome.agreement {
                verified.answers = answers(agreement, &outcome);
                if !agreement.supports(&outcome) {
                    verified.holds = false;
                    verified.error = Some("the answers that it names do not support its outcome".into());
                }
                let alike = verified.answers.iter().filter(|answer| answer.is_outcome).count();
                let basis = match agreement.basis {
                    Basis::Quorum(_) => format!("{alike} of {} answers are this", verified.answers.len()),
                    Basis::Relied(row) => format!("not compared, after {row} agreed answers of its worker in a row"),
                };
                verified.outcome = format!("{}; {basis}", verified.outcome);
            }
        }
        Some(Receipt::Transaction(receipt)) => {
            verified.outcome = match receipt.result {
                Ok(()) => format!("transaction {} was executed", short(&receipt.id)),
                Err(why) => format!("transaction {} was void: {why}", short(&receipt.id)),
            };
        }
        None => {}
    }
    verified
}

/// Who answered what.
fn answers(agreement: &Agreement, outcome: &OutcomeReceipt) -> Vec<AnswerOf> {
    let accepted = Answer::of(outcome.verdict.clone()).map(|answer| answer.digest()).ok();
    let answer = |one: &Answered| AnswerOf {
        attempt: one.attempt.0,
        worker: one.worker.to_string(),
        answer: one.answer.to_string(),
        is_outcome: Some(one.answer) == accepted,
    };
    agreement.answers.iter().map(answer).collect()
}
