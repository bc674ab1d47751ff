//! Compiled programs: compiled once on this machine, kept on disk and, while they are in use, in memory.
//!
//! Compiling happens in two rounds, so that programs that take long to compile hold up no others. In the first round a
//! program gets little processor time and memory, and several compile at a time. One that needs more waits for the
//! second round, in which programs compile one after the other, each from the beginning and with all that it may have.

use std::{
    fs::File,
    io::Write,
    os::fd::{AsFd, BorrowedFd},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use futures::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use lru::LruCache;
use meshwork_core::digest::Digest;
use tokio::sync::{Semaphore, oneshot};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    Budget, CompileBounds,
    cache::{COMPILED_BYTES_MAX, Cache, Known},
    process::{End, Process, Starts, failed},
};
use crate::{
    check::{BadModule, MODULE_BYTES_MAX},
    run_clock::{RunClock, Until},
    wire::{Watch, WireError},
    words::{Reply, Request, Role},
};

/// How many programs are compiled at a time in the first round.
const FIRST_ROUND_MAX: usize = 2;
/// The most bytes of compiled programs in memory that nothing runs.
const KEPT_BYTES_MAX: u64 = 512 << 20;
/// The most programs in memory, however small.
const KEPT_MAX: usize = 1024;
/// How much longer than its processor time a compilation may take on a busy machine: a factor, and what is added.
const WALL_FACTOR: u32 = 10;
const WALL_EXTRA: Duration = Duration::from_secs(10);

/// Why a program is not ready to run.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PrepareError {
    /// It will never be ready, on any machine.
    #[error(transparent)]
    Bad(#[from] BadModule),
    /// It takes more to compile than its task offers: a sentence.
    #[error("{0}")]
    TooLarge(String),
    /// This machine failed.
    #[error("{0}")]
    Host(String),
}

/// A compiled program, which runners map.
#[derive(Debug)]
pub(super) struct Compiled {
    pub program: Digest,
    pub bytes: u64,
    file: File,
}

impl AsFd for Compiled {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

type Preparing = Shared<BoxFuture<'static, Result<Arc<Compiled>, PrepareError>>>;

/// A program that is or was prepared.
struct Entry {
    preparing: Preparing,
    /// Alive while somebody waits. The compilation stops with the last.
    waiters: Weak<DropGuard>,
    budget: Budget,
}

impl Entry {
    /// The preparation, if whoever offers `budget` can have its result.
    fn join(&self, budget: Budget) -> Option<(Preparing, Option<Arc<DropGuard>>)> {
        match self.preparing.peek() {
            Some(Ok(_) | Err(PrepareError::Bad(_))) => Some((self.preparing.clone(), None)),
            Some(Err(PrepareError::TooLarge(_))) if within(budget, self.budget) => Some((self.preparing.clone(), None)),
            Some(Err(_)) => None,
            None => self.waiters.upgrade().map(|waits| (self.preparing.clone(), Some(waits))),
        }
    }
}

/// Whether one budget is no larger than another in any respect.
fn within(one: Budget, other: Budget) -> bool {
    one.memory_bytes <= other.memory_bytes && one.cpu <= other.cpu
}

/// All programs.
pub(super) struct Modules {
    compiler: Arc<Compiler>,
    kept: Mutex<LruCache<Digest, Entry>>,
}

impl Modules {
    pub(super) fn new(starts: Starts, cache: Cache, bounds: CompileBounds) -> Self {
        let compiler = Compiler {
            starts,
            cache,
            bounds,
            first_round: Semaphore::new(FIRST_ROUND_MAX),
            second_round: Semaphore::new(1),
            compiled: AtomicUsize::new(0),
        };
        Self { compiler: Arc::new(compiler), kept: Mutex::new(LruCache::unbounded()) }
    }

    /// How many programs were compiled.
    pub(super) fn compiled(&self) -> usize {
        self.compiler.compiled.load(Ordering::Relaxed)
    }

