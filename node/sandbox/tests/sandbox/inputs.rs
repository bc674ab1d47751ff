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
}

#[tokio::test]
async fn a_path_that_cannot_be_an_inputs_fails_the_task_and_says_which() {
    let bench = Bench::new(1);
    let file = bench.file("file", "x");
    for paths in [&["../up"][..], &["/root"], &["a//b"], &[""], &["a/."], &["twice", "twice"], &["a", "a/b"]] {
        let mut execution = program("noop");
        execution.inputs = paths.iter().map(|path| ((*path).to_owned(), file.clone().into())).collect();
        let Failure::Trapped(text) = bench.fail(execution).await else { panic!("{paths:?} were taken") };
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
