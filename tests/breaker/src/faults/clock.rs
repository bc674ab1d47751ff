//! One clock is wrong: an authority's, fast and then slow, and then a worker's.

use std::time::Duration;

use meshwork::failure::Done;

use super::{Fault, Pace};
use crate::{hosts::plan::SMALL_WORKER, network::Network};

/// The authority.
const AUTHORITY: &str = "authority-3";

/// The fault.
pub struct Clock {
    name: &'static str,
    by: &'static str,
    rounds: Vec<(&'static str, &'static str)>,
    notes: Vec<String>,
}

/// How many lines of the victim's log are looked through for what it says of its clock.
const LOG_LINES: usize = 200;

impl Clock {
    /// Wrong by so much, ahead and behind; quickly, ahead at one and behind at the other.
    #[must_use]
    pub fn by(name: &'static str, by: &'static str, offsets: [&'static str; 2], pace: Pace) -> Self {
        let [ahead, behind] = offsets;
        let rounds = match pace {
            Pace::Full => [AUTHORITY, SMALL_WORKER].into_iter().flat_map(|who| offsets.map(|by| (who, by))).collect(),
            Pace::Quick => vec![(AUTHORITY, ahead), (SMALL_WORKER, behind)],
        };
        Self { name, by, rounds, notes: Vec::new() }
    }
}

impl Fault for Clock {
    fn name(&self) -> &'static str {
        self.name
    }

    fn title(&self) -> String {
        format!("one clock wrong by {}, ahead and behind: an authority's, then a worker's", self.by)
    }

    fn rounds(&self, _: &Network) -> usize {
        self.rounds.len()
    }

    fn hold(&self, pace: Pace) -> Duration {
        pace.seconds(10, 4)
    }

    fn inject(&mut self, network: &Network, round: usize) -> Done {
        let (name, offset) = self.rounds[round];
        network.with(|hosts| hosts.set_clock(name, Some(offset)))
    }

    fn heal(&mut self, network: &Network, round: usize) -> Done {
        let (name, offset) = self.rounds[round];
        let log = network.peek(|hosts| hosts.log(name, LOG_LINES)).unwrap_or_default();
        if !log.contains("clock") {
            self.notes.push(format!(
                "{name} says nothing of a clock that is {offset} off: does its version know the setting?"
            ));
        }
        network.with(|hosts| hosts.set_clock(name, None))
    }

    fn notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }
}
