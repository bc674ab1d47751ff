//! A run: a queue of events in virtual time, and the effect of each.
//!
//! This module has the queue, the beginning and the end. `process` handles a process' inputs, `network` carries
//! messages, `faults` plays faults, `submitters` submits work, `operators` settles what
//! authorities decide, and `workers` does what a peer does for its worker.

mod faults;
mod graph;
mod network;
mod operators;
mod process;
mod submitters;
mod workers;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use meshwork_core::{
    digest::Digest,
    identity::PublicKey,
    replica::share_execution,
    types::{BlockTime, Genesis, JobId, SignedTransaction},
};
use rand::SeedableRng;
use rand_pcg::Pcg64Mcg;

use crate::{
    checks::{Checks, Violation},
    liar::{Forger, Lie},
    links::{Cuts, Weather},
    peer::{Parcel, Peer, Step},
    rumours::Rumours,
    scenario::{START_US, Scenario},
};

/// How long the run goes on once nothing is outstanding, so that everyone catches up, in microseconds.
const AFTER_US: u64 = 2_000_000;
/// How long transactions live, in milliseconds.
const LIFE_MS: u64 = 60_000;

/// The result of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The violation, if any. It ends the run.
    pub violation: Option<Violation>,
    /// How long it was, in microseconds of virtual time.
    pub simulated_us: u64,
    /// Final blocks.
    pub blocks: u64,
    /// Tasks admitted.
    pub tasks: u64,
    /// Outcomes accepted.
    pub outcomes: u64,
    /// Speculative attempts given.
    pub speculative: u64,
    /// All attempts given.
    pub leases: u64,
    /// Wrong answers that were accepted, because they were not compared.
    pub lies: u64,
    /// The faults, by kind.
    pub faults: BTreeMap<&'static str, u64>,
    /// A digest of everything that happened, in order: always the same for the same scenario.
    pub trace: Digest,
}

enum Event {
    Parcel { to: usize, life: Option<u64>, parcel: Parcel },
    Synced { peer: usize, life: u64 },
    Fault(usize),
    Work(usize),
    Insist(submitters::Insisted),
    Govern(usize),
    Twin(usize),
    Left(usize),
    Back(usize),
    Whole,
}

struct World<'a> {
    scenario: &'a Scenario,
    genesis: Arc<Genesis>,
    peers: Vec<Peer>,
    by_key: BTreeMap<PublicKey, Vec<usize>>,
    events: BTreeMap<(u64, u64), Event>,
    posted: u64,
    now: u64,
    random: Pcg64Mcg,
    weather: Weather,
    cuts: Cuts,
    rumours: Rumours,
    checks: Checks,
    faults: BTreeMap<&'static str, u64>,
    /// All submitted transactions.
    submitted: Vec<Arc<SignedTransaction>>,
    /// The submitted jobs, each with its submitter.
    jobs: Vec<(JobId, usize)>,
    /// Changes that authorities still have to settle.
    governing: BTreeSet<usize>,
    churned: u64,
    trace: blake3::Hasher,
    tell: Option<&'a mut dyn FnMut(u64, String)>,
    is_whole: bool,
    violation: Option<Violation>,
}

/// Runs a scenario to its end, or to the first violation. `tell` gets each event as a line.
pub fn run<'a>(scenario: &'a Scenario, tell: Option<&'a mut dyn FnMut(u64, String)>) -> Outcome {
    share_execution(scenario.shares_execution);
    let mut world = World::new(scenario, tell);
    world.play();
    let mut faults = world.faults;
    for (_, lie) in &scenario.liars {
        *faults.entry(lie.kind()).or_default() += 1;
    }
    Outcome {
        violation: world.violation,
        simulated_us: world.now,
        blocks: world.checks.height(),
        tasks: world.checks.tasks(),
        outcomes: world.checks.outcomes(),
        speculative: world.checks.speculative(),
        leases: world.checks.leases(),
        lies: world.checks.lies(),
        faults,
        trace: Digest(*world.trace.finalize().as_bytes()),
    }
}

