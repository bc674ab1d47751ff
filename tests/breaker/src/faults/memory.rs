//! Memory that is not enough: whoever may have so little is killed by the kernel, again and again, until it may have more.

use std::time::Duration;

use meshwork::failure::{Done, Failure};

use super::{Fault, Pace};
use crate::{
    hosts::{Member, plan::SMALL_WORKER},
    network::Network,
};

/// Whose memory, in turn.
const VICTIMS: [&str; 2] = [SMALL_WORKER, "authority-2"];

/// Enough to begin, and for nothing more.
const TOO_LITTLE: &str = "16m";

/// The fault.
#[derive(Default)]
pub struct Memory {
    before: Option<Member>,
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
        self.before = Some(network.member(name)?);
        network.with(|hosts| hosts.set_memory(name, Some(TOO_LITTLE)))
    }

    fn heal(&mut self, network: &Network, round: usize) -> Done {
        let name = VICTIMS[round];
        let starts = network.member(name)?.restarts;
        network.with(|hosts| hosts.set_memory(name, None))?;
        let Some(before) = self.before.take() else { return Ok(()) };
        match starts.saturating_sub(before.restarts) {
            0 => Err(Failure::failed(format!("{name} was not killed: {TOO_LITTLE} of memory is enough for it."))),
            starts => {
                self.notes.push(format!("{name} was killed for its memory, and started again {starts} times"));
                Ok(())
            }
        }
    }

    fn notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }
}
