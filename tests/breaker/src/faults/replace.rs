//! Every worker in turn is removed without notice, and a new one with a new key put in its place.

use std::time::Duration;

use meshwork::failure::Done;

use super::{Fault, Pace};
use crate::network::Network;

/// The fault.
#[derive(Default)]
pub(super) struct Replace {
    victims: Vec<String>,
}

impl Fault for Replace {
    fn name(&self) -> &'static str {
        "replace"
    }

    fn title(&self) -> String {
        "every worker replaced by a new one, one after the other".into()
    }

    fn rounds(&self, network: &Network) -> usize {
        network.mortal_workers().len()
    }

    fn hold(&self, _: Pace) -> Duration {
        Duration::ZERO
    }

    fn inject(&mut self, network: &Network, round: usize) -> Done {
        if round == 0 {
            self.victims = network.mortal_workers();
        }
        network.with(|hosts| hosts.replace(&self.victims[round]))
    }

    fn heal(&mut self, _: &Network, _: usize) -> Done {
        Ok(())
    }
}
