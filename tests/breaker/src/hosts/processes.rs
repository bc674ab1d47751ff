//! Processes of this machine by their id: signals, and what the system reports of them.

use std::{fs, time::Duration};

use meshwork::failure::{Done, Failure};
use rustix::process::{Pid, Signal, kill_process};
use serde::Serialize;

/// What the system reports of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Used {
    /// Memory that it holds, in bytes.
    pub memory_bytes: u64,
    /// Its open files, sockets and the like.
    pub descriptors: u64,
    /// Its threads.
    pub threads: u64,
    /// When it began, in ticks since the machine did. A later process with the same id has another value.
    pub began: u64,
}

/// Sends a signal.
///
/// # Errors
/// There is no such process.
pub(crate) fn signal(pid: u32, signal: Signal) -> Done {
    let known = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let sent = known.ok_or(rustix::io::Errno::SRCH).and_then(|known| kill_process(known, signal));
    sent.map_err(|error| Failure::failed(format!("Process {pid} could not be sent {signal:?}: {error}.")))
}

/// Looks at a process. Nothing if it is gone.
#[must_use]
pub(crate) fn look(pid: u32) -> Option<Used> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    };
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold any character, so fields are counted after it; the 22nd field is the start time.
    let began = stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()?;
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count() as u64;
    Some(Used { memory_bytes: field("VmRSS:")? * 1024, descriptors, threads: field("Threads:")?, began })
}

/// How long a worker may take to give back its tasks, once it was asked to end.
pub(crate) const STOP_WITHIN: Duration = Duration::from_secs(40);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_can_be_looked_at_and_one_that_is_not_there_cannot() {
        let own = look(std::process::id()).expect("alive");
        assert!(own.memory_bytes > 0 && own.threads > 0 && own.descriptors > 2 && own.began > 0, "{own:?}");
        assert_eq!(look(u32::MAX), None);
        assert!(signal(u32::MAX, Signal::CONT).is_err());
    }
}
