//! Whatever a program calls, with whatever arguments, the host survives and its verdict stays the same.

use std::fmt::Write as _;

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use super::*;

/// Numbers at which things tend to break.
const EDGES: [i64; 16] =
    [0, 1, 2, 3, 4, 5, 16, 48, 1024, 65_528, 65_535, 65_536, i32::MAX as i64, -1, i64::MAX, i64::MIN];

/// A program that fills its memory with a little of everything and then makes `calls` calls. Their arguments are
/// drawn from edges and from what earlier calls left in memory.
fn random_program(random: &mut StdRng, calls: usize) -> String {
    let mut functions: Vec<_> = given().iter().filter(|(name, _)| *name != "proc_exit").collect();
    functions.sort();
    let mut text = String::from("(module\n");
    for (name, kind) in &functions {
        let (parameters, results) = kind.split_once(" -> ").unwrap();
        let list = |kinds: &str| kinds.trim_matches(['(', ')']).replace(',', "");
        let (parameters, results) = (list(parameters), list(results));
        let import = format!(r#"(import "wasi_snapshot_preview1" "{name}""#);
        writeln!(text, "{import} (func ${name} (param {parameters}) (result {results})))").unwrap();
    }
    text.push_str("(memory (export \"memory\") 1)\n(data (i32.const 0) \"");
    for _ in 0..1024 {
        // Small numbers make sense as pointers, counts and descriptors more often than large ones do.
        let byte: u8 = if random.random_range(0..4) == 0 { random.random() } else { random.random_range(0..4) };
        write!(text, "\\{byte:02x}").unwrap();
    }
    text.push_str("\")\n(data (i32.const 512) \"out/a\") (data (i32.const 520) \"out/b/c\") (data (i32.const 528) \"tmp/../in\")\n");
    text.push_str("(func (export \"_start\")\n");
    for _ in 0..calls {
        let (name, kind) = functions[random.random_range(0..functions.len())];
        let parameters = kind.split_once(" -> ").unwrap().0.trim_matches(['(', ')']);
        write!(text, "(drop (call ${name}").unwrap();
        for parameter in parameters.split(", ").filter(|parameter| !parameter.is_empty()) {
            let edge = match random.random_range(0..4) {
                0 => random.random_range(0..64_i64) * 8,
                1 => [512, 520, 528, 5, 7, 9][random.random_range(0..6)],
                _ => EDGES[random.random_range(0..EDGES.len())],
            };
            let number = if parameter == "i32" { i64::from(edge as i32) } else { edge };
            match random.random_range(0..6) {
                0 if parameter == "i32" => write!(text, " (i32.load (i32.const {}))", random.random_range(0..1024)),
                _ => write!(text, " ({parameter}.const {number})"),
            }
            .unwrap();
        }
        text.push_str("))\n");
    }
    text.push_str("))");
    text
}

#[tokio::test]
async fn no_arguments_of_any_call_bring_the_host_down() {
    let bench = Bench::new(1);
    let (given, input) = (bench.file("given", "given\n"), "sub/given".to_owned());
    for seed in 0..60 {
        let mut random = StdRng::seed_from_u64(seed);
        let mut execution = bench.text(&random_program(&mut random, 300));
        execution.inputs = vec![(input.clone(), given.clone().into())];
        execution.limits = Limits { wall_ms: 300, fuel: 1_000_000, output_bytes: 1 << 20 };
        let first = bench.executor.run(execution.clone(), &CancellationToken::new()).await;
        let first = first.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        // A draw that waits for the clock ends there; everything else ends the same way each time.
        if matches!(first.ended, Err(Failure::Exceeded(TaskLimit::Time(_)))) {
            continue;
        }
        let second = bench.run(execution).await;
        assert_eq!((first.ended, first.left), (second.ended, second.left), "seed {seed}");
        assert_eq!(first.usage.fuel, second.usage.fuel, "seed {seed}");
    }
}
