//! Runs programs of strangers: WebAssembly modules with WASI preview 1, in a sandbox that takes nothing from the
//! host.
//!
//! [`check`] tells whether a program can run at all. An [`Executor`], one per process, compiles each program once and
//! runs programs in a fixed number of slots.
//!
//! A program has arguments, an environment, standard input, and read-only files under `/in`. It leaves its output
//! under `/out` and temporary files under `/tmp`. If it saves checkpoints, these are under `/checkpoint`. All its
//! files are in memory: no program can fill a disk, follow a link or leave anything behind.
//!
//! A program computes the same on every machine. Its clock starts at one fixed time, and moves only when the program
//! looks at it or sleeps. Its randomness comes from the task's seed; the times, numbers and order of its files come
//! from the program itself. NaNs are canonical, relaxed SIMD is deterministic, and there are no threads. Only the
//! task's bound refuses memory, never the host's. Three things still differ. The depth of calls that fits the stack
//! depends on the processor and the compiler's version. The fuel of an instruction depends on the compiler's version.
//! The wall time at which a program is ended is the machine's own.
//!
//! Every limit ends the program with the [`Failure`](meshwork_core::types::Failure) of its name. Wall time also holds
//! inside calls, and work done there for the program is charged to its fuel. Memory is linear memory and temporary
//! files together. Growth beyond the bound is refused, and a program that then gives up ran out of memory. Output is
//! standard output, standard error and the sizes of all files under `/out`, holes included, at every moment; removing
//! a file gives its bytes back. A program may have 10,000 files and directories at a time.

mod check;
mod engine;
mod modules;
mod run;
#[cfg(test)]
mod tests;
mod threads;
mod wasi;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use meshwork_core::{
    digest::Digest,
    types::{Failure, Limits, Usage},
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use wasmtime::{Cache, Engine};

pub use self::{
    check::{BadModule, MODULE_BYTES_MAX, check},
    modules::PrepareError,
};
use self::{modules::Modules, threads::Threads};

/// The configuration of an [`Executor`].
#[derive(Clone, Debug)]
pub struct ExecutorConfig {
    /// The directory of compiled programs, as an absolute path. It is created if it does not exist. Files there are
    /// run as they are, so only this user may write to it.
    pub cache_dir: PathBuf,
    /// How many programs run at a time, at least 1.
    pub slots: u32,
    /// How far programs' threads are below the node in priority, 0 to 19, if the system has priorities for threads.
    pub niceness: i32,
}

/// One run of a program.
#[derive(Clone, Debug)]
pub struct Execution {
    /// The program's digest.
    pub module: Digest,
    /// The file of the program.
    pub module_path: PathBuf,
    /// The arguments after the program's name, which is always `task`.
    pub arguments: Vec<String>,
    /// The environment.
    pub environment: BTreeMap<String, String>,
    /// The file for standard input, if any.
    pub stdin: Option<PathBuf>,
    /// The files under `/in`: the path there, and the host's file. They must not change meanwhile.
    pub inputs: Vec<(String, PathBuf)>,
    /// The most memory of the program, in bytes.
    pub memory_bytes: u64,
    /// The limits that end it.
    pub limits: Limits,
    /// The seed of its randomness.
    pub seed: [u8; 32],
    /// Its checkpoints, if it saves any: it then has `/checkpoint`.
    pub checkpoint: Option<Checkpoint>,
    /// How much of the end of its standard error is kept if it fails, in bytes.
    pub stderr_tail_bytes_max: usize,
}

/// A program's checkpoints.
///
/// A program saves one by moving a file to a path below `/checkpoint`. The files below it at that moment are the
/// checkpoint.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// The files of the checkpoint to start from: the path below `/checkpoint`, and the host's file.
    pub files: Vec<(String, PathBuf)>,
    /// Receives the newest checkpoint.
    pub saves: watch::Sender<Saved>,
}

/// A file by its path, with its content.
pub type NamedFile = (String, Vec<u8>);

/// The files of a checkpoint, in the order of their paths; `None` before the first checkpoint.
pub type Saved = Option<Arc<Vec<NamedFile>>>;

