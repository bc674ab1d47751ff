//! How a command fails: one sentence for a person, and one exit status for scripts.

use std::{fmt, io, path::Path, process::ExitCode};

/// The exit statuses other than 0. `meshwork --help` and the README list them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// A disk, a peer or a process failed.
    Failed,
    /// An argument, the configuration, a key, a genesis or a program cannot be used.
    Usage,
    /// The job, or one of its tasks, failed or was cancelled.
    Job,
    /// The node cannot be reached.
    Unreachable,
    /// A proof does not hold, or content does not match its digest.
    Proof,
    /// The user or a signal stopped the command.
    Interrupted,
}

impl Exit {
    /// The list in `meshwork --help`.
    pub const HELP: &'static str = "Exit status:
  0    success
  1    a disk, a peer or a process failed
  2    an argument, the configuration, a key, a genesis or a program cannot be used
  3    the job, or one of its tasks, failed or was cancelled
  4    the node cannot be reached
  5    a proof does not hold, or content does not match its digest
  130  interrupted";
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Job => 3,
            Exit::Unreachable => 4,
            Exit::Proof => 5,
            Exit::Interrupted => 130,
        })
    }
}

/// A failed command: what happened, to what, and what to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The exit status.
    pub exit: Exit,
    /// The sentence to show. An empty one is not shown.
    pub sentence: String,
}

/// The result of a command.
pub type Done<T = ()> = Result<T, Failure>;

impl Failure {
    /// A failure with [`Exit::Failed`].
    pub fn failed(sentence: impl Into<String>) -> Self {
        Self { exit: Exit::Failed, sentence: sentence.into() }
    }

    /// A failure with [`Exit::Usage`].
    pub fn usage(sentence: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, sentence: sentence.into() }
    }

    /// A failure with [`Exit::Job`].
    pub fn job(sentence: impl Into<String>) -> Self {
        Self { exit: Exit::Job, sentence: sentence.into() }
    }

    /// A failure with [`Exit::Proof`].
    pub fn proof(sentence: impl Into<String>) -> Self {
        Self { exit: Exit::Proof, sentence: sentence.into() }
    }

    /// A failure with [`Exit::Interrupted`].
    pub fn interrupted() -> Self {
        Self { exit: Exit::Interrupted, sentence: "Interrupted.".into() }
    }

    /// A file could not be used. `doing` is the verb, such as "read".
    pub fn file(doing: &str, path: &Path, error: &io::Error) -> Self {
        Self::failed(Self::of_file(doing, path, error))
    }

    /// A file that was given could not be read.
    pub fn given_file(path: &Path, error: &io::Error) -> Self {
        Self::usage(Self::of_file("read", path, error))
    }

    fn of_file(doing: &str, path: &Path, error: &io::Error) -> String {
        let advice = match error.kind() {
            io::ErrorKind::NotFound => "check the path",
            io::ErrorKind::PermissionDenied => "check its permissions and its owner",
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "make room on that disk and try again",
            io::ErrorKind::AlreadyExists => "remove it first or choose another place",
            io::ErrorKind::ReadOnlyFilesystem => "choose a place that can be written",
            io::ErrorKind::InvalidData => "it is not a text file",
            io::ErrorKind::IsADirectory => "name a file, not a directory",
            _ => "check the disk and the path",
        };
        format!("Could not {doing} {}: {error}; {advice}.", path.display())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

impl std::error::Error for Failure {}
