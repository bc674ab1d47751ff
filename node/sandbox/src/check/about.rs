//! What can be said of a program without running it, for the person who means to submit it.

use std::collections::BTreeSet;

use serde::Serialize;

use super::{BadModule, features, sound};

/// A program that tasks can run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct About {
    /// Its size in bytes.
    pub bytes: u64,
    /// The functions of WASI preview 1 that it imports, in order.
    pub imports: BTreeSet<String>,
    /// The memory with which it starts, in bytes. A task that offers less fails at once.
    pub memory_bytes: u64,
    /// The most memory that it ever asks for, in bytes, if it says so.
    pub memory_bytes_max: Option<u64>,
    /// What it uses of WebAssembly beyond the first version.
    pub features: Vec<&'static str>,
}

/// Says what a worker would say of a program: what it is, or why it cannot run.
///
/// Takes about ten times as long as [`check`](super::check).
///
/// # Errors
/// A sentence that says what is wrong with the program.
pub fn describe(bytes: &[u8]) -> Result<About, BadModule> {
    let shape = sound(bytes)?;
    Ok(About {
        bytes: bytes.len() as u64,
        imports: shape.imports.into_iter().map(|(_, name, _)| name).collect(),
        memory_bytes: shape.memory_bytes,
        memory_bytes_max: shape.memory_bytes_max,
        features: features::given(bytes),
    })
}
