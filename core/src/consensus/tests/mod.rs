//! Tests of the round: over a network in memory with virtual time, and rule by rule.

mod agreement;
mod epochs;
mod forks;
mod lone;
mod network;
mod node;
mod pace;
mod rules;
mod strangers;
mod trust;

use std::sync::Arc;

use super::*;
use crate::{
    identity::SecretKey,
    types::{
        Access, Action, Authority, BlockTime, ConsensusParameters, Drain, Genesis, LedgerLimits, ScheduleParameters,
        SignedTransaction, Transaction,
    },
};

/// A small seeded generator, good enough to shuffle a network (xorshift64*).
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }
    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        (self.next() >> 11) % bound.max(1)
    }
    pub(super) fn permille(&mut self, chance: u64) -> bool {
        self.below(1000) < chance
    }
}

pub(super) fn key(index: usize) -> SecretKey {
    SecretKey::from_seed([index as u8 + 1; 32])
}

/// Δ 100 ms, heartbeat 1 s, cap 10 s.
pub(super) fn genesis(count: usize) -> Arc<Genesis> {
    let authorities = (0..count).map(|index| Authority {
        name: format!("a{index}"),
        key: key(index).public(),
        addresses: Vec::new(),
    });
    Arc::new(Genesis {
        name: "test".into(),
        time: BlockTime(1_000_000),
        authorities: authorities.collect(),
        access: Access::default(),
        consensus: ConsensusParameters {
            delta_ms: 100,
            heartbeat_ms: 1000,
            timer_ms_max: 10_000,
            silent_views: 4,
            ..ConsensusParameters::default()
        },
        ledger: LedgerLimits::default(),
        schedule: ScheduleParameters::default(),
    })
}

pub(super) fn config(genesis: &Arc<Genesis>, key: Option<SecretKey>) -> Config {
    let authorities = Arc::new(genesis.authority_set());
    Config { genesis: Arc::clone(genesis), network: genesis.network_id(), key, authorities }
}

pub(super) fn transaction(genesis: &Genesis, number: u64) -> Arc<SignedTransaction> {
    let action = Action::Drain(Drain { sequence: number });
    let transaction = Transaction { nonce: number, expires: BlockTime(u64::MAX), action };
    Arc::new(SignedTransaction::sign(transaction, &SecretKey::from_seed([99; 32]), &genesis.network_id()))
}

/// The seeds that a test runs with. `MESHWORK_SEEDS=50` makes them fifty times as many.
pub(super) fn seeds(count: u64) -> std::ops::Range<u64> {
    let times = std::env::var("MESHWORK_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    0..count * times
}
