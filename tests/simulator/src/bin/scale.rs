//! Measures how a network grows, in virtual time: see `meshwork_simulator::scale`.
#![forbid(unsafe_code)]

use std::{fs, path::PathBuf, process::ExitCode, time::Instant};

use clap::Parser;
use meshwork_simulator::scale::{
    Figures, Setup,
    growth::{Study, run_all},
    page, plot, table,
};

/// Measures how a network grows, in virtual time: finality, messages, bytes and claims, from 10 to 10,000 peers
#[derive(Parser)]
#[command(version)]
struct Options {
    /// How many peers each run has
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_values_t = [10, 100, 1_000, 10_000])]
    peers: Vec<usize>,
    /// How many of them are authorities; the last number counts for all further runs
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_values_t = [4, 7, 13, 31])]
    authorities: Vec<usize>,
    /// How long to measure, in seconds of virtual time
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    seconds: u64,
    /// How many jobs of one task to submit each second, in all
    #[arg(long, value_name = "N", default_value_t = 20)]
    tasks_per_s: u64,
    /// How many connections a peer keeps, if there are as many others
    #[arg(long, value_name = "N", default_value_t = 384)]
    connections: usize,
    /// How long claims stand, in milliseconds, unless the genesis' rules want more
    #[arg(long, value_name = "MS", default_value_t = 60_000)]
    claim_stands_ms: u64,
    /// Publish to mesh neighbours only, not to everyone connected
    #[arg(long)]
    no_flood_publish: bool,
    /// The seed of everything random
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    seed: u64,
    /// How many runs at a time
    #[arg(long, value_name = "N", default_value_t = 1)]
    threads: usize,
    /// Print JSON
    #[arg(long, conflicts_with = "table")]
    json: bool,
    /// Print tables in Markdown, as without any option
    #[arg(long)]
    table: bool,
    /// Run the whole study instead, and draw it as SVG into this file
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// Run the whole study instead, and write its page as Markdown into this file
    #[arg(long, value_name = "FILE")]
    page: Option<PathBuf>,
    /// Do not run the study: read it from the JSON that it printed
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
}

impl Options {
    fn base(&self) -> Setup {
        Setup {
            seconds: self.seconds,
            tasks_per_s: self.tasks_per_s,
            connections: self.connections,
            claim_stands_ms: self.claim_stands_ms,
            flood_publish: !self.no_flood_publish,
            seed: self.seed,
            ..Setup::of(10, 4)
        }
    }

    fn setups(&self) -> Vec<Setup> {
        let last = self.authorities.last().copied().unwrap_or(4);
        let authorities = self.authorities.iter().copied().chain(std::iter::repeat(last));
        let sizes = self.peers.iter().copied().zip(authorities);
        sizes.map(|(peers, authorities)| Setup { peers, authorities, ..self.base() }).collect()
    }
}

fn main() -> ExitCode {
    let options = Options::parse();
    if let Some(setup) = options.setups().iter().find(|setup| !setup.is_sound()) {
        eprintln!(
            "{} peers with {} authorities, {} connections and {} s: a run has one authority at least, two peers more, a \
             connection and a second",
            setup.peers, setup.authorities, setup.connections, setup.seconds
        );
        return ExitCode::FAILURE;
    }
    let began = Instant::now();
    let tell = |run: &Figures| {
        let passed = began.elapsed().as_secs_f64();
        eprintln!("{passed:>7.1} s: {} peers, {} authorities", run.peers, run.authorities);
    };
    if options.plot.is_some() || options.page.is_some() {
        let study = match options.from.as_ref().map(read) {
            Some(Ok(study)) => study,
            Some(Err(error)) => {
                eprintln!("no study can be read: {error}");
                return ExitCode::FAILURE;
            }
            None => Study::run(&options.base(), options.threads, tell),
        };
        return write(&options, &study);
    }
    let figures = run_all(&options.setups(), options.threads, tell);
    if options.json {
        println!("{}", serde_json::to_string_pretty(&figures).unwrap_or_default());
    } else {
        println!("{}\n{}\n{}", table::noticed(&figures), table::costs(&figures), table::kinds(&figures));
    }
    ExitCode::SUCCESS
}

fn read(path: &PathBuf) -> Result<Study, Box<dyn std::error::Error>> {
    Ok(serde_json::from_slice(&fs::read(path)?)?)
}

fn write(options: &Options, study: &Study) -> ExitCode {
    let page = options.page.as_ref().map(|path| (path, page::markdown(study, &options.base())));
    let plot = options.plot.as_ref().map(|path| (path, plot::svg(study)));
    for (path, text) in page.into_iter().chain(plot) {
        if let Err(error) = fs::write(path, text) {
            eprintln!("{} cannot be written: {error}", path.display());
            return ExitCode::FAILURE;
        }
    }
    if options.json {
        println!("{}", serde_json::to_string_pretty(study).unwrap_or_default());
    }
    ExitCode::SUCCESS
}
