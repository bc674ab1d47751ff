//! Slow and lossy cables. The kernel's netem does it where it exists. Otherwise a [relay](super::relay) delays
//! packets and rules drop some. Both work on what a host sends to other peers.

use std::{
    io::{BufRead, BufReader},
    net::Ipv4Addr,
    process::{Child, Command, Stdio},
    time::Duration,
};

use meshwork::failure::{Done, Failure};

use super::{INTERFACE, TABLE, inside};

/// How a cable is slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slowness {
    /// How long a packet is delayed, on average.
    pub delay: Duration,
    /// By how much that varies, up or down, uniformly.
    pub jitter: Duration,
    /// How many of a hundred packets are lost.
    pub loss_percent: u32,
}

/// A host with a slow cable, until this is dropped or [mended](Slowed::mend).
pub(crate) struct Slowed {
    pid: u32,
    relay: Option<Child>,
}

impl Slowed {
    /// Slows the cable between the host of a process and some others.
    ///
    /// # Errors
    /// The system refuses.
    pub(crate) fn new(pid: u32, own: Ipv4Addr, others: &[Ipv4Addr], slowness: Slowness) -> Done<Self> {
        if by_netem(pid, slowness).is_ok() {
            return Ok(Self { pid, relay: None });
        }
        let mut slowed = Self { pid, relay: None };
        slowed.relay = Some(start_relay(pid, own, others, slowness)?);
        inside(pid, "nft", &["-f", "-"], &loss_rules(others, slowness.loss_percent))?;
        Ok(slowed)
    }

    /// The means, in words.
    #[must_use]
    pub(crate) fn means(&self) -> &'static str {
        if self.relay.is_some() { "relay and nftables" } else { "netem" }
    }

    /// Restores the cable.
    ///
    /// # Errors
    /// The system refuses.
    pub(crate) fn mend(mut self) -> Done {
        self.end()
    }

    fn end(&mut self) -> Done {
        let Some(mut relay) = self.relay.take() else {
            return inside(self.pid, "tc", &["qdisc", "delete", "dev", INTERFACE, "root"], "").map(|_| ());
        };
        // The relay's interface goes with it, and so do the routes to that.
        let _ = relay.kill();
        let _ = relay.wait();
        super::cut::mend(self.pid)
    }
}

impl Drop for Slowed {
    fn drop(&mut self) {
        if self.relay.is_some() {
            // A caller who wants to know whether it worked calls `mend`.
            let _ = self.end();
        }
    }
}

fn by_netem(pid: u32, slowness: Slowness) -> Done<String> {
    let (delay, jitter) = (format!("{}ms", slowness.delay.as_millis()), format!("{}ms", slowness.jitter.as_millis()));
    let loss = format!("{}%", slowness.loss_percent);
    let netem = ["qdisc", "add", "dev", INTERFACE, "root", "netem", "delay", &delay, &jitter, "loss", &loss];
    inside(pid, "tc", &netem, "")
}

fn start_relay(pid: u32, own: Ipv4Addr, others: &[Ipv4Addr], slowness: Slowness) -> Done<Child> {
    let itself =
        std::env::current_exe().map_err(|error| Failure::failed(format!("Cannot find this program: {error}.")))?;
    let mut command = Command::new("nsenter");
    command.arg(format!("--net=/proc/{pid}/ns/net")).arg(itself).arg("relay");
    command.args(["--from", &own.to_string(), "--interface", INTERFACE]);
    command.args(["--delay-ms", &slowness.delay.as_millis().to_string()]);
    command.args(["--jitter-ms", &slowness.jitter.as_millis().to_string()]);
    command.args(others.iter().map(ToString::to_string));
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let cannot = |error: std::io::Error| Failure::failed(format!("The relay could not be started: {error}."));
    let mut child = command.spawn().map_err(cannot)?;
    let mut line = String::new();
    if let Some(out) = child.stdout.take() {
        BufReader::new(out).read_line(&mut line).map_err(cannot)?;
    }
    if line.trim() == super::relay::READY {
        return Ok(child);
    }
    let _ = child.kill();
    let _ = child.wait();
    Err(Failure::failed("The relay that holds packets up did not come about; its complaint stands above."))
}

/// Drops some of what leaves by the real interface; what goes into the relay leaves by another.
fn loss_rules(others: &[Ipv4Addr], percent: u32) -> String {
    let set: Vec<String> = others.iter().map(ToString::to_string).collect();
    format!(
        "table inet {TABLE} {{\nchain output {{\ntype filter hook output priority 0\n\
         oifname \"{INTERFACE}\" ip daddr {{ {} }} numgen random mod 100 < {percent} drop\n}}\n}}\n",
        set.join(", ")
    )
}
