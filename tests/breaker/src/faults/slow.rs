//! Every packet between any two hosts takes 100 ms, give or take 50, and one in twenty is lost.

use std::time::Duration;

use meshwork::failure::Done;

use super::{Fault, Pace, cut_off::pid_of};
use crate::{
    network::Network,
    wires::slow::{Slowed, Slowness},
};

/// How slow.
const SLOWNESS: Slowness =
    Slowness { delay: Duration::from_millis(100), jitter: Duration::from_millis(50), loss_percent: 5 };

/// The fault.
#[derive(Default)]
pub struct Slow {
    slowed: Vec<Slowed>,
    means: Option<&'static str>,
}

impl Fault for Slow {
    fn name(&self) -> &'static str {
        "slow"
    }

    fn title(&self) -> String {
        "every cable 100 ms ± 50 ms slow, 5 % of packets lost".into()
    }

    fn hold(&self, pace: Pace) -> Duration {
        pace.seconds(30, 10)
    }

    fn inject(&mut self, network: &Network, _: usize) -> Done {
        for member in network.members() {
            let (Some(pid), Some(address)) = (member.pid, member.address) else { continue };
            let others = network.addresses_but(&[&member.name]);
            let slowed = Slowed::new(pid, address, &others, SLOWNESS)?;
            self.means = Some(slowed.means());
            self.slowed.push(slowed);
        }
        // So that a host that does not run is heard of here, and not in the end.
        network.members().iter().try_for_each(|member| pid_of(network, &member.name).map(|_| ()))
    }

    fn heal(&mut self, _: &Network, _: usize) -> Done {
        self.slowed.drain(..).try_for_each(Slowed::mend)
    }

    fn notes(&mut self) -> Vec<String> {
        self.means.take().map(|means| format!("slow by {means}")).into_iter().collect()
    }
}
