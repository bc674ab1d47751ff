//! One run of one program, from its first instruction to its verdict.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use meshwork_core::types::{Failure, Usage};
use rustix::time::{ClockId, clock_gettime};
use tokio_util::sync::CancellationToken;
use wasmtime::{Engine, Store, Trap, UpdateDeadline};

use super::{
    Checkpoint, ExecuteError, Execution, Failed, Ran, Success,
    check::cut,
    modules::Prepared,
    wasi::{Allowance, Deadline, End, HostFile, Start, State, Unfit},
};

/// Runs `prepared` on the current thread.
pub(crate) fn run(
    engine: &Engine,
    prepared: &Prepared,
    execution: Execution,
    stop: CancellationToken,
) -> Result<Ran, ExecuteError> {
    let (started, cpu_before) = (Instant::now(), thread_cpu_us());
    let limits = execution.limits;
    let tail_bytes_max = execution.stderr_tail_bytes_max;
    let wall = Duration::from_millis(limits.wall_ms);
    // A deadline too far away for the platform never comes.
    let at = started.checked_add(wall).unwrap_or_else(|| started + Duration::from_secs(u64::from(u32::MAX)));
    let mut store = match State::new(start(execution, Deadline { at, stop })?) {
        Ok(state) => Store::new(engine, state),
        Err(Unfit::Input(path)) => return Ok(Ran::failed(bad_input(&path), Usage::default())),
        Err(Unfit::Checkpoint(end)) => return Ok(Ran::failed(failure_of(&end), Usage::default())),
    };
    store.limiter(|state| &mut state.allowance);
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(|context| {
        context.data().deadline().check().map_err(wasmtime::Error::new)?;
        Ok(UpdateDeadline::Continue(1))
    });
    let ended = store.set_fuel(limits.fuel).and_then(|()| {
        let instance = prepared.instance.instantiate(&mut store)?;
        instance.get_typed_func::<(), ()>(&mut store, "_start")?.call(&mut store, ())
    });

    let fuel = limits.fuel - store.get_fuel().unwrap_or(0).min(limits.fuel);
    let mut state = store.into_data();
    let ended = verdict(ended.err(), &state)?.and_then(|()| state.take_output().map_err(|end| failure_of(&end)));
    let outcome = match ended {
        Ok(files) => {
            Ok(Success { stdout: std::mem::take(&mut state.stdout), stderr: std::mem::take(&mut state.stderr), files })
        }
        Err(failure) => {
            let stderr_tail = state.stderr.split_off(state.stderr.len().saturating_sub(tail_bytes_max));
            Err(Failed { failure, stderr_tail })
        }
    };
    let wall_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
    let cpu_us = thread_cpu_us().saturating_sub(cpu_before);
    Ok(Ran { outcome, usage: Usage { wall_us, cpu_us, fuel, memory_bytes: state.allowance.memory_peak } })
}

/// The processor time of the current thread so far, in microseconds. A program runs in one thread.
fn thread_cpu_us() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let (seconds, nanoseconds) = (u64::try_from(time.tv_sec), u64::try_from(time.tv_nsec));
    seconds.unwrap_or(0).saturating_mul(1_000_000).saturating_add(nanoseconds.unwrap_or(0) / 1000)
}

fn start(execution: Execution, deadline: Deadline) -> Result<Start, ExecuteError> {
    let mut inputs = Vec::with_capacity(execution.inputs.len());
    for (path, file) in execution.inputs {
        inputs.push((path, open(&file)?));
    }
    let checkpoint = match execution.checkpoint {
        Some(Checkpoint { files, saves }) => {
            let read = |(path, file): (String, std::path::PathBuf)| match std::fs::read(&file) {
                Ok(content) => Ok((path, content)),
                Err(error) => Err(ExecuteError::Input(file, error)),
            };
            Some((files.into_iter().map(read).collect::<Result<_, _>>()?, saves))
        }
        None => None,
    };
    let mut arguments = execution.arguments;
    arguments.insert(0, "task".into());
    Ok(Start {
        arguments,
        environment: execution.environment.into_iter().map(|(name, value)| format!("{name}={value}")).collect(),
        stdin: execution.stdin.as_deref().map(open).transpose()?,
        inputs,
        allowance: Allowance::new(execution.memory_bytes, execution.limits.output_bytes),
        seed: execution.seed,
        deadline,
        checkpoint,
    })
}

fn open(path: &Path) -> Result<HostFile, ExecuteError> {
    HostFile::open(path).map_err(|error| ExecuteError::Input(path.to_owned(), error))
}

fn bad_input(path: &str) -> Failure {
    Failure::Trapped(format!("`{}` cannot be the path of an input", cut(path, 128).escape_debug()))
}

/// What the end of a program means: success, its failure, or no verdict if this machine failed.
fn verdict(error: Option<wasmtime::Error>, state: &State) -> Result<Result<(), Failure>, ExecuteError> {
    let Some(error) = error else { return Ok(Ok(())) };
    let end = error.downcast_ref::<End>();
    match end {
        Some(End::Exited(0)) => return Ok(Ok(())),
        Some(End::Stopped) => return Err(ExecuteError::Stopped),
        Some(End::Host(text)) => return Err(ExecuteError::Host(text.clone())),
        _ => {}
    }
    if let Some(text) = &state.allowance.host_failed {
        return Err(ExecuteError::Host(text.clone()));
    }
    // A program that was refused memory and then gave up, in whatever way, ran out of memory.
    let gave_up = |failure| if state.allowance.memory_refused { Failure::OutOfMemory } else { failure };
    let failure = match (end, error.downcast_ref::<Trap>()) {
        (Some(end @ (End::Exited(_) | End::Broke(_))), _) => gave_up(failure_of(end)),
        (Some(end), _) => failure_of(end),
        (None, Some(Trap::OutOfFuel)) => Failure::OutOfFuel,
        (None, Some(trap)) => gave_up(Failure::Trapped(trap_text(*trap))),
        (None, None) if state.allowance.memory_refused => Failure::OutOfMemory,
        (None, None) => return Err(ExecuteError::Host(format!("the program could not be started: {error}"))),
    };
    Ok(Err(failure))
}

fn failure_of(end: &End) -> Failure {
    match end {
        End::Exited(status) => Failure::Exited(*status),
        End::OutputTooLarge => Failure::OutputTooLarge,
        End::OutOfMemory => Failure::OutOfMemory,
        End::TimedOut => Failure::TimedOut,
        End::OutOfFuel => Failure::OutOfFuel,
        End::Broke(_) | End::Stopped | End::Host(_) => Failure::Trapped(end.to_string()),
    }
}

fn trap_text(trap: Trap) -> String {
    let text = trap.to_string();
    let text = text.strip_prefix("wasm trap: ").unwrap_or(&text);
    cut(text, Failure::TEXT_BYTES_MAX).to_owned()
}
