//! Runs programs of the system, with a bound on their time.

use std::{
    io::{Read, Write},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use meshwork::failure::{Done, Failure};

/// The default bound on a program's time: a busy container engine takes seconds.
pub(crate) const SOON: Duration = Duration::from_secs(60);

/// How often to look whether the program has ended.
const LOOK: Duration = Duration::from_millis(5);

/// How much of a program's error output is passed on, at most.
const COMPLAINT_CHARS_MAX: usize = 600;

/// Runs a program and returns what it wrote to its standard output.
///
/// # Errors
/// The program is not there, fails, or does not end in [`SOON`].
pub(crate) fn run(program: &str, arguments: &[&str]) -> Done<String> {
    run_within(SOON, program, arguments, "")
}

/// Runs a program that reads `input`.
///
/// # Errors
/// The program is not there, fails, or does not end in time.
pub(crate) fn run_within(limit: Duration, program: &str, arguments: &[&str], input: &str) -> Done<String> {
    let said = || format!("{program} {}", arguments.join(" "));
    let cannot = |error: std::io::Error| Failure::failed(format!("Could not run {}: {error}.", said()));
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(cannot)?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that does not read its input ends by itself, and says why.
        let _ = stdin.write_all(input.as_bytes());
    }
    let (out, complaint) = (collect(child.stdout.take()), collect(child.stderr.take()));
    let until = Instant::now() + limit;
    let status = loop {
        if let Some(status) = child.try_wait().map_err(cannot)? {
            break status;
        }
        if Instant::now() > until {
            let _ = child.kill();
            let _ = child.wait();
            return Err(Failure::failed(format!("{} did not end within {} s.", said(), limit.as_secs())));
        }
        thread::sleep(LOOK);
    };
    if status.success() {
        return Ok(out.join().unwrap_or_default());
    }
    let complaint: String = complaint.join().unwrap_or_default().chars().take(COMPLAINT_CHARS_MAX).collect();
    Err(Failure::failed(format!("{} failed ({status}): {}", said(), complaint.trim())))
}

/// Whether a program of the system succeeds.
#[must_use]
pub(crate) fn works(program: &str, arguments: &[&str]) -> bool {
    run(program, arguments).is_ok()
}

fn collect(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_end_is_ended_and_named() {
        let error = run_within(Duration::from_millis(50), "sleep", &["60"], "").expect_err("too long");
        assert!(error.sentence.contains("sleep 60"), "{error}");
    }

    #[test]
    fn a_program_reads_its_input_and_its_complaint_is_passed_on() {
        assert_eq!(run_within(SOON, "cat", &[], "to be read").expect("good"), "to be read");
        assert!(run("ls", &["/nowhere at all"]).expect_err("nothing there").sentence.contains("nowhere"));
    }
}
