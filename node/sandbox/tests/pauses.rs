//! What happens to a run while its process is stopped. This test has a process of its own, because it stops all runners of
//! its process.
#![allow(clippy::unwrap_used, reason = "all of this is tests")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    time::Duration,
};

use meshwork_core::{digest::Digest, types::Limits};
use meshwork_sandbox::{CompileBounds, Execution, Executor, ExecutorConfig, Ran, RunnerCommand};
use rustix::process::{Pid, Signal, kill_process};
use tokio_util::sync::CancellationToken;

/// The runners of this process.
fn runners() -> Vec<Pid> {
    let own = std::process::id();
    let stat = |entry: fs::DirEntry| fs::read_to_string(entry.path().join("stat")).ok();
    let stats = fs::read_dir("/proc").unwrap().flatten().filter_map(stat);
    // The name in brackets may have spaces; the parent is the second word after it.
    let of_own = stats.filter_map(|stat| {
        let (before, after) = stat.rsplit_once(')')?;
        let (pid, _) = before.split_once(" (")?;
        let parent: u32 = after.split_whitespace().nth(1)?.parse().ok()?;
        if parent == own { Pid::from_raw(pid.parse().ok()?) } else { None }
    });
    of_own.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_time_passes_for_a_program_while_its_process_is_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let runner = RunnerCommand { program: env!("CARGO_BIN_EXE_meshwork-runner").into(), arguments: Vec::new() };
    let config = ExecutorConfig {
        runner,
        cache_dir: dir.path().join("compiled"),
        cache_key: [9; 32],
        slots: 1,
        niceness: 0,
        compile: CompileBounds::on_machine(1 << 30),
    };
    let executor = Executor::new(&config).unwrap();
    // It sleeps for a fifth of a second.
    let module_path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/programs/nap.wasm");
    let execution = Execution {
        module: Digest::of(&fs::read(&module_path).unwrap()),
        module_path,
        argv0: "task".to_owned(),
        arguments: Vec::new(),
        environment: BTreeMap::new(),
        stdin: None,
        inputs: Vec::new(),
        folders: Vec::new(),
        memory_bytes: 64 << 20,
        limits: Limits { wall_ms: 1500, fuel: u64::MAX, output_bytes: 1 << 20 },
        success: BTreeSet::from([0]),
        seed: [7; 32],
        checkpoint: None,
    };
    let run = async || -> Ran { executor.run(execution.clone(), &CancellationToken::new()).await.unwrap() };
    // It is compiled now, and its runner is there.
    assert!(run().await.ended.is_ok());
    let signal = |signal| {
        for runner in runners() {
            // One that has ended meanwhile is not this test's.
            let _ = kill_process(runner, signal);
        }
    };
    let stopped = async {
        tokio::time::sleep(Duration::from_millis(60)).await;
        signal(Signal::STOP);
        tokio::time::sleep(Duration::from_millis(2500)).await;
        signal(Signal::CONT);
    };
    let (ran, ()) = tokio::join!(run(), stopped);
    assert_eq!(ran.ended, Ok(0));
    assert!(ran.usage.wall_us < 1_500_000, "{:?}", ran.usage);
}
