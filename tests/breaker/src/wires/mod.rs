//! Breaks a host's network from inside it, alike for every kind of host: rules drop or delay packets to and
//! from other peers. The breaker's own requests to a peer's API pass.

pub(crate) mod cut;
pub(crate) mod probe;
pub(crate) mod relay;
pub(crate) mod slow;

use std::time::Duration;

use meshwork::failure::Done;

use crate::system::run_within;

/// The table of rules in each host's own network.
const TABLE: &str = "meshwork_breaker";

/// A host's interface, in containers and namespaces alike.
const INTERFACE: &str = "eth0";

/// How long a change of a host's network may take.
const CHANGE_WITHIN: Duration = Duration::from_secs(20);

/// Runs a program of this machine in the network of a process.
fn inside(pid: u32, program: &str, arguments: &[&str], input: &str) -> Done<String> {
    let network = format!("--net=/proc/{pid}/ns/net");
    let mut all = vec![network.as_str(), program];
    all.extend(arguments);
    run_within(CHANGE_WITHIN, "nsenter", &all, input)
}
