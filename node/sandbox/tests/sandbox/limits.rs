//! Every limit ends the program that reaches it, with the limit's failure and no other.

use std::time::{Duration, Instant};

use super::*;

fn exceeded(limit: TaskLimit) -> Result<i32, Failure> {
    Err(Failure::Exceeded(limit))
}

#[tokio::test]
async fn a_loop_without_end_runs_out_of_fuel_having_spent_all_of_it() {
    let bench = Bench::new(1);
    let mut execution = program("spin");
    execution.limits.fuel = 1_000_000;
    let ran = bench.run(execution).await;
    assert_eq!(ran.ended, exceeded(TaskLimit::Fuel(1_000_000)));
    assert_eq!(ran.usage.fuel, 1_000_000);
}

#[tokio::test]
async fn a_loop_without_end_runs_out_of_time() {
    let bench = Bench::new(1);
    let mut execution = program("spin");
    execution.limits.fuel = u64::MAX;
    execution.limits.wall_ms = 50;
    let started = Instant::now();
    let ran = bench.run(execution).await;
    assert_eq!(ran.ended, exceeded(TaskLimit::Time(50)));
    assert!(ran.usage.wall_us >= 50_000 && started.elapsed() < Duration::from_secs(10), "{:?}", ran.usage);
    assert!((1..=ran.usage.wall_us).contains(&ran.usage.cpu_us), "{:?}", ran.usage);
}

#[tokio::test]
async fn a_sleep_does_not_outlive_the_time_limit() {
    let bench = Bench::new(1);
    let mut execution = program("sleep");
    execution.limits.wall_ms = 50;
    let started = Instant::now();
    let ran = bench.run(execution).await;
    assert_eq!(ran.ended, exceeded(TaskLimit::Time(50)));
    assert!(ran.usage.wall_us >= 50_000 && started.elapsed() < Duration::from_secs(10), "{:?}", ran.usage);
    assert!(ran.usage.cpu_us < ran.usage.wall_us, "a sleep takes no processor: {:?}", ran.usage);
}

#[tokio::test]
async fn growing_memory_for_ever_is_out_of_memory_and_takes_no_more_than_is_allowed() {
    let bench = Bench::new(1);
    let mut execution = program("hog");
    execution.memory_bytes = 10 << 20;
    let ran = bench.run(execution).await;
    assert_eq!(ran.ended, exceeded(TaskLimit::Memory(10 << 20, MemoryUse::Own)));
    // One page to start with, then a mebibyte at a time.
    assert_eq!(ran.usage.memory_bytes, (9 << 20) + (64 << 10));
}

