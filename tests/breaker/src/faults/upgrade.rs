//! Every host gets another version of the program, one after the other.

use std::time::Duration;

use meshwork::failure::{Done, Failure};

use super::{Fault, Pace};
use crate::network::Network;

/// The fault.
#[derive(Default)]
pub(super) struct Upgrade {
    hosts: Vec<(String, String)>,
}

impl Fault for Upgrade {
    fn name(&self) -> &'static str {
        "upgrade"
    }

    fn title(&self) -> String {
        "another version of the program on each host, one after the other".into()
    }

    fn rounds(&self, network: &Network) -> usize {
        network.members().len()
    }

    fn hold(&self, _: Pace) -> Duration {
        Duration::ZERO
    }

    fn inject(&mut self, network: &Network, round: usize) -> Done {
        if round == 0 {
            let with_version = |name: String| Ok((name.clone(), network.with(|hosts| hosts.version(&name))?));
            self.hosts = network.members().into_iter().map(|member| with_version(member.name)).collect::<Done<_>>()?;
        }
        network.with(|hosts| hosts.upgrade(&self.hosts[round].0))
    }

    /// There is nothing to mend. But in the end no host may run the old version.
    fn heal(&mut self, network: &Network, round: usize) -> Done {
        if round + 1 < self.hosts.len() {
            return Ok(());
        }
        for member in network.members() {
            let version = network.with(|hosts| hosts.version(&member.name))?;
            if self.hosts.iter().any(|(_, before)| *before == version) {
                return Err(Failure::failed(format!("{} still runs {version}.", member.name)));
            }
        }
        Ok(())
    }
}
