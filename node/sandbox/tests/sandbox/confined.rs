//! Runners are confined as far as this kernel can, which is seen from outside, and end with the node.

use std::{fs, time::Duration};

use meshwork_sandbox::Measure;

use super::{
    compile::{children, words},
    *,
};

/// The runners of this bench, told from those of tests beside it by their priority.
fn runners(niceness: i32) -> Vec<u32> {
    let is_one = |pid: &u32| {
        let words = words(*pid);
        words.len() >= 3 && words[1] == "run" && words[2] == niceness.to_string()
    };
    children(std::process::id()).into_iter().filter(is_one).collect()
}

fn bench(niceness: i32) -> Bench {
    let dir = TempDir::new().unwrap();
    let executor = Executor::new(&ExecutorConfig { niceness, ..config(dir.path(), 1) }).unwrap();
    Bench { executor, dir }
}

#[tokio::test]
async fn a_runner_is_confined_before_it_sees_a_program() {
    let bench = bench(11);
    let confinement = bench.executor.confinement();
    println!("this machine lacks: {:?}", confinement.lacking());
    let runner = *runners(11).first().expect("one is started ahead");
    // Every kernel that this is tested on has these two.
    assert!(confinement.has(Measure::SystemCalls) && confinement.has(Measure::Resources), "{confinement:?}");
    for thread in fs::read_dir(format!("/proc/{runner}/task")).unwrap().flatten() {
        let status = fs::read_to_string(thread.path().join("status")).unwrap();
        assert!(status.contains("Seccomp:\t2") && status.contains("NoNewPrivs:\t1"), "{status}");
    }
    if confinement.has(Measure::Namespaces) {
        let net = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/net")).ok();
        assert_ne!(net(&runner.to_string()), net("self"));
    }
    let limits = fs::read_to_string(format!("/proc/{runner}/limits")).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max file size")).unwrap();
    assert_eq!(line.split_whitespace().nth(3), Some("0"), "{line}");
}

#[tokio::test]
async fn small_runs_of_one_program_share_a_runner_and_programs_never_do() {
    let bench = bench(12);
    for _ in 0..20 {
        bench.succeed(program("noop")).await;
    }
    let after_one = runners(12).len();
    bench.succeed(with_arguments(program("echo"), &["x"])).await;
    let after_two = runners(12).len();
    assert!(after_one <= 3, "one runs and one or two are started ahead, not {after_one}");
    assert!(after_two <= after_one + 1, "{after_one}, then {after_two}");
    // A run that took much memory leaves no runner behind.
    let mut hog = program("hog");
    hog.memory_bytes = 100 << 20;
    bench.fail(hog).await;
    assert!(runners(12).len() <= after_two + 1);
}

/// The priorities of the runners of this bench, each as far as it is below the node's.
fn priorities(niceness: i32) -> Vec<i32> {
    let nice = |pid: u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (_, fields) = stat.rsplit_once(')')?;
        fields.split_whitespace().nth(16)?.parse().ok()
    };
    runners(niceness).into_iter().filter_map(nice).collect()
}

#[tokio::test]
async fn a_runner_is_lowered_once_its_program_takes_more_than_a_moment() {
    let bench = bench(9);
    bench.succeed(program("noop")).await;
    assert!(priorities(9).iter().all(|nice| *nice == 0), "{:?}", priorities(9));
    let mut spin = program("spin");
    spin.limits = Limits { wall_ms: 500, fuel: u64::MAX, output_bytes: 0 };
    bench.fail(spin).await;
    assert_eq!(priorities(9).iter().filter(|nice| **nice == 9).count(), 1, "{:?}", priorities(9));
}

#[tokio::test]
async fn runners_end_with_the_node() {
    let bench = bench(13);
    bench.succeed(program("noop")).await;
    assert!(!runners(13).is_empty());
    drop(bench);
    for _ in 0..250 {
        if runners(13).is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("runners go on: {:?}", runners(13));
}

#[tokio::test]
async fn a_runner_that_is_killed_costs_its_own_run_and_no_other() {
    let bench = bench(14);
    let mut execution = program("sleep");
    execution.limits.wall_ms = 60_000;
    let stop = CancellationToken::new();
    let running = bench.executor.run(execution, &stop);
    let killing = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        for pid in runners(14) {
            let pid = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        }
    };
    let (ran, ()) = tokio::join!(running, killing);
    assert!(matches!(ran, Err(ExecuteError::Host(_))), "{ran:?}");
    bench.succeed(program("noop")).await;
}
