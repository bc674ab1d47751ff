//! Half of the workers leave and give back their tasks; later they come again.

use std::time::Duration;

use meshwork::failure::Done;

use super::{Fault, Pace};
use crate::network::Network;

/// The fault.
#[derive(Default)]
pub(super) struct Drain {
    gone: Vec<String>,
}

impl Fault for Drain {
    fn name(&self) -> &'static str {
        "drain"
    }

    fn title(&self) -> String {
        "half of the workers drained".into()
    }

    fn hold(&self, pace: Pace) -> Duration {
        pace.seconds(10, 4)
    }

    fn inject(&mut self, network: &Network, _: usize) -> Done {
        self.gone = network.mortal_workers().into_iter().step_by(2).collect();
        network.with(|hosts| self.gone.iter().try_for_each(|name| hosts.stop(name)))
    }

    fn heal(&mut self, network: &Network, _: usize) -> Done {
        network.with(|hosts| self.gone.iter().try_for_each(|name| hosts.start(name)))
    }
}
