//! The times and bounds of the round, and the stall threshold that follows from them.

use serde::{Deserialize, Serialize};

use crate::fault::{Fault, is_planted};

/// The times and bounds of the round.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConsensusParameters {
    /// Δ: the longest that a message between authorities takes while the network is well, in milliseconds. A
    /// view's first timer is 3 Δ.
    pub delta_ms: u64,
    /// How long an idle network waits before it makes a block anyway, in milliseconds.
    pub heartbeat_ms: u64,
    /// How far ahead of a voter's clock a block's time may be, in milliseconds.
    pub clock_bound_ms: u64,
    /// The longest timer of a view, in milliseconds.
    pub timer_ms_max: u64,
    /// The number of views with a quorum in which an authority may be silent before its own views are passed
    /// over at once.
    pub silent_views: u32,
    /// Votes for views further ahead of the node's own view than this are dropped.
    pub view_window: u64,
    /// The most bytes of transactions in a block.
    pub block_bytes_max: usize,
    /// The most transactions in a block.
    pub block_transactions_max: usize,
    /// The state is digested at every height that is a multiple of this.
    pub snapshot_interval: u64,
    /// A snapshot's digest is due in the first header whose R is at least this many heights past it.
    pub snapshot_lag: u64,
    /// An epoch can end only at a height that is a multiple of this.
    pub gate_interval: u64,
}

impl Default for ConsensusParameters {
    fn default() -> Self {
        Self {
            delta_ms: 250,
            heartbeat_ms: 1000,
            clock_bound_ms: 500,
            timer_ms_max: 30_000,
            silent_views: 8,
            view_window: 1024,
            block_bytes_max: 1 << 20,
            block_transactions_max: 4096,
            snapshot_interval: 1024,
            snapshot_lag: 8,
            gate_interval: 32,
        }
    }
}

impl ConsensusParameters {
    /// The gap between two blocks beyond which the network stalled and leases stand still, in milliseconds: f +
    /// 1 heartbeats, twice the clock bound, and the timers of f leaders that are passed over. `faulty_max` is
    /// the f of the later block's authorities.
    #[must_use]
    pub fn stall_threshold_ms(&self, faulty_max: usize) -> u64 {
        let faulty = faulty_max as u64;
        let mut timers_ms = 0;
        let mut timer_ms = 3 * self.delta_ms;
        for _ in 0..faulty {
            timers_ms += timer_ms;
            timer_ms = (timer_ms + timer_ms / 2).min(self.timer_ms_max);
        }
        let heartbeats = if is_planted(Fault::ThresholdWithoutHeartbeats) { 0 } else { faulty + 1 };
        heartbeats * self.heartbeat_ms + 2 * self.clock_bound_ms + timers_ms
    }
}
