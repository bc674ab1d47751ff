//! The node's side: has programs compiled and run by runners, and believes nothing that they say beyond its bounds.
//!
//! Nothing here maps, compiles or runs a stranger's code.

mod cache;
mod modules;
mod process;
mod runners;
mod threads;

use std::{fs::DirBuilder, os::unix::fs::DirBuilderExt, path::PathBuf, sync::Arc, time::Duration};

use meshwork_core::{
    digest::Digest,
    types::{Failure, Limits, Usage},
};
use tokio_util::sync::CancellationToken;

use self::{
    cache::Cache,
    modules::Modules,
    process::Starts,
    runners::{Runners, run},
    threads::Threads,
};
pub use self::{modules::PrepareError, process::RunnerCommand};
use crate::{
    confinement::Confinement,
    program::{ExecuteError, Execution, Ran},
};

/// The configuration of an [`Executor`].
#[derive(Clone, Debug)]
pub struct ExecutorConfig {
    /// How a runner is started.
    pub runner: RunnerCommand,
    /// The directory of compiled programs, as an absolute path. It is created if it does not exist.
    pub cache_dir: PathBuf,
    /// The key of the checksums of compiled programs. Whoever knows it can have any code run in runners.
    pub cache_key: [u8; 32],
    /// How many programs run at a time, at least 1.
    pub slots: u32,
    /// How far compilers, and runners whose programs take more than a moment, are below the node in priority, 0 to 19,
    /// if the system has priorities.
    pub niceness: i32,
    /// What compiling may take.
    pub compile: CompileBounds,
}

/// What compiling a program may take.
#[derive(Clone, Copy, Debug)]
pub struct CompileBounds {
    /// The least memory that a program gets on any machine that has it, in bytes.
    pub memory_bytes_min: u64,
    /// The most memory that a program gets on any machine, in bytes.
    pub memory_bytes_max: u64,
    /// The most memory of this machine that one program gets, in bytes.
    pub machine_bytes_max: u64,
    /// The least processor time that a program gets.
    pub cpu_min: Duration,
    /// The most processor time that a program gets.
    pub cpu_max: Duration,
    /// The processor time of the first round.
    pub cpu_first: Duration,
}

impl CompileBounds {
    /// The bounds on a machine that offers tasks so much memory, in bytes. All compiling together takes at most a
    /// quarter of that besides, or 512 MiB if that is more.
    #[must_use]
    pub fn on_machine(offered_bytes: u64) -> Self {
        Self {
            memory_bytes_min: 512 << 20,
            memory_bytes_max: 2 << 30,
            machine_bytes_max: (offered_bytes / 8).max(256 << 20),
            cpu_min: Duration::from_secs(20),
            cpu_max: Duration::from_secs(120),
            cpu_first: Duration::from_secs(2),
        }
    }

    /// What a program gets on a machine that has enough, if its task offers `budget`.
    fn wanted(&self, budget: Budget) -> Budget {
        Budget {
            memory_bytes: budget.memory_bytes.max(self.memory_bytes_min).min(self.memory_bytes_max),
            cpu: budget.cpu.max(self.cpu_min).min(self.cpu_max),
        }
    }

    /// What this machine gives of that.
    fn given(&self, wanted: Budget) -> Budget {
        Budget { memory_bytes: wanted.memory_bytes.min(self.machine_bytes_max), ..wanted }
    }
}

/// What a task offers for compiling its program: what it asks for to run it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Memory, in bytes.
    pub memory_bytes: u64,
    /// Processor time.
    pub cpu: Duration,
}

impl Budget {
    /// The budget of a task with this memory, in bytes, and these limits.
    #[must_use]
    pub const fn of_task(memory_bytes: u64, limits: &Limits) -> Self {
        Self { memory_bytes, cpu: Duration::from_millis(limits.wall_ms) }
    }
}

/// Has programs compiled and run: a fixed number at a time, each by a process of its own.
pub struct Executor {
    modules: Modules,
    runners: Arc<Runners>,
    threads: Threads,
}

impl Executor {
    /// An executor with its threads and its first runner.
    ///
    /// # Errors
    /// The cache's directory cannot be created, no runner can be started, or the machine lacks threads for this many
    /// slots.
    pub fn new(config: &ExecutorConfig) -> Result<Self, ExecuteError> {
        let host = |error: std::io::Error| ExecuteError::Host(format!("programs cannot be run here: {error}"));
        let slots = config.slots.max(1);
        let empty = config.cache_dir.join("empty");
        DirBuilder::new().recursive(true).mode(0o700).create(&empty).map_err(host)?;
        let starts = Starts { command: config.runner.clone(), niceness: config.niceness, empty };
        let runners = Runners::start(starts.clone(), slots)?;
        let cache = Cache::open(&config.cache_dir, config.cache_key, runners.compiler());
        let modules = Modules::new(starts, cache, config.compile);
        let threads = Threads::start(slots)
            .map_err(|error| ExecuteError::Host(format!("no threads for {slots} slots: {error}")))?;
        Ok(Self { modules, runners: Arc::new(runners), threads })
    }

    /// The measures that confine runners on this machine.
    #[must_use]
    pub fn confinement(&self) -> &Confinement {
        self.runners.confinement()
    }

    /// How many programs were compiled since the start because they were neither in memory nor on disk.
    #[must_use]
    pub fn compiled(&self) -> usize {
        self.modules.compiled()
    }

    /// Prepares a program, so that running it starts at once.
    ///
    /// This compiles the program unless that was done on this machine before. Asking twice costs nothing. The
    /// compilation stops when nobody waits for it any more.
    ///
    /// # Errors
    /// It is not a program, it takes too much to compile, or this machine cannot read or compile it.
    pub async fn prepare(&self, module: Digest, path: PathBuf, budget: Budget) -> Result<(), PrepareError> {
        self.modules.prepare(module, &path, budget).await.map(|_| ())
    }

    /// Runs a program once a slot is free.
    ///
    /// The program is prepared first; its wall time starts after that. Cancelling `stop` ends the program, and so
    /// does dropping the future.
    ///
    /// # Errors
    /// The run was stopped, or this machine failed. What the program does wrong is not an error, but a [`Failure`].
    pub async fn run(&self, execution: Execution, stop: &CancellationToken) -> Result<Ran, ExecuteError> {
        let budget = Budget::of_task(execution.memory_bytes, &execution.limits);
        let prepared = tokio::select! {
            prepared = self.modules.prepare(execution.module, &execution.module_path, budget) => prepared,
            () = stop.cancelled() => return Err(ExecuteError::Stopped),
        };
        let compiled = match prepared {
            Ok(compiled) => compiled,
            Err(PrepareError::Host(text)) => return Err(ExecuteError::Host(text)),
            Err(PrepareError::Bad(bad)) => {
                return Ok(Ran::failed(Failure::BadModule(bad.into_text()), Usage::default()));
            }
            Err(PrepareError::TooLarge(text)) => {
                return Ok(Ran::failed(Failure::TooLargeToCompile(text), Usage::default()));
            }
        };
        let stop = stop.child_token();
        let _stopped_when_dropped = stop.clone().drop_guard();
        let runners = Arc::clone(&self.runners);
        let ran = self.threads.run(move || run(&runners, &compiled, execution, stop));
        ran.await
            .unwrap_or_else(|_| Err(ExecuteError::Host("running the program failed in a way it never should".into())))
    }
}
