//! The settings of a run: how many peers, on what network, under what load.

use std::sync::Arc;

use meshwork_core::types::{
    Access, Authority, BlockTime, ConsensusParameters, Genesis, LedgerLimits, ScheduleParameters,
};
use serde::Serialize;

use crate::scenario::{START_US, Scenario};

/// Δ, in milliseconds: the longest one-way delay with its jitter, two lines and a disk, and a third to spare.
const DELTA_MS: u64 = 300;

/// The settings of a run. Peers are numbered: authorities, then the watched peer, then volunteers, who submit
/// too.
#[derive(Clone, Debug, Serialize)]
pub struct Setup {
    /// How many peers there are in all.
    pub peers: usize,
    /// How many of them are authorities.
    pub authorities: usize,
    /// How long to measure, in seconds of virtual time.
    pub seconds: u64,
    /// How long to wait before that, in seconds. Everyone claims in the first two thirds of it.
    pub warm_up_s: u64,
    /// Jobs of one task submitted each second, in all.
    pub tasks_per_s: u64,
    /// How many connections each peer keeps, if there are as many others.
    pub connections: usize,
    /// How long claims stand, in milliseconds, or three stall thresholds if that is longer.
    pub claim_stands_ms: u64,
    /// Whether a peer publishes to all its connections.
    pub flood_publish: bool,
    /// The seed of everything random.
    pub seed: u64,
}

impl Setup {
    /// A network with the defaults of the code and the genesis.
    #[must_use]
    pub fn of(peers: usize, authorities: usize) -> Self {
        Self {
            peers,
            authorities,
            seconds: 30,
            warm_up_s: 15,
            tasks_per_s: 20,
            connections: 384,
            claim_stands_ms: LedgerLimits::default().claim_stands_ms_max,
            flood_publish: true,
            seed: 1,
        }
    }

    /// Whether there is at least one authority, the watched peer and a volunteer.
    #[must_use]
    pub const fn is_sound(&self) -> bool {
        self.authorities >= 1
            && self.authorities <= Genesis::AUTHORITIES_MAX
            && self.peers >= self.authorities + 2
            && self.seconds >= 1
            && self.warm_up_s >= 3
            && self.connections >= 1
    }

    /// When measuring begins, in microseconds of the run.
    #[must_use]
    pub const fn from_us(&self) -> u64 {
        self.warm_up_s * 1_000_000
    }

    /// When it ends.
    #[must_use]
    pub const fn until_us(&self) -> u64 {
        self.from_us() + self.seconds * 1_000_000
    }

    /// The network's genesis.
    #[must_use]
    pub fn genesis(&self) -> Arc<Genesis> {
        let authority = |index: usize| Authority {
            name: format!("authority-{index}"),
            key: Scenario::key(index).public(),
            addresses: Vec::new(),
        };
        let mut genesis = Genesis {
            name: format!("scale {}", self.peers),
            time: BlockTime(START_US),
            authorities: (0..self.authorities).map(authority).collect(),
            access: Access::default(),
            consensus: ConsensusParameters { delta_ms: DELTA_MS, ..ConsensusParameters::default() },
            // All that come are new, and there may be as many of them as workers.
            ledger: LedgerLimits { unproven_permille: 1000, ..LedgerLimits::default() },
            schedule: ScheduleParameters::default(),
        };
        let stall_ms = genesis.consensus.stall_threshold_ms(genesis.authority_set().faulty_max());
        genesis.ledger.claim_stands_ms_max = self.claim_stands_ms.max(3 * stall_ms);
        genesis.ledger.allowance_ms = genesis.ledger.allowance_ms.max(2 * stall_ms);
        Arc::new(genesis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_genesis_keeps_the_rules() {
        for authorities in [1, 4, 7, 13, 31, 100] {
            let genesis = Setup::of(1000, authorities).genesis();
            assert_eq!(genesis.check(), Ok(()));
        }
    }
}
