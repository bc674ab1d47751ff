//! A cable is cut one way only: one authority hears and cannot speak, then another speaks and cannot hear.

use std::time::Duration;

use meshwork::failure::Done;

use super::{Fault, Pace, cut_off::pid_of};
use crate::{
    network::Network,
    wires::cut::{Way, cut, mend},
};

/// Who is cut, and which way.
const ROUNDS: [(&str, Way); 2] = [("authority-1", Way::Out), ("authority-2", Way::In)];

/// The fault.
pub(super) struct OneWay;

impl Fault for OneWay {
    fn name(&self) -> &'static str {
        "one-way"
    }

    fn title(&self) -> String {
        "cut one way only: a mute authority, then a deaf one".into()
    }

    fn rounds(&self, _: &Network) -> usize {
        ROUNDS.len()
    }

    fn hold(&self, pace: Pace) -> Duration {
        pace.seconds(15, 6)
    }

    fn inject(&mut self, network: &Network, round: usize) -> Done {
        let (name, way) = ROUNDS[round];
        cut(pid_of(network, name)?, &network.addresses_but(&[name]), way)
    }

    fn heal(&mut self, network: &Network, round: usize) -> Done {
        mend(pid_of(network, ROUNDS[round].0)?)
    }
}
