//! One runner process, and the socket to it.

use std::{
    io,
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use meshwork_core::digest::Digest;
use rustix::process::{Pid, Resource, Rlimit, prlimit};

use crate::{
    confinement::Confinement,
    program::ExecuteError,
    run_clock::{RunClock, Until},
    wire::{Channel, Watch, WireError},
    words::{Reply, Role},
};

/// How long a runner may take to start.
const START_WITHIN: Duration = Duration::from_secs(30);
/// How long a process that has closed its socket may take to end.
const END_WITHIN: Duration = Duration::from_secs(1);
/// Memory of a runner that is not its program's: threads, and what is said over the socket, in bytes.
const RUNNER_BYTES: u64 = 96 << 20;
/// Memory of a compiler before it has seen a program, in bytes.
const COMPILER_BYTES: u64 = 32 << 20;

/// How a runner is started. The word for its role is appended to the arguments.
#[derive(Clone, Debug)]
pub struct RunnerCommand {
    /// The program, which calls [`run_runner`](crate::run_runner).
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
}

/// Everything that it takes to start a runner.
#[derive(Clone, Debug)]
pub(super) struct Starts {
    pub command: RunnerCommand,
    /// How far it is below the node in priority.
    pub niceness: i32,
    /// An empty directory, which becomes all that it sees of the file system.
    pub empty: PathBuf,
}

/// A runner. It is killed when this is dropped.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    role: Role,
    pub channel: Channel,
    pub confinement: Confinement,
    pub compiler: Digest,
}

impl Process {
    /// Starts a runner and waits until it is confined.
    pub(super) fn start(starts: &Starts, role: Role) -> Result<Self, ExecuteError> {
        let Starts { command, niceness, empty } = starts;
        let cannot = |error: &dyn std::fmt::Display| ExecuteError::Host(format!("no runner can be started: {error}"));
        let (mut channel, theirs) = Channel::pair().map_err(|error| cannot(&error))?;
        let child = Command::new(&command.program)
            .args(&command.arguments)
            .arg(role.word())
            .arg(niceness.to_string())
            .env_clear()
            .current_dir(empty)
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| cannot(&error))?;
        let mut child = Killed(Some(child));
        channel.heed(Watch { until: Some(Until::after(&RunClock::start(), START_WITHIN)), ..Watch::default() });
        let ready = channel.receive().map_err(|error| cannot(&error))?;
        let Reply::Ready { confinement, compiler } = ready else {
            return Err(cannot(&"it says something else first"));
        };
        let child = child.0.take().expect("put there above");
        Ok(Self { child, role, channel, confinement, compiler })
    }

    /// Sets how much memory the process may have, besides its own.
    pub(super) fn limit_memory(&self, bytes: u64) -> io::Result<()> {
        let own = match self.role {
            Role::Compile => COMPILER_BYTES,
            Role::Run => RUNNER_BYTES,
        };
        self.limit(Resource::Data, bytes.saturating_add(own))
    }

    /// Sets how much processor time the process may take from its start.
    pub(super) fn limit_cpu(&self, time: Duration) -> io::Result<()> {
        self.limit(Resource::Cpu, time.as_secs().max(1))
    }

    fn limit(&self, resource: Resource, most: u64) -> io::Result<()> {
        let pid = Pid::from_child(&self.child);
        prlimit(Some(pid), resource, Rlimit { current: Some(most), maximum: None })?;
        Ok(())
    }

    /// Whether it still runs and has said nothing that it was not asked for. Otherwise it is not to be used.
    pub(super) fn is_quiet(&self) -> bool {
        !self.channel.is_readable()
    }

    /// How the process ended, which has closed its socket; `None` if it still goes on.
    pub(super) fn end(&mut self) -> Option<End> {
        let until = Instant::now() + END_WITHIN;
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return Some(End::of(status)),
                Ok(None) if Instant::now() < until => std::thread::sleep(Duration::from_millis(2)),
                Ok(None) | Err(_) => return None,
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        kill(&mut self.child);
    }
}

/// Kills a child that is not yet a [`Process`].
struct Killed(Option<Child>);

impl Drop for Killed {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            kill(child);
        }
    }
}

fn kill(child: &mut Child) {
    // If this fails, it has ended already.
    let _ = child.kill();
    let _ = child.wait();
}

/// How a runner ended that was not told to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It was refused memory and gave up.
    OutOfMemory,
    /// It used up its processor time.
    OutOfTime,
    /// The system killed it: the machine lacks memory.
    Killed,
    /// It did something that no process may: the signal.
    Crashed(i32),
    /// It gave up by itself.
    Exited,
}

impl End {
    fn of(status: ExitStatus) -> Self {
        // The numbers are the same on every system that this runs on.
        match status.signal() {
            Some(6) => Self::OutOfMemory,
            Some(9) => Self::Killed,
            Some(24) => Self::OutOfTime,
            Some(signal) => Self::Crashed(signal),
            None => Self::Exited,
        }
    }
}

/// What a wire error means for a run or a compilation: it was stopped, or this machine failed.
pub(super) fn failed(error: &WireError) -> ExecuteError {
    match error {
        WireError::Stopped => ExecuteError::Stopped,
        error => ExecuteError::Host(format!("a runner failed: {error}")),
    }
}
