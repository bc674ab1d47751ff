//! Runs programs of strangers: WebAssembly modules with WASI preview 1, in a sandbox that takes nothing from the
//! host, each in a process of its own.
//!
//! [`check`] tells whether a program can run at all. An [`Executor`], one per node, has programs compiled once and run
//! in a fixed number of slots. It does neither itself. It starts *runners*: processes that compile one program or run
//! one program, and that are confined by the system ([`Confinement`]) before they see a byte of it. A runner is this
//! very program, started anew; [`run_runner`] is all that it does. Node and runner share a socket and nothing else.
//! `host` is the node's side, `runner` and `wasi` the runner's.
//!
//! A program has a name, arguments, an environment, standard input, and read-only files under `/in` or where they are
//! mounted. It leaves its output under `/out` and temporary files under `/tmp` or in `/`, its working directory. If it
//! saves checkpoints, these are under `/checkpoint`. What it writes is in memory: no program can fill a disk, follow a
//! link or leave anything behind.
//!
//! A program computes the same on every machine. Its clock starts at one fixed time, and moves only when the program
//! looks at it or sleeps. Its randomness comes from the task's seed; the times, numbers and order of its files come
//! from the program itself. NaNs are canonical, relaxed SIMD is deterministic, and there are no threads. Only the
//! task's bound refuses memory, never the host's. Three things still differ. The depth of calls that fits the stack
//! depends on the processor and the compiler's version. The fuel of an instruction depends on the compiler's version.
//! The wall time at which a program is ended is the machine's own. While the process is stopped or the machine suspended,
//! none passes.
//!
//! Every limit ends the program with a [`Failure`](meshwork_core::types::Failure) that names it. However a program ends,
//! what it had written by then is kept, unless it takes its process down. Wall time also holds
//! inside calls, and work done there for the program is charged to its fuel. Memory is linear memory, exceptions
//! and temporary files together. Growth beyond the bound is refused, and a program that then gives up ran out of memory. Output is
//! standard output, standard error and the sizes of all files under `/out`, holes included, at every moment; removing
//! a file gives its bytes back. A program that wants more memory for its files or more output than it may have is told
//! that there is no space, and ends if it goes on. A program may have 10,000 files and directories at a time, 64 deep.
//!
//! Compiling has bounds of its own ([`Budget`]). A program that exceeds them fails as too large to compile.
#![deny(unsafe_code)]

mod check;
mod confinement;
mod engine;
mod host;
mod program;
mod run_clock;
mod runner;
mod wasi;
mod wire;
mod words;

pub use self::{
    check::{About, BadModule, MODULE_BYTES_MAX, check, describe, given},
    confinement::{Confinement, Measure},
    host::{Budget, CompileBounds, Executor, ExecutorConfig, PrepareError, RunnerCommand},
    program::{Checkpoint, ExecuteError, Execution, InputFile, Left, NamedFile, Ran, Saved},
    runner::run_runner,
};
