//! Programs find their inputs, and their outputs are found.

use super::*;

#[tokio::test]
async fn arguments_and_environment_reach_the_program() {
    let bench = Bench::new(1);
    let mut execution = with_arguments(program("echo"), &["one", "", "two words", "--env"]);
    execution.environment = [("B".to_owned(), "2=3".to_owned()), ("A".to_owned(), "ä".to_owned())].into();
    let success = bench.succeed(execution).await;
    assert_eq!(String::from_utf8(success.stdout).unwrap(), "one\n\ntwo words\nA=ä\nB=2=3\n");
    assert_eq!(success.files, []);
}

#[tokio::test]
async fn standard_input_is_copied_to_standard_output_whole() {
    let bench = Bench::new(1);
    let text: Vec<u8> = (0..1_000_000_u32).flat_map(|number| number.to_be_bytes()).collect();
    let mut execution = program("echo");
    execution.stdin = Some(bench.file("stdin", &text).into());
    assert!(bench.succeed(execution).await.stdout == text);
    assert_eq!(bench.succeed(program("echo")).await.stdout, b"");
}

#[tokio::test]
async fn inputs_are_counted_and_the_counts_come_out_of_a_file() {
    let bench = Bench::new(1);
    let mut execution = program("wordcount");
    execution.inputs = vec![
        ("b/deeper/two".to_owned(), bench.file("two", "three little words\nand more\n").into()),
        ("a".to_owned(), bench.file("one", "one\n").into()),
        ("b/empty".to_owned(), bench.file("empty", "").into()),
    ];
    let success = bench.succeed(execution).await;
    assert_eq!(success.stdout, b"3 files\n");
    let counts = "1 1 4 a\n2 5 28 b/deeper/two\n0 0 0 b/empty\n3 6 32 total\n";
    assert_eq!(success.files, [("counts".to_owned(), counts.as_bytes().to_vec())]);
}

#[tokio::test]
async fn pieces_of_one_file_are_inputs_of_their_own() {
    let bench = Bench::new(1);
    let pack = bench.file("pack", "one\nthree little words\nand more\nnobody's");
    let piece = |range| InputFile { path: pack.clone(), range: Some(range) };
    let mut execution = program("wordcount");
    // More than a process may usually have open.
    let many = (0..2000).map(|number| (format!("c/{number}"), piece(0..0)));
    let some = [("a", piece(0..4)), ("b/deeper/two", piece(4..32)), ("b/empty", piece(7..7))];
    execution.inputs = some.map(|(path, piece)| (path.to_owned(), piece)).into_iter().chain(many).collect();
    let success = bench.succeed(execution.clone()).await;
    assert_eq!(success.stdout, b"2003 files\n");
    let counts = String::from_utf8(success.files[0].1.clone()).unwrap();
    assert!(counts.starts_with("1 1 4 a\n2 5 28 b/deeper/two\n0 0 0 b/empty\n"), "{counts}");
    assert!(counts.ends_with("3 6 32 total\n"), "{counts}");

    execution.inputs = vec![("a".to_owned(), piece(30..100))];
    let error = bench.executor.run(execution, &CancellationToken::new()).await.unwrap_err();
    assert!(matches!(error, ExecuteError::Input(..)), "{error}");
}

#[tokio::test]
async fn files_behave_as_programs_expect_and_no_path_leads_out() {
    let bench = Bench::new(1);
    let mut execution = program("posix");
    execution.inputs = vec![("sub/given".to_owned(), bench.file("given", "given\n").into())];
    let success = bench.succeed(execution).await;
    let files: Vec<_> = success.files.iter().map(|(path, content)| (path.as_str(), content.as_slice())).collect();
    assert_eq!(files, [("b", b"b".as_slice()), ("deep/er/result", b"result")]);
    assert_eq!(success.empty_folders, Vec::<String>::new());
}

