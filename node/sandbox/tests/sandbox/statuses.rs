//! How a program ends, and what it leaves however that is.

use super::*;

/// What `sat` leaves with a model of so many bytes.
fn left(model_bytes: usize) -> Left {
    let mut model = b"v 1 -2 0".to_vec();
    model.resize(model_bytes.max(model.len()), 0);
    Left {
        stdout: b"s SATISFIABLE\n".to_vec(),
        stderr: b"as it turns out\n".to_vec(),
        files: vec![("model".to_owned(), model)],
        empty_folders: Vec::new(),
    }
}

#[tokio::test]
async fn a_program_that_answers_by_its_status_keeps_what_it_left_whether_that_is_a_success_or_not() {
    let bench = Bench::new(1);
    let mut execution = program("sat");
    let ran = bench.run(execution.clone()).await;
    assert_eq!((ran.ended, ran.left), (Err(Failure::Exited(10)), left(0)));
    execution.success = BTreeSet::from([10, 20]);
    let ran = bench.run(execution.clone()).await;
    assert_eq!((ran.ended, ran.left), (Ok(10), left(0)));
    let ran = bench.run(with_arguments(execution, &["large"])).await;
    assert_eq!((ran.ended, ran.left), (Ok(10), left(100 << 10)));
}

#[tokio::test]
async fn a_return_from_the_start_function_is_status_0_and_need_not_be_a_success() {
    let bench = Bench::new(1);
    let mut execution = program("noop");
    execution.success = BTreeSet::from([1]);
    assert_eq!(bench.fail(execution).await, Failure::Exited(0));
}

#[tokio::test]
async fn a_program_that_traps_or_runs_out_of_time_or_fuel_keeps_what_it_had_written() {
    let bench = Bench::new(1);
    let ran = bench.run(with_arguments(program("sat"), &["a", "b"])).await;
    assert!(matches!(ran.ended, Err(Failure::Trapped(_))), "{:?}", ran.ended);
    assert_eq!(ran.left, left(0));
    let mut endless = with_arguments(program("sat"), &["a", "b", "c"]);
    (endless.limits.wall_ms, endless.limits.fuel) = (200, u64::MAX);
    let ran = bench.run(endless.clone()).await;
    assert_eq!((ran.ended, ran.left), (Err(Failure::Exceeded(TaskLimit::Time(200))), left(0)));
    (endless.limits.wall_ms, endless.limits.fuel) = (60_000, 1_000_000);
    let ran = bench.run(endless).await;
    assert_eq!((ran.ended, ran.left), (Err(Failure::Exceeded(TaskLimit::Fuel(1_000_000))), left(0)));
}
