//! The badly behaved programs: what each tries, its limits, and how it must end.

use std::path::{Path, PathBuf};

/// How a program must end.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Expected {
    /// Its failure says this.
    Failure(&'static str),
    /// It is stopped by its submitter's cancel, which has to take effect within a second.
    Cancelled,
}

/// One program.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hostile {
    /// Its file below `tests/programs`, without `.wasm`.
    pub(crate) file: &'static str,
    /// Its arguments.
    pub(crate) arguments: &'static [&'static str],
    /// What it tries, in a few words.
    pub(crate) tries: &'static str,
    /// How it must end.
    pub(crate) ends: Expected,
}

const fn hostile(
    file: &'static str,
    arguments: &'static [&'static str],
    tries: &'static str,
    ends: &'static str,
) -> Hostile {
    Hostile { file, arguments, tries, ends: Expected::Failure(ends) }
}

impl Hostile {
    /// The path of the program.
    pub(crate) fn path(&self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../programs").join(self.file).with_extension("wasm")
    }
}

/// All of them. Their limits are those of [`crate::mesh::limits`]. Which of time and fuel runs out first depends on how
/// busy the machine is.
pub(crate) const ALL: &[Hostile] = &[
    hostile("spin", &[], "computes for ever", "ran out of"),
    hostile("hostile/start", &[], "computes for ever before its command begins", "ran out of"),
    hostile("sleep", &[], "sleeps past its time", "ran out of time"),
    Hostile {
        file: "sleep",
        arguments: &[],
        tries: "sleeps until its submitter cancels it",
        ends: Expected::Cancelled,
    },
    hostile("hostile/quiet", &[], "fills its memory and stays", "ran out of time"),
    hostile("hog", &[], "grows its memory for ever", "out of memory"),
    hostile("hostile/table", &[], "grows a table for ever", "ran out of"),
    hostile("hostile/recursion", &[], "calls itself for ever", "call stack exhausted"),
    hostile("trap", &[], "traps", "unreachable"),
    hostile("flood", &[], "writes to standard output for ever", "output streams"),
    hostile("hostile/stderr", &[], "writes to standard error for ever", "output streams"),
    hostile("hostile/stdin", &[], "reads an input that has ended for ever", "ran out of"),
    hostile("hostile/random", &[], "takes randomness for ever", "ran out of"),
    hostile("hostile/pointers", &[], "points outside its memory", "ran to its end"),
    hostile("hostile/descriptors", &[], "opens a file for ever", "exited with status 4"),
    hostile("files", &[], "makes empty files for ever", "too many files"),
    hostile("files", &["directories"], "makes directories for ever", "too many files"),
    hostile("files", &["deep"], "makes directories in directories for ever", "exited with status 1"),
    hostile("hostile/names", &[], "makes the longest paths there are", "exited with status 5"),
    hostile("sparse", &["seek"], "makes a sparse file of a tebibyte", "wrote too much to /out"),
    hostile("hostile/temporary", &[], "makes a temporary file longer for ever", "out of memory"),
    hostile("hostile/many", &["2000"], "leaves two thousand files of a byte", "ran to its end"),
    hostile("tiny", &["9000", "100"], "leaves nine thousand small files", "ran to its end"),
    hostile("hostile/saves", &[], "saves checkpoints as fast as it can", "ran out of"),
    hostile("hostile/saves", &["tree"], "saves checkpoints of a deep tree", "ran out of"),
    hostile("hostile/spawns", &[], "spawns more tasks than it may", "asked for more tasks"),
    hostile("hostile/spawns", &["nonsense"], "spawns tasks in no known way", "asked for more tasks"),
];
