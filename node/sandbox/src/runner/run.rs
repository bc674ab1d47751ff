//! One run of one program, from its first instruction to its verdict.

use std::{collections::BTreeSet, fs::File, sync::Arc, time::Duration};

use meshwork_core::types::{Failure, Limits, TaskLimit, Usage};
use rustix::time::{ClockId, clock_gettime};
use wasmtime::{Engine, InstancePre, Store, ThrownException, Trap, UpdateDeadline};

use super::saver::Saver;
use crate::{
    check::cut,
    program::{Left, Ran},
    run_clock::{RunClock, Until},
    wasi::{Allowance, Deadline, End, HostFile, Saves, Start, State, Unfit},
    wire::{Channel, WireError},
    words::{Announced, Ended, Given, Reply, Run},
};

/// Runs a program on the current thread. The error is this machine's.
pub(super) fn run(
    engine: &Engine,
    program: &InstancePre<State>,
    run: Run,
    files: Vec<File>,
    saver: &Arc<Saver>,
    clock: &RunClock,
) -> Result<Ran, String> {
    let (started, cpu_before) = (clock.look(), thread_cpu_us());
    let (limits, success) = (run.limits, run.success.clone());
    let wall = Duration::from_millis(limits.wall_ms);
    let mut store = match State::new(start(run, files, Deadline(Until::after(clock, wall)), saver)?) {
        Ok(state) => Store::new(engine, state),
        Err(Unfit::Input(path)) => return Ok(Ran::failed(bad_input(&path), Usage::default())),
        Err(Unfit::Checkpoint(end)) => return Ok(Ran::failed(failure_of(&end, &limits), Usage::default())),
    };
    store.limiter(|state| &mut state.allowance);
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(|context| {
        context.data().deadline().check().map_err(wasmtime::Error::new)?;
        Ok(UpdateDeadline::Continue(1))
    });
    let ended = store.set_fuel(limits.fuel).and_then(|()| {
        let instance = program.instantiate(&mut store)?;
        instance.get_typed_func::<(), ()>(&mut store, "_start")?.call(&mut store, ())
    });

    let fuel = limits.fuel - store.get_fuel().unwrap_or(0).min(limits.fuel);
    let mut state = store.into_data();
    let ended = verdict(ended.err(), &state, &limits, &success)?;
    let (files, empty_folders) = state.take_output();
    let (stdout, stderr) = (std::mem::take(&mut state.stdout), std::mem::take(&mut state.stderr));
    let left = Left { stdout, stderr, files, empty_folders };
    let wall_us = u64::try_from(clock.look().saturating_sub(started).as_micros()).unwrap_or(u64::MAX);
    let cpu_us = thread_cpu_us().saturating_sub(cpu_before);
    Ok(Ran { ended, left, usage: Usage { wall_us, cpu_us, fuel, memory_bytes: state.allowance.memory_peak } })
}

/// The processor time of the current thread so far, in microseconds. A program runs in one thread.
fn thread_cpu_us() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let (seconds, nanoseconds) = (u64::try_from(time.tv_sec), u64::try_from(time.tv_nsec));
    seconds.unwrap_or(0).saturating_mul(1_000_000).saturating_add(nanoseconds.unwrap_or(0) / 1000)
}

fn start(run: Run, files: Vec<File>, deadline: Deadline, saver: &Arc<Saver>) -> Result<Start, String> {
    let files: Vec<Arc<File>> = files.into_iter().map(Arc::new).collect();
    let given = |Given { file, offset, bytes }| {
        let file = files.get(file as usize).ok_or("a file did not come")?;
        Ok::<_, &str>(HostFile::new(Arc::clone(file), offset, bytes))
    };
    let stdin = run.stdin.map(given).transpose()?;
    let mut inputs = Vec::with_capacity(run.inputs.len());
    for (path, input) in run.inputs {
        inputs.push((path, given(input)?));
    }
    let checkpoint = match run.checkpoint {
        Some(saved) => {
            let mut contents = Vec::with_capacity(saved.len());
            for (path, file) in saved {
                let content = given(file)?.read().map_err(|error| format!("a checkpoint cannot be read: {error}"))?;
                contents.push((path, content));
            }
            let saves: Arc<dyn Saves> = Arc::<Saver>::clone(saver);
            Some((contents, saves))
        }
        None => None,
    };
    let mut arguments = run.arguments;
    arguments.insert(0, run.argv0);
    Ok(Start {
        arguments,
        environment: run.environment.into_iter().map(|(name, value)| format!("{name}={value}")).collect(),
        stdin,
        inputs,
        folders: run.folders,
        allowance: Allowance::new(run.memory_bytes, run.limits.output_bytes),
        seed: run.seed,
        deadline,
        checkpoint,
    })
}

