//! Samples of every process every few seconds.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use serde::Serialize;
use tokio::task::JoinHandle;

use crate::{
    hosts::{
        Role,
        processes::{self, Used},
    },
    network::Network,
};

/// The time between two samples.
const INTERVAL: Duration = Duration::from_secs(5);

/// A sample of one process.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Sample {
    /// When it was taken, from the beginning of the run, in seconds.
    pub at_s: f64,
    /// The peer's name.
    pub peer: String,
    /// The peer's role.
    pub role: Role,
    /// The resources that the process uses.
    pub used: Used,
    /// The bytes that the peer's data takes on disk.
    pub disk_bytes: u64,
}

/// A time during which a fault was played.
#[derive(Clone, Debug)]
pub(super) struct Struck {
    /// The fault.
    pub name: &'static str,
    /// Its beginning.
    pub from: Instant,
    /// Its end.
    pub to: Instant,
}

impl Struck {
    /// The fault that is played now.
    #[must_use]
    pub(super) fn now(name: &'static str) -> Self {
        let now = Instant::now();
        Self { name, from: now, to: now }
    }
}

/// All samples of a run.
#[derive(Clone, Debug, Default)]
pub(super) struct Taken {
    /// Samples in the order in which they were taken.
    pub samples: Vec<Sample>,
    /// The faults, from the beginning of the run, in seconds: which, from, to.
    pub struck: Vec<(&'static str, f64, f64)>,
    /// The length of the run, in seconds.
    pub length_s: f64,
}

/// A sampler, which works until it is dropped.
pub(super) struct Samples {
    began: Instant,
    samples: Arc<Mutex<Vec<Sample>>>,
    struck: Vec<Struck>,
    task: JoinHandle<()>,
}

impl Samples {
    /// Starts to take samples.
    #[must_use]
    pub(super) fn open(network: Network) -> Self {
        let began = Instant::now();
        let samples = Arc::new(Mutex::default());
        let task = tokio::spawn(look(network, began, Arc::clone(&samples)));
        Self { began, samples, struck: Vec::new(), task }
    }

    /// Notes that a fault has ended.
    pub(super) fn struck(&mut self, struck: Struck) {
        self.struck.push(Struck { to: Instant::now(), ..struck });
    }

    /// Stops, and returns the samples.
    #[must_use]
    pub(super) fn close(&self) -> Taken {
        self.task.abort();
        let since = |moment: Instant| moment.saturating_duration_since(self.began).as_secs_f64();
        Taken {
            samples: self.samples.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            struck: self.struck.iter().map(|struck| (struck.name, since(struck.from), since(struck.to))).collect(),
            length_s: self.began.elapsed().as_secs_f64(),
        }
    }
}

impl Drop for Samples {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn look(network: Network, began: Instant, samples: Arc<Mutex<Vec<Sample>>>) {
    let mut ticks = tokio::time::interval(INTERVAL);
    loop {
        ticks.tick().await;
        let members = network.members();
        for member in members {
            let Some(used) = member.pid.and_then(processes::look) else { continue };
            let disk_bytes = network.peek(|hosts| hosts.disk_bytes(&member.name)).unwrap_or_default();
            let at_s = began.elapsed().as_secs_f64();
            let sample = Sample { at_s, peer: member.name, role: member.role, used, disk_bytes };
            samples.lock().unwrap_or_else(PoisonError::into_inner).push(sample);
        }
    }
}
