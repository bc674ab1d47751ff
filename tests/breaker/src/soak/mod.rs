//! A long run: mixed load, random faults from one seed, and a look at every process every few seconds. A
//! process that lives through the whole run must hold no more memory, descriptors or threads at the end than
//! when it had settled.

mod mix;
mod picture;
mod samples;
mod trend;

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use clap::Args;
use meshwork::failure::{Done, Failure};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use serde::Serialize;

use self::{
    mix::Mix,
    samples::{Samples, Struck},
    trend::Trend,
};
use crate::{
    begin::{self, Begin, Begun, Terms},
    checks::{chain, outcomes},
    faults::{self, Fault, Pace},
    load::Submitter,
    network::Network,
    report::{machine, say},
    sight::Sight,
};

/// The peers that live through the whole run: one of each role.
const SPARED: [&str; 3] = ["authority-1", "worker-1", "gateway"];

/// How long an ended job stays on the ledger: much shorter than the run, so that the run shows whether it is
/// forgotten.
const RETENTION: Duration = Duration::from_secs(120);

/// How long the network is left alone between two faults, in seconds.
const QUIET_S: std::ops::Range<u64> = 10..40;

/// How long a network may take until it is whole again.
const RECOVERED_WITHIN: Duration = Duration::from_secs(120);

/// How long the last jobs may take.
const ENDED_WITHIN: Duration = Duration::from_secs(300);

/// The options of a run.
#[derive(Args, Debug)]
pub(crate) struct Options {
    #[command(flatten)]
    begin: Begin,
    /// How long the network is under load
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=1440))]
    minutes: u64,
    /// The seed of the faults; without it, a new one
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Only these faults. Repeat it for each; without it, all faults that can come at any time
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Draw memory, descriptors, threads and disk over time
    #[arg(long, value_name = "FILE")]
    picture: Option<PathBuf>,
    /// Print JSON, for scripts
    #[arg(long)]
    json: bool,
}

/// The results of a run.
#[derive(Debug, Serialize)]
struct Outcome {
    hosts: &'static str,
    machine: String,
    minutes: u64,
    seed: u64,
    jobs: usize,
    tasks: u64,
    lost: u64,
    accepted_twice: u64,
    failed: BTreeMap<String, u64>,
    receipts_verified: u64,
    heights_compared: u64,
    states_compared: u64,
    faults: BTreeMap<String, usize>,
    recovered_ms_max: u64,
    trends: Vec<Trend>,
    wrong: Vec<String>,
}

/// Runs it.
///
/// # Errors
/// The network does not start, or a check fails.
pub(crate) async fn run(options: Options) -> Done {
    faults::named(faults::at_random(), &options.only)?;
    let terms = Terms { pace: Pace::Quick, retention: RETENTION, spared: &SPARED };
    let Begun::Network { network, guard } = begin::begin(&options.begin, terms)? else { return Ok(()) };
    let sight = Sight::open(network.clone());
    begin::everyone_is_there(&network).await?;
    let seed = options.seed.unwrap_or_else(rand::random);
    say(&format!("seed {seed}: {} minutes of load and faults …", options.minutes));
    let mut soak = Soak {
        samples: Samples::open(network.clone()),
        mix: Mix::begin(Submitter::new(network.clone()), seed).await?,
        compared: chain::Compared::default(),
        random: Pcg64Mcg::seed_from_u64(seed),
        network,
        sight,
        faults: BTreeMap::new(),
        recovered: Duration::ZERO,
        wrong: Vec::new(),
    };
    soak.endure(Duration::from_secs(options.minutes * 60), &options.only).await?;
    let outcome = soak.end(&options, seed).await?;
    let done = outcome.check();
    if done.is_err() {
        guard.keep_logs();
    }
    done
}

struct Soak {
    network: Network,
    sight: Sight,
    samples: Samples,
    mix: Mix,
    compared: chain::Compared,
    random: Pcg64Mcg,
    faults: BTreeMap<String, usize>,
    recovered: Duration,
    wrong: Vec<String>,
}

impl Soak {
    /// Plays random faults until the time is over.
    async fn endure(&mut self, time: Duration, only: &[String]) -> Done {
        let until = Instant::now() + time;
        loop {
            let quiet = Duration::from_secs(self.random.random_range(QUIET_S));
            let left = until.saturating_duration_since(Instant::now());
            self.network.hold(quiet.min(left)).await?;
            if Instant::now() >= until {
                return Ok(());
            }
            self.mix.check()?;
            let mut faults = faults::named(faults::at_random(), only)?;
            faults.retain(|fault| fault.rounds(&self.network) > 0);
            if faults.is_empty() {
                continue;
            }
            let chosen = self.random.random_range(0..faults.len());
            let mut fault = faults.swap_remove(chosen);
            self.strike(&mut *fault).await;
            let above = self.compared.to;
            self.compared.extend(chain::compare(&self.network, above).await?);
        }
    }

