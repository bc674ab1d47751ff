//! One authority is cut off from everyone.

use std::time::Duration;

use meshwork::failure::{Done, Failure};

use super::{Fault, Pace};
use crate::{
    network::Network,
    wires::cut::{Way, cut, mend},
};

/// The authority that is cut off.
const VICTIM: &str = "authority-3";

/// The fault.
pub(super) struct CutOff;

impl Fault for CutOff {
    fn name(&self) -> &'static str {
        "cut-off"
    }

    fn title(&self) -> String {
        "one authority cut off from everyone".into()
    }

    fn hold(&self, pace: Pace) -> Duration {
        pace.seconds(20, 8)
    }

    fn inject(&mut self, network: &Network, _: usize) -> Done {
        cut(pid_of(network, VICTIM)?, &network.addresses_but(&[VICTIM]), Way::Both)
    }

    fn heal(&mut self, network: &Network, _: usize) -> Done {
        mend(pid_of(network, VICTIM)?)
    }
}

/// The process that leads to a peer's network.
pub(super) fn pid_of(network: &Network, name: &str) -> Done<u32> {
    let pid = network.member(name)?.pid;
    pid.ok_or_else(|| Failure::failed(format!("{name} does not run, so its network cannot be found.")))
}
