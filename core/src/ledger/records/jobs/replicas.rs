//! The replicas of a task: attempts at different workers, of whose answers enough must be the same.
//!
//! A replica's lease lives until its answer is revealed. Once its worker has committed itself to an answer, it holds no
//! resources and does not run out, because it waits for others. When as many have committed themselves as are wanted,
//! all of them are asked to reveal their answers. `steps/agreement` has the rules.

use serde::{Deserialize, Serialize};
use serde_tuple::{Deserialize_tuple, Serialize_tuple};

use super::Lease;
use crate::{
    digest::Digest,
    fault::{Fault, is_planted},
    identity::PublicKey,
    ledger::records::{lease_time::LeaseTime, tracks::ROW_MAX},
    schedule::recovery::Party,
    types::{Agreement, Answered, AttemptNumber, RELIED_FROM, Redundancy, Verdict},
};

/// How many workers are remembered that were asked to reveal their answer and did not.
const SILENT_KEPT: usize = 16;

/// Whether a task's answers are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Comparison {
    /// They are: a quorum decides.
    Quorum,
    /// The first replica is at a worker that is relied on. Once it has committed itself, it is drawn whether its answer
    /// is compared.
    Undrawn,
    /// They are not: the answer of the one worker counts, because of so many agreed answers in a row.
    Relied(u16),
}

/// What has become of a task's replicas.
#[derive(Clone, Debug, Serialize_tuple, Deserialize_tuple)]
pub(in crate::ledger) struct Replicas {
    /// How many answers are wanted by now.
    pub(in crate::ledger) wanted: u8,
    pub(in crate::ledger) comparison: Comparison,
    /// The leases, in the order of attempts.
    pub(in crate::ledger) leases: Vec<Lease>,
    /// The answers that were revealed, in the order of attempts.
    pub(in crate::ledger) answers: Vec<Reply>,
    /// Who was asked to reveal its answer and did not. It knows by now what others said.
    silent: Vec<Party>,
}

/// What the lease of a replica has besides.
#[derive(Clone, Debug, Default, Serialize_tuple, Deserialize_tuple)]
pub(in crate::ledger) struct Replica {
    /// Who operated the worker, as far as its claim said when it got the lease.
    pub(in crate::ledger) operator: Option<String>,
    pub(in crate::ledger) commitment: Option<Commitment>,
}

/// A worker's commitment to its answer.
#[derive(Clone, Copy, Debug, Serialize_tuple, Deserialize_tuple)]
pub(in crate::ledger) struct Commitment {
    pub(in crate::ledger) digest: Digest,
    /// When the ledger took it. Since then the lease holds no resources.
    pub(in crate::ledger) at: LeaseTime,
    /// Until when the answer has to be revealed, once the worker has been asked.
    pub(in crate::ledger) reveal_until: Option<LeaseTime>,
}

/// An answer that was revealed.
#[derive(Clone, Debug, Serialize_tuple, Deserialize_tuple)]
pub(in crate::ledger) struct Reply {
    pub(in crate::ledger) attempt: AttemptNumber,
    pub(in crate::ledger) party: Party,
    pub(in crate::ledger) answer: Digest,
    /// How long the attempt ran, in milliseconds of lease time, if it had resources.
    pub(in crate::ledger) ran_ms: Option<u64>,
    /// The whole answer, unless an earlier attempt gave the same one.
    pub(in crate::ledger) verdict: Option<Box<Verdict>>,
}

/// What comes next for a task, by its replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::ledger) enum Step {
    /// Another replica is wanted.
    Want,
    /// Those that were asked for have yet to commit themselves, or to reveal their answers.
    Wait,
    /// The only one has committed itself to its answer. In the next block it is drawn whether that is compared.
    Draw,
    /// All have committed themselves, and can be asked to reveal their answers.
    Ask,
    /// This answer is the task's.
    Agreed(Digest),
    /// So many answers were given that none can have the quorum any more.
    Disagreed,
}

impl Replicas {
    /// Those of a task that has had none, and whose first goes to a worker of which so many answers in a row were
    /// agreed.
    pub(in crate::ledger) fn begun(redundancy: &Redundancy, row: u16) -> Self {
        let mut begun = Self {
            wanted: redundancy.replicas,
            comparison: Comparison::Quorum,
            leases: Vec::new(),
            answers: Vec::new(),
            silent: Vec::new(),
        };
        begun.rely_on(redundancy, row);
        begun
    }

    /// Before the first of them goes to a worker, and so that nothing is known of any answer: decides by its row of
    /// agreed answers whether it may be the only one.
    pub(in crate::ledger) fn rely_on(&mut self, redundancy: &Redundancy, row: u16) {
        if redundancy.adaptive && self.leases.is_empty() && self.answers.is_empty() && self.silent.is_empty() {
            let is_relied_on = row >= RELIED_FROM;
            self.comparison = if is_relied_on { Comparison::Undrawn } else { Comparison::Quorum };
            self.wanted = if is_relied_on { 1 } else { redundancy.replicas };
        }
    }

    /// Sets whether answers are compared.
    pub(in crate::ledger) const fn set_comparison(&mut self, redundancy: &Redundancy, comparison: Comparison) {
        self.comparison = comparison;
        if matches!(comparison, Comparison::Quorum) {
            self.wanted = redundancy.replicas;
        }
    }

    /// Whether it is to be drawn in the next block whether answers are compared.
    pub(in crate::ledger) fn await_draw(&self) -> bool {
        self.comparison == Comparison::Undrawn
            && !self.leases.is_empty()
            && self.leases.iter().all(|lease| lease.commitment().is_some())
    }

