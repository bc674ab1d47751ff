//! Everything that is noted while a network runs.

use std::collections::BTreeMap;

use meshwork_core::{
    codec,
    replica::Executed,
    types::{Action, Block, Receipt},
};

/// Longer times than this are counted as this, in milliseconds.
const MS_MAX: usize = 120_000;

/// A histogram of milliseconds.
#[derive(Clone, Debug, Default)]
pub struct Times(Vec<u64>);

impl Times {
    /// Adds a time, in microseconds.
    pub fn note(&mut self, us: u64) {
        let ms = ((us + 500) / 1000).min(MS_MAX as u64) as usize;
        if self.0.len() <= ms {
            self.0.resize(ms + 1, 0);
        }
        self.0[ms] += 1;
    }

    /// How many times it holds.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.iter().sum()
    }

    /// The number of milliseconds within which this percentage of times is; 0 if there are none.
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

/// The record of a run.
#[derive(Default)]
pub struct Record {
    /// Jobs submitted while measuring that are not known to be final.
    pub outstanding: u64,
    /// The time from submitting a job until its block is final at its submitter.
    pub job_final: Times,
    /// The same, at the first authority.
    pub job_known: Times,
    /// The time from proposing a block until it is final, at every peer.
    pub block_final: Times,
    /// Blocks that became final.
    pub blocks: u64,
    /// Transactions in them.
    pub transactions: u64,
    /// Executed claims among these.
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
    /// Bytes of the largest proposal, encoded.
    pub proposal_bytes_max: u64,
    /// How many proposals there were.
    pub proposals: u64,
    /// Bytes of all finalizations that were stored, encoded.
    pub certificate_bytes: u64,
    /// How many finalizations were stored.
    pub certificates: u64,
    /// How often blocks had to be fetched.
    pub caught_up: u64,
    /// When the watched peer executed each height that is not settled.
    watched_us: BTreeMap<u64, u64>,
    /// When each height was computed to be final there, as far as that was known first.
    settled_us: BTreeMap<u64, u64>,
    /// How much sooner it was, at most, in microseconds: another finalization arrived before the one that went
    /// out first.
    pub sooner_us_max: u64,
    /// How much later it was, at most.
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

    /// An authority is the first to execute a block.
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

    /// A block proposed while measuring is final at every peer at these times.
    pub fn block_final(&mut self, proposed_us: u64, final_us: &[u64]) {
        for at_us in final_us {
            self.block_final.note(at_us - proposed_us);
        }
    }

    /// A job is final.
    pub fn job_final(&mut self, known_us: u64, final_us: u64) {
        self.outstanding = self.outstanding.saturating_sub(1);
        self.job_known.note(known_us);
        self.job_final.note(final_us);
    }

    /// The watched peer has executed a height.
    pub fn watched(&mut self, height: u64, at_us: u64) {
        self.watched_us.insert(height, at_us);
        self.compare(height);
    }

    /// A height is computed to be final at the watched peer at this time.
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