/// Tells the node how a run went.
pub(super) fn tell(channel: &mut Channel, ran: Result<Ran, String>) -> Result<(), WireError> {
    let Ran { ended: how, left: Left { stdout, stderr, files, empty_folders }, usage } = match ran {
        Ok(ran) => ran,
        Err(text) => return channel.send(&Reply::HostFailed(text)),
    };
    let announced: Vec<Announced> = files.iter().map(|(path, content)| (path.clone(), content.len() as u64)).collect();
    let (stdout_bytes, stderr_bytes) = (stdout.len() as u64, stderr.len() as u64);
    let ended = Ended { how, stdout_bytes, stderr_bytes, files: announced, empty_folders };
    channel.send(&Reply::Ended(ended, usage))?;
    for content in [&stdout, &stderr].into_iter().chain(files.iter().map(|(_, content)| content)) {
        channel.send_bytes(content)?;
    }
    Ok(())
}

fn bad_input(path: &str) -> Failure {
    let text = format!("`{}` cannot be the path of an input, or is taken", cut(path, 128).escape_debug());
    Failure::BadInput(cut(&text, Failure::TEXT_BYTES_MAX).to_owned())
}

/// What the end of a program means: the status of its success, its failure, or no verdict if this machine failed.
fn verdict(
    error: Option<wasmtime::Error>,
    state: &State,
    limits: &Limits,
    success: &BTreeSet<i32>,
) -> Result<Result<i32, Failure>, String> {
    // A program that was refused memory or space and then gave up, in whatever way, had too little.
    let gave_up = |failure| state.allowance.refused().map_or(failure, Failure::Exceeded);
    let exited = |status| match state.allowance.stream_cut {
        _ if !success.contains(&status) => Err(gave_up(Failure::Exited(status))),
        Some(limit) => Err(Failure::Exceeded(limit)),
        None => Ok(status),
    };
    let Some(error) = error else { return Ok(exited(0)) };
    let end = error.downcast_ref::<End>();
    match end {
        Some(End::Exited(status)) if success.contains(status) => return Ok(exited(*status)),
        Some(End::Host(text)) => return Err(text.clone()),
        _ => {}
    }
    if let Some(text) = &state.allowance.host_failed {
        return Err(text.clone());
    }
    let failure = match (end, error.downcast_ref::<Trap>()) {
        (Some(end @ (End::Exited(_) | End::Broke(_))), _) => gave_up(failure_of(end, limits)),
        (Some(end), _) => failure_of(end, limits),
        (None, Some(Trap::OutOfFuel)) => failure_of(&End::OutOfFuel, limits),
        (None, Some(trap)) => gave_up(Failure::Trapped(trap_text(*trap))),
        (None, None) => match state.allowance.memory_refused {
            Some(limit) => Failure::Exceeded(limit),
            None if error.is::<ThrownException>() => {
                Failure::Trapped("it threw an exception that nothing caught".to_owned())
            }
            None => return Err(format!("the program could not be started: {error}")),
        },
    };
    Ok(Err(failure))
}

fn failure_of(end: &End, limits: &Limits) -> Failure {
    match end {
        End::Exited(status) => Failure::Exited(*status),
        End::Exceeded(limit) => Failure::Exceeded(*limit),
        End::TimedOut => Failure::Exceeded(TaskLimit::Time(limits.wall_ms)),
        End::OutOfFuel => Failure::Exceeded(TaskLimit::Fuel(limits.fuel)),
        End::Broke(_) | End::Host(_) => Failure::Trapped(end.to_string()),
    }
}

fn trap_text(trap: Trap) -> String {
    let text = trap.to_string();
    let text = text.strip_prefix("wasm trap: ").unwrap_or(&text);
    cut(text, Failure::TEXT_BYTES_MAX).to_owned()
}