impl<'a> World<'a> {
    fn new(scenario: &'a Scenario, tell: Option<&'a mut dyn FnMut(u64, String)>) -> Self {
        let genesis = scenario.genesis();
        let manner = |peer: usize| scenario.workers.get(peer.checked_sub(scenario.authorities)?).copied();
        let mut peers: Vec<Peer> = (0..scenario.peers())
            .map(|peer| Peer::new(Scenario::key(peer), scenario.clocks[peer], manner(peer)))
            .collect();
        for (liar, lie) in &scenario.liars {
            peers[*liar].lie = Some(lie.clone());
            match lie {
                Lie::Twin => {
                    let mut twin = Peer::new(Scenario::key(*liar), scenario.clocks[*liar], None);
                    twin.lie = Some(Lie::Twin);
                    peers.push(twin);
                }
                Lie::Forges(kinds) => {
                    let forger = Forger::new(kinds.clone(), Scenario::key(*liar), *liar, &genesis);
                    peers[*liar].forger = Some(forger);
                }
                Lie::Withholds | Lie::Selective => {}
            }
        }
        let mut by_key: BTreeMap<PublicKey, Vec<usize>> = BTreeMap::new();
        for (index, peer) in peers.iter().enumerate() {
            by_key.entry(peer.public).or_default().push(index);
        }
        let mut world = Self {
            checks: Checks::new(scenario, &genesis),
            genesis,
            peers,
            by_key,
            events: BTreeMap::new(),
            posted: 0,
            now: 0,
            random: Pcg64Mcg::seed_from_u64(scenario.seed ^ 0x006d_6573_6877_6f72),
            weather: scenario.weather.clone(),
            cuts: Cuts::default(),
            rumours: Rumours::default(),
            faults: BTreeMap::new(),
            submitted: Vec::new(),
            jobs: Vec::new(),
            governing: governing(scenario),
            churned: 0,
            trace: blake3::Hasher::new(),
            tell,
            is_whole: false,
            violation: None,
            scenario,
        };
        for (index, (at, _)) in scenario.faults.iter().enumerate() {
            world.post(*at, Event::Fault(index));
        }
        for (index, (at, _)) in scenario.work.iter().enumerate() {
            world.post(*at, Event::Work(index));
        }
        world.post(scenario.whole_at_us, Event::Whole);
        world
    }

    fn post(&mut self, at: u64, event: Event) {
        self.posted += 1;
        self.events.insert((at.max(self.now), self.posted), event);
    }

    fn note(&mut self, text: impl FnOnce() -> String) {
        if let Some(tell) = &mut self.tell {
            tell(self.now, text());
        }
    }

    fn count(&mut self, what: &'static str) {
        *self.faults.entry(what).or_default() += 1;
    }

    fn violate(&mut self, peer: usize, what: String) {
        self.note(|| format!("VIOLATION at peer {peer}: {what}"));
        self.violation.get_or_insert(Violation { at_us: self.now, peer, what });
    }

    fn play(&mut self) {
        for peer in 0..self.peers.len() {
            self.start(peer);
        }
        let last = self.scenario.whole_at_us + self.scenario.patience_us;
        let mut done_at: Option<u64> = None;
        while self.violation.is_none()
            && let Some(((at, _), event)) = self.events.pop_first()
        {
            self.now = at;
            if done_at.is_some_and(|done| at >= done + AFTER_US) {
                break;
            }
            if at > last {
                self.check_whole();
                let (height, left) = (self.checks.height(), self.left());
                self.violate(
                    0,
                    format!("the network has been whole for long, and is not done at height {height}: {left}"),
                );
                break;
            }
            self.handle(event);
            // By then every submitted transaction is ordered or has expired.
            let is_late = at > self.scenario.whole_at_us + (LIFE_MS + 1000) * 1000;
            if done_at.is_none() && self.is_whole && is_late && self.is_done() {
                done_at = Some(self.now);
            }
        }
        if self.violation.is_none() && done_at.is_some() {
            self.check_whole();
        }
    }

    fn honest(&self) -> impl Iterator<Item = (usize, &Peer)> {
        self.peers.iter().enumerate().filter(|(_, peer)| !peer.is_liar())
    }

    /// Whether blocks still become final, every honest peer is at or close below the highest, and nothing is
    /// outstanding.
    fn is_done(&self) -> bool {
        self.is_alive() && self.is_governed() && self.honest().all(|(_, peer)| self.is_level(peer))
    }