/// The result of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ran {
    /// What the program left, or how it failed.
    pub outcome: Result<Success, Failed>,
    /// What it used.
    pub usage: Usage,
}

impl Ran {
    fn failed(failure: Failure, usage: Usage) -> Self {
        Self { outcome: Err(Failed { failure, stderr_tail: Vec::new() }), usage }
    }
}

/// What a program left that ended with status 0: together at most its output limit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Success {
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error.
    pub stderr: Vec<u8>,
    /// Its files under `/out`, by path, in order.
    pub files: Vec<(String, Vec<u8>)>,
}

/// How a program failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// The reason.
    pub failure: Failure,
    /// The end of its standard error.
    pub stderr_tail: Vec<u8>,
}

/// Why a run has no verdict. None of these is the program's fault, and it may run elsewhere.
#[derive(Debug, thiserror::Error)]
pub enum ExecuteError {
    /// The caller stopped the run.
    #[error("the run was stopped")]
    Stopped,
    /// A file for the program is missing.
    #[error("the input {0} cannot be opened: {1}")]
    Input(PathBuf, #[source] std::io::Error),
    /// This machine failed.
    #[error("{0}")]
    Host(String),
}

/// Runs programs: a fixed number at a time, each on a thread of its own.
pub struct Executor {
    engine: Engine,
    cache: Cache,
    modules: Modules,
    threads: Threads,
}

impl Executor {
    /// An executor with its threads.
    ///
    /// # Errors
    /// The cache's directory cannot be created, or the machine lacks threads or memory for this many slots.
    pub fn new(config: &ExecutorConfig) -> Result<Self, ExecuteError> {
        let host = |error: wasmtime::Error| ExecuteError::Host(format!("programs cannot be run here: {error:#}"));
        let slots = config.slots.max(1);
        let (engine, cache) = engine::engine(&config.cache_dir, slots).map_err(host)?;
        let modules = Modules::new(engine.clone(), config.niceness).map_err(host)?;
        let threads = Threads::start(&engine, slots, config.niceness)
            .map_err(|error| ExecuteError::Host(format!("no threads for {slots} slots: {error}")))?;
        Ok(Self { engine, cache, modules, threads })
    }

    /// How many programs were compiled since the start because they were neither in memory nor on disk.
    #[must_use]
    pub fn compiled(&self) -> usize {
        self.cache.cache_misses()
    }

    /// Prepares a program, so that running it starts at once.
    ///
    /// This compiles the program unless that was done on this machine before. For a large one it takes a minute.
    /// Asking twice costs nothing, and dropping the future does not stop the compilation.
    ///
    /// # Errors
    /// It is not a program, or this machine cannot read or compile it.
    pub async fn prepare(&self, module: Digest, path: PathBuf) -> Result<(), PrepareError> {
        self.modules.prepare(module, &path).await.map(|_| ())
    }

    /// Runs a program once a slot is free.
    ///
    /// The program is prepared first; its wall time starts after that. Cancelling `stop` ends the program, and so
    /// does dropping the future.
    ///
    /// # Errors
    /// The run was stopped, or this machine failed. What the program does wrong is not an error, but a [`Failed`].
    pub async fn run(&self, execution: Execution, stop: &CancellationToken) -> Result<Ran, ExecuteError> {
        let prepared = tokio::select! {
            prepared = self.modules.prepare(execution.module, &execution.module_path) => prepared,
            () = stop.cancelled() => return Err(ExecuteError::Stopped),
        };
        let prepared = match prepared {
            Ok(prepared) => prepared,
            Err(PrepareError::Bad(bad)) => {
                return Ok(Ran::failed(Failure::BadModule(bad.into_text()), Usage::default()));
            }
            Err(PrepareError::Host(text)) => return Err(ExecuteError::Host(text)),
        };
        let stop = stop.child_token();
        let _stopped_when_dropped = stop.clone().drop_guard();
        let engine = self.engine.clone();
        let ran = self.threads.run(move || {
            if stop.is_cancelled() {
                return Err(ExecuteError::Stopped);
            }
            run::run(&engine, &prepared, execution, stop)
        });
        ran.await
            .unwrap_or_else(|_| Err(ExecuteError::Host("running the program failed in a way it never should".into())))
    }
}