/// Calls of preview 1 in WebAssembly text, on the directory `/` (descriptor 3): a module around this body.
fn calls(data: &str, body: &str) -> String {
    format!(
        r#"(module
        (import "wasi_snapshot_preview1" "path_create_directory" (func $mkdir (param i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "path_open"
            (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "fd_prestat_get" (func $prestat (param i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "fd_prestat_dir_name" (func $dir (param i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "args_get" (func $args (param i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
        (memory (export "memory") 1) {data}
        (func $must (param i32) (if (local.get 0) (then (call $exit (local.get 0)))))
        (func (export "_start") {body}))"#
    )
}

#[tokio::test]
async fn a_program_is_started_with_its_working_directory_as_an_absolute_and_as_a_relative_path() {
    let bench = Bench::new(1);
    // What wasi-libc does at the start: asks for the length of each name, and for the name, until there is no more.
    let body = "(call $must (call $prestat (i32.const 3) (i32.const 64)))
        (call $must (call $prestat (i32.const 4) (i32.const 72)))
        (if (i32.ne (call $prestat (i32.const 5) (i32.const 80)) (i32.const 8)) (then (call $exit (i32.const 98))))
        (call $must (call $dir (i32.const 3) (i32.const 100) (i32.load (i32.const 68))))
        (call $must (call $dir (i32.const 4) (i32.const 101) (i32.load (i32.const 76))))
        (i32.store (i32.const 0) (i32.const 100)) (i32.store (i32.const 4) (i32.const 2))
        (call $must (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16)))";
    assert_eq!(bench.succeed(bench.text(&calls("", body))).await.stdout, b"/.");
}

#[tokio::test]
async fn a_program_is_called_as_its_task_says() {
    let bench = Bench::new(1);
    // Writes 4 bytes of the first argument, which is its name, to standard output.
    let body = "(call $must (call $args (i32.const 64) (i32.const 128)))
        (i32.store (i32.const 0) (i32.load (i32.const 64))) (i32.store (i32.const 4) (i32.const 4))
        (call $must (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16)))";
    let mut execution = bench.text(&calls("", body));
    execution.arguments = vec!["other".into()];
    assert_eq!(bench.succeed(execution.clone()).await.stdout, b"task");
    execution.argv0 = "ls -".into();
    assert_eq!(bench.succeed(execution).await.stdout, b"ls -");
}

#[tokio::test]
async fn inputs_are_found_where_they_are_mounted_and_empty_folders_are_left() {
    let bench = Bench::new(1);
    // Copies `usr/share/tool/text`, a relative path, to `text` in the working directory, and makes `out/a/b` and `out/c`.
    let data = r#"(data (i32.const 256) "usr/share/tool/text") (data (i32.const 288) "scratch")
        (data (i32.const 304) "out/a") (data (i32.const 312) "out/a/b") (data (i32.const 320) "out/c")
        (data (i32.const 328) "usr/share/tool/new") (data (i32.const 352) "usr/beside")"#;
    let open = |at: u32, bytes: u32, how: u32, rights: u32| {
        format!(
            "(call $open (i32.const 3) (i32.const 0) (i32.const {at}) (i32.const {bytes}) (i32.const {how}) \
             (i64.const {rights}) (i64.const 0) (i32.const 0) (i32.const 32))"
        )
    };
    let make = |at: u32, bytes: u32| format!("(call $mkdir (i32.const 3) (i32.const {at}) (i32.const {bytes}))");
    let body = format!(
        "(call $must {read}) (i32.store (i32.const 0) (i32.const 512)) (i32.store (i32.const 4) (i32.const 100))
        (call $must (call $read (i32.load (i32.const 32)) (i32.const 0) (i32.const 1) (i32.const 4)))
        (call $must {scratch})
        (call $must (call $write (i32.load (i32.const 32)) (i32.const 0) (i32.const 1) (i32.const 16)))
        (call $must (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16)))
        (call $must {a}) (call $must {b}) (call $must {c}) (call $must {beside})
        (if (i32.ne {new} (i32.const 69)) (then (call $exit (i32.const 99))))",
        read = open(256, 19, 0, 2),
        scratch = open(288, 7, 1, 64),
        a = make(304, 5),
        b = make(312, 7),
        c = make(320, 5),
        beside = make(352, 10),
        new = open(328, 18, 1, 64),
    );
    let mut execution = bench.text(&calls(data, &body));
    let text = bench.file("text", "found");
    execution.inputs = vec![("/usr/share/tool/text".into(), text.clone().into()), ("text".into(), text.into())];
    execution.folders = vec!["/usr/share/tool".into(), "/empty/folder".into()];
    let success = bench.succeed(execution).await;
    assert_eq!((success.stdout, success.files), (b"found".to_vec(), Vec::new()), "what is not in /out is not left");
    assert_eq!(success.empty_folders, ["a/b", "c"]);
}

#[tokio::test]
async fn a_tree_of_thousands_of_files_is_walked_and_read_and_costs_no_more_for_one_large_directory() {
    const FILES: usize = 8000;
    let bench = Bench::new(1);
    let content: String = (0..FILES).map(|number| format!("line {number:04}\n")).collect();
    let pack = bench.file("pack", &content);
    let run = |folders: usize| {
        let piece =
            |number: usize| InputFile { path: pack.clone(), range: Some(10 * number as u64..10 * number as u64 + 10) };
        let place = |number: usize| (format!("{}/file-{number}", number % folders), piece(number));
        let mut execution = program("wordcount");
        execution.inputs = (0..FILES).map(place).collect();
        bench.run(execution)
    };
    let mut fuel = Vec::new();
    for folders in [1, 400] {
        let ran = run(folders).await;
        assert_eq!(ran.ended, Ok(0));
        let success = ran.left;
        assert_eq!(success.stdout, format!("{FILES} files\n").into_bytes());
        let counts = String::from_utf8(success.files[0].1.clone()).unwrap();
        assert!(counts.ends_with(&format!("{FILES} {} {} total\n", 2 * FILES, 10 * FILES)), "{counts}");
        fuel.push(ran.usage.fuel);
    }
    assert!(fuel[0] < 2 * fuel[1], "{fuel:?}");
}

#[tokio::test]
async fn a_path_that_cannot_be_an_inputs_fails_the_task_and_says_which() {
    let bench = Bench::new(1);
    let file = bench.file("file", "x");
    for paths in [
        &["../up"][..],
        &["/out/x"],
        &["/tmp"],
        &["/a/../b"],
        &["a//b"],
        &[""],
        &["a/."],
        &["twice", "twice"],
        &["a", "a/b"],
    ] {
        let mut execution = program("noop");
        execution.inputs = paths.iter().map(|path| ((*path).to_owned(), file.clone().into())).collect();
        let Failure::BadInput(text) = bench.fail(execution).await else { panic!("{paths:?} were taken") };
        assert!(text.contains(paths[paths.len() - 1]), "{text}");
    }
}

#[tokio::test]
async fn an_input_that_is_not_there_is_not_the_programs_fault() {
    let bench = Bench::new(1);
    let mut execution = program("noop");
    execution.inputs = vec![("a".to_owned(), bench.dir.path().join("missing").into())];
    let error = bench.executor.run(execution, &CancellationToken::new()).await.unwrap_err();
    assert!(matches!(error, ExecuteError::Input(..)), "{error}");
}

#[tokio::test]
async fn a_failure_carries_its_status_and_standard_error() {
    let bench = Bench::new(1);
    let ran = bench.run(program("exit3")).await;
    assert_eq!(ran.ended, Err(Failure::Exited(3)));
    assert_eq!(ran.left.stderr, b"three, as asked\n");
}
