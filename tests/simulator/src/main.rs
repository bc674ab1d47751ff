//! Runs many networks, each from its seed, or one of them again with a trace.
#![forbid(unsafe_code)]

use std::{
    process::ExitCode,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Instant,
};

use clap::Parser;
use meshwork_simulator::{
    Scenario, Summary,
    directed::{FAMILIES, Family, family},
    run, shrink,
};

/// Runs whole networks in virtual time, each from one seed, with every fault that may happen
#[derive(Parser)]
#[command(version)]
struct Options {
    /// How many networks to run
    #[arg(long, value_name = "N", default_value_t = 1000)]
    seeds: u64,
    /// The first seed
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    from: u64,
    /// Run only this seed
    #[arg(long, value_name = "SEED")]
    seed: Option<u64>,
    /// Print everything that happens in it
    #[arg(long, requires = "seed")]
    trace: bool,
    /// Run scenarios of this family, made for one situation, instead of drawn ones
    #[arg(long, value_name = "FAMILY", value_parser = parse_family)]
    scenario: Option<Family>,
    /// How many at a time; without it, as many as there are cores
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Plant this fault in the core, to see whether it is noticed; only in debug builds
    #[cfg(debug_assertions)]
    #[arg(long, value_name = "FAULT")]
    plant: Option<String>,
}

#[cfg(debug_assertions)]
impl Options {
    fn plant(&self) {
        use meshwork_core::fault::{Fault, plant};
        let Some(name) = &self.plant else { return };
        let found = Fault::ALL.iter().copied().find(|fault| format!("{fault:?}") == *name);
        if found.is_none() {
            eprintln!("there is no fault {name:?}; there are {:?}", Fault::ALL);
        }
        plant(found);
    }
}

#[cfg(not(debug_assertions))]
impl Options {
    const fn plant(&self) {}
}

fn parse_family(name: &str) -> Result<Family, String> {
    let known: Vec<&str> = FAMILIES.iter().map(|(known, _)| *known).collect();
    family(name).ok_or_else(|| format!("there are {}", known.join(", ")))
}

impl Options {
    fn scenario(&self, seed: u64) -> Scenario {
        self.scenario.map_or_else(|| Scenario::of_seed(seed), |family| family(seed))
    }
}

fn main() -> ExitCode {
    let options = Options::parse();
    options.plant();
    match options.seed {
        Some(seed) => one(&options.scenario(seed), options.trace),
        None => many(&options),
    }
}

fn many(options: &Options) -> ExitCode {
    let began = Instant::now();
    let next = AtomicU64::new(options.from);
    let end = options.from.saturating_add(options.seeds);
    let threads = options.threads.unwrap_or_else(|| thread::available_parallelism().map_or(1, std::num::NonZero::get));
    let work = || {
        options.plant();
        let mut summary = Summary::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end {
                return summary;
            }
            let scenario = options.scenario(seed);
            let outcome = run(&scenario, None);
            if let Some(violation) = &outcome.violation {
                eprintln!("seed {seed}: {}; see it with --seed {seed} --trace", violation.what);
            }
            summary.add(seed, scenario.authorities, &outcome);
        }
    };
    let mut summary = Summary::default();
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            match worker.join() {
                Ok(part) => summary.join(part),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
    });
    summary.real_s = began.elapsed().as_secs_f64();
    if options.json {
        println!("{}", serde_json::to_string_pretty(&summary).unwrap_or_default());
    } else {
        println!("{summary}");
    }
    if let Some(failure) = summary.failures.iter().min_by_key(|failure| failure.violation.at_us) {
        tell_least(&options.scenario(failure.seed));
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn tell_least(scenario: &Scenario) {
    let Some((least, outcome)) = shrink::shrink(scenario) else { return };
    let what = outcome.violation.map(|violation| violation.what).unwrap_or_default();
    eprintln!("the least of seed {} that still fails ({what}):", scenario.seed);
    eprintln!("{}", serde_json::to_string(&least).unwrap_or_default());
}

fn one(scenario: &Scenario, trace: bool) -> ExitCode {
    let began = Instant::now();
    let mut tell = |at_us: u64, line: String| println!("{:>14.6} {line}", at_us as f64 / 1e6);
    let outcome = if trace { run(scenario, Some(&mut tell)) } else { run(scenario, None) };
    println!("{}", serde_json::to_string(scenario).unwrap_or_default());
    println!(
        "{} blocks, {} of {} tasks, {:.1} s of virtual time in {:.1} s, trace {}",
        outcome.blocks,
        outcome.outcomes,
        outcome.tasks,
        outcome.simulated_us as f64 / 1e6,
        began.elapsed().as_secs_f64(),
        outcome.trace
    );
    match outcome.violation {
        Some(violation) => {
            println!("VIOLATION at {:.6}: {}", violation.at_us as f64 / 1e6, violation.what);
            tell_least(scenario);
            ExitCode::FAILURE
        }
        None => ExitCode::SUCCESS,
    }
}
