//! One clock is wrong: first an authority's, then a worker's. It is fast and then slow, or steps both ways
//! while the peer runs.

use std::time::Duration;

use meshwork::failure::Done;

use super::{Fault, Pace};
use crate::{hosts::plan::SMALL_WORKER, network::Network};

/// The authority.
const AUTHORITY: &str = "authority-3";

/// The fault.
pub(super) struct Clock {
    name: &'static str,
    title: String,
    rounds: Vec<(&'static str, &'static str)>,
    /// How long a round lasts, in seconds: in full, and quickly.
    hold_s: [u64; 2],
    notes: Vec<String>,
}

/// How many lines of the victim's log are searched for its words about its clock.
const LOG_LINES: usize = 200;

impl Clock {
    /// Wrong by this much, ahead and behind. A quick run has one clock ahead and the other behind.
    #[must_use]
    pub(super) fn by(name: &'static str, by: &'static str, offsets: [&'static str; 2], pace: Pace) -> Self {
        let [ahead, behind] = offsets;
        let rounds = match pace {
            Pace::Full => [AUTHORITY, SMALL_WORKER].into_iter().flat_map(|who| offsets.map(|by| (who, by))).collect(),
            Pace::Quick => vec![(AUTHORITY, ahead), (SMALL_WORKER, behind)],
        };
        let title = format!("one clock wrong by {by}, ahead and behind: an authority's, then a worker's");
        Self { name, title, rounds, hold_s: [10, 4], notes: Vec::new() }
    }

    /// Stepped forwards and then back while the peer runs, to end up behind.
    #[must_use]
    pub(super) fn stepped() -> Self {
        let rounds = [AUTHORITY, SMALL_WORKER].map(|who| (who, "+10m@3s,-10m@6s")).to_vec();
        let title =
            "one clock stepped 10 min forwards and 20 back while it runs: an authority's, then a worker's".into();
        Self { name: "clock-step", title, rounds, hold_s: [15, 10], notes: Vec::new() }
    }
}

impl Fault for Clock {
    fn name(&self) -> &'static str {
        self.name
    }

    fn title(&self) -> String {
        self.title.clone()
    }

    fn rounds(&self, _: &Network) -> usize {
        self.rounds.len()
    }

    fn hold(&self, pace: Pace) -> Duration {
        let [full, quick] = self.hold_s;
        pace.seconds(full, quick)
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