    async fn strike(&mut self, fault: &mut dyn Fault) {
        say(&format!("{} …", fault.title()));
        *self.faults.entry(fault.name().to_owned()).or_default() += 1;
        let struck = Struck::now(fault.name());
        for round in 0..fault.rounds(&self.network) {
            if let Err(failure) = self.round(fault, round).await {
                say(&format!("  WRONG: {}", failure.sentence));
                for waits in self.network.in_words().await.into_iter().chain(self.mix.what_waits().await) {
                    say(&format!("  {waits}"));
                }
                self.wrong.push(format!("{}: {}", fault.name(), failure.sentence));
                let _ = fault.heal(&self.network, round);
            }
        }
        self.samples.struck(struck);
    }

    async fn round(&mut self, fault: &mut dyn Fault, round: usize) -> Done {
        fault.inject(&self.network, round)?;
        self.network.hold(fault.hold(Pace::Quick)).await?;
        fault.heal(&self.network, round)?;
        let recovered = self.sight.recovered(&self.network, Instant::now(), RECOVERED_WITHIN).await?;
        self.recovered = self.recovered.max(recovered);
        Ok(())
    }

    /// Waits for the last jobs, checks all of them, and returns the results.
    async fn end(mut self, options: &Options, seed: u64) -> Done<Outcome> {
        say("waiting for the last jobs, and looking at all of them …");
        let samples = self.samples.close();
        let jobs = self.mix.finish(ENDED_WITHIN).await?;
        let mut found = outcomes::Outcomes::default();
        let mut tasks = 0;
        for (turn, job) in jobs.iter().enumerate() {
            tasks += u64::from(job.tasks);
            let one = outcomes::examine(&self.network, job.id, job.tasks, turn).await?;
            found.lost += one.lost;
            found.differing += one.differing;
            for (how, tasks) in one.failed {
                *found.failed.entry(how).or_default() += tasks;
            }
            found.verified += one.verified;
        }
        let above = self.compared.to;
        self.compared.extend(chain::compare(&self.network, above).await?);
        let mut wrong = self.wrong;
        wrong.extend(self.compared.differences.iter().cloned());
        if found.differing > 0 {
            wrong.push(format!("{} receipts stand elsewhere on some peer", found.differing));
        }
        if self.compared.accepted(None).is_none_or(|(accepted, _)| accepted != tasks) {
            wrong.push("the receipts of all heights do not hold one outcome for each task".into());
        }
        let trends = trend::of(&samples, &SPARED);
        wrong.extend(trends.iter().filter(|trend| !trend.is_flat).map(|trend| {
            format!("{} of {} grew by {} in {} minutes", trend.quantity, trend.peer, trend.growth, trend.minutes)
        }));
        let outcome = Outcome {
            hosts: self.network.kind(),
            machine: machine(),
            minutes: options.minutes,
            seed,
            jobs: jobs.len(),
            tasks,
            lost: found.lost,
            accepted_twice: self.compared.accepted(None).map_or(0, |(_, twice)| twice),
            failed: found.failed,
            receipts_verified: found.verified,
            heights_compared: self.compared.heights,
            states_compared: self.compared.states,
            faults: self.faults,
            recovered_ms_max: self.recovered.as_millis() as u64,
            trends,
            wrong,
        };
        if let Some(path) = &options.picture {
            let picture = picture::draw(&samples, &SPARED, &outcome.in_a_line());
            fs::write(path, picture).map_err(|error| Failure::file("write", path, &error))?;
        }
        outcome.show(options.json)?;
        Ok(outcome)
    }
}

impl Outcome {
    fn in_a_line(&self) -> String {
        format!(
            "{} minutes, {} tasks, {} faults, in {}; seed {}",
            self.minutes,
            self.tasks,
            self.faults.values().sum::<usize>(),
            self.hosts,
            self.seed
        )
    }

    fn show(&self, json: bool) -> Done {
        if json {
            let text = serde_json::to_string_pretty(self)
                .map_err(|error| Failure::failed(format!("The outcome could not be written as JSON: {error}.")))?;
            println!("{text}");
            return Ok(());
        }
        println!("{}\n", self.in_a_line());
        let rows = [
            ("jobs", self.jobs as u64),
            ("tasks", self.tasks),
            ("lost", self.lost),
            ("accepted twice", self.accepted_twice),
            ("receipts verified", self.receipts_verified),
            ("heights compared", self.heights_compared),
            ("states compared", self.states_compared),
            ("recovered after, at most, ms", self.recovered_ms_max),
        ];
        for (what, value) in rows {
            println!("{what:<30}{value}");
        }
        let faults: Vec<String> = self.faults.iter().map(|(name, count)| format!("{name} {count}")).collect();
        println!("{:<30}{}\n", "faults", faults.join(", "));
        for trend in &self.trends {
            println!("{}", trend.in_a_line());
        }
        for (how, tasks) in &self.failed {
            println!("WRONG: {tasks} tasks failed: {how}");
        }
        for wrong in &self.wrong {
            println!("WRONG: {wrong}");
        }
        Ok(())
    }

    fn check(&self) -> Done {
        let is_whole = self.lost == 0 && self.accepted_twice == 0 && self.failed.is_empty();
        if is_whole && self.receipts_verified == self.tasks && self.wrong.is_empty() {
            return Ok(());
        }
        Err(Failure::failed("Something did not hold."))
    }
}