    /// Whether a block has become final lately.
    fn is_alive(&self) -> bool {
        self.checks.newest() > BlockTime(START_US + self.scenario.whole_at_us).plus_ms(LIFE_MS)
    }

    /// Whether a peer is at or close below the highest, and has nothing outstanding.
    fn is_level(&self, peer: &Peer) -> bool {
        peer.replica.as_ref().is_some_and(|replica| {
            let ledger = replica.ledger();
            replica.consensus().epoch().0 == self.checks.epoch()
                && ledger.height().0 + 2 >= self.checks.height()
                && ledger.totals().tasks.unfinished() == 0
        })
    }

    /// Why the run is not done yet.
    fn left(&self) -> String {
        if !self.is_alive() {
            return "no block has become final since it was whole".to_owned();
        }
        if !self.is_governed() {
            let (left, waits) = (&self.governing, self.checks.ledger().change_waits());
            return format!("works {left:?} are not settled, and an approved change waits: {waits}");
        }
        let behind = self.honest().find(|(_, peer)| !self.is_level(peer));
        behind.map_or_else(String::new, |(index, peer)| {
            peer.replica.as_ref().map_or_else(
                || format!("peer {index} is down"),
                |replica| {
                    let (height, epoch) = (replica.ledger().height(), replica.consensus().epoch());
                    let tasks = replica.ledger().totals().tasks.unfinished();
                    format!(
                        "peer {index} stands at height {height} of epoch {epoch}, and has {tasks} tasks outstanding"
                    )
                },
            )
        })
    }

    fn check_whole(&mut self) {
        let replicas: Vec<_> =
            self.honest().filter_map(|(index, peer)| Some((index, peer.replica.as_ref()?))).collect();
        let checked = self.checks.whole(&replicas, |peer| self.peers[peer].life);
        let mut handovers =
            replicas.iter().map(|(index, _)| self.checks.handovers(self.peers[*index].disk.handovers()));
        let checked = checked.and_then(|()| handovers.find(Result::is_err).unwrap_or(Ok(())));
        let lowest = replicas.iter().map(|(index, replica)| (replica.ledger().height().0, *index)).min();
        let height = self.checks.height();
        if let Err(what) = checked {
            self.violate(0, what);
        } else if let Some((lowest, peer)) = lowest
            && lowest + 16 < height
        {
            self.violate(peer, format!("it stands at height {lowest} long after the others reached {height}"));
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Parcel { to, life, parcel } => self.arrive(to, life, parcel),
            Event::Synced { peer, life } => {
                if self.peers[peer].life != life {
                    return;
                }
                if self.peers[peer].disk_full {
                    self.note(|| format!("peer {peer} ends: its disk is full"));
                    self.crash(peer);
                    return;
                }
                if let Some(Step { actions, transaction }) = self.peers[peer].syncing.take() {
                    self.peers[peer].write(transaction, self.now);
                    self.carry_out(peer, actions);
                }
                self.go_on(peer);
            }
            Event::Fault(index) => {
                let fault = self.scenario.faults[index].1.clone();
                if !self.is_whole {
                    self.befall(&fault);
                }
            }
            Event::Work(index) => {
                let work = self.scenario.work[index].1.clone();
                self.submit_work(index, &work);
            }
            Event::Insist(insisted) => self.insist(insisted),
            Event::Govern(index) => self.govern(index),
            Event::Twin(index) => self.start_again(index),
            Event::Left(index) => self.worker_left(index),
            Event::Back(index) => self.start(index),
            Event::Whole => self.make_whole(),
        }
    }
}

/// Which submissions need the approval of authorities.
fn governing(scenario: &Scenario) -> BTreeSet<usize> {
    let works = scenario.work.iter().enumerate();
    works.filter(|(_, (_, work))| work.is_settled()).map(|(index, _)| index).collect()
}

/// Peers that never stop, because their second instance must not be started twice.
fn twins(scenario: &Scenario) -> BTreeSet<usize> {
    scenario.liars.iter().filter(|(_, lie)| *lie == Lie::Twin).map(|(liar, _)| *liar).collect()
}
