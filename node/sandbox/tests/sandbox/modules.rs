//! A file that is not a program is refused before it runs, in words. A program is compiled once.

use std::time::Instant;

use super::*;

fn refusal(bytes: &[u8]) -> String {
    check(bytes).unwrap_err().into_text()
}

fn refusal_of_text(text: &str) -> String {
    refusal(&wat::parse_str(text).unwrap())
}

#[test]
fn every_program_here_is_one() {
    for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/programs")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "wasm") {
            check(&std::fs::read(&path).unwrap()).unwrap_or_else(|bad| panic!("{}: {bad}", path.display()));
        }
    }
}

#[test]
fn what_is_not_a_module_is_told_for_what_it_is() {
    assert_eq!(refusal(b""), "it is not a WebAssembly module");
    assert_eq!(refusal(b"#!/bin/sh\necho hello"), "it is not a WebAssembly module");
    assert!(refusal(b"  (module)").contains("WebAssembly text"));
    assert!(refusal(b"\x7fELF\x02\x01").contains("native program"));
    assert!(refusal(b"\0asm\x0d\0\x01\0").contains("component"));
    assert!(refusal(b"\0asm\x02\0\0\0").contains("version"));
    assert!(refusal(b"\0asm\x01\0\0\0garbage").starts_with("it is not a valid WebAssembly module: "));
}

#[test]
fn a_function_that_no_machine_should_compile_is_refused() {
    let text = |locals: usize, steps: usize| {
        let (locals, steps) = ("i64 ".repeat(locals), "(drop (i64.const 1))".repeat(steps));
        format!("(module (func (export \"_start\") (local {locals}) {steps}))")
    };
    assert!(refusal_of_text(&text(4000, 100_000)).contains("too large"));
    check(&wat::parse_str(text(400, 100_000)).unwrap()).unwrap();
}

#[test]
fn a_program_cut_off_anywhere_is_refused_and_never_a_panic() {
    let whole = std::fs::read(&program("echo").module_path).unwrap();
    for end in (0..whole.len()).step_by(97) {
        check(&whole[..end]).unwrap_err();
    }
}

#[test]
fn an_import_that_tasks_are_not_given_is_named() {
    let text = refusal_of_text(
        r#"(module (import "env" "system" (func (param i32))) (memory (export "memory") 1) (func (export "_start")))"#,
    );
    let expected =
        "it imports `env.system`, which tasks are not given; they may import only the functions of WASI preview 1";
    assert_eq!(text, expected);
    for import in [
        r#""wasi_snapshot_preview1" "fd_steal" (func)"#,
        r#""env" "fd_sync" (func (param i32) (result i32))"#,
        r#""wasi_snapshot_preview1" "fd_sync" (global i32)"#,
        r#""env" "memory" (memory 1)"#,
    ] {
        let text = refusal_of_text(&format!(r#"(module (import {import}) (func (export "_start")))"#));
        assert!(text.contains("which tasks are not given"), "{text}");
    }
}

#[test]
fn an_import_of_another_type_than_preview_1_gives_it_is_refused() {
    let text = refusal_of_text(
        r#"(module (import "wasi_snapshot_preview1" "fd_sync" (func (param i64)))
            (memory (export "memory") 1) (func (export "_start")))"#,
    );
    let expected =
        "it imports `wasi_snapshot_preview1.fd_sync` as (i64) -> (), which in WASI preview 1 is (i32) -> (i32)";
    assert_eq!(text, expected);
}

#[test]
fn a_program_needs_a_start_of_the_right_type_and_memory_if_it_calls_anything() {
    assert!(refusal_of_text("(module)").contains("exports no function `_start`"));
    assert!(refusal_of_text(r#"(module (func (export "_start") (param i32)))"#).contains("takes or returns"));
    let text = refusal_of_text(
        r#"(module (import "wasi_snapshot_preview1" "sched_yield" (func (result i32))) (func (export "_start")))"#,
    );
    assert!(text.contains("no memory"), "{text}");
}

#[test]
fn what_a_stranger_names_cannot_fill_the_sentence() {
    let name = "\\1b".repeat(10_000);
    let text = refusal_of_text(&format!(r#"(module (import "{name}" "{name}" (func)) (func (export "_start")))"#));
    assert!(text.len() <= Failure::TEXT_BYTES_MAX && !text.contains('\u{1b}'), "{text}");
}

#[test]
fn what_a_module_uses_that_tasks_do_not_have_is_named() {
    let legacy = [
        &b"\0asm\x01\0\0\0"[..],
        b"\x01\x04\x01\x60\0\0",
        b"\x03\x02\x01\0",
        b"\x07\x0a\x01\x06_start\0\0",
        // try, catch_all, end
        b"\x0a\x08\x01\x06\0\x06\x40\x19\x0b\x0b",
    ];
    assert_eq!(refusal(&legacy.concat()), "it uses legacy WebAssembly exceptions, which tasks do not have");
    for (field, name) in [
        ("(memory 1 1 shared)", "threads"),
        ("(memory i64 1)", "64-bit memory"),
        ("(memory 1) (memory 1)", "several memories"),
        ("(type (struct (field i32)))", "garbage-collected objects"),
        (
            "(func (param i64 i64 i64 i64) (drop (i64.add128 (local.get 0) (local.get 1) (local.get 2) (local.get 3))) drop)",
            "wide arithmetic",
        ),
        ("(memory i64 1 1 shared)", "threads and 64-bit memory"),
    ] {
        let text = refusal_of_text(&format!(r#"(module {field} (func (export "_start")))"#));
        assert_eq!(text, format!("it uses {name}, which tasks do not have"), "{field}");
    }
}

#[test]
fn tables_beyond_what_is_given_are_refused() {
    let text = refusal_of_text(r#"(module (table 2000000 funcref) (func (export "_start")))"#);
    assert!(text.contains("elements"), "{text}");
}

#[tokio::test]
async fn a_bad_module_fails_its_task_with_the_same_words() {
    let bench = Bench::new(1);
    let bytes = b"(module)";
    let execution = execution(Digest::of(bytes), bench.file("text", bytes));
    assert_eq!(bench.fail(execution).await, Failure::BadModule(refusal(bytes)));
}

#[tokio::test]
async fn a_file_that_is_not_the_program_is_not_the_programs_fault() {
    let bench = Bench::new(1);
    let mut execution = program("noop");
    execution.module_path = program("trap").module_path;
    let error = bench.executor.run(execution.clone(), &CancellationToken::new()).await.unwrap_err();
    assert!(matches!(error, ExecuteError::Host(_)), "{error}");
    // It is tried again once the file is there.
    bench.succeed(program("noop")).await;
}

#[tokio::test]
async fn a_program_is_compiled_once_for_all_who_ask_and_once_for_the_machine() {
    let bench = Bench::new(2);
    let echo = || with_arguments(program("echo"), &["x"]);
    let started = Instant::now();
    let (one, other) = tokio::join!(bench.run(echo()), bench.run(echo()));
    let first = started.elapsed();
    assert_eq!((one.ended, one.left), (other.ended, other.left));
    assert_eq!(bench.executor.compiled(), 1);
    bench.run(echo()).await;

    let again = Bench { executor: Executor::new(&config(bench.dir.path(), 1)).unwrap(), dir: bench.dir };
    let started = Instant::now();
    again.run(echo()).await;
    assert_eq!(again.executor.compiled(), 0);
    println!("compiled in {first:?}, from disk in {:?}", started.elapsed());
}
