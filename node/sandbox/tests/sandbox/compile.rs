//! Compiling has bounds of its own, and what it leaves on disk is checked before it runs.

use std::{
    fs,
    time::{Duration, Instant},
};

use meshwork_sandbox::{Budget, PrepareError};

use super::*;

const OFFERED: Budget = Budget { memory_bytes: 64 << 20, cpu: Duration::from_secs(60) };

/// A module of many small functions, which takes some memory to compile.
fn modest(functions: usize) -> Vec<u8> {
    let body = "(local.set 0 (i32.add (local.get 0) (i32.const 7)))".repeat(40);
    let functions = format!("(func (param i32) {body})").repeat(functions);
    wat::parse_str(format!("(module {functions} (func (export \"_start\")))")).unwrap()
}

/// Bounds within which only the smallest programs can be compiled.
fn narrow() -> CompileBounds {
    let memory = 4 << 20;
    CompileBounds {
        memory_bytes_min: memory,
        memory_bytes_max: memory,
        machine_bytes_max: 2 * memory,
        ..CompileBounds::on_machine(1 << 30)
    }
}

fn with_bounds(dir: &Path, compile: CompileBounds) -> Executor {
    Executor::new(&ExecutorConfig { compile, ..config(dir, 1) }).unwrap()
}

#[tokio::test]
async fn a_program_that_takes_too_much_to_compile_fails_as_such_and_is_remembered() {
    let bench = Bench::new(1);
    let executor = with_bounds(bench.dir.path(), narrow());
    let bytes = modest(4000);
    let (digest, path) = (Digest::of(&bytes), bench.file("modest", &bytes));
    let ran = executor.run(execution(digest, path.clone()), &CancellationToken::new()).await.unwrap();
    let failed = ran.ended.unwrap_err();
    assert!(matches!(failed, Failure::TooLargeToCompile(_)), "{failed:?}");
    // Others are compiled meanwhile and afterwards.
    let ran = executor.run(program("noop"), &CancellationToken::new()).await.unwrap();
    assert_eq!((ran.ended, ran.left), (Ok(0), Left::default()));
    // It is not tried again, not even by the next process.
    drop(executor);
    let again = with_bounds(bench.dir.path(), narrow());
    let started = Instant::now();
    let error = again.prepare(digest, path.clone(), OFFERED).await.unwrap_err();
    assert!(matches!(error, PrepareError::TooLarge(_)), "{error}");
    println!("remembered within {:?}", started.elapsed());
    // Whoever offers more has it tried with more.
    drop(again);
    let wide = with_bounds(bench.dir.path(), CompileBounds::on_machine(1 << 30));
    wide.prepare(digest, path, OFFERED).await.unwrap();
    assert_eq!(wide.compiled(), 1);
}

#[tokio::test]
async fn a_machine_that_has_less_than_the_program_may_take_says_so_and_does_not_blame_the_program() {
    let bench = Bench::new(1);
    let bounds = CompileBounds { machine_bytes_max: 4 << 20, ..CompileBounds::on_machine(1 << 30) };
    let executor = with_bounds(bench.dir.path(), bounds);
    let bytes = modest(4000);
    let error = executor.prepare(Digest::of(&bytes), bench.file("modest", &bytes), OFFERED).await.unwrap_err();
    assert!(matches!(error, PrepareError::Host(_)), "{error}");
}

#[tokio::test]
async fn a_compilation_that_nobody_waits_for_stops() {
    // Told from tests beside it by its priority.
    let dir = TempDir::new().unwrap();
    let executor = Executor::new(&ExecutorConfig { niceness: 15, ..config(dir.path(), 1) }).unwrap();
    let bench = Bench { executor, dir };
    let bytes = modest(3000);
    let preparing = bench.executor.prepare(Digest::of(&bytes), bench.file("modest", &bytes), OFFERED);
    assert!(tokio::time::timeout(Duration::from_millis(80), preparing).await.is_err(), "it takes longer than that");
    let until = Instant::now() + Duration::from_secs(5);
    while compilers(15) > 0 {
        assert!(Instant::now() < until, "the compiler goes on");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    bench.executor.prepare(Digest::of(&bytes), bench.dir.path().join("modest"), OFFERED).await.unwrap();
}

/// How many compilers of this priority run.
fn compilers(niceness: i32) -> usize {
    let role = ["compile".to_owned(), niceness.to_string()];
    children(std::process::id()).into_iter().filter(|pid| words(*pid).get(1..3) == Some(&role)).count()
}

#[tokio::test]
async fn no_flipped_bit_of_a_compiled_program_ever_runs() {
    let bench = Bench::new(1);
    let echo = || with_arguments(program("echo"), &["fine"]);
    let expected = bench.succeed(echo()).await;
    let cache = bench.dir.path().join("compiled");
    let file = fs::read_dir(&cache).unwrap().map(|entry| entry.unwrap().path()).find(|path| path.is_file()).unwrap();
    let whole = fs::read(&file).unwrap();
    for step in 0..40 {
        let bit = step * (whole.len() * 8 / 40) + step;
        let mut flipped = whole.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        fs::write(&file, flipped).unwrap();
        let next = Executor::new(&config(bench.dir.path(), 1)).unwrap();
        let ran = next.run(echo(), &CancellationToken::new()).await.unwrap();
        assert_eq!((ran.ended, &ran.left), (Ok(0), &expected), "bit {bit}");
        assert_eq!(next.compiled(), 1, "bit {bit} was believed");
    }
}

/// The processes that this one started.
pub(crate) fn children(parent: u32) -> Vec<u32> {
    let mut children = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // The fields after the name in parentheses: state, parent.
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let of = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse().ok());
        if of == Some(parent) {
            children.push(pid);
        }
    }
    children
}

/// The words of a process's command line.
pub(crate) fn words(pid: u32) -> Vec<String> {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    line.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}
