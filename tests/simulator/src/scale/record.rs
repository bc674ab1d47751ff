//! What is noted while a network runs.

use std::collections::BTreeMap;

use meshwork_core::{
    codec,
    replica::Executed,
    types::{Action, Block, Receipt},
};

/// The longest time that is told from longer ones, in milliseconds.
const MS_MAX: usize = 120_000;

/// How often each number of milliseconds was seen.
#[derive(Clone, Debug, Default)]
pub struct Times(Vec<u64>);

impl Times {
    /// One more, in microseconds.
    pub fn note(&mut self, us: u64) {
        let ms = ((us + 500) / 1000).min(MS_MAX as u64) as usize;
        if self.0.len() <= ms {
            self.0.resize(ms + 1, 0);
        }
        self.0[ms] += 1;
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.iter().sum()
    }

    /// The least number of milliseconds within which so many of a hundred are; 0 if there are none.
    #[must_use]
    pub fn percentile_ms(&self, percent: u64) -> u64 {
        let wanted = (self.count() * percent).div_ceil(100).max(1);
        let mut below = 0;
        let found = self.0.iter().position(|count| {
            below += count;
            below >= wanted
        });
        found.unwrap_or(0) as u64
    }
}

/// What is noted.
#[derive(Default)]
pub struct Record {
    /// Jobs that were submitted while measuring and are not known to be final.
    pub owed: u64,
    /// From submitting a job to its block's being final with its submitter.
    pub job_final: Times,
    /// The same, with the first authority.
    pub job_known: Times,
    /// From proposing a block to its being final, at every peer.
    pub block_final: Times,
    /// Blocks that became final.
    pub blocks: u64,
    /// Transactions in them.
    pub transactions: u64,
    /// Claims among these that were executed.
    pub claims: u64,
    /// Reports, likewise.
    pub reports: u64,
    /// Jobs, likewise.
    pub jobs: u64,
    /// Transactions that were void.
    pub void: u64,
    /// Outcomes accepted.
    pub outcomes: u64,
    /// The most transactions in one block.
    pub block_transactions_max: u64,
    /// Bytes of all proposals, encoded.
    pub proposal_bytes: u64,
    /// Of the largest.
    pub proposal_bytes_max: u64,
    /// How many proposals there were.
    pub proposals: u64,
    /// Bytes of all finalizations that were stored, encoded.
    pub certificate_bytes: u64,
    /// How many.
    pub certificates: u64,
    /// How often blocks had to be fetched.
    pub caught_up: u64,
    /// When the peer that is watched executed each height that is not settled.
    watched_us: BTreeMap<u64, u64>,
    /// When it was to be final there, as far as that was known first.
    settled_us: BTreeMap<u64, u64>,
    /// By how much it was sooner at most, in microseconds: another finalization came before the one that went out first.
    pub sooner_us_max: u64,
    /// By how much it was later at most.
    pub later_us_max: u64,
}

impl Record {
    /// A block is proposed.
    pub fn proposed(&mut self, block: &Block, bytes: usize) {
        self.proposals += 1;
        self.proposal_bytes += bytes as u64;
        self.proposal_bytes_max = self.proposal_bytes_max.max(bytes as u64);
        self.block_transactions_max = self.block_transactions_max.max(block.transactions.len() as u64);
    }

    /// A block is executed somewhere for the first time.
    pub fn executed(&mut self, executed: &Executed) {
        self.blocks += 1;
        self.transactions += executed.block.transactions.len() as u64;
        if let Some(finalization) = &executed.finalization {
            self.certificates += 1;
            self.certificate_bytes += codec::encode(finalization).len() as u64;
        }
        for transaction in &executed.block.transactions {
            match transaction.transaction().action {
                Action::Claim(_) => self.claims += 1,
                Action::Report(_) => self.reports += 1,
                Action::Submit(_) => self.jobs += 1,
                Action::Extend(_) | Action::Control(_) | Action::Recur(_) | Action::Drain(_) | Action::Govern(_) => {}
            }
        }
        for receipt in &executed.applied.receipts {
            match receipt {
                Receipt::Transaction(receipt) => self.void += u64::from(receipt.result.is_err()),
                Receipt::Outcome(_) => self.outcomes += 1,
            }
        }
    }

    /// A block that was proposed while measuring is final with every peer at these moments.
    pub fn block_final(&mut self, proposed_us: u64, final_us: &[u64]) {
        for at_us in final_us {
            self.block_final.note(at_us - proposed_us);
        }
    }

    /// A job is final.
    pub fn job_final(&mut self, known_us: u64, final_us: u64) {
        self.owed = self.owed.saturating_sub(1);
        self.job_known.note(known_us);
        self.job_final.note(final_us);
    }

    /// The peer that is watched has executed a height.
    pub fn watched(&mut self, height: u64, at_us: u64) {
        self.watched_us.insert(height, at_us);
        self.compare(height);
    }

    /// A height is to be final with the peer that is watched at that moment.
    pub fn settled(&mut self, height: u64, at_us: u64) {
        self.settled_us.insert(height, at_us);
        self.compare(height);
    }

    fn compare(&mut self, height: u64) {
        if let (Some(watched_us), Some(settled_us)) = (self.watched_us.get(&height), self.settled_us.get(&height)) {
            self.sooner_us_max = self.sooner_us_max.max(settled_us.saturating_sub(*watched_us));
            self.later_us_max = self.later_us_max.max(watched_us.saturating_sub(*settled_us));
            self.watched_us.remove(&height);
            self.settled_us.remove(&height);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_sorted_times() {
        let mut times = Times::default();
        assert_eq!(times.percentile_ms(50), 0);
        for ms in 1..=100 {
            times.note(ms * 1000);
        }
        assert_eq!((times.percentile_ms(50), times.percentile_ms(99), times.percentile_ms(100)), (50, 99, 100));
        times.note(u64::MAX / 2);
        assert_eq!(times.percentile_ms(100), MS_MAX as u64);
    }
}
