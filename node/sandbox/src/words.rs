//! The messages between a node and a runner.
//!
//! A runner first says [`Reply::Ready`]. Then it answers each request in turn. While a program runs, it says
//! [`Reply::Saved`] now and then.

use std::collections::{BTreeMap, BTreeSet};

use meshwork_core::{
    digest::Digest,
    types::{Failure, Limits, Usage},
};
use serde::{Deserialize, Serialize};

use crate::confinement::Confinement;

/// What a runner is for. It decides what the process may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// It compiles one program.
    Compile,
    /// It runs one program, as often as it is told to.
    Run,
}

impl Role {
    /// The word for it on a command line.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Compile => "compile",
            Self::Run => "run",
        }
    }

    /// The role with this word.
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        [Self::Compile, Self::Run].into_iter().find(|role| role.word() == word)
    }
}

/// What the node asks for.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    /// Compile the program whose bytes follow.
    Compile { program_bytes: u64 },
    /// Take the compiled program in the file that follows.
    Load,
    /// Run the program.
    Run(Box<Run>),
}

/// A run. The open files that it reads from follow.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Run {
    pub argv0: String,
    pub arguments: Vec<String>,
    pub environment: BTreeMap<String, String>,
    /// How many open files follow.
    pub files: u32,
    /// Standard input, if there is any.
    pub stdin: Option<Given>,
    /// Inputs, by their paths: below `/in` if they are relative, else where they are mounted.
    pub inputs: Vec<(String, Given)>,
    /// Directories, likewise.
    pub folders: Vec<String>,
    /// Files by their paths below `/checkpoint`, if the program saves checkpoints.
    pub checkpoint: Option<Vec<(String, Given)>>,
    pub memory_bytes: u64,
    pub limits: Limits,
    /// The statuses that mean success.
    pub success: BTreeSet<i32>,
    pub seed: [u8; 32],
}

/// What a program may read: a range of one of the open files of its [`Run`]. Many may be of one.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Given {
    /// The number of the file, in the order in which they come.
    pub file: u32,
    /// The first byte.
    pub offset: u64,
    /// How many bytes.
    pub bytes: u64,
}

/// A file's path, and the length of its content in bytes.
pub(crate) type Announced = (String, u64);

/// What the runner answers.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Reply {
    /// It has started.
    Ready {
        /// What the process can no longer do.
        confinement: Confinement,
        /// What a compiled program depends on besides its own bytes: compiler, settings, processor.
        compiler: Digest,
    },
    /// The compiled program, whose bytes follow.
    Compiled { compiled_bytes: u64 },
    /// The program cannot run anywhere, and why.
    BadModule(String),
    /// The program is ready to run.
    Loaded,
    /// A checkpoint. The contents of its files follow.
    Saved(Vec<Announced>),
    /// The program has ended. Standard output, standard error and the contents of its files follow.
    Ended(Ended, Usage),
    /// This machine failed.
    HostFailed(String),
}

/// How a program ended, and what it left.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Ended {
    /// The status of a success, or the failure.
    pub how: Result<i32, Failure>,
    pub stdout_bytes: u64,
    pub stderr_bytes: u64,
    pub files: Vec<Announced>,
    pub empty_folders: Vec<String>,
}