    /// Prepares the program `digest`, whose bytes are in the file at `path`. All callers that ask meanwhile wait for
    /// the same compilation, which stops when none waits any more.
    pub(super) async fn prepare(
        &self,
        digest: Digest,
        path: &Path,
        budget: Budget,
    ) -> Result<Arc<Compiled>, PrepareError> {
        let budget = self.compiler.bounds.wanted(budget);
        loop {
            let (preparing, waits) = self.join_or_begin(digest, path, budget);
            let prepared = preparing.clone().await;
            drop(waits);
            self.settle(&digest, &preparing, &prepared);
            let is_too_small = |entry: &Entry| !within(budget, entry.budget);
            match &prepared {
                // Others offered less than this caller does.
                Err(PrepareError::TooLarge(_)) if self.kept().peek(&digest).is_some_and(is_too_small) => {}
                _ => return prepared,
            }
        }
    }

    fn join_or_begin(&self, digest: Digest, path: &Path, budget: Budget) -> (Preparing, Option<Arc<DropGuard>>) {
        let mut kept = self.kept();
        if let Some(joined) = kept.get(&digest).and_then(|entry| entry.join(budget)) {
            return joined;
        }
        let stop = CancellationToken::new();
        let waits = Arc::new(stop.clone().drop_guard());
        let compiler = Arc::clone(&self.compiler);
        let path = path.to_owned();
        let preparing = async move { compiler.prepare(digest, path, budget, stop).await }.boxed().shared();
        kept.put(digest, Entry { preparing: preparing.clone(), waiters: Arc::downgrade(&waits), budget });
        (preparing, Some(waits))
    }

    /// Forgets what this machine's trouble ended, because it may go better next time, and what was used longest ago.
    fn settle(&self, digest: &Digest, preparing: &Preparing, prepared: &Result<Arc<Compiled>, PrepareError>) {
        let mut kept = self.kept();
        if matches!(prepared, Err(PrepareError::Host(_))) {
            if kept.peek(digest).is_some_and(|entry| entry.preparing.ptr_eq(preparing)) {
                kept.pop(digest);
            }
        } else {
            forget_oldest(&mut kept);
        }
    }

    fn kept(&self) -> MutexGuard<'_, LruCache<Digest, Entry>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Drops the programs used longest ago until the rest is within bounds. The one used last always stays.
fn forget_oldest(kept: &mut LruCache<Digest, Entry>) {
    let bytes = |entry: &Entry| match entry.preparing.peek() {
        Some(Ok(compiled)) => compiled.bytes,
        _ => 0,
    };
    let mut total: u64 = kept.iter().map(|(_, entry)| bytes(entry)).sum();
    while kept.len() > 1 && (total > KEPT_BYTES_MAX || kept.len() > KEPT_MAX) {
        if let Some((_, entry)) = kept.pop_lru() {
            total -= bytes(&entry);
        }
    }
}

/// Has programs compiled.
struct Compiler {
    starts: Starts,
    cache: Cache,
    bounds: CompileBounds,
    first_round: Semaphore,
    second_round: Semaphore,
    compiled: AtomicUsize,
}

/// Why one round of compiling gave no compiled program.
enum RoundError {
    /// The budget was not enough. Whether it was memory that was lacking.
    NotEnough { memory: bool },
    /// There will be none, or not here.
    Ends(PrepareError),
}

impl Compiler {
    async fn prepare(
        self: Arc<Self>,
        digest: Digest,
        path: PathBuf,
        budget: Budget,
        stop: CancellationToken,
    ) -> Result<Arc<Compiled>, PrepareError> {
        let compiler = Arc::clone(&self);
        let known = blocking(move || compiler.cache.get(&digest)).await?;
        match known {
            Some(Known::Compiled(bytes)) => return share(digest, &bytes),
            Some(Known::TooLarge(tried)) if within(budget, tried) => return Err(too_large(tried)),
            _ => {}
        }
        let bytes = blocking(move || read(&digest, &path)).await??;
        let bytes = Arc::new(bytes);
        let (first, full) = (self.bounds.first_round(budget), self.bounds.given(budget));
        let lacks_memory = match self.round(&self.first_round, digest, &bytes, first, &stop).await {
            Ok(compiled) => return self.keep(digest, compiled).await,
            Err(RoundError::Ends(error)) => return Err(error),
            Err(RoundError::NotEnough { memory }) if within(full, first) => memory,
            Err(RoundError::NotEnough { .. }) => {
                match self.round(&self.second_round, digest, &bytes, full, &stop).await {
                    Ok(compiled) => return self.keep(digest, compiled).await,
                    Err(RoundError::Ends(error)) => return Err(error),
                    Err(RoundError::NotEnough { memory }) => memory,
                }
            }
        };
        if lacks_memory && full.memory_bytes < budget.memory_bytes {
            return Err(PrepareError::Host("this machine offers too little memory to compile the program".into()));
        }
        self.cache.put(&digest, &Known::TooLarge(budget));
        Err(too_large(budget))
    }

