//! Runs badly behaved programs in a row, each beside honest work on the same volunteer, and prints a table: what each
//! tries, how it ended, after how long, the most memory of the node and of its runners, and the honest rate beside it.
//!
//! The mesh is one authority and one volunteer with two slots, as processes of this machine that end with this one.
//! The exit status is 0 only if each program ended as it must, the volunteer was never replaced, and no honest task
//! failed. Rates are printed and not judged: on a busy machine they say little.
#![forbid(unsafe_code)]

mod mesh;
mod programs;
mod watch;

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use bytesize::ByteSize;
use clap::Parser;
use comfy_table::{Table, presets};
use meshwork::failure::{Done, Failure};

use self::{
    mesh::{Mesh, median},
    programs::{ALL, Expected, Hostile},
    watch::{Watch, children},
};

/// How to run.
#[derive(Parser)]
struct Options {
    /// Only every third program
    #[arg(long)]
    quick: bool,
    /// Only programs whose file or purpose contains this
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
}

/// How one program went.
struct Row {
    program: &'static Hostile,
    ended: String,
    is_right: bool,
    took: Duration,
    node_bytes: u64,
    runner_bytes: u64,
    rate: f64,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Options::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => {
            eprintln!("{}", failure.sentence);
            ExitCode::FAILURE
        }
    }
}

async fn run(options: &Options) -> Done<bool> {
    let mesh = Mesh::start().await?;
    let is_meant = |program: &Hostile| {
        let text = options.only.as_deref().unwrap_or_default();
        program.file.contains(text) || program.tries.contains(text)
    };
    let step = if options.quick { 3 } else { 1 };
    let mut rows = Vec::new();
    let alone = mesh.alone().await?;
    for program in ALL.iter().filter(|program| is_meant(program)).step_by(step) {
        let row = one(&mesh, program).await?;
        println!("{}: {} after {:.1} s", program.tries, row.ended, row.took.as_secs_f64());
        rows.push(row);
    }
    let again = mesh.alone().await?;
    print(&rows, alone, again);
    let is_whole = mesh.is_whole();
    if !is_whole {
        println!("The volunteer did not live through it.");
    }
    Ok(is_whole && rows.iter().all(|row| row.is_right))
}

/// Runs one program while honest tasks run beside it.
async fn one(mesh: &Mesh, program: &'static Hostile) -> Done<Row> {
    let watch = Watch::start(mesh.volunteer()?);
    let began = Instant::now();
    let job = mesh.submit(program).await?;
    let mut rates = Vec::new();
    let ended = loop {
        rates.push(mesh.honest_rate().await?);
        if let Some(ended) = mesh.ended(job).await? {
            break ended;
        }
        if matches!(program.ends, Expected::Cancelled) && began.elapsed() > Duration::from_secs(1) {
            let runners = children(mesh.volunteer()?);
            mesh.cancel(job).await?;
            let cancelled = Instant::now();
            while children(mesh.volunteer()?).is_superset(&runners) {
                if cancelled.elapsed() > Duration::from_secs(1) {
                    return Err(Failure::failed("A cancelled program went on for more than a second."));
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            break "cancelled".to_owned();
        }
        if began.elapsed() > mesh::PATIENCE {
            return Err(Failure::failed(format!("A program that {} did not end.", program.tries)));
        }
    };
    let took = began.elapsed();
    let (node_bytes, runner_bytes) = watch.end();
    let is_right = match program.ends {
        Expected::Failure(text) => ended.contains(text),
        Expected::Cancelled => true,
    };
    Ok(Row { program, ended, is_right, took, node_bytes, runner_bytes, rate: median(&mut rates) })
}

fn print(rows: &[Row], alone: f64, again: f64) {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["a program that", "ended", "after", "node", "runners", "honest tasks/s beside it"]);
    for row in rows {
        let mark = if row.is_right { "" } else { " (WRONG)" };
        table.add_row([
            row.program.tries.to_owned(),
            format!("{}{mark}", row.ended),
            format!("{:.1} s", row.took.as_secs_f64()),
            ByteSize(row.node_bytes).to_string(),
            ByteSize(row.runner_bytes).to_string(),
            format!("{:.0}", row.rate),
        ]);
    }
    println!("{table}");
    println!("Honest tasks alone: {alone:.0} a second before, {again:.0} after.");
}
