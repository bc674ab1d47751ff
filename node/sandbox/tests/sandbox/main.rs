//! What programs may do and what they get otherwise, shown with the programs in `tests/programs`.
#![allow(clippy::unwrap_used, reason = "all of this is tests")]

mod checkpoints;
mod compile;
mod confined;
mod hostile;
mod inputs;
mod limits;
mod modules;
mod sameness;
mod statuses;
mod tiles;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use meshwork_core::{
    digest::Digest,
    types::{Failure, Limits, MemoryUse, OutputUse, TaskLimit},
};
use meshwork_sandbox::{
    Checkpoint, CompileBounds, ExecuteError, Execution, Executor, ExecutorConfig, InputFile, Left, Ran, RunnerCommand,
    Saved, check, given,
};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// An executor with directories of its own.
struct Bench {
    executor: Executor,
    dir: TempDir,
}

impl Bench {
    fn new(slots: u32) -> Self {
        let dir = TempDir::new().unwrap();
        let executor = Executor::new(&config(dir.path(), slots)).unwrap();
        Self { executor, dir }
    }

    /// A file with this content.
    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// A run of WebAssembly text, with generous limits.
    fn text(&self, text: &str) -> Execution {
        let bytes = wat::parse_str(text).unwrap();
        let module = Digest::of(&bytes);
        execution(module, self.file(&module.to_string(), bytes))
    }

    async fn run(&self, execution: Execution) -> Ran {
        self.executor.run(execution, &CancellationToken::new()).await.unwrap()
    }

    async fn succeed(&self, execution: Execution) -> Left {
        let ran = self.run(execution).await;
        match ran.ended {
            Ok(_) => ran.left,
            Err(failure) => panic!("{failure}: {}", String::from_utf8_lossy(&ran.left.stderr)),
        }
    }

    async fn fail(&self, execution: Execution) -> Failure {
        self.run(execution).await.ended.unwrap_err()
    }

    /// The limit that ends a run.
    async fn exceed(&self, execution: Execution) -> TaskLimit {
        match self.fail(execution).await {
            Failure::Exceeded(limit) => limit,
            failure => panic!("it fails otherwise: {failure}"),
        }
    }
}

fn config(dir: &Path, slots: u32) -> ExecutorConfig {
    let program = env!("CARGO_BIN_EXE_meshwork-runner").into();
    ExecutorConfig {
        runner: RunnerCommand { program, arguments: Vec::new() },
        cache_dir: dir.join("compiled"),
        cache_key: [9; 32],
        slots,
        niceness: 0,
        compile: CompileBounds::on_machine(1 << 30),
    }
}

/// A run of one of the programs in `tests/programs`, with generous limits.
fn program(name: &str) -> Execution {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../tests/programs/{name}.wasm"));
    execution(Digest::of(&std::fs::read(&path).unwrap()), path)
}

fn execution(module: Digest, module_path: PathBuf) -> Execution {
    Execution {
        module,
        module_path,
        argv0: "task".into(),
        arguments: Vec::new(),
        environment: BTreeMap::new(),
        stdin: None,
        inputs: Vec::new(),
        folders: Vec::new(),
        memory_bytes: 64 << 20,
        limits: Limits { wall_ms: 60_000, fuel: 10_000_000_000, output_bytes: 16 << 20 },
        success: BTreeSet::from([0]),
        seed: [7; 32],
        checkpoint: None,
    }
}

fn with_arguments(mut execution: Execution, arguments: &[&str]) -> Execution {
    execution.arguments = arguments.iter().map(ToString::to_string).collect();
    execution
}
