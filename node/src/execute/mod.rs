//! Running programs of strangers: WebAssembly modules with WASI preview 1, in a sandbox that takes nothing from the host.
//!
//! [`check`] tells whether a program can run at all. An [`Executor`], one in a process, compiles programs once and runs
//! them in so many slots. A program has arguments, an environment, standard input, read-only files under `/in`, room for
//! its output under `/out`, for temporary files under `/tmp` and, if it saves checkpoints, for these under `/checkpoint`. All its files are in memory: no program can fill a disk,
//! follow a link or leave anything behind.
//!
//! What a program computes is the same on every machine. Its clock starts at one fixed moment and moves only as it looks
//! and sleeps, its randomness comes from the task's seed, its files' times, numbers and order from
//! itself, NaNs are canonical, relaxed SIMD is deterministic, there are no threads, and memory is refused by the task's
//! bound and never by the host's. What is left: how deep calls may go before the stack is full depends on the processor
//! and the version of the compiler, and so does how much fuel an instruction takes on the latter; the wall time at which a
//! program is ended is the machine's own.
//!
//! Every limit ends the program with the [`Failure`](meshwork_core::types::Failure) of its name. Wall time holds inside
//! calls too, and work done there for the program is charged to its fuel. Memory is linear memory and temporary files
//! together; growth beyond it is refused, and a program that then gives up ran out of memory. Output is standard output,
//! standard error and the sizes of all files under `/out`, holes included, at every moment: what is removed again is
//! given back. A program may have 10,000 files and directories at a time.

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

/// What an [`Executor`] is made with.
#[derive(Clone, Debug)]
pub struct ExecutorConfig {
    /// Where compiled programs are kept, as an absolute path. What lies there is run as it lies there: only this user may
    /// write to it, and it is made so if it does not exist.
    pub cache_dir: PathBuf,
    /// How many programs run at a time, at least 1.
    pub slots: u32,
    /// By how much programs run below the node in priority, 0 to 19, where the system has priorities for threads.
    pub niceness: i32,
}

/// One run of a program.
#[derive(Clone, Debug)]
pub struct Execution {
    /// The program.
    pub module: Digest,
    /// The file that holds it.
    pub module_path: PathBuf,
    /// Its arguments, after its name, which is always `task`.
    pub arguments: Vec<String>,
    /// Its environment.
    pub environment: BTreeMap<String, String>,
    /// The file that it finds as standard input; nothing if there is none.
    pub stdin: Option<PathBuf>,
    /// The files that it finds under `/in`: the path there, and the file. They must not change meanwhile.
    pub inputs: Vec<(String, PathBuf)>,
    /// The most memory that it may have, in bytes.
    pub memory_bytes: u64,
    /// What ends it.
    pub limits: Limits,
    /// What its randomness comes from.
    pub seed: [u8; 32],
    /// What it saved before and where what it saves goes, if it saves checkpoints: it then has `/checkpoint`.
    pub checkpoint: Option<Checkpoint>,
    /// How much of the end of its standard error is kept if it fails, in bytes.
    pub stderr_tail_bytes_max: usize,
}

/// A program's checkpoints. It saves one by moving a file to a place below `/checkpoint`: what stands there then is the checkpoint.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// What was saved before: the path below `/checkpoint`, and the file.
    pub files: Vec<(String, PathBuf)>,
    /// Where the newest one goes.
    pub saves: watch::Sender<Saved>,
}

/// A file by its path, with its content.
pub type NamedFile = (String, Vec<u8>);

/// The files of a checkpoint, in the order of their paths; nothing before there is one.
pub type Saved = Option<Arc<Vec<NamedFile>>>;

/// What came of a run.
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

/// What a program left that ended with status 0. All together at most its output limit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Success {
    /// What it wrote to standard output.
    pub stdout: Vec<u8>,
    /// What it wrote to standard error.
    pub stderr: Vec<u8>,
    /// What it left under `/out`, by path, in order.
    pub files: Vec<(String, Vec<u8>)>,
}

/// How a program failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// Why.
    pub failure: Failure,
    /// The end of what it wrote to standard error.
    pub stderr_tail: Vec<u8>,
}

/// Why there is no word on a program: nothing of this is its fault, and it may run elsewhere.
#[derive(Debug, thiserror::Error)]
pub enum ExecuteError {
    /// Whoever asked for the run stopped it.
    #[error("the run was stopped")]
    Stopped,
    /// A file that should be there for the program is not.
    #[error("the input {0} cannot be opened: {1}")]
    Input(PathBuf, #[source] std::io::Error),
    /// This machine could not do what it should have.
    #[error("{0}")]
    Host(String),
}

/// Runs programs, so many at a time, each on a thread of its own.
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
    ///
    /// If the cache's directory cannot be made, or the machine lacks threads or memory for so many slots.
    pub fn new(config: &ExecutorConfig) -> Result<Self, ExecuteError> {
        let host = |error: wasmtime::Error| ExecuteError::Host(format!("programs cannot be run here: {error:#}"));
        let slots = config.slots.max(1);
        let (engine, cache) = engine::engine(&config.cache_dir, slots).map_err(host)?;
        let modules = Modules::new(engine.clone(), config.niceness).map_err(host)?;
        let threads = Threads::start(&engine, slots, config.niceness)
            .map_err(|error| ExecuteError::Host(format!("no threads for {slots} slots: {error}")))?;
        Ok(Self { engine, cache, modules, threads })
    }

    /// How many programs were compiled since the start, because neither memory nor disk had them.
    #[must_use]
    pub fn compiled(&self) -> usize {
        self.cache.cache_misses()
    }

    /// Makes a program ready, so that running it starts at once: compiles it, if that was never done on this machine,
    /// which for a large one takes a minute. Asking twice costs nothing; dropping the future does not stop it.
    ///
    /// # Errors
    ///
    /// If it is no program, or this machine cannot read or compile it.
    pub async fn prepare(&self, module: Digest, path: PathBuf) -> Result<(), PrepareError> {
        self.modules.prepare(module, &path).await.map(|_| ())
    }

    /// Runs a program once a slot is free, and says what came of it. Its wall time starts when it does, after it was
    /// made ready. Cancelling `stop` ends it, and so does dropping the future.
    ///
    /// # Errors
    ///
    /// If it was stopped, or if this machine is to blame. What the program does wrong is no error, but a [`Failed`].
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
