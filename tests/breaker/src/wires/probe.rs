//! How long a cable takes: a process in a host's network opens connections to another host, each of which takes a round trip.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use clap::Args;
use meshwork::failure::{Done, Failure};

use super::inside;
use crate::hosts::API_PORT;

/// How often: the median of so few is no lost packet's.
const TRIES: usize = 7;

/// A connection that takes longer counts as long as this.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);

/// Whom to reach.
#[derive(Args, Debug)]
pub struct Options {
    /// The other host
    to: Ipv4Addr,
}

/// Prints the median time that it takes to open a connection, in milliseconds.
pub fn run(options: &Options) {
    let to = SocketAddr::from((options.to, API_PORT));
    let mut took_ms: Vec<u128> = (0..TRIES)
        .map(|_| {
            let began = Instant::now();
            // One that is refused took as long as one that is not.
            let _ = TcpStream::connect_timeout(&to, CONNECT_WITHIN);
            began.elapsed().as_millis()
        })
        .collect();
    took_ms.sort_unstable();
    println!("{}", took_ms[TRIES / 2]);
}

/// The median round trip from the host of a process to another, in milliseconds.
///
/// # Errors
/// It cannot be measured.
pub fn round_trip_ms(pid: u32, to: Ipv4Addr) -> Done<u64> {
    let itself =
        std::env::current_exe().map_err(|error| Failure::failed(format!("Cannot find this program: {error}.")))?;
    let said = inside(pid, &itself.display().to_string(), &["probe", &to.to_string()], "")?;
    said.trim().parse().map_err(|_| Failure::failed(format!("The probe said {said:?}.")))
}
