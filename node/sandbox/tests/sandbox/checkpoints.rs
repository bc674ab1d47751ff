//! A checkpoint comes out while the program runs, and the next run continues from it.

use tokio::sync::watch;

use super::*;

fn steps(count: &str, files: Vec<(String, InputFile)>) -> (Execution, watch::Receiver<Saved>) {
    let (saves, saved) = watch::channel(None);
    let mut execution = with_arguments(program("steps"), &[count, "1"]);
    execution.checkpoint = Some(Checkpoint { files, saves });
    (execution, saved)
}

fn newest(saved: &watch::Receiver<Saved>) -> Vec<(String, Vec<u8>)> {
    saved.borrow().as_ref().expect("something was saved").to_vec()
}

#[tokio::test]
async fn a_program_goes_on_from_what_it_saved() {
    let bench = Bench::new(1);
    let (execution, saved) = steps("5", Vec::new());
    assert_eq!(bench.succeed(execution).await.stdout, b"0\n1\n2\n3\n4\n");
    assert_eq!(newest(&saved), [("steps".to_owned(), b"5\n".to_vec())]);
    let (execution, saved) = steps("8", vec![("steps".to_owned(), bench.file("steps", "5\n").into())]);
    let success = bench.succeed(execution).await;
    assert_eq!((success.stdout, success.files), (b"5\n6\n7\n".to_vec(), Vec::new()), "a checkpoint is no output");
    assert_eq!(newest(&saved), [("steps".to_owned(), b"8\n".to_vec())]);
}

#[tokio::test]
async fn a_program_that_saves_no_checkpoints_has_no_place_for_them() {
    let bench = Bench::new(1);
    assert_eq!(bench.fail(with_arguments(program("steps"), &["1", "1"])).await, Failure::Exited(5));
}

#[tokio::test]
async fn a_checkpoint_counts_as_output_and_is_no_way_around_its_limit() {
    let bench = Bench::new(1);
    let (mut execution, _saved) = steps("8", vec![("large".to_owned(), bench.file("large", vec![0; 2000]).into())]);
    execution.limits.output_bytes = 1000;
    assert_eq!(bench.exceed(execution).await, TaskLimit::Output(1000, OutputUse::Files));
}
