//! WASI preview 1 for tasks: arguments, environment, standard streams, a file system in memory, a clock that tells
//! the same time everywhere, and randomness from a seed.
//!
//! Nothing of the host shows through it, and nothing that a program does reaches the host: there are no sockets, no
//! host paths and no links.
//!
//! A call succeeds, answers with an error number, or ends the program ([`errno::End`]). What it costs beyond the
//! instruction that calls it is charged as fuel, so that the limit on processor work holds here too.

mod allowance;
mod calls;
mod clock;
mod descriptors;
mod entries;
mod errno;
mod files;
mod memory;
mod path;
mod streams;
#[cfg(test)]
mod tests;
mod tree;

use std::{sync::Arc, time::Duration};

use wasmtime::{Caller, Engine, FuncType, Linker, Store};

pub(crate) use self::{
    allowance::{Allowance, TABLE_ELEMENTS_MAX, TABLES_MAX},
    errno::End,
    files::HostFile,
};
use self::{
    clock::Clock,
    descriptors::{Descriptors, Open},
    errno::{Answer, Fault},
    files::Files,
    memory::Memory,
};
use crate::{
    program::NamedFile,
    run_clock::{RunClock, Until},
};

/// The module name from which programs import these functions.
pub(crate) const MODULE: &str = "wasi_snapshot_preview1";
/// How many bytes a call moves for one unit of fuel.
const BYTES_PER_FUEL: u64 = 32;
/// The paths under which programs are started with the directory `/`, each by a descriptor from 3 on. Libraries look for
/// an absolute path below the first; older ones for a relative path only below the second.
const GIVEN: [&str; 2] = ["/", "."];

/// When a run must end, whatever it does.
#[derive(Clone, Debug)]
pub(crate) struct Deadline(pub Until);

impl Deadline {
    /// Fails once the time is up.
    pub(crate) fn check(&self) -> Result<(), End> {
        self.0.left().map(drop).ok_or(End::TimedOut)
    }

    /// Waits for `wait`. Fails as soon as the time is up.
    fn sleep(&self, wait: Duration) -> Result<(), End> {
        let awake = self.0.later(wait);
        while let Some(wait) = awake.left() {
            std::thread::sleep(wait.min(self.0.left().ok_or(End::TimedOut)?));
        }
        self.check()
    }
}

/// Everything of a run, apart from its linear memory.
pub(crate) struct State {
    pub allowance: Allowance,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    arguments: Vec<String>,
    environment: Vec<String>,
    files: Files,
    descriptors: Descriptors,
    clock: Clock,
    random: blake3::OutputReader,
    deadline: Deadline,
    saves: Option<Arc<dyn Saves>>,
    memory: Option<wasmtime::Memory>,
    /// The cost of the current call, in bytes moved.
    work: u64,
}

/// What a run starts with.
pub(crate) struct Start {
    /// The program's name first.
    pub arguments: Vec<String>,
    /// As `NAME=value`.
    pub environment: Vec<String>,
    pub stdin: Option<HostFile>,
    /// Files, each with its path: below `/in` if it is relative, else where it is mounted.
    pub inputs: Vec<(String, HostFile)>,
    /// The directories that there are besides those that lead to files, likewise.
    pub folders: Vec<String>,
    pub allowance: Allowance,
    pub seed: [u8; 32],
    pub deadline: Deadline,
    /// For a program that saves checkpoints: the files of the last one, and where new ones go.
    pub checkpoint: Option<(Vec<NamedFile>, Arc<dyn Saves>)>,
}

/// Takes a program's checkpoints.
pub(crate) trait Saves: Send + Sync {
    /// Takes the newest, as files by path.
    fn put(&self, saved: Vec<NamedFile>);
}

/// Why a run cannot start.
pub(crate) enum Unfit {
    /// An input's path is invalid.
    Input(String),
    /// The checkpoint cannot be laid out.
    Checkpoint(End),
}

impl State {
    /// The state of a run that starts.
    ///
    /// # Errors
    /// The inputs or the checkpoint cannot be laid out.
    pub(crate) fn new(mut start: Start) -> Result<Self, Unfit> {
        let now_ns = clock::START_NS;
        let mut files = Files::new(now_ns);
        let mut descriptors = Descriptors::default();
        let stdin = match start.stdin {
            Some(file) => Open::File { id: files.add_unnamed(file, now_ns), offset: 0, read: true, write: false },
            None => Open::Nothing,
        };
        let folders = start.folders.into_iter().map(|path| (path, None));
        let mut inputs: Vec<_> =
            folders.chain(start.inputs.into_iter().map(|(path, file)| (path, Some(file)))).collect();
        // Sorted by path, so that numbers and listings do not depend on the order in which the inputs were given.
        inputs.sort_by(|one, other| one.0.cmp(&other.0));
        for (path, file) in inputs {
            if !files.add_input(&path, file, now_ns) {
                return Err(Unfit::Input(path));
            }
        }
        let mut saves = None;
        if let Some((saved, sender)) = start.checkpoint {
            files.add_checkpoint(saved, now_ns, &mut start.allowance).map_err(Unfit::Checkpoint)?;
            saves = Some(sender);
        }
        let root = Open::Directory { id: files.root() };
        let streams = [stdin, Open::Stdout, Open::Stderr].map(|open| (open, None));
        for (open, given) in streams.into_iter().chain(GIVEN.map(|path| (root, Some(path)))) {
            if let Open::File { id, .. } | Open::Directory { id } = open {
                files.open(id);
            }
            let number = descriptors.add(open, 0).expect("an empty table has room");
            descriptors.get_mut(number).expect("added above").given = given;
        }
        let random = blake3::Hasher::new_derive_key("meshwork 2026 the randomness of a task's program")
            .update(&start.seed)
            .finalize_xof();
        Ok(Self {
            allowance: start.allowance,
            stdout: Vec::new(),
            stderr: Vec::new(),
            arguments: start.arguments,
            environment: start.environment,
            files,
            descriptors,
            clock: Clock::default(),
            random,
            deadline: start.deadline,
            saves,
            memory: None,
            work: 0,
        })
    }

