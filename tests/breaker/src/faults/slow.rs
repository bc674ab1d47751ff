//! Every packet between any two hosts takes 100 ms, give or take 50, and one in twenty is lost.

use std::time::Duration;

use meshwork::failure::{Done, Failure};

use super::{Fault, Pace, cut_off::pid_of};
use crate::{
    network::Network,
    wires::{
        probe::round_trip_ms,
        slow::{Slowed, Slowness},
    },
};

/// How slow.
const SLOWNESS: Slowness =
    Slowness { delay: Duration::from_millis(100), jitter: Duration::from_millis(50), loss_percent: 5 };

/// The hosts between which the delay is measured.
const ENDS: [&str; 2] = ["authority-1", "authority-2"];

/// The fault.
#[derive(Default)]
pub(super) struct Slow {
    slowed: Vec<Slowed>,
    means: Option<&'static str>,
    round_trip_ms: u64,
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
        let to = network.member(ENDS[1])?.address;
        let to = to.ok_or_else(|| Failure::failed(format!("{} has no address.", ENDS[1])))?;
        self.round_trip_ms = round_trip_ms(pid_of(network, ENDS[0])?, to)?;
        if u128::from(self.round_trip_ms) < SLOWNESS.delay.as_millis() {
            let sentence = format!("Cables are not slow: a round trip takes {} ms.", self.round_trip_ms);
            return Err(Failure::failed(sentence));
        }
        Ok(())
    }

    fn heal(&mut self, _: &Network, _: usize) -> Done {
        self.slowed.drain(..).try_for_each(Slowed::mend)
    }

    fn notes(&mut self) -> Vec<String> {
        let said = |means| format!("slow by {means}; a round trip took {} ms (median)", self.round_trip_ms);
        self.means.take().map(said).into_iter().collect()
    }
}
