//! How a command ends badly: one sentence for a person and one status for a script.

use std::{fmt, io, path::Path, process::ExitCode};

/// Exit statuses other than 0. `meshwork --help` and the README list them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Something did not work: a disk, a peer, a process.
    Failed,
    /// What was given cannot be used: arguments, configuration, key, genesis, program.
    Usage,
    /// The job or one of its tasks failed or was cancelled.
    Job,
    /// The node could not be reached.
    Unreachable,
    /// A proof or a blob is not what it should be.
    Proof,
    /// Stopped from the keyboard or by a signal.
    Interrupted,
}

impl Exit {
    /// What `--help` says of them.
    pub const HELP: &'static str = "Exit status:
  0    all went well
  1    something did not work: a disk, a peer, a process
  2    what was given cannot be used: arguments, configuration, key, genesis, program
  3    the job, or one of its tasks, failed or was cancelled
  4    the node could not be reached
  5    a proof does not hold, or content is not what its digest says
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

/// Why a command did not do what was asked: what happened, to what, and what to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The status to leave with.
    pub exit: Exit,
    /// The sentence to show; nothing is shown if it is empty.
    pub sentence: String,
}

/// What a command returns.
pub type Done<T = ()> = Result<T, Failure>;

impl Failure {
    /// Something did not work.
    pub fn failed(sentence: impl Into<String>) -> Self {
        Self { exit: Exit::Failed, sentence: sentence.into() }
    }

    /// What was given cannot be used.
    pub fn usage(sentence: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, sentence: sentence.into() }
    }

    /// A job or task ended badly.
    pub fn job(sentence: impl Into<String>) -> Self {
        Self { exit: Exit::Job, sentence: sentence.into() }
    }

    /// A proof or content is not what it should be.
    pub fn proof(sentence: impl Into<String>) -> Self {
        Self { exit: Exit::Proof, sentence: sentence.into() }
    }

    /// Stopped by the person or a signal.
    pub fn interrupted() -> Self {
        Self { exit: Exit::Interrupted, sentence: "Interrupted.".into() }
    }

    /// A file could not be used: `doing` is the verb, such as "read".
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
