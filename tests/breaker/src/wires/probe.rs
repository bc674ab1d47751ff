//! Measures the delay of a cable: a process in a host's network opens connections to another host, each of
//! which takes a round trip.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use clap::Args;
use meshwork::failure::{Done, Failure};

use super::inside;
use crate::hosts::API_PORT;

/// How many connections: a single lost packet does not change the median.
const TRIES: usize = 7;

/// The most that one connection counts.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);

/// The host to reach.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// The other host
    to: Ipv4Addr,
}

/// Prints the median time that it takes to open a connection, in milliseconds.
pub(crate) fn run(options: &Options) {
    let to = SocketAddr::from((options.to, API_PORT));
    let mut took_ms: Vec<u128> = (0..TRIES)
        .map(|_| {
            let began = Instant::now();
            // A refused connection takes as long as an accepted one.
            let _ = TcpStream::connect_timeout(&to, CONNECT_WITHIN);
            began.elapsed().as_millis()
        })
        .collect();
    took_ms.sort_unstable();
    println!("{}", took_ms[TRIES / 2]);
}

/// The median round trip from the host of a process to another host, in milliseconds.
///
/// # Errors
/// It cannot be measured.
pub(crate) fn round_trip_ms(pid: u32, to: Ipv4Addr) -> Done<u64> {
    let itself =
        std::env::current_exe().map_err(|error| Failure::failed(format!("Cannot find this program: {error}.")))?;
    let said = inside(pid, &itself.display().to_string(), &["probe", &to.to_string()], "")?;
    said.trim().parse().map_err(|_| Failure::failed(format!("The probe said {said:?}.")))
}