#[tokio::test]
async fn a_program_that_starts_with_more_memory_than_it_may_have_is_out_of_memory() {
    let bench = Bench::new(1);
    let mut execution = bench.text(r#"(module (memory (export "memory") 17) (func (export "_start")))"#);
    execution.memory_bytes = 1 << 20;
    assert_eq!(bench.exceed(execution.clone()).await, TaskLimit::Memory(1 << 20, MemoryUse::Own));
    execution.memory_bytes = 17 << 16;
    bench.succeed(execution).await;
}

#[tokio::test]
async fn a_program_may_be_refused_memory_and_go_on() {
    let bench = Bench::new(1);
    let mut execution = bench
        .text(r#"(module (memory (export "memory") 1) (func (export "_start") (drop (memory.grow (i32.const 16)))))"#);
    execution.memory_bytes = 1 << 20;
    bench.succeed(execution).await;
}

#[tokio::test]
async fn temporary_files_count_as_memory() {
    let bench = Bench::new(1);
    let mut execution = bench.text(
        r#"(module
            (import "wasi_snapshot_preview1" "path_open"
                (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "fd_filestat_set_size" (func $size (param i32 i64) (result i32)))
            (memory (export "memory") 1)
            (data (i32.const 0) "tmp/file")
            (func (export "_start")
                (if (call $open (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 8) (i32.const 1)
                        (i64.const 64) (i64.const 0) (i32.const 0) (i32.const 16))
                    (then unreachable))
                (if (call $size (i32.load (i32.const 16)) (i64.const 1048576)) (then unreachable))))"#,
    );
    execution.limits.output_bytes = 0;
    execution.memory_bytes = (1 << 20) + (64 << 10);
    let ran = bench.run(execution.clone()).await;
    assert_eq!((ran.ended, ran.left), (Ok(0), Left::default()));
    assert_eq!(ran.usage.memory_bytes, execution.memory_bytes);
    execution.memory_bytes -= 1;
    let limit = TaskLimit::Memory(execution.memory_bytes, MemoryUse::Temporary);
    assert_eq!(bench.exceed(execution).await, limit);
}

#[tokio::test]
async fn a_flood_of_output_is_cut_off_at_the_limit() {
    let bench = Bench::new(1);
    let ran = bench.run(program("flood")).await;
    assert_eq!(ran.ended, exceeded(TaskLimit::Output(16 << 20, OutputUse::Streams)));
    assert_eq!(ran.left.stdout.len(), 16 << 20, "what fits is kept");
    assert!(ran.usage.fuel < 1_000_000, "{:?}", ran.usage);
}

#[tokio::test]
async fn output_counts_as_memory_since_it_is_held_there() {
    let bench = Bench::new(1);
    let mut execution = program("flood");
    execution.limits.output_bytes = 1 << 40;
    execution.memory_bytes = 8 << 20;
    let ran = bench.run(execution).await;
    assert_eq!(ran.ended, exceeded(TaskLimit::Memory(8 << 20, MemoryUse::Streams)));
    assert!(ran.usage.memory_bytes <= 8 << 20, "{:?}", ran.usage);
}

#[tokio::test]
async fn output_may_be_just_as_large_as_its_limit() {
    let bench = Bench::new(1);
    let mut execution = with_arguments(program("echo"), &["123456789"]);
    execution.limits.output_bytes = 10;
    assert_eq!(bench.succeed(execution.clone()).await.stdout, b"123456789\n");
    execution.limits.output_bytes = 9;
    assert_eq!(bench.exceed(execution).await, TaskLimit::Output(9, OutputUse::Streams));
}

#[tokio::test]
async fn a_sparse_file_counts_with_its_holes_however_it_is_made() {
    let bench = Bench::new(1);
    for how in ["size", "allocate", "seek"] {
        let limit = bench.exceed(with_arguments(program("sparse"), &[how])).await;
        assert_eq!(limit, TaskLimit::Output(16 << 20, OutputUse::Files), "{how}");
    }
}

#[tokio::test]
async fn endless_tiny_files_or_directories_are_too_much_output() {
    let bench = Bench::new(1);
    for what in ["files", "directories"] {
        assert_eq!(bench.exceed(with_arguments(program("files"), &[what])).await, TaskLimit::Files(10_000), "{what}");
    }
    // It is told that its path is too long.
    assert_eq!(bench.fail(with_arguments(program("files"), &["deep"])).await, Failure::Exited(1));
}

#[tokio::test]
async fn a_trap_is_told_in_words() {
    let bench = Bench::new(1);
    let text = "wasm `unreachable` instruction executed";
    assert_eq!(bench.fail(program("trap")).await, Failure::Trapped(text.to_owned()));
}

#[tokio::test]
async fn calls_without_end_exhaust_the_programs_stack_and_not_the_hosts() {
    let bench = Bench::new(1);
    let execution = bench.text(r#"(module (func $f (export "_start") (call $f) (call $f)))"#);
    assert_eq!(bench.fail(execution).await, Failure::Trapped("call stack exhausted".to_owned()));
}

#[tokio::test]
async fn work_inside_calls_costs_fuel() {
    let bench = Bench::new(1);
    let mut execution = bench.text(
        r#"(module
            (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
            (memory (export "memory") 16)
            (func (export "_start") (loop $l (drop (call $random (i32.const 0) (i32.const 1048576))) (br $l))))"#,
    );
    execution.limits.fuel = 10_000_000;
    assert_eq!(bench.exceed(execution).await, TaskLimit::Fuel(10_000_000));
}

#[tokio::test]
async fn a_run_that_is_stopped_ends_soon_whatever_it_does() {
    let bench = Bench::new(1);
    for name in ["spin", "sleep"] {
        let mut execution = program(name);
        execution.limits = Limits { wall_ms: 3_600_000, fuel: u64::MAX, output_bytes: 0 };
        let stop = CancellationToken::new();
        let run = bench.executor.run(execution, &stop);
        let (ran, ()) = tokio::join!(run, async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            stop.cancel();
        });
        assert!(matches!(ran, Err(ExecuteError::Stopped)), "{name}: {ran:?}");
    }
}

#[tokio::test]
async fn a_run_that_nobody_waits_for_any_more_frees_its_slot() {
    let bench = Bench::new(1);
    let mut execution = program("spin");
    execution.limits = Limits { wall_ms: 3_600_000, fuel: u64::MAX, output_bytes: 0 };
    let stop = CancellationToken::new();
    let abandoned = tokio::time::timeout(Duration::from_millis(50), bench.executor.run(execution, &stop)).await;
    assert!(abandoned.is_err());
    bench.succeed(program("noop")).await;
}

#[tokio::test]
async fn programs_that_fail_side_by_side_fail_only_themselves() {
    let bench = Bench::new(2);
    let mut spin = program("spin");
    spin.limits.wall_ms = 200;
    let mut hog = program("hog");
    hog.memory_bytes = 1 << 20;
    let good = || with_arguments(program("echo"), &["fine"]);
    let (spin, hog, trap, flood, fine) = tokio::join!(
        bench.fail(spin),
        bench.fail(hog),
        bench.fail(program("trap")),
        bench.fail(program("flood")),
        bench.succeed(good())
    );
    let limits = [
        TaskLimit::Time(200),
        TaskLimit::Memory(1 << 20, MemoryUse::Own),
        TaskLimit::Output(16 << 20, OutputUse::Streams),
    ];
    assert_eq!([spin, hog, flood], limits.map(Failure::Exceeded));
    assert!(matches!(trap, Failure::Trapped(_)));
    assert_eq!(fine.stdout, b"fine\n");
    assert_eq!(bench.succeed(good()).await.stdout, b"fine\n");
}

#[tokio::test]
async fn exceptions_are_thrown_and_caught() {
    let bench = Bench::new(1);
    let caught = r#"(module
        (tag $e (param i32))
        (func $throw (param i32) (throw $e (local.get 0)))
        (func (export "_start")
            (block $caught (result i32)
                (try_table (catch $e $caught) (call $throw (i32.const 7)))
                (unreachable))
            (if (i32.ne (i32.const 7)) (then unreachable))))"#;
    bench.succeed(bench.text(caught)).await;
    let thrown = r#"(module (tag $e) (func (export "_start") (throw $e)))"#;
    let text = "it threw an exception that nothing caught".to_owned();
    assert_eq!(bench.fail(bench.text(thrown)).await, Failure::Trapped(text));
}

#[tokio::test]
async fn exceptions_that_are_over_take_no_memory() {
    let bench = Bench::new(1);
    let mut execution = bench.text(
        r#"(module
            (tag $e (param i64 i64 i64 i64))
            (func (export "_start") (local $left i32)
                (local.set $left (i32.const 1000000))
                (loop $again
                    (block $caught
                        (try_table (catch_all $caught)
                            (throw $e (i64.const 1) (i64.const 2) (i64.const 3) (i64.const 4))))
                    (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))))"#,
    );
    execution.memory_bytes = 2 << 20;
    let ran = bench.run(execution).await;
    assert_eq!((ran.ended, ran.left), (Ok(0), Left::default()));
    assert!(ran.usage.memory_bytes <= 2 << 20, "{:?}", ran.usage);
}

