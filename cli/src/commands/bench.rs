//! `meshwork bench`: measures a mesh of processes on this machine, in figures that can be compared.

mod conditions;
mod ends;
mod phases;
mod report;

use std::time::Duration;

use clap::Args;

use self::phases::Bench;
use crate::{
    context::Context,
    failure::{Done, Failure},
    interrupt::unless_interrupted,
    local_mesh::{LocalMesh, Plan},
};

/// What to measure.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Number of authorities
    #[arg(long, value_name = "N", default_value_t = 4)]
    authorities: usize,
    /// Number of workers
    #[arg(long, value_name = "N", default_value_t = 2)]
    workers: usize,
    /// Tasks that each worker runs at once
    #[arg(long, value_name = "N", default_value_t = 1)]
    slots: u32,
    /// Number of tasks: submitted first as one array, then one by one
    #[arg(long, value_name = "N", default_value_t = 5000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    tasks: u32,
    /// Jobs in flight at once while tasks are submitted one by one
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=1024))]
    in_flight: u32,
    /// Jobs submitted one after the other, each once the one before has its result
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    submits: u32,
    /// Give up after this time
    #[arg(long, value_name = "TIME", default_value = "15m", value_parser = humantime::parse_duration)]
    timeout: Duration,
}

/// Runs the benchmark.
///
/// # Errors
/// The mesh does not start, or a measurement fails.
pub async fn run(context: &Context, options: Options) -> Done {
    unless_interrupted(measure(context, options)).await
}

async fn measure(context: &Context, options: Options) -> Done {
    let mut plan = Plan::new("bench", options.authorities, options.workers, options.slots)?;
    // Writing a log must not be part of what is measured.
    plan.log = context.settings.options.log.clone().unwrap_or_else(|| "warn".to_owned());
    context.output.note(&format!(
        "Starting {} authorities and {} workers with {} slots each …",
        options.authorities, options.workers, options.slots
    ));
    let mut mesh = LocalMesh::start(plan).await?;
    let timeout = options.timeout;
    let measured = tokio::time::timeout(timeout, Bench::new(&mesh, options, context.output).run()).await;
    let measured = measured.unwrap_or_else(|_| {
        Err(Failure::failed(format!(
            "The bench was not done after {}; give it longer with --timeout, or less to do with --tasks.",
            humantime::format_duration(timeout)
        )))
    });
    match measured {
        Ok(report) => context.output.record(&report),
        Err(failure) => {
            mesh.keep_directory();
            context.output.note(&format!("The peers' logs and stores are kept in {}.", mesh.root().display()));
            Err(failure)
        }
    }
}
