//! The breaker: breaks a running network on purpose, in every way that operators meet, and checks that nothing
//! was lost.
//!
//! Start at [`trial`], the story of one fault: a job runs, something breaks and is mended, the job ends, and
//! the checks ask every peer. [`faults`] has what breaks, [`hosts`] the hosts (containers or network
//! namespaces), [`wires`] how cables are cut and slowed, [`load`] the job, [`sight`] the view from outside, and
//! [`checks`] what must hold. [`soak`] plays random faults for a long time, and checks that nothing grows that
//! should not.
//!
//! All names that are made begin with `mwb` and this process' id. Everything is removed at the end, after an
//! error, a panic or an interruption too.
#![forbid(unsafe_code)]
#![cfg(target_os = "linux")]

mod begin;
mod checks;
mod faults;
mod hosts;
mod load;
mod network;
mod report;
mod sight;
mod soak;
mod system;
mod trial;
mod wires;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::{Parser, Subcommand};
use meshwork::{
    failure::{Done, Failure},
    interrupt::unless_interrupted,
};

use self::{
    begin::{Begin, Begun, Terms},
    faults::Pace,
    load::{Amount, NAP, Submitter},
    report::{Report, say},
    sight::Sight,
    trial::Stage,
};

/// How long an ended job stays on the ledger, by the genesis' default.
const RETENTION: Duration = Duration::from_secs(3600);

/// Breaks a running network on purpose, and checks that nothing was lost
#[derive(Parser, Debug)]
#[command(name = "breaker")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Break the network in every way, one after the other, and check after each
    Faults(Faults),
    /// Run mixed load and random faults for a long time, and look at what grows
    Soak(soak::Options),
    /// Delay packets: this program starts it inside a host's network
    #[command(hide = true)]
    Relay(wires::relay::Options),
    /// Measure a cable: this program starts it inside a host's network
    #[command(hide = true)]
    Probe(wires::probe::Options),
}

/// Which faults, on which hosts.
#[derive(clap::Args, Debug)]
struct Faults {
    #[command(flatten)]
    begin: Begin,
    /// Only these. Repeat it for each; without it, all
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Shorter faults and fewer tasks
    #[arg(long)]
    quick: bool,
    /// Print JSON, for scripts
    #[arg(long)]
    json: bool,
    /// Put the table between its marks in this page
    #[arg(long, value_name = "FILE")]
    write_readme: Option<PathBuf>,
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Relay(options) => wires::relay::run(&options),
        Command::Probe(options) => {
            wires::probe::run(&options);
            Ok(())
        }
        Command::Faults(options) => on_a_runtime(run_faults(options)),
        Command::Soak(options) => on_a_runtime(soak::run(options)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            say(&failure.sentence);
            failure.exit.into()
        }
    }
}

fn on_a_runtime(work: impl Future<Output = Done>) -> Done {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime =
        runtime.map_err(|error| Failure::failed(format!("The system gave no threads to run on: {error}.")))?;
    let done = runtime.block_on(unless_interrupted(work));
    // A request to a peer that is gone must not keep this process alive.
    runtime.shutdown_background();
    done
}

async fn run_faults(options: Faults) -> Done {
    let pace = if options.quick { Pace::Quick } else { Pace::Full };
    let chosen = faults::named(faults::all(pace), &options.only)?;
    let Begun::Network { network, guard } =
        begin::begin(&options.begin, Terms { pace, retention: RETENTION, spared: &[] })?
    else {
        return Ok(());
    };
    let mut stage = set(network, pace).await?;
    let mut report = Report::new(stage.network.kind(), begin::in_words());
    for mut fault in chosen {
        if fault.rounds(&stage.network) == 0 {
            say(&format!("{}: cannot be done to {}", fault.name(), stage.network.kind()));
            continue;
        }
        say(&format!("{}: {} …", fault.name(), fault.title()));
        let row = stage.play(&mut *fault).await;
        say(&format!("  {}", row.in_a_line()));
        for line in row.notes.iter().cloned().chain(row.all_wrong().into_iter().map(|wrong| format!("WRONG: {wrong}")))
        {
            say(&format!("  {line}"));
        }
        report.rows.push(row);
    }
    if options.json {
        let text = serde_json::to_string_pretty(&report)
            .map_err(|error| Failure::failed(format!("The report could not be written as JSON: {error}.")))?;
        println!("{text}");
    } else {
        println!("{}", report.for_people());
    }
    if let Some(page) = &options.write_readme {
        report.write_into(page)?;
    }
    let done = report.check();
    if done.is_err() {
        guard.keep_logs();
    }
    done
}

async fn set(network: network::Network, pace: Pace) -> Done<Stage> {
    let sight = Sight::open(network.clone());
    begin::everyone_is_there(&network).await?;
    let submitter = Submitter::new(network.clone());
    let program = submitter.upload(NAP).await?;
    let amount = match pace {
        Pace::Full => Amount { first: 1500, more: 400 },
        Pace::Quick => Amount { first: 400, more: 200 },
    };
    Ok(Stage { network, sight, submitter, program, pace, amount, compared: 0, turn: 0 })
}
