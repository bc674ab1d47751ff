//! The namespaces themselves, and the cables between them.

use std::{net::Ipv4Addr, path::PathBuf};

use meshwork::failure::{Done, Failure};

use crate::{
    hosts::plan::address_in,
    system::{SOON, run, run_within},
};

/// The last part of this machine's own address among the hosts.
const OWN: u8 = 254;

/// How many networks are tried before the search for a free one is given up.
const NETWORKS_TRIED: u8 = 50;

/// Namespaces, joined by a bridge. Dropping this removes them.
#[derive(Debug)]
pub(super) struct Cables {
    prefix: String,
    names: Vec<String>,
    network: [u8; 3],
}

impl Cables {
    /// Makes a namespace for each name, and joins them.
    ///
    /// # Errors
    /// The system refuses.
    pub(super) fn lay(prefix: &str, names: &[String]) -> Done<Self> {
        // Made first, so that a failure removes the cables laid so far.
        let cables = Self { prefix: prefix.to_owned(), names: names.to_vec(), network: free_network()? };
        let switch = cables.namespace("switch");
        let mut lines = format!(
            "netns add {switch}\n\
             link add {prefix} type veth peer name up0 netns {switch}\n\
             address add {}/24 dev {prefix}\n\
             link set {prefix} up\n",
            Ipv4Addr::new(cables.network[0], cables.network[1], cables.network[2], OWN)
        );
        for name in names {
            lines.push_str(&format!("netns add {}\n", cables.namespace(name)));
        }
        run_within(SOON, "ip", &["-batch", "-"], &lines)?;
        let mut inside = String::from("link add br0 type bridge\nlink set br0 up\nlink set up0 master br0 up\n");
        for (place, name) in names.iter().enumerate() {
            inside.push_str(&format!(
                "link add port{place} type veth peer name eth0 netns {}\nlink set port{place} master br0 up\n",
                cables.namespace(name)
            ));
        }
        run_within(SOON, "ip", &["-netns", &switch, "-batch", "-"], &inside)?;
        for (place, name) in names.iter().enumerate() {
            let own = format!(
                "address add {}/24 dev eth0\nlink set eth0 up\nlink set lo up\n",
                address_in(cables.network, place)
            );
            run_within(SOON, "ip", &["-netns", &cables.namespace(name), "-batch", "-"], &own)?;
        }
        Ok(cables)
    }

    /// The address of the host at this position among the names.
    #[must_use]
    pub(super) fn address(&self, place: usize) -> Ipv4Addr {
        address_in(self.network, place)
    }

    /// A host's network as a file.
    #[must_use]
    pub(super) fn path(&self, name: &str) -> PathBuf {
        PathBuf::from("/run/netns").join(self.namespace(name))
    }

    fn namespace(&self, name: &str) -> String {
        format!("{}-{name}", self.prefix)
    }
}

impl Drop for Cables {
    fn drop(&mut self) {
        // A cable vanishes with either of its ends.
        for name in self.names.iter().map(String::as_str).chain(["switch"]) {
            let _ = run("ip", &["netns", "delete", &self.namespace(name)]);
        }
    }
}

/// A /24 network that does not overlap this machine's networks.
fn free_network() -> Done<[u8; 3]> {
    let routes = run("ip", &["-4", "route", "show", "table", "all"])?;
    let [low, high, ..] = std::process::id().to_le_bytes();
    (0..NETWORKS_TRIED)
        .map(|more| [10, 200 + (high.wrapping_add(more)) % 50, low])
        .find(|[a, b, c]| !routes.contains(&format!("{a}.{b}.{c}.")))
        .ok_or_else(|| Failure::failed("No private network is free on this machine; look at `ip route`."))
}
