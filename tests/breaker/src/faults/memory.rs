//! Too little memory: the kernel kills the victim again and again, until it may have more.

use std::{
    thread,
    time::{Duration, Instant},
};

use meshwork::failure::{Done, Failure};

use super::{Fault, Pace};
use crate::{hosts::plan::SMALL_WORKER, network::Network};

/// Whose memory, in turn.
const VICTIMS: [&str; 2] = [SMALL_WORKER, "authority-2"];

/// Enough to start, and not more.
const TOO_LITTLE: &str = "12m";

/// How long a starting peer may take, on the slowest machine, until it needs more than that.
const KILLED_WITHIN: Duration = Duration::from_secs(120);

/// How often to look whether it was killed.
const LOOK: Duration = Duration::from_millis(250);

/// The fault.
#[derive(Default)]
pub(super) struct Memory {
    notes: Vec<String>,
}

impl Fault for Memory {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn title(&self) -> String {
        "memory limit reached: a worker's, then an authority's".into()
    }

    fn rounds(&self, network: &Network) -> usize {
        if network.peek(|hosts| hosts.limits_memory()).unwrap_or_default() { VICTIMS.len() } else { 0 }
    }

    fn hold(&self, pace: Pace) -> Duration {
        pace.seconds(15, 6)
    }

    fn inject(&mut self, network: &Network, round: usize) -> Done {
        let name = VICTIMS[round];
        network.with(|hosts| hosts.set_memory(name, Some(TOO_LITTLE)))?;
        let until = Instant::now() + KILLED_WITHIN;
        while network.member(name)?.restarts == 0 {
            if Instant::now() > until {
                return Err(Failure::failed(format!(
                    "{name} was not killed within {} s: {TOO_LITTLE} of memory is enough for it.",
                    KILLED_WITHIN.as_secs()
                )));
            }
            thread::sleep(LOOK);
            network.look()?;
        }
        Ok(())
    }

    fn heal(&mut self, network: &Network, round: usize) -> Done {
        let name = VICTIMS[round];
        let starts = network.member(name)?.restarts;
        if starts > 0 {
            self.notes.push(format!("{name} was killed for its memory, and started again {starts} times"));
        }
        network.with(|hosts| hosts.set_memory(name, None))
    }

    fn notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }
}