    /// How many must give the same answer.
    fn quorum(&self, redundancy: &Redundancy) -> usize {
        match self.comparison {
            Comparison::Quorum => redundancy.quorum.into(),
            Comparison::Undrawn | Comparison::Relied(_) => 1,
        }
    }

    /// What comes next. Sets how many answers are wanted, if that changes.
    pub(in crate::ledger) fn next(&mut self, redundancy: &Redundancy) -> Step {
        let lacks = self.leases.len() + self.answers.len() < usize::from(self.wanted);
        let is_asked = |lease: &Lease| lease.commitment().is_some_and(|commitment| commitment.reveal_until.is_some());
        if self.leases.iter().any(is_asked) {
            return Step::Wait;
        }
        if !self.leases.is_empty() {
            let have_committed = self.leases.iter().all(|lease| lease.commitment().is_some());
            let early = is_planted(Fault::AskedEarly) && self.leases.iter().any(|lease| lease.commitment().is_some());
            return match (lacks, have_committed) {
                _ if early => Step::Ask,
                (true, _) => Step::Want,
                (false, true) if self.await_draw() => Step::Draw,
                (false, true) => Step::Ask,
                (false, false) => Step::Wait,
            };
        }
        let answers = self.answered();
        let most = Agreement::most(&answers);
        if let Some((answer, times)) = most
            && times >= self.quorum(redundancy)
        {
            return Step::Agreed(answer);
        }
        if lacks {
            // If the one worker has lost its attempt, the next one's record decides.
            self.comparison = Comparison::Quorum;
            self.wanted = self.wanted.max(redundancy.replicas);
            return Step::Want;
        }
        let times = |one: &Answered| answers.iter().filter(|other| other.answer == one.answer).count();
        let largest = answers.iter().map(times).max().unwrap_or(0);
        let more = usize::from(redundancy.replicas_max).saturating_sub(answers.len());
        if more == 0 || largest + more < usize::from(redundancy.quorum) {
            return Step::Disagreed;
        }
        self.wanted = u8::try_from(answers.len() + 1).unwrap_or(u8::MAX);
        Step::Want
    }

    /// The answers that were revealed.
    pub(in crate::ledger) fn answered(&self) -> Vec<Answered> {
        let answered =
            |reply: &Reply| Answered { attempt: reply.attempt, worker: reply.party.worker, answer: reply.answer };
        self.answers.iter().map(answered).collect()
    }

    /// Takes an answer. Of equal ones, only the first attempt's is kept whole.
    pub(in crate::ledger) fn take(&mut self, mut reply: Reply) {
        let at = self.answers.partition_point(|other| other.attempt < reply.attempt);
        let (before, after) = self.answers.split_at_mut(at);
        if before.iter().any(|other| other.answer == reply.answer) {
            reply.verdict = None;
        } else if let Some(other) = after.iter_mut().find(|other| other.answer == reply.answer) {
            other.verdict = None;
        }
        self.answers.insert(at, reply);
    }

    /// Takes out the first of these answers.
    pub(in crate::ledger) fn take_out(&mut self, answer: &Digest) -> Option<Reply> {
        let at = self.answers.iter().position(|reply| reply.answer == *answer)?;
        Some(self.answers.remove(at))
    }

    /// Notes that a worker was asked to reveal its answer and did not.
    pub(in crate::ledger) fn fell_silent(&mut self, party: Party) {
        if self.silent.len() == SILENT_KEPT {
            self.silent.remove(0);
        }
        self.silent.push(party);
    }

    /// All who have a part in the task's answer: no other replica goes to them.
    pub(in crate::ledger) fn parties(&self) -> impl Iterator<Item = Party> {
        let holds = |lease: &Lease| {
            let operator = lease.replica.as_ref().and_then(|replica| replica.operator.clone());
            Party { worker: lease.worker, operator }
        };
        let parties = self.leases.iter().map(holds);
        let parties = parties.chain(self.answers.iter().map(|reply| reply.party.clone()));
        let parties = parties.filter(|_| !is_planted(Fault::ReplicasAtTheSame)).chain(self.silent.iter().cloned());
        parties.map(|party| {
            let operator = party.operator.filter(|_| !is_planted(Fault::OperatorsIgnored));
            Party { operator, ..party }
        })
    }

    /// Whether a ledger can have come to this.
    pub(in crate::ledger) fn are_sound(&self, redundancy: &Redundancy, attempts: u32) -> bool {
        let Self { wanted, comparison, leases, answers, silent } = self;
        let is_compared = match comparison {
            Comparison::Quorum => *wanted >= redundancy.replicas,
            Comparison::Undrawn => redundancy.adaptive && *wanted == 1,
            Comparison::Relied(row) => redundancy.adaptive && *wanted == 1 && (RELIED_FROM..=ROW_MAX).contains(row),
        };
        let numbers = leases.iter().map(|lease| lease.attempt).chain(answers.iter().map(|reply| reply.attempt));
        let workers = leases.iter().map(|lease| lease.worker).chain(answers.iter().map(|reply| reply.party.worker));
        let workers: Vec<PublicKey> = workers.collect();
        let are_apart = (1..workers.len()).all(|at| !workers[..at].contains(&workers[at]));
        is_compared
            && *wanted <= redundancy.replicas_max
            && leases.len() + answers.len() <= usize::from(*wanted)
            && leases.is_sorted_by(|one, next| one.attempt < next.attempt)
            && answers.is_sorted_by(|one, next| one.attempt < next.attempt)
            && leases.iter().all(|lease| lease.replica.is_some())
            && numbers.into_iter().all(|number| number.0 < attempts)
            && (are_apart || is_planted(Fault::ReplicasAtTheSame))
            && silent.len() <= SILENT_KEPT
    }
}