#[tokio::test]
async fn exceptions_that_are_kept_count_as_memory() {
    let bench = Bench::new(1);
    let keeps = |exceptions: u32| {
        bench.text(&format!(
            r#"(module
                (tag $e (param i64 i64 i64 i64 i64 i64 i64 i64))
                (table $kept 100000 exnref)
                (func $exception (result exnref)
                    (block $caught (result exnref)
                        (try_table (catch_all_ref $caught)
                            (throw $e (i64.const 1) (i64.const 2) (i64.const 3) (i64.const 4)
                                (i64.const 5) (i64.const 6) (i64.const 7) (i64.const 8)))
                        (unreachable)))
                (func (export "_start") (local $left i32)
                    (local.set $left (i32.const {exceptions}))
                    (loop $again
                        (table.set $kept (local.get $left) (call $exception))
                        (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))))"#
        ))
    };
    let mut few = keeps(1000);
    few.memory_bytes = 4 << 20;
    bench.succeed(few).await;
    let mut many = keeps(99_999);
    many.memory_bytes = 4 << 20;
    let ran = bench.run(many).await;
    assert_eq!(ran.ended, exceeded(TaskLimit::Memory(4 << 20, MemoryUse::Own)));
    assert!(ran.usage.memory_bytes <= 4 << 20, "{:?}", ran.usage);
}

