//! What is done to a host's network from inside it, whatever kind of host it is: packets are thrown away or held up on their way to
//! and from other peers. What this program itself asks of a peer's API is left alone.

pub mod cut;
pub mod probe;
pub mod relay;
pub mod slow;

use std::time::Duration;

use meshwork::failure::Done;

use crate::system::run_within;

/// The table, in each host's own network, that holds what is thrown away.
const TABLE: &str = "meshwork_breaker";

/// The interface by which a host is reached, in containers and namespaces alike.
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
