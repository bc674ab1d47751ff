//! Each host is killed (SIGKILL) and started again, one after the other.

use std::time::Duration;

use meshwork::failure::Done;

use super::{Fault, Pace};
use crate::network::Network;

/// The fault.
#[derive(Default)]
pub(super) struct Kill {
    victims: Vec<String>,
}

impl Fault for Kill {
    fn name(&self) -> &'static str {
        "kill"
    }

    fn title(&self) -> String {
        "each host killed and started again, one after the other".into()
    }

    fn rounds(&self, network: &Network) -> usize {
        network.mortals().len()
    }

    fn hold(&self, pace: Pace) -> Duration {
        pace.seconds(3, 1)
    }

    fn inject(&mut self, network: &Network, round: usize) -> Done {
        if round == 0 {
            self.victims = network.mortals();
        }
        network.with(|hosts| hosts.kill(&self.victims[round]))
    }

    fn heal(&mut self, network: &Network, round: usize) -> Done {
        network.with(|hosts| hosts.start(&self.victims[round]))
    }
}
