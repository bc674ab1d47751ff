//! The runners of a machine, and one run by one of them.
//!
//! A runner only ever sees one program. One whose program left little behind is kept for the next run of the same
//! program. Others are started ahead, so that a new program does not wait for a process to start.

use std::{
    collections::{HashMap, VecDeque},
    fs::File,
    io,
    os::fd::{AsFd, BorrowedFd},
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    thread,
    time::{Duration, Instant},
};

use meshwork_core::{
    digest::Digest,
    types::{Failure, MemoryUse, TaskLimit, Usage},
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{
    modules::Compiled,
    process::{End, Process, Starts, failed},
};
use crate::{
    confinement::Confinement,
    program::{ExecuteError, Execution, InputFile, Left, NamedFile, Ran, Saved},
    run_clock::{RunClock, Until},
    wire::{Watch, WireError},
    words::{Announced, Ended, Given, Reply, Request, Role, Run},
};

/// How many runners are kept for the program that each has run, at least.
const KEPT_MIN: usize = 4;
/// A runner is kept only if its program never had more memory than this, in bytes.
const KEPT_BYTES_MAX: u64 = 64 << 20;
/// How many runs a runner serves, so that what its allocator cannot give back does not grow for ever.
const RUNS_MAX: u32 = 1000;
/// How much longer than its program's wall time a runner may take to say how it ended.
const GRACE: Duration = Duration::from_secs(5);
/// The least time between two checkpoints of one run.
const SAVED_EVERY: Duration = Duration::from_millis(100);
/// The most files and empty folders of an output or checkpoint.
const FILES_MAX: usize = 10_000;

/// A runner that has loaded a program.
#[derive(Debug)]
struct Loaded {
    process: Process,
    program: Digest,
    runs: u32,
}

/// The runners.
pub(super) struct Runners {
    starts: Starts,
    confinement: Confinement,
    compiler: Digest,
    /// Runners that have seen no program yet.
    spare: Mutex<mpsc::Receiver<Process>>,
    /// Runners that do nothing, the one used last at the end.
    kept: Mutex<VecDeque<Loaded>>,
    kept_max: usize,
}

impl Runners {
    /// Starts the first runner, which shows that there can be runners at all.
    pub(super) fn start(starts: Starts, slots: u32) -> Result<Self, ExecuteError> {
        let first = Process::start(&starts, Role::Run)?;
        let (confinement, compiler) = (first.confinement.clone(), first.compiler);
        let (sender, spare) = mpsc::sync_channel(1);
        let ahead = starts.clone();
        thread::Builder::new()
            .name("task-start".into())
            .spawn(move || keep_spare(&ahead, first, &sender))
            .map_err(|error| ExecuteError::Host(format!("no thread to start runners on: {error}")))?;
        let kept_max = KEPT_MIN.max(slots as usize);
        let (spare, kept) = (Mutex::new(spare), Mutex::default());
        Ok(Self { starts, confinement, compiler, spare, kept, kept_max })
    }

    pub(super) const fn confinement(&self) -> &Confinement {
        &self.confinement
    }

    pub(super) const fn compiler(&self) -> Digest {
        self.compiler
    }

    /// A runner that has loaded this program.
    fn take(&self, compiled: &Compiled, stop: &CancellationToken) -> Result<Loaded, ExecuteError> {
        while let Some(loaded) = self.take_kept(&compiled.program) {
            if loaded.process.is_quiet() {
                return Ok(loaded);
            }
        }
        let mut process = match self.take_spare() {
            Some(process) => process,
            None => Process::start(&self.starts, Role::Run)?,
        };
        process
            .limit_memory(compiled.bytes.saturating_mul(2))
            .map_err(|error| ExecuteError::Host(format!("a runner's memory cannot be limited: {error}")))?;
        process.channel.heed(Watch { stop: stop.clone(), until: None });
        match load(&mut process, compiled) {
            Ok(()) => Ok(Loaded { process, program: compiled.program, runs: 0 }),
            Err(error) => Err(failed(&error)),
        }
    }

    fn take_kept(&self, program: &Digest) -> Option<Loaded> {
        let mut kept = self.kept();
        let place = kept.iter().rposition(|loaded| loaded.program == *program)?;
        kept.remove(place)
    }

    fn take_spare(&self) -> Option<Process> {
        let spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        spare.try_iter().find(Process::is_quiet)
    }

    fn keep(&self, loaded: Loaded) {
        let mut kept = self.kept();
        let oldest = if kept.len() == self.kept_max { kept.pop_front() } else { None };
        kept.push_back(loaded);
        drop(kept);
        drop(oldest);
    }

    fn kept(&self) -> MutexGuard<'_, VecDeque<Loaded>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts runners ahead, until nobody takes them any more.
fn keep_spare(starts: &Starts, first: Process, spare: &mpsc::SyncSender<Process>) {
    let mut next = Some(first);
    loop {
        if let Some(process) = next.take()
            && spare.send(process).is_err()
        {
            return;
        }
        match Process::start(starts, Role::Run) {
            Ok(process) => next = Some(process),
            // Whoever needs one starts it and hears why it cannot.
            Err(error) => {
                warn!("no runner can be started ahead: {error}");
                thread::sleep(Duration::from_secs(1));
            }
        }
    }
}

fn load(process: &mut Process, compiled: &Compiled) -> Result<(), WireError> {
    process.channel.send(&Request::Load)?;
    process.channel.send_files(&[compiled.as_fd()])?;
    match process.channel.receive()? {
        Reply::Loaded => Ok(()),
        Reply::HostFailed(text) => Err(WireError::Malformed(text)),
        reply => Err(WireError::Malformed(format!("{reply:?}"))),
    }
}

/// Runs a program once.
pub(super) fn run(
    runners: &Runners,
    compiled: &Compiled,
    execution: Execution,
    stop: CancellationToken,
) -> Result<Ran, ExecuteError> {
    if stop.is_cancelled() {
        return Err(ExecuteError::Stopped);
    }
    let (request, files) = open(&execution)?;
    let mut loaded = runners.take(compiled, &stop)?;
    let started = Instant::now();
    let process = &mut loaded.process;
    let (memory_bytes, output_bytes) = (execution.memory_bytes, execution.limits.output_bytes);
    // What a program has in files may take twice as much while it grows, and a checkpoint is copied twice.
    let copies = if execution.checkpoint.is_some() { output_bytes.min(memory_bytes).saturating_mul(2) } else { 0 };
    let memory = compiled.bytes.saturating_add(memory_bytes.saturating_mul(2)).saturating_add(copies);
    process
        .limit_memory(memory)
        .map_err(|error| ExecuteError::Host(format!("a runner's memory cannot be limited: {error}")))?;
    let wall = Duration::from_millis(execution.limits.wall_ms);
    process.channel.heed(Watch { stop, until: Some(Until::after(&RunClock::start(), wall.saturating_add(GRACE))) });

    let saves = execution.checkpoint.as_ref().map(|checkpoint| &checkpoint.saves);
    let bounds = Bounds { bytes: output_bytes.min(memory_bytes) };
    let failed_with = |failure| {
        let wall_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
        Ok(Ran::failed(failure, Usage { wall_us, ..Usage::default() }))
    };
    let exceeded = |limit| failed_with(Failure::Exceeded(limit));
    match converse(process, request, files, saves, &bounds) {
        Ok(Ok(ran)) => {
            loaded.runs += 1;
            if ran.usage.memory_bytes <= KEPT_BYTES_MAX && loaded.runs < RUNS_MAX {
                runners.keep(loaded);
            }
            Ok(ran)
        }
        Ok(Err(text)) => Err(ExecuteError::Host(text)),
        Err(WireError::TooLate) => exceeded(TaskLimit::Time(execution.limits.wall_ms)),
        Err(WireError::Closed) => match process.end() {
            Some(End::OutOfMemory) => exceeded(TaskLimit::Memory(memory_bytes, MemoryUse::Own)),
            Some(End::Crashed(signal)) => {
                warn!(program = %compiled.program, signal, "a program ended its runner");
                failed_with(Failure::Trapped(format!("it ended its runner with signal {signal}")))
            }
            Some(End::Exited) => failed_with(Failure::Trapped("it ended its runner".into())),
            end => Err(ExecuteError::Host(format!("a runner ended: {end:?}"))),
        },
        Err(error) => Err(failed(&error)),
    }
}

/// The open files of a run. A file of which a program sees many ranges is open once.
#[derive(Default)]
struct OpenFiles<'a> {
    files: Vec<File>,
    /// The number and the length of each.
    known: HashMap<&'a Path, (u32, u64)>,
}

impl<'a> OpenFiles<'a> {
    fn give(&mut self, InputFile { path, range }: &'a InputFile) -> Result<Given, ExecuteError> {
        let cannot = |error| ExecuteError::Input(path.clone(), error);
        let (file, length) = match self.known.get(path.as_path()) {
            Some(known) => *known,
            None => {
                let file = File::open(path).map_err(cannot)?;
                let length = file.metadata().map_err(cannot)?.len();
                let number = u32::try_from(self.files.len()).map_err(|error| cannot(io::Error::other(error)))?;
                self.files.push(file);
                self.known.insert(path, (number, length));
                (number, length)
            }
        };
        let range = range.clone().unwrap_or(0..length);
        if range.start > range.end || range.end > length {
            return Err(cannot(io::ErrorKind::UnexpectedEof.into()));
        }
        Ok(Given { file, offset: range.start, bytes: range.end - range.start })
    }

    fn give_all(&mut self, list: &'a [(String, InputFile)]) -> Result<Vec<(String, Given)>, ExecuteError> {
        list.iter().map(|(path, file)| Ok((path.clone(), self.give(file)?))).collect()
    }
}

/// Opens the files that a run needs, and says what they are.
fn open(execution: &Execution) -> Result<(Run, Vec<File>), ExecuteError> {
    let mut open = OpenFiles::default();
    let stdin = execution.stdin.as_ref().map(|stdin| open.give(stdin)).transpose()?;
    let inputs = open.give_all(&execution.inputs)?;
    let checkpoint = execution.checkpoint.as_ref().map(|saved| open.give_all(&saved.files)).transpose()?;
    let run = Run {
        argv0: execution.argv0.clone(),
        arguments: execution.arguments.clone(),
        environment: execution.environment.clone(),
        files: open.files.len() as u32,
        stdin,
        inputs,
        folders: execution.folders.clone(),
        checkpoint,
        memory_bytes: execution.memory_bytes,
        limits: execution.limits,
        success: execution.success.clone(),
        seed: execution.seed,
    };
    Ok((run, open.files))
}

/// What a runner may say of a run, whatever its program was allowed to do to it.
struct Bounds {
    /// Bytes of output, or of one checkpoint.
    bytes: u64,
}

impl Bounds {
    fn check(&self, lengths: impl IntoIterator<Item = u64>, files: usize) -> Result<(), WireError> {
        let total = lengths.into_iter().try_fold(0_u64, u64::checked_add);
        if total.is_some_and(|total| total <= self.bytes) && files <= FILES_MAX {
            Ok(())
        } else {
            Err(WireError::Malformed("more output than the program may leave".into()))
        }
    }
}

/// Has the program run, and hears what it leaves; or that this machine failed.
fn converse(
    process: &mut Process,
    run: Run,
    files: Vec<File>,
    saves: Option<&watch::Sender<Saved>>,
    bounds: &Bounds,
) -> Result<Result<Ran, String>, WireError> {
    process.channel.send(&Request::Run(Box::new(run)))?;
    process.channel.send_files(&files.iter().map(AsFd::as_fd).collect::<Vec<BorrowedFd<'_>>>())?;
    // The runner has them now. There may be thousands.
    drop(files);
    loop {
        match process.channel.receive()? {
            Reply::Saved(announced) => {
                let Some(saves) = saves else {
                    return Err(WireError::Malformed("a checkpoint that nobody asked for".into()));
                };
                bounds.check(announced.iter().map(|(_, bytes)| *bytes), announced.len())?;
                let saved = contents(process, announced)?;
                saves.send_replace(Some(Arc::new(saved)));
                thread::sleep(SAVED_EVERY);
            }
            Reply::Ended(Ended { how, stdout_bytes, stderr_bytes, files, empty_folders }, usage) => {
                let lengths = files.iter().map(|(_, bytes)| *bytes).chain([stdout_bytes, stderr_bytes]);
                bounds.check(lengths, files.len().saturating_add(empty_folders.len()))?;
                let stdout = process.channel.receive_bytes(stdout_bytes)?;
                let stderr = process.channel.receive_bytes(stderr_bytes)?;
                let left = Left { stdout, stderr, files: contents(process, files)?, empty_folders };
                return Ok(Ok(Ran { ended: how, left, usage }));
            }
            Reply::HostFailed(text) => return Ok(Err(text)),
            reply => return Err(WireError::Malformed(format!("{reply:?}"))),
        }
    }
}

fn contents(process: &mut Process, announced: Vec<Announced>) -> Result<Vec<NamedFile>, WireError> {
    announced.into_iter().map(|(path, bytes)| Ok((path, process.channel.receive_bytes(bytes)?))).collect()
}
