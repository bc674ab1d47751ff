//! What a run costs beyond its program. Prints; holds it only to what a broken cache would exceed.

use std::time::{Duration, Instant};

use super::*;

#[tokio::test]
async fn a_program_that_does_nothing_costs_little() {
    const RUNS: u32 = 2_000;
    let bench = Bench::new(1);
    bench.succeed(program("noop")).await;
    for name in ["noop", "echo"] {
        let execution = with_arguments(program(name), &["x"]);
        bench.succeed(execution.clone()).await;
        let started = Instant::now();
        for _ in 0..RUNS {
            bench.succeed(execution.clone()).await;
        }
        let cost = started.elapsed() / RUNS;
        println!("{name}: {cost:?} a run");
        assert!(cost < Duration::from_millis(5), "{name}: {cost:?}");
    }
}

#[tokio::test]
async fn tiles_of_a_picture_fit_together() {
    let bench = Bench::new(1);
    let render = async |tile: &str| {
        let mut execution = program("render");
        let text = format!("image 960 540\ntile {tile}\n");
        execution.inputs = vec![("tile".to_owned(), bench.file("tile", text))];
        let started = Instant::now();
        let ran = bench.run(execution).await;
        println!("{tile}: {:?}, {:?}", started.elapsed(), ran.usage);
        let files = ran.outcome.unwrap().files;
        assert_eq!(files[0].0, "tile.rgb");
        files[0].1.clone()
    };
    render("0 0 1 1").await;
    let (left, right) = (render("448 256 32 32").await, render("480 256 32 32").await);
    let both = render("448 256 64 32").await;
    let joined: Vec<u8> =
        left.chunks(96).zip(right.chunks(96)).flat_map(|(one, other)| [one, other].concat()).collect();
    assert!(both == joined);
}
