//! A program's run, as the node sees it: what it is given, and what it left.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    path::PathBuf,
    sync::Arc,
};

use meshwork_core::{
    digest::Digest,
    types::{Failure, Limits, Usage},
};
use tokio::sync::watch;

/// One run of a program.
#[derive(Clone, Debug)]
pub struct Execution {
    /// The program's digest.
    pub module: Digest,
    /// The file of the program.
    pub module_path: PathBuf,
    /// The program's name, which it finds before its arguments.
    pub argv0: String,
    /// The arguments.
    pub arguments: Vec<String>,
    /// The environment.
    pub environment: BTreeMap<String, String>,
    /// Standard input, if any.
    pub stdin: Option<InputFile>,
    /// The files that it is given, each with its path: below `/in` if that is relative, else where it is mounted. They
    /// must not change meanwhile.
    pub inputs: Vec<(String, InputFile)>,
    /// The folders that it is given besides those that lead to files, likewise.
    pub folders: Vec<String>,
    /// The most memory of the program, in bytes.
    pub memory_bytes: u64,
    /// The limits that end it.
    pub limits: Limits,
    /// The statuses with which it may end to have succeeded.
    pub success: BTreeSet<i32>,
    /// The seed of its randomness.
    pub seed: [u8; 32],
    /// Its checkpoints, if it saves any: it then has `/checkpoint`.
    pub checkpoint: Option<Checkpoint>,
}

/// What a program may read: a file of the host, or a range of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputFile {
    /// The host's file.
    pub path: PathBuf,
    /// The bytes of it that the program sees; `None` if it sees all.
    pub range: Option<Range<u64>>,
}

impl From<PathBuf> for InputFile {
    fn from(path: PathBuf) -> Self {
        Self { path, range: None }
    }
}

/// A program's checkpoints.
///
/// A program saves one by moving a file to a path below `/checkpoint`. The files below it at that moment are the
/// checkpoint.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// The files of the checkpoint to start from, each with its path below `/checkpoint`.
    pub files: Vec<(String, InputFile)>,
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
    /// The status with which the program succeeded, or how it failed.
    pub ended: Result<i32, Failure>,
    /// What it left, however it ended. Nothing if it took its process down with it.
    pub left: Left,
    /// What it used.
    pub usage: Usage,
}

impl Ran {
    /// A program that failed and left nothing.
    pub(crate) fn failed(failure: Failure, usage: Usage) -> Self {
        Self { ended: Err(failure), left: Left::default(), usage }
    }
}

/// What a program left: together at most its output limit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error.
    pub stderr: Vec<u8>,
    /// Its files under `/out`, by path, in order.
    pub files: Vec<NamedFile>,
    /// The folders under `/out` that have nothing in them, in order.
    pub empty_folders: Vec<String>,
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
