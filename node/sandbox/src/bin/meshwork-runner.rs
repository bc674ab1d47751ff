//! A runner by itself, for this crate's tests. A node starts its own program as one.

use std::process::ExitCode;

fn main() -> ExitCode {
    meshwork_sandbox::run_runner(std::env::args().skip(1))
}