/// A program that writes eight bytes to a file under `/out` so many times, and ends with one status if it was ever told
/// that there is no space (51), and with another if not.
fn writes(bench: &Bench, writes: u32, told: u32, otherwise: u32) -> Execution {
    bench.text(&format!(
        r#"(module
            (import "wasi_snapshot_preview1" "path_open"
                (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
            (memory (export "memory") 1)
            (data (i32.const 0) "\10\00\00\00\04\00\00\00\10\00\00\00\04\00\00\00text")
            (data (i32.const 32) "out/file")
            (func (export "_start") (local $left i32) (local $told i32)
                (if (call $open (i32.const 3) (i32.const 0) (i32.const 32) (i32.const 8) (i32.const 1)
                        (i64.const 64) (i64.const 0) (i32.const 0) (i32.const 72))
                    (then unreachable))
                (local.set $left (i32.const {writes}))
                (loop $again
                    (if (i32.eq (call $write (i32.load (i32.const 72)) (i32.const 0) (i32.const 2) (i32.const 64))
                            (i32.const 51))
                        (then (local.set $told (i32.const 1))))
                    (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
                (call $exit (select (i32.const {told}) (i32.const {otherwise}) (local.get $told)))))"#
    ))
}

#[tokio::test]
async fn a_program_is_told_that_there_is_no_space_and_may_go_on_with_what_it_has() {
    let bench = Bench::new(1);
    let mut execution = writes(&bench, 4, 0, 9);
    execution.limits.output_bytes = 20;
    // The third write fits by half, and says so; the fourth does not fit.
    assert_eq!(bench.succeed(execution).await.files, [("file".to_owned(), b"text".repeat(5))]);
}

#[tokio::test]
async fn a_program_that_gives_up_without_space_wrote_too_much_and_so_did_one_that_never_stops() {
    let bench = Bench::new(1);
    for mut execution in [writes(&bench, 4, 3, 0), writes(&bench, u32::MAX, 0, 0)] {
        execution.limits.output_bytes = 20;
        let ran = bench.run(execution).await;
        assert_eq!(ran.ended, exceeded(TaskLimit::Output(20, OutputUse::Files)));
        assert_eq!(ran.left.files, [("file".to_owned(), b"text".repeat(5))], "what fits is kept");
        assert!(ran.usage.fuel < 100_000, "{:?}", ran.usage);
    }
}

#[tokio::test]
async fn times_cannot_be_set_to_two_things_and_directories_have_no_size_to_set() {
    let bench = Bench::new(1);
    let execution = bench.text(
        r#"(module
            (import "wasi_snapshot_preview1" "path_filestat_set_times"
                (func $times (param i32 i32 i32 i32 i64 i64 i32) (result i32)))
            (import "wasi_snapshot_preview1" "fd_fdstat_get" (func $fdstat (param i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "fd_fdstat_set_rights"
                (func $rights (param i32 i64 i64) (result i32)))
            (memory (export "memory") 1)
            (data (i32.const 0) "tmp")
            (func $set (param $flags i32) (result i32)
                (call $times (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 3) (i64.const 1) (i64.const 2)
                    (local.get $flags)))
            (func (export "_start")
                (if (i32.ne (call $set (i32.const 3)) (i32.const 28)) (then unreachable))
                (if (i32.ne (call $set (i32.const 12)) (i32.const 28)) (then unreachable))
                (if (call $set (i32.const 5)) (then unreachable))
                (if (call $fdstat (i32.const 3) (i32.const 64)) (then unreachable))
                (if (i64.ne (i64.and (i64.load (i32.const 72)) (i64.const 4194304)) (i64.const 0)) (then unreachable))
                (if (i32.ne (call $rights (i32.const 3) (i64.const 0) (i64.const 0)) (i32.const 58))
                    (then unreachable))))"#,
    );
    bench.succeed(execution).await;
}

#[tokio::test]
async fn a_stream_that_was_cut_fails_the_program_for_what_it_lacked_even_if_it_passes_over_that() {
    let bench = Bench::new(1);
    let mut execution = with_arguments(program("echo"), &[&"x".repeat(100_000)]);
    execution.limits.output_bytes = 10;
    assert_eq!(bench.exceed(execution.clone()).await, TaskLimit::Output(10, OutputUse::Streams));
    execution.limits.output_bytes = 1 << 30;
    let ran = bench.run(execution.clone()).await;
    ran.ended.unwrap();
    execution.memory_bytes = ran.usage.memory_bytes - 1;
    let limit = TaskLimit::Memory(execution.memory_bytes, MemoryUse::Streams);
    assert_eq!(bench.exceed(execution).await, limit);
}
