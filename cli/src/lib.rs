//! The `meshwork` command line: what people type, see and script.
//!
//! `docs/glossary.md` explains the words.
//!
//! Start at [`arguments`], which is the whole grammar of the command line; each command is one file in [`commands`],
//! and returns what is to be shown to [`output`] or a [`failure::Failure`], which is one sentence and an exit status.
//! Nothing here has a rule of the ledger or of the round: commands talk to a node by [`client`], in the words of
//! `meshwork-api`. Of the node itself, only `up` and the look at a [program](programs) before it is submitted use
//! anything.
#![forbid(unsafe_code)]

pub mod addresses;
pub mod arguments;
pub mod client;
pub mod commands;
pub mod context;
pub mod failure;
pub mod figures;
pub mod file_names;
pub mod folders;
pub mod interrupt;
pub mod job_file;
pub mod keys;
pub mod local_mesh;
pub mod outcomes;
pub mod output;
pub mod parse;
pub mod programs;
pub mod recurrence;
pub mod run;
pub mod settings;
pub mod submission;
pub mod time;
pub mod watch;

use std::process::ExitCode;

use clap::Parser;

/// Runs the program with this process's arguments and environment.
#[must_use]
pub fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    if words.next().as_deref() == Some(commands::up::RUNNER) {
        return meshwork_sandbox::run_runner(words);
    }
    let arguments = arguments::Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            output::complain(&format!("The system gave no threads to run on: {error}."));
            return failure::Exit::Failed.into();
        }
    };
    let done = runtime.block_on(run::run(arguments));
    // A thread that still reads from the terminal or a socket must not keep a finished command alive.
    runtime.shutdown_background();
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !failure.sentence.is_empty() {
                output::complain(&failure.sentence);
            }
            failure.exit.into()
        }
    }
}
