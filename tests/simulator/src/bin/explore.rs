//! Explores every run of four authorities, one of which lies, over a few views, and counts the states.
#![forbid(unsafe_code)]

use std::{process::ExitCode, thread};

use clap::Parser;
use meshwork_simulator::explore::{Bound, Grain, Report, explore};

/// Explores every run of a small network with a liar in it, over a few views: losses, delays, any order,
/// crashes
#[derive(Parser)]
#[command(version)]
struct Options {
    /// How many views
    #[arg(long, value_name = "N", default_value_t = 3)]
    views: u64,
    /// The most promises in a row; without it, no bound
    #[arg(long, value_name = "N")]
    depth: Option<u32>,
    /// The most states
    #[arg(long, value_name = "N")]
    states: Option<usize>,
    /// How often honest authorities crash, all together
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u8).range(..16))]
    crashes: u8,
    /// Who lies, of 0 to 3; view v is led by v mod 4. Without it, one run for each. Give two, and both lie
    #[arg(long, value_name = "AUTHORITY", value_parser = clap::value_parser!(u16).range(0..4))]
    byzantine: Vec<u16>,
    /// Try whether the network can go on from one of this many states; 0 for none
    #[arg(long, value_name = "N", default_value_t = 5000)]
    progress: usize,
    /// Make the first block its epoch's last, and explore how the epoch is closed
    #[arg(long)]
    ends: bool,
    /// Make every certificate and block that arrives a step of its own
    #[arg(long)]
    fine: bool,
    /// How many explorations run at a time
    #[arg(long, value_name = "N", default_value_t = 1)]
    threads: usize,
    /// Print one JSON object for each exploration
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let bounds: Vec<Bound> = match &options.byzantine[..] {
        [] => (0..4).map(|liar| bound(&options, vec![liar])).collect(),
        liars => vec![bound(&options, liars.to_vec())],
    };
    let mut good = true;
    for some in bounds.chunks(options.threads.max(1)) {
        let run = |bound| {
            let report = explore(bound, &mut |report| eprintln!("{report} so far"));
            tell(&options, &report);
            report.violation.is_none()
        };
        thread::scope(|scope| {
            let running: Vec<_> = some.iter().map(|bound| scope.spawn(move || run(bound))).collect();
            for one in running {
                good &= one.join().unwrap_or(false);
            }
        });
    }
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn bound(options: &Options, byzantine: Vec<u16>) -> Bound {
    let usual = Bound::new(0, options.views);
    Bound {
        byzantine,
        crashes: options.crashes,
        depth_max: options.depth.unwrap_or(usual.depth_max),
        states_max: options.states.unwrap_or(usual.states_max),
        grain: if options.fine { Grain::Certificate } else { Grain::Promise },
        progress_every: if options.ends { 0 } else { options.progress },
        ends: options.ends,
        ..usual
    }
}

fn tell(options: &Options, report: &Report) {
    if options.json {
        println!("{}", serde_json::to_string(report).unwrap_or_default());
    } else {
        println!("{report}");
    }
}
