//! Checks and compiles a program.

use wasmtime::Engine;

use crate::check::{self, BadModule};

/// The compiled program, as a runner can load it.
pub(super) fn compile(engine: &Engine, program: &[u8]) -> Result<Vec<u8>, BadModule> {
    check::check(program)?;
    engine.precompile_module(program).map_err(|error| BadModule::new(format!("it cannot be compiled: {error}")))
}
