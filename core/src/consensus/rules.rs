//! The genesis' rules of the round, in the units that the round counts in, and the bounds that are constants.

use std::sync::Arc;

use super::Config;
use crate::{
    fault::{Fault, is_planted},
    identity::{NetworkId, PublicKey},
    types::{AuthorityIndex, AuthoritySet, Genesis, Height, View},
};

/// How many blocks of one leader are kept for one view, besides those that certificates name. An honest leader
/// makes one.
pub(super) const PROPOSALS_PER_VIEW_MAX: usize = 2;
/// Proposals for views further ahead than this are dropped, because each may be as large as a block.
pub(super) const PROPOSALS_AHEAD_MAX: u64 = 16;
/// A block further than this above its own F holds no transactions. So blocks that pile up before any is final
/// stay small.
pub(super) const PILE_MAX: u64 = 64;
/// The most bytes of transactions in blocks that become final together, beyond those of one block. A peer that
/// was away fetches such blocks in one message, since only the last of them has a finalization.
pub const RUN_BYTES: usize = 4 << 20;
/// The most snapshot digests in one header.
pub(super) const SNAPSHOTS_MAX: usize = 4096;
/// The most missing blocks, and the most missing views, that one ask names.
pub(super) const NAMED_MAX: usize = 32;
/// The most votes in one tell.
pub(super) const TELL_VOTES_MAX: usize = 192;
/// The most certificates in one tell.
pub(super) const TELL_CERTIFICATES_MAX: usize = 64;
/// The most proposals in one tell.
pub(super) const TELL_PROPOSALS_MAX: usize = 16;
/// How many of the next epoch's proposals are kept while this one ends.
pub(super) const EARLY_PROPOSALS_MAX: usize = 2;
/// How many of the next epoch's votes are kept while this one ends.
pub(super) const EARLY_VOTES_MAX: usize = 1024;
/// A tell takes no further proposal once its proposals' transactions exceed this many bytes.
pub(super) const TELL_BYTES: usize = 4 << 20;

/// The genesis' rules of the round.
#[derive(Clone)]
pub(super) struct Rules {
    pub genesis: Arc<Genesis>,
    pub network: NetworkId,
    /// The authorities of this epoch.
    pub set: Arc<AuthoritySet>,
    /// The authorities' keys, in order.
    pub keys: Vec<PublicKey>,
    /// q: how many votes make a certificate.
    pub quorum: usize,
    /// f: how many may lie.
    pub faulty_max: usize,
    /// Δ in microseconds.
    pub delta_us: u64,
    /// The heartbeat in microseconds.
    pub heartbeat_us: u64,
    /// How far ahead of the local clock a block's time may be, in microseconds.
    pub clock_bound_us: u64,
    /// The cap of view timers, in microseconds.
    timer_us_max: u64,
}

impl Rules {
    pub(super) fn new(config: &Config) -> Self {
        Self::of(Arc::clone(&config.genesis), config.network, Arc::clone(&config.authorities))
    }

    /// The rules of the same network under other authorities.
    pub(super) fn under(&self, set: Arc<AuthoritySet>) -> Self {
        Self::of(Arc::clone(&self.genesis), self.network, set)
    }

    fn of(genesis: Arc<Genesis>, network: NetworkId, set: Arc<AuthoritySet>) -> Self {
        let round = &genesis.consensus;
        Self {
            network,
            keys: set.keys().collect(),
            quorum: set.quorum() - usize::from(is_planted(Fault::QuorumTooSmall)),
            faulty_max: set.faulty_max(),
            set,
            delta_us: round.delta_ms.saturating_mul(1000),
            heartbeat_us: round.heartbeat_ms.saturating_mul(1000),
            clock_bound_us: round.clock_bound_ms.saturating_mul(1000),
            timer_us_max: round.timer_ms_max.saturating_mul(1000),
            genesis,
        }
    }

    /// Whether an epoch may end at this height.
    pub(super) fn is_gate(&self, height: Height) -> bool {
        height.0.is_multiple_of(self.genesis.consensus.gate_interval.max(1)) || is_planted(Fault::EndsAnywhere)
    }

    /// n, the number of authorities.
    pub(super) fn authorities(&self) -> usize {
        self.keys.len()
    }

    /// The most bytes of transactions of blocks that become final together.
    pub(super) fn run_bytes_max(&self) -> usize {
        RUN_BYTES + self.genesis.consensus.block_bytes_max
    }

    /// Every authority's index, in order.
    pub(super) fn indices(&self) -> impl Iterator<Item = AuthorityIndex> + use<> {
        // A set has at most 256 authorities.
        (0..self.keys.len() as u16).map(AuthorityIndex)
    }

    /// The leader of a view: `authorities[v mod n]`.
    pub(super) fn leader(&self, view: View) -> AuthorityIndex {
        self.set.leader(view)
    }

    pub(super) fn key(&self, authority: AuthorityIndex) -> Option<&PublicKey> {
        self.keys.get(usize::from(authority.0))
    }

    /// A view's timeout after this many failed views in a row: 3Δ, and half as much again for each, up to the
    /// cap.
    pub(super) fn timeout_us(&self, failed: usize) -> u64 {
        let mut timeout_us = self.delta_us.saturating_mul(3).min(self.timer_us_max);
        for _ in 0..failed {
            if timeout_us >= self.timer_us_max {
                break;
            }
            timeout_us = (timeout_us + timeout_us / 2).min(self.timer_us_max);
        }
        timeout_us
    }
}
