//! The network is split into two sides that do not hear each other, with two authorities each. No block can
//! become final.

use std::time::Duration;

use meshwork::failure::Done;

use super::{Fault, Meanwhile, Pace, cut_off::pid_of};
use crate::{
    network::Network,
    wires::cut::{Way, cut, mend},
};

/// The fault.
#[derive(Default)]
pub(super) struct Split {
    side: Vec<String>,
}

impl Fault for Split {
    fn name(&self) -> &'static str {
        "split"
    }

    fn title(&self) -> String {
        "authorities split 2 | 2, and everyone else with them".into()
    }

    fn meanwhile(&self) -> Meanwhile {
        Meanwhile::Stands
    }

    fn hold(&self, pace: Pace) -> Duration {
        pace.seconds(20, 8)
    }

    fn inject(&mut self, network: &Network, _: usize) -> Done {
        // Every second host of each kind, which leaves two authorities and half of the workers on each side.
        self.side = network.members().into_iter().map(|member| member.name).step_by(2).collect();
        let names: Vec<&str> = self.side.iter().map(String::as_str).collect();
        let others = network.addresses_but(&names);
        self.side.iter().try_for_each(|name| cut(pid_of(network, name)?, &others, Way::Both))
    }

    fn heal(&mut self, network: &Network, _: usize) -> Done {
        self.side.iter().try_for_each(|name| mend(pid_of(network, name)?))
    }
}
