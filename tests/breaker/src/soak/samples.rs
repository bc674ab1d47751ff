//! A look at every process every few seconds.

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

/// How often.
const INTERVAL: Duration = Duration::from_secs(5);

/// A process at a moment.
#[derive(Clone, Debug, Serialize)]
pub struct Sample {
    /// When, from the beginning of the run, in seconds.
    pub at_s: f64,
    /// Whose.
    pub peer: String,
    /// What that is there for.
    pub role: Role,
    /// What the process uses.
    pub used: Used,
    /// What its data takes on disk, in bytes.
    pub disk_bytes: u64,
}

/// When something was broken.
#[derive(Clone, Debug)]
pub struct Struck {
    /// What was.
    pub name: &'static str,
    /// From when.
    pub from: Instant,
    /// Until when.
    pub to: Instant,
}

impl Struck {
    /// Something that breaks now.
    #[must_use]
    pub fn now(name: &'static str) -> Self {
        let now = Instant::now();
        Self { name, from: now, to: now }
    }
}

/// All that was seen.
#[derive(Clone, Debug, Default)]
pub struct Taken {
    /// Processes, in the order in which they were looked at.
    pub samples: Vec<Sample>,
    /// When something was broken, from the beginning of the run, in seconds: what, from, to.
    pub struck: Vec<(&'static str, f64, f64)>,
    /// How long it was, in seconds.
    pub length_s: f64,
}

/// Someone who looks, until it is dropped.
pub struct Samples {
    began: Instant,
    samples: Arc<Mutex<Vec<Sample>>>,
    struck: Vec<Struck>,
    task: JoinHandle<()>,
}

impl Samples {
    /// Looks from now on.
    #[must_use]
    pub fn open(network: Network) -> Self {
        let began = Instant::now();
        let samples = Arc::new(Mutex::default());
        let task = tokio::spawn(look(network, began, Arc::clone(&samples)));
        Self { began, samples, struck: Vec::new(), task }
    }

    /// Something was broken until now.
    pub fn struck(&mut self, struck: Struck) {
        self.struck.push(Struck { to: Instant::now(), ..struck });
    }

    /// Looks no more. Returns what was seen.
    #[must_use]
    pub fn close(&self) -> Taken {
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
