//! The whole network is killed at once, and started again.

use std::time::Duration;

use meshwork::failure::Done;

use super::{Fault, Meanwhile, Pace};
use crate::network::Network;

/// The fault.
pub(super) struct Restart;

impl Fault for Restart {
    fn name(&self) -> &'static str {
        "restart"
    }

    fn title(&self) -> String {
        "the whole network killed at once and started again".into()
    }

    fn meanwhile(&self) -> Meanwhile {
        Meanwhile::Anything
    }

    fn hold(&self, pace: Pace) -> Duration {
        pace.seconds(3, 1)
    }

    fn inject(&mut self, network: &Network, _: usize) -> Done {
        let members = network.members();
        network.with(|hosts| members.iter().try_for_each(|member| hosts.kill(&member.name)))
    }

    fn heal(&mut self, network: &Network, _: usize) -> Done {
        let members = network.members();
        network.with(|hosts| members.iter().try_for_each(|member| hosts.start(&member.name)))
    }
}
