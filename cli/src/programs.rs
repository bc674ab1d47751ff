//! Programs: checks a module before any worker is asked to run it, and holds the ones that come with the binary.

use std::path::Path;

use meshwork_sandbox::{About, BadModule, check, describe};

use crate::failure::{Done, Failure};

/// The most bytes of a program: those of any blob.
const PROGRAM_BYTES_MAX: u64 = 256 << 20;

/// The demo's program: renders one tile of an image. Its source is beside it.
pub const RENDER: &[u8] = include_bytes!("../../tests/programs/render.wasm");

/// The benchmark's program: does nothing. Its source is beside it.
pub const NOOP: &[u8] = include_bytes!("../../tests/programs/noop.wasm");

/// Reads a program and checks that a worker could run it.
///
/// # Errors
/// The file cannot be read, or is not a WebAssembly module with the imports that a task may have.
pub fn read(path: &Path) -> Done<Vec<u8>> {
    let module = contents(path)?;
    check(&module).map_err(|bad| refused(path, bad, "; nothing was submitted"))?;
    Ok(module)
}

/// Reads a program and says what a worker would say of it.
///
/// # Errors
/// As for [`read`].
pub fn about(path: &Path) -> Done<About> {
    describe(&contents(path)?).map_err(|bad| refused(path, bad, ""))
}

fn refused(path: &Path, bad: BadModule, and: &str) -> Failure {
    Failure::usage(format!(
        "{} cannot run as a task: {}. Tasks are WebAssembly modules built for wasm32-wasip1{and}.",
        path.display(),
        bad.into_text().trim_end_matches('.')
    ))
}

fn contents(path: &Path) -> Done<Vec<u8>> {
    let io = |error: std::io::Error| Failure::given_file(path, &error);
    let bytes = std::fs::metadata(path).map_err(io)?.len();
    if bytes > PROGRAM_BYTES_MAX {
        return Err(Failure::usage(format!(
            "{} has {bytes} bytes, and a program may have {PROGRAM_BYTES_MAX}; make it smaller.",
            path.display()
        )));
    }
    std::fs::read(path).map_err(io)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_module_is_heard_before_anyone_runs_it() {
        assert!(check(b"\x7fELF and so on").is_err());
        assert!(check(b"").is_err());
        assert!(check(RENDER).is_ok());
        assert!(check(NOOP).is_ok());
    }
}