    async fn keep(self: &Arc<Self>, digest: Digest, compiled: Vec<u8>) -> Result<Arc<Compiled>, PrepareError> {
        self.compiled.fetch_add(1, Ordering::Relaxed);
        let shared = share(digest, &compiled);
        let compiler = Arc::clone(self);
        blocking(move || compiler.cache.put(&digest, &Known::Compiled(compiled))).await?;
        shared
    }

    async fn round(
        &self,
        turns: &Semaphore,
        digest: Digest,
        program: &Arc<Vec<u8>>,
        budget: Budget,
        stop: &CancellationToken,
    ) -> Result<Vec<u8>, RoundError> {
        let stopped = || RoundError::Ends(PrepareError::Host("nobody waits for the program any more".into()));
        let _turn = tokio::select! {
            turn = turns.acquire() => turn.map_err(|_| stopped())?,
            () = stop.cancelled() => return Err(stopped()),
        };
        let (starts, program, stop) = (self.starts.clone(), Arc::clone(program), stop.clone());
        blocking(move || compile(&starts, &digest, &program, budget, stop)).await.map_err(RoundError::Ends)?
    }
}

impl CompileBounds {
    /// What a program gets in the first round.
    fn first_round(&self, budget: Budget) -> Budget {
        let given = self.given(budget);
        Budget {
            memory_bytes: given.memory_bytes.min(self.machine_bytes_max / FIRST_ROUND_MAX as u64),
            cpu: given.cpu.min(self.cpu_first),
        }
    }
}

/// Runs what blocks on a thread of its own.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, PrepareError> {
    let (answer, answered) = oneshot::channel();
    let spawned = thread::Builder::new().name("task-compile".into()).spawn(move || {
        let _ = answer.send(work());
    });
    spawned.map_err(|error| PrepareError::Host(format!("no thread to compile a program on: {error}")))?;
    answered.await.map_err(|_| PrepareError::Host("compiling the program failed".into()))
}

fn read(digest: &Digest, path: &Path) -> Result<Vec<u8>, PrepareError> {
    let cannot = |error| PrepareError::Host(format!("the program {} cannot be read: {error}", path.display()));
    let bytes = std::fs::metadata(path).map_err(cannot)?.len();
    if bytes > MODULE_BYTES_MAX as u64 {
        let text = format!("it has {bytes} bytes; a program may have {MODULE_BYTES_MAX}");
        return Err(BadModule::new(text).into());
    }
    let bytes = std::fs::read(path).map_err(cannot)?;
    if Digest::of(&bytes) != *digest {
        return Err(PrepareError::Host(format!("{} is not the program {digest}", path.display())));
    }
    Ok(bytes)
}

/// One runner compiles one program.
fn compile(
    starts: &Starts,
    digest: &Digest,
    program: &[u8],
    budget: Budget,
    stop: CancellationToken,
) -> Result<Vec<u8>, RoundError> {
    let host = |error: &dyn std::fmt::Display| RoundError::Ends(PrepareError::Host(error.to_string()));
    let mut process = Process::start(starts, Role::Compile).map_err(|error| host(&error))?;
    process.limit_memory(budget.memory_bytes).map_err(|error| host(&error))?;
    process.limit_cpu(budget.cpu).map_err(|error| host(&error))?;
    let until = Until::after(&RunClock::start(), budget.cpu * WALL_FACTOR + WALL_EXTRA);
    process.channel.heed(Watch { stop, until: Some(until) });
    match compile_with(&mut process, program) {
        Ok(compiled) => compiled.map_err(RoundError::Ends),
        Err(WireError::Closed) => match process.end() {
            Some(End::OutOfMemory) => Err(RoundError::NotEnough { memory: true }),
            Some(End::OutOfTime) => Err(RoundError::NotEnough { memory: false }),
            Some(End::Crashed(signal)) => {
                tracing::warn!(program = %digest, signal, "a program ended its compiler");
                let text = format!("it cannot be compiled: the compiler ended with signal {signal}");
                Err(RoundError::Ends(BadModule::new(text).into()))
            }
            end => Err(host(&format!("the compiler ended: {end:?}"))),
        },
        Err(error) => Err(host(&failed(&error))),
    }
}

fn compile_with(process: &mut Process, program: &[u8]) -> Result<Result<Vec<u8>, PrepareError>, WireError> {
    process.channel.send(&Request::Compile { program_bytes: program.len() as u64 })?;
    process.channel.send_bytes(program)?;
    match process.channel.receive()? {
        Reply::Compiled { compiled_bytes } if compiled_bytes <= COMPILED_BYTES_MAX => {
            process.channel.receive_bytes(compiled_bytes).map(Ok)
        }
        Reply::BadModule(text) => Ok(Err(BadModule::new(text).into())),
        Reply::HostFailed(text) => Ok(Err(PrepareError::Host(text))),
        reply => Err(WireError::Malformed(format!("{reply:?}"))),
    }
}

fn too_large(budget: Budget) -> PrepareError {
    let Budget { memory_bytes, cpu } = budget;
    let (mebibytes, seconds) = (memory_bytes >> 20, cpu.as_secs());
    PrepareError::TooLarge(format!("compiling it takes more than {mebibytes} MiB or {seconds} s"))
}

/// Puts a compiled program where runners can map it, and nobody can change it.
fn share(program: Digest, compiled: &[u8]) -> Result<Arc<Compiled>, PrepareError> {
    let write = || {
        let mut file = unnamed_file()?;
        file.write_all(compiled)?;
        seal(&file)?;
        Ok(file)
    };
    match write() {
        Ok(file) => Ok(Arc::new(Compiled { program, bytes: compiled.len() as u64, file })),
        Err(error) => {
            let error: std::io::Error = error;
            Err(PrepareError::Host(format!("the compiled program cannot be held: {error}")))
        }
    }
}

#[cfg(target_os = "linux")]
fn unnamed_file() -> std::io::Result<File> {
    use rustix::fs::{MemfdFlags, memfd_create};
    Ok(memfd_create("meshwork-program", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?.into())
}

#[cfg(target_os = "linux")]
fn seal(file: &File) -> std::io::Result<()> {
    use rustix::fs::{SealFlags, fcntl_add_seals};
    Ok(fcntl_add_seals(file, SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL)?)
}

#[cfg(not(target_os = "linux"))]
fn unnamed_file() -> std::io::Result<File> {
    tempfile::tempfile()
}

#[cfg(not(target_os = "linux"))]
fn seal(_file: &File) -> std::io::Result<()> {
    Ok(())
}
