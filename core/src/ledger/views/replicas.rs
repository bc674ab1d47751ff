//! How the replicas of a task stand.

use serde::{Deserialize, Serialize};

use crate::{
    ledger::records::jobs::{Comparison, Lease, Live},
    types::{Agreement, Redundancy},
};

/// How the replicas of a task stand that has no outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplicasView {
    /// How many workers must give the same answer.
    pub quorum: u8,
    /// Whether answers are compared.
    pub comparison: Comparison,
    /// How many answers are wanted by now.
    pub wanted: u8,
    /// How many there may be in all.
    pub most: u8,
    /// How many workers hold a replica and have not committed themselves to an answer.
    pub held: u8,
    /// How many have committed themselves and not revealed their answer.
    pub committed: u8,
    /// Whether those are asked to reveal it.
    pub asked: bool,
    /// How many have revealed their answer.
    pub revealed: u8,
    /// How many of these gave the same one, at most.
    pub alike: u8,
}

impl ReplicasView {
    /// How many of the wanted answers wait for a worker.
    #[must_use]
    pub const fn missing(&self) -> u8 {
        self.wanted.saturating_sub(self.held).saturating_sub(self.committed).saturating_sub(self.revealed)
    }

    /// Those of a task that has, or has not, been leased.
    pub(in crate::ledger) fn of(redundancy: &Redundancy, live: Option<&Live>) -> Self {
        let Redundancy { replicas, quorum, replicas_max: most, .. } = *redundancy;
        let comparison = Comparison::Quorum;
        let (held, committed, asked, revealed, alike) = (0, 0, false, 0, 0);
        let none = Self { quorum, comparison, wanted: replicas, most, held, committed, asked, revealed, alike };
        let Some(replicas) = live.and_then(Live::replicas) else { return none };
        let count = |number: usize| u8::try_from(number).unwrap_or(u8::MAX);
        let committed = || replicas.leases.iter().filter_map(Lease::commitment);
        let answers = replicas.answered();
        let alike = |answer| answers.iter().filter(|other| other.answer == answer).count();
        let most_alike = Agreement::most(&answers).map(|(_, times)| times);
        let most_alike = most_alike.or_else(|| answers.iter().map(|one| alike(one.answer)).max());
        Self {
            comparison: replicas.comparison,
            wanted: replicas.wanted,
            held: count(replicas.leases.len() - committed().count()),
            committed: count(committed().count()),
            asked: committed().any(|commitment| commitment.reveal_until.is_some()),
            revealed: count(answers.len()),
            alike: count(most_alike.unwrap_or(0)),
            ..none
        }
    }
}
