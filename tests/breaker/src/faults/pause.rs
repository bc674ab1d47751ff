//! One host is paused for a minute: an authority, then a worker, whose claim runs out meanwhile.

use std::time::Duration;

use meshwork::failure::Done;

use super::{Fault, Pace};
use crate::network::Network;

/// Who is paused, in turn.
const VICTIMS: [&str; 2] = ["authority-2", "worker-small"];

/// The fault.
pub(super) struct Pause {
    /// How long it lasts.
    pub pace: Pace,
}

impl Fault for Pause {
    fn name(&self) -> &'static str {
        "pause"
    }

    fn title(&self) -> String {
        format!("one host paused for {} s: an authority, then a worker", self.hold(self.pace).as_secs())
    }

    fn rounds(&self, _: &Network) -> usize {
        VICTIMS.len()
    }

    fn hold(&self, pace: Pace) -> Duration {
        pace.seconds(60, 10)
    }

    fn inject(&mut self, network: &Network, round: usize) -> Done {
        network.with(|hosts| hosts.pause(VICTIMS[round]))
    }

    fn heal(&mut self, network: &Network, round: usize) -> Done {
        network.with(|hosts| hosts.resume(VICTIMS[round]))
    }
}
