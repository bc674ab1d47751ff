//! `meshwork check`: says, without a node, what a worker would say of a program.

use std::{collections::BTreeSet, path::PathBuf};

use bytesize::ByteSize;
use clap::Args;
use serde::Serialize;

use crate::{context::Context, failure::Done, output::Record, programs};

/// Which program.
#[derive(Args, Debug)]
pub struct Options {
    /// The program: a WebAssembly module for WASI preview 1
    #[arg(value_name = "PROGRAM")]
    program: PathBuf,
}

/// A program that a worker would run.
#[derive(Serialize)]
struct Checked {
    program: PathBuf,
    bytes: u64,
    /// The memory with which it starts, in bytes.
    memory_bytes: u64,
    /// The most memory that it ever asks for, in bytes, if it says so.
    memory_bytes_max: Option<u64>,
    imports: BTreeSet<String>,
    features: Vec<&'static str>,
}

impl Record for Checked {
    fn facts(&self) -> Vec<(&'static str, String)> {
        let list = |names: Vec<&str>| if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
        let most = match self.memory_bytes_max {
            Some(most) => format!("never more than {}", ByteSize(most)),
            None => "no bound of its own".to_owned(),
        };
        vec![
            ("program", format!("{}, {}: a worker would run it", self.program.display(), ByteSize(self.bytes))),
            ("memory", format!("{} to start with (--memory must offer that), {most}", ByteSize(self.memory_bytes))),
            ("imports", list(self.imports.iter().map(String::as_str).collect())),
            (
                "features",
                if self.features.is_empty() {
                    "those of the first WebAssembly".to_owned()
                } else {
                    list(self.features.clone())
                },
            ),
            (
                "result",
                "the same on every machine, as for every task: its clock and its randomness are the task's own"
                    .to_owned(),
            ),
        ]
    }
}

/// Says what the program is.
///
/// # Errors
/// The file cannot be read, or no worker would run it: the sentence says why.
pub fn run(context: &Context, options: Options) -> Done {
    let about = programs::about(&options.program)?;
    context.output.record(&Checked {
        program: options.program,
        bytes: about.bytes,
        memory_bytes: about.memory_bytes,
        memory_bytes_max: about.memory_bytes_max,
        imports: about.imports,
        features: about.features,
    })
}
