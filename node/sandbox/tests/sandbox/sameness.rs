//! The same program with the same seed computes the same, whenever and wherever it runs.

use super::*;

#[tokio::test]
async fn a_program_sees_the_same_time_randomness_and_files_in_every_run() {
    let first = Bench::new(1).run(program("random")).await;
    let second = Bench::new(2).run(program("random")).await;
    assert_eq!((&first.ended, &first.left), (&second.ended, &second.left));
    assert_eq!(first.usage.fuel, second.usage.fuel);
    let text = String::from_utf8(first.left.stdout).unwrap();
    // Written out, so that a change in what programs see is noticed.
    let expected = "realtime 946684800.000001000\n\
        monotonic 0.000002000\n\
        after a nap 0.002004000\n";
    assert!(text.starts_with(expected), "{text}");
    assert!(text.contains("ant 8 946684800.002004000\n.\n..\nzebra\nant\nmole\n"), "{text}");
}

#[tokio::test]
async fn another_seed_gives_other_randomness() {
    let bench = Bench::new(1);
    let mut other = program("random");
    other.seed = [8; 32];
    assert_ne!(bench.succeed(program("random")).await.stdout, bench.succeed(other).await.stdout);
}

#[tokio::test]
async fn the_order_in_which_inputs_are_given_does_not_show() {
    let bench = Bench::new(1);
    let (one, two) = (bench.file("one", "1"), bench.file("two", "2"));
    // Prints the numbers that entries of `/in` have.
    let list = r#"(module
        (import "wasi_snapshot_preview1" "path_open"
            (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "fd_readdir" (func $list (param i32 i32 i32 i64 i32) (result i32)))
        (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 1)
        (data (i32.const 0) "in")
        (func (export "_start")
            (drop (call $open (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 2) (i32.const 2)
                (i64.const 0) (i64.const 0) (i32.const 0) (i32.const 16)))
            (i32.store (i32.const 24) (i32.const 64))
            (drop (call $list (i32.load (i32.const 16)) (i32.const 64) (i32.const 4096) (i64.const 0) (i32.const 28)))
            (drop (call $write (i32.const 1) (i32.const 24) (i32.const 1) (i32.const 16)))))"#;
    let mut execution = bench.text(list);
    execution.inputs = vec![("a".to_owned(), one.clone().into()), ("b".to_owned(), two.clone().into())];
    let forth = bench.succeed(execution.clone()).await.stdout;
    execution.inputs = vec![("b".to_owned(), two.into()), ("a".to_owned(), one.into())];
    assert_eq!(bench.succeed(execution).await.stdout, forth);
    assert_eq!(forth.len(), 4 * 24 + 1 + 2 + 1 + 1);
}
