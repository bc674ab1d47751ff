//! A disk is filled to its last byte: a worker's, then an authority's.

use std::time::Duration;

use meshwork::failure::{Done, Failure};

use super::{Fault, Pace};
use crate::{
    hosts::{
        Member,
        plan::{SMALL_AUTHORITY, SMALL_WORKER},
        volume::{fill, free_space},
    },
    network::Network,
};

/// Whose disks, in turn.
const VICTIMS: [&str; 2] = [SMALL_WORKER, SMALL_AUTHORITY];

/// How many lines of the victim's log are searched for its words about its disk.
const LOG_LINES: usize = 200;

/// The fault.
#[derive(Default)]
pub(super) struct Disk {
    before: Option<Member>,
    notes: Vec<String>,
}

impl Fault for Disk {
    fn name(&self) -> &'static str {
        "disk"
    }

    fn title(&self) -> String {
        "a full disk: a worker's, then an authority's".into()
    }

    fn rounds(&self, _: &Network) -> usize {
        VICTIMS.len()
    }

    fn hold(&self, pace: Pace) -> Duration {
        pace.seconds(15, 8)
    }

    fn inject(&mut self, network: &Network, round: usize) -> Done {
        let name = VICTIMS[round];
        self.before = Some(network.member(name)?);
        network.with(|hosts| {
            let folder = hosts.small_disk(name).ok_or_else(|| no_small_disk(name))?;
            fill(folder).map(|_| ())
        })
    }

    fn heal(&mut self, network: &Network, round: usize) -> Done {
        let name = VICTIMS[round];
        self.observe(network, name)?;
        network.with(|hosts| free_space(hosts.small_disk(name).ok_or_else(|| no_small_disk(name))?))
    }

    fn notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }
}

impl Disk {
    /// Notes how the victim reacted.
    fn observe(&mut self, network: &Network, name: &str) -> Done {
        let now = network.member(name)?;
        let Some(before) = self.before.take() else { return Ok(()) };
        let starts = now.restarts.saturating_sub(before.restarts);
        let did = match (starts, now.pid == before.pid) {
            (0, true) => "lived on".to_owned(),
            (0, false) => "ended".to_owned(),
            (starts, _) => format!("ended, and was started again {starts} times"),
        };
        let log = network.peek(|hosts| hosts.log(name, LOG_LINES)).unwrap_or_default();
        let says_so = |line: &&str| ["disk", "space", "room"].iter().any(|word| line.contains(word));
        let said = log.lines().rev().find(says_so).unwrap_or("nothing of its disk").trim();
        self.notes.push(format!("{name} {did}; it said: {said}"));
        Ok(())
    }
}

fn no_small_disk(name: &str) -> Failure {
    Failure::failed(format!("{name} has no disk that could be filled."))
}