    pub(crate) const fn deadline(&self) -> &Deadline {
        &self.deadline
    }

    /// Takes the program's files under `/out`, and the paths of the empty directories there.
    pub(crate) fn take_output(&mut self) -> (Vec<NamedFile>, Vec<String>) {
        self.files.take_output()
    }

    /// Saves a checkpoint if `directory`, into which something was just moved, is part of it.
    fn save_checkpoint(&mut self, directory: files::NodeId) {
        if self.saves.is_none() {
            return;
        }
        if let Some(saved) = self.files.saved_in(directory) {
            self.charge(saved.iter().map(|(path, content)| (path.len() + content.len()) as u64).sum());
            if let Some(saves) = &self.saves {
                saves.put(saved);
            }
        }
    }

    /// Charges the current call for moving `bytes` bytes.
    fn charge(&mut self, bytes: u64) {
        self.work = self.work.saturating_add(bytes);
    }
}

/// A linker with every function of preview 1.
pub(crate) fn link(engine: &Engine) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    calls::link(&mut linker)?;
    streams::link(&mut linker)?;
    tree::link(&mut linker)?;
    Ok(linker)
}

/// Runs one call: gives it the program's memory and the run's state, translates its answer for the program, and
/// charges for it.
fn call(
    caller: &mut Caller<'_, State>,
    body: impl FnOnce(&mut Memory<'_>, &mut State) -> Answer,
) -> wasmtime::Result<i32> {
    let memory = match caller.data().memory {
        Some(memory) => memory,
        None => {
            let memory = caller
                .get_export("memory")
                .and_then(wasmtime::Extern::into_memory)
                .ok_or_else(|| wasmtime::Error::new(End::Broke("it exports no memory")))?;
            caller.data_mut().memory = Some(memory);
            memory
        }
    };
    let (bytes, state) = memory.data_and_store_mut(&mut *caller);
    let answer = body(&mut Memory(bytes), state);
    let fuel = std::mem::take(&mut state.work) / BYTES_PER_FUEL;
    if fuel > 0 {
        let left = caller.get_fuel()?.checked_sub(fuel);
        caller.set_fuel(left.unwrap_or(0))?;
        if left.is_none() {
            return Err(wasmtime::Error::new(End::OutOfFuel));
        }
    }
    match answer {
        Ok(()) => Ok(0),
        Err(Fault::Errno(errno)) => Ok(i32::from(errno as u16)),
        Err(Fault::End(end)) => Err(wasmtime::Error::new(end)),
    }
}

/// Adds functions to a linker. Each has a name, parameters, and a body that sees the program's memory and the run's
/// state.
macro_rules! functions {
    ($linker:ident: $($name:ident($memory:ident, $state:ident $(, $parameter:ident: $kind:ty)*) $body:block)*) => {$(
        $linker.func_wrap(
            $crate::wasi::MODULE,
            stringify!($name),
            |mut caller: wasmtime::Caller<'_, $crate::wasi::State> $(, $parameter: $kind)*| {
                $crate::wasi::call(&mut caller, |$memory, $state| $body)
            },
        )?;
    )*};
}
pub(super) use functions;

/// The functions of a linker, each with its type.
pub(crate) fn types(engine: &Engine, linker: &Linker<State>) -> Vec<(String, FuncType)> {
    let nobody = Start {
        arguments: Vec::new(),
        environment: Vec::new(),
        stdin: None,
        inputs: Vec::new(),
        folders: Vec::new(),
        allowance: Allowance::new(0, 0),
        seed: [0; 32],
        deadline: Deadline(Until::after(&RunClock::start(), Duration::ZERO)),
        checkpoint: None,
    };
    let Ok(state) = State::new(nobody) else { return Vec::new() };
    let mut store = Store::new(engine, state);
    let given: Vec<_> = linker.iter(&mut store).map(|(_, name, item)| (name.to_owned(), item)).collect();
    given.into_iter().filter_map(|(name, item)| Some((name, item.into_func()?.ty(&store)))).collect()
}
