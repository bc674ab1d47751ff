//! Compiled programs: compiled once on this machine, kept on disk and, while they are in use, in memory.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
};

use futures::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use lru::LruCache;
use meshwork_core::digest::Digest;
use tokio::sync::{Semaphore, oneshot};
use wasmtime::{Engine, InstancePre, Linker, Module};

use super::{
    check::{self, BadModule},
    threads,
    wasi::{self, State},
};

/// How many programs are compiled at a time. Each compilation uses all processors, and memory many times the
/// program's size.
const COMPILING_MAX: usize = 2;
/// The most bytes of compiled programs in memory that nothing runs.
const KEPT_BYTES_MAX: usize = 512 << 20;
/// The most programs in memory, however small.
const KEPT_MAX: usize = 1024;

/// Why a program is not ready to run.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PrepareError {
    /// It will never be ready, on any machine.
    #[error(transparent)]
    Bad(#[from] BadModule),
    /// This machine failed.
    #[error("{0}")]
    Host(String),
}

/// A program that can run at once.
pub(crate) struct Prepared {
    pub instance: InstancePre<State>,
    compiled_bytes: usize,
}

type Preparing = Shared<BoxFuture<'static, Result<Arc<Prepared>, PrepareError>>>;

pub(crate) struct Modules {
    engine: Engine,
    linker: Arc<Linker<State>>,
    kept: Mutex<LruCache<Digest, Preparing>>,
    compiling: Arc<Semaphore>,
    niceness: i32,
}

impl Modules {
    pub(super) fn new(engine: Engine, niceness: i32) -> wasmtime::Result<Self> {
        Ok(Self {
            linker: Arc::new(wasi::link(&engine)?),
            engine,
            kept: Mutex::new(LruCache::unbounded()),
            compiling: Arc::new(Semaphore::new(COMPILING_MAX)),
            niceness,
        })
    }

    /// Prepares the program `digest`, whose bytes are in the file at `path`. All callers that ask meanwhile wait for
    /// the same compilation, which goes on even if none waits any more.
    pub(super) async fn prepare(&self, digest: Digest, path: &Path) -> Result<Arc<Prepared>, PrepareError> {
        let preparing = {
            let mut kept = self.kept();
            match kept.get(&digest) {
                Some(preparing) => preparing.clone(),
                None => {
                    let preparing = self.begin(digest, path.to_owned());
                    kept.put(digest, preparing.clone());
                    preparing
                }
            }
        };
        if let Some(prepared) = preparing.peek() {
            return prepared.clone();
        }
        let prepared = preparing.clone().await;
        let mut kept = self.kept();
        if matches!(prepared, Err(PrepareError::Host(_))) {
            // It may go better next time.
            if kept.peek(&digest).is_some_and(|present| present.ptr_eq(&preparing)) {
                kept.pop(&digest);
            }
        } else {
            forget_oldest(&mut kept);
        }
        prepared
    }

    fn kept(&self) -> MutexGuard<'_, LruCache<Digest, Preparing>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, digest: Digest, path: PathBuf) -> Preparing {
        let (engine, linker) = (self.engine.clone(), Arc::clone(&self.linker));
        let (compiling, niceness) = (Arc::clone(&self.compiling), self.niceness);
        async move {
            let permit = compiling.acquire_owned().await.expect("never closed");
            let (answer, answered) = oneshot::channel();
            // The compiler starts threads that inherit this thread's priority.
            let spawned = thread::Builder::new().name("task-compile".into()).spawn(move || {
                threads::yield_to_others(niceness);
                let _ = answer.send(prepare(&engine, &linker, &digest, &path));
                drop(permit);
            });
            spawned.map_err(|error| PrepareError::Host(format!("no thread to compile a program on: {error}")))?;
            answered.await.unwrap_or_else(|_| Err(PrepareError::Host("compiling the program failed".into())))
        }
        .boxed()
        .shared()
    }
}

/// Drops the programs used longest ago until the rest is within bounds. The one used last always stays.
fn forget_oldest(kept: &mut LruCache<Digest, Preparing>) {
    let bytes = |preparing: &Preparing| match preparing.peek() {
        Some(Ok(prepared)) => prepared.compiled_bytes,
        _ => 0,
    };
    let mut total: usize = kept.iter().map(|(_, preparing)| bytes(preparing)).sum();
    while kept.len() > 1 && (total > KEPT_BYTES_MAX || kept.len() > KEPT_MAX) {
        if let Some((_, preparing)) = kept.pop_lru() {
            total -= bytes(&preparing);
        }
    }
}

fn prepare(
    engine: &Engine,
    linker: &Linker<State>,
    digest: &Digest,
    path: &Path,
) -> Result<Arc<Prepared>, PrepareError> {
    let bytes = std::fs::read(path)
        .map_err(|error| PrepareError::Host(format!("the program {} cannot be read: {error}", path.display())))?;
    if Digest::of(&bytes) != *digest {
        return Err(PrepareError::Host(format!("{} is not the program {digest}", path.display())));
    }
    check::check(&bytes)?;
    let cannot = |error: wasmtime::Error| BadModule::new(format!("it cannot be compiled: {error}"));
    let module = Module::from_binary(engine, &bytes).map_err(cannot)?;
    let image = module.image_range();
    let compiled_bytes = image.end.addr() - image.start.addr();
    let instance = linker.instantiate_pre(&module).map_err(cannot)?;
    Ok(Arc::new(Prepared { instance, compiled_bytes }))
}
