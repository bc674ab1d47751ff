//! A run: a queue of events in virtual time, and what each does.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use meshwork_core::{
    codec,
    digest::Digest,
    identity::PublicKey,
    replica::{Action, Executed, Gossip, Message, message_bytes_max},
    types::{
        self, AttemptId, BlobRef, BlockTime, Cancel, Genesis, JobId, Limits, Program, Resources, Retry,
        SignedTransaction, Submit, TaskSpec, Tasks, Transaction,
    },
};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

use crate::{
    checks::{Checks, Violation},
    disk::Transaction as DiskTransaction,
    links::{Cuts, Fate, Weather, fate},
    peer::{Parcel, Peer, Step},
    scenario::{Fault, START_US, Scenario, Work},
    worker::TICK_US,
};

/// How long it is watched once nothing is owed, so that everyone catches up, in microseconds.
const AFTER_US: u64 = 2_000_000;
/// How long transactions live, in milliseconds.
const LIFE_MS: u64 = 60_000;
/// How long unsynced writes stay so, in microseconds.
const SYNC_EVERY_US: u64 = 250_000;

/// What becomes of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The rule that did not hold, if any: the run ends there.
    pub violation: Option<Violation>,
    /// How long it was, in microseconds of virtual time.
    pub simulated_us: u64,
    /// Final blocks.
    pub blocks: u64,
    /// Tasks admitted.
    pub tasks: u64,
    /// Outcomes accepted.
    pub outcomes: u64,
    /// What went wrong, by kind.
    pub faults: BTreeMap<&'static str, u64>,
    /// A digest of everything that happened, in order: the same for the same scenario, always.
    pub trace: Digest,
}

enum Event {
    Parcel { to: usize, life: Option<u64>, parcel: Parcel },
    Synced { peer: usize, life: u64 },
    Fault(usize),
    Work(usize),
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
    checks: Checks,
    faults: BTreeMap<&'static str, u64>,
    /// Everything that was submitted: its transaction, and the job if it is one.
    submitted: Vec<Arc<SignedTransaction>>,
    jobs: Vec<JobId>,
    trace: blake3::Hasher,
    tell: Option<&'a mut dyn FnMut(u64, String)>,
    synced: BTreeMap<usize, u64>,
    is_whole: bool,
    violation: Option<Violation>,
}

/// Runs a scenario to its end, or to the first rule that does not hold. `tell` hears what happens, line by line.
pub fn run<'a>(scenario: &'a Scenario, tell: Option<&'a mut dyn FnMut(u64, String)>) -> Outcome {
    let mut world = World::new(scenario, tell);
    world.play();
    let mut faults = world.faults;
    faults.insert("twin", scenario.twins.len() as u64);
    faults.insert("withholding authority", scenario.withholding.len() as u64);
    faults.retain(|_, count| *count > 0);
    Outcome {
        violation: world.violation,
        simulated_us: world.now,
        blocks: world.checks.height() as u64,
        tasks: world.checks.tasks(),
        outcomes: world.checks.outcomes,
        faults,
        trace: Digest(*world.trace.finalize().as_bytes()),
    }
}

impl<'a> World<'a> {
    fn new(scenario: &'a Scenario, tell: Option<&'a mut dyn FnMut(u64, String)>) -> Self {
        let manner = |peer: usize| scenario.workers.get(peer.checked_sub(scenario.authorities)?).copied();
        let mut peers: Vec<Peer> = (0..scenario.peers())
            .map(|peer| Peer::new(Scenario::key(peer), scenario.clocks[peer], manner(peer)))
            .collect();
        for &of in &scenario.twins {
            peers[of].is_liar = true;
            let mut twin = Peer::new(Scenario::key(of), scenario.clocks[of], None);
            twin.is_liar = true;
            peers.push(twin);
        }
        for &peer in &scenario.withholding {
            (peers[peer].is_liar, peers[peer].withholds) = (true, true);
        }
        let mut by_key: BTreeMap<PublicKey, Vec<usize>> = BTreeMap::new();
        for (index, peer) in peers.iter().enumerate() {
            by_key.entry(peer.public).or_default().push(index);
        }
        let mut world = Self {
            genesis: scenario.genesis(),
            peers,
            by_key,
            events: BTreeMap::new(),
            posted: 0,
            now: 0,
            random: Pcg64Mcg::seed_from_u64(scenario.seed ^ 0x006d_6573_6877_6f72),
            weather: scenario.weather.clone(),
            cuts: Cuts::default(),
            checks: Checks::default(),
            faults: BTreeMap::new(),
            submitted: Vec::new(),
            jobs: Vec::new(),
            trace: blake3::Hasher::new(),
            tell,
            synced: BTreeMap::new(),
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
                let height = self.checks.height();
                self.violate(0, format!("the network has been whole for long, and is not done at height {height}"));
                break;
            }
            self.handle(event);
            // By then everything that was submitted is ordered, or has expired.
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
        self.peers.iter().enumerate().filter(|(_, peer)| !peer.is_liar)
    }

    /// Whether everyone honest stands where the first does or further, and owes nothing. Twins follow who goes first.
    fn is_done(&self) -> bool {
        let height = self.checks.height() as u64;
        self.honest().all(|(_, peer)| {
            peer.replica.as_ref().is_some_and(|replica| {
                let ledger = replica.ledger();
                ledger.height().0 + 2 >= height && ledger.totals().tasks.unfinished() == 0
            })
        })
    }

    fn check_whole(&mut self) {
        let replicas: Vec<_> =
            self.honest().filter_map(|(index, peer)| Some((index, peer.replica.as_ref()?))).collect();
        let checked = self.checks.whole(&replicas);
        let lowest = replicas.iter().map(|(index, replica)| (replica.ledger().height().0, *index)).min();
        let height = self.checks.height() as u64;
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
            Event::Parcel { to, life, parcel } => {
                let peer = &mut self.peers[to];
                if peer.replica.is_none() || life.is_some_and(|life| life != peer.life) {
                    return;
                }
                if matches!(parcel, Parcel::Wake) && peer.wakes_at.is_some_and(|at| at <= self.now) {
                    peer.wakes_at = None;
                }
                peer.inbox.push_back(parcel);
                self.go_on(to);
            }
            Event::Synced { peer, life } => {
                if self.peers[peer].life != life {
                    return;
                }
                if let Some(Step { actions, transaction }) = self.peers[peer].syncing.take() {
                    self.peers[peer].disk.write(transaction, true);
                    self.synced.insert(peer, self.now);
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
            Event::Whole => self.make_whole(),
        }
    }

    /// Handles what waits at a peer, until it waits for its disk, stands still, or nothing is left.
    fn go_on(&mut self, index: usize) {
        loop {
            let peer = &mut self.peers[index];
            if peer.replica.is_none() || peer.syncing.is_some() || self.violation.is_some() {
                return;
            }
            if peer.paused_until > self.now {
                if peer.wakes_at.is_none_or(|at| at > peer.paused_until) {
                    let (at, life) = (peer.paused_until, peer.life);
                    peer.wakes_at = Some(at);
                    self.post(at, Event::Parcel { to: index, life: Some(life), parcel: Parcel::Wake });
                }
                return;
            }
            let Some(parcel) = peer.inbox.pop_front() else {
                self.post_wake(index);
                return;
            };
            self.take(index, parcel);
        }
    }

    fn post_wake(&mut self, index: usize) {
        let peer = &mut self.peers[index];
        let Some(replica) = &peer.replica else { return };
        let Some(due) = replica.next_wake(peer.now(self.now)) else { return };
        let at = peer.moment(due, self.now);
        if peer.wakes_at.is_none_or(|posted| at < posted) {
            peer.wakes_at = Some(at);
            let life = Some(peer.life);
            self.post(at, Event::Parcel { to: index, life, parcel: Parcel::Wake });
        }
    }

    fn take(&mut self, index: usize, parcel: Parcel) {
        let peer = &mut self.peers[index];
        let now = peer.now(self.now);
        let Some(replica) = &mut peer.replica else { return };
        let mut actions = Vec::new();
        match parcel {
            Parcel::Gossip(gossip) => {
                replica.gossip(now, Gossip::clone(&gossip), &mut actions);
            }
            Parcel::Message(from, message) => {
                replica.message(now, from, Message::clone(&message), &mut actions);
            }
            Parcel::Connected(other) => replica.connected(now, other, &mut actions),
            Parcel::Wake => {
                if replica.next_wake(now).is_some_and(|at| at <= now.monotonic) {
                    replica.tick(now, &mut actions);
                }
            }
            Parcel::WorkerTick => {
                let life = peer.life;
                let says = peer.worker.as_mut().map(|worker| worker.says(now.clock.0)).unwrap_or_default();
                let signed = says.into_iter().map(|action| self.sign(index, action)).collect::<Vec<_>>();
                if let Some(replica) = &mut self.peers[index].replica {
                    replica.submit(now, signed, &mut actions);
                }
                self.post(
                    self.now + TICK_US,
                    Event::Parcel { to: index, life: Some(life), parcel: Parcel::WorkerTick },
                );
            }
            Parcel::Ran(attempt) => {
                let begun = peer.worker.as_mut().map(|worker| worker.on_ran(attempt)).unwrap_or_default();
                self.run_all(index, begun);
            }
        }
        self.step(index, actions);
    }

    /// Stores what is to be stored and then does the rest, at once or when the disk has it.
    fn step(&mut self, index: usize, actions: Vec<Action>) {
        if actions.is_empty() {
            return;
        }
        let transaction = DiskTransaction::of(&actions);
        let peer = &mut self.peers[index];
        if transaction.must_sync {
            let (at, life) = (self.now + peer.sync_us, peer.life);
            peer.syncing = Some(Step { actions, transaction });
            self.post(at, Event::Synced { peer: index, life });
            return;
        }
        if !transaction.is_empty() {
            let due = self.synced.get(&index).is_none_or(|at| self.now - at >= SYNC_EVERY_US);
            peer.disk.write(transaction, due);
            if due {
                self.synced.insert(index, self.now);
            }
        }
        self.carry_out(index, actions);
    }

    fn carry_out(&mut self, index: usize, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Persist(_) | Action::Prune(_) => {}
                Action::Executed(executed) => self.executed(index, &executed),
                Action::Send { to, message } => self.send(index, to, &Arc::new(message)),
                Action::Gossip(gossip) => {
                    let gossip = Arc::new(gossip);
                    for to in 0..self.peers.len() {
                        if self.peers[to].public != self.peers[index].public {
                            self.carry(index, to, Parcel::Gossip(Arc::clone(&gossip)));
                        }
                    }
                }
                Action::ServeBlocks { to, from } => {
                    let most = message_bytes_max(&self.genesis) - (64 << 10);
                    if let Some(message) = self.peers[index].disk.blocks_from(from, most) {
                        self.send(index, to, &Arc::new(message));
                    }
                }
                Action::Evidence(evidence) => {
                    let culprit = usize::from(evidence.culprit().0);
                    self.note(|| format!("peer {index} has evidence against authority {culprit}"));
                    if !self.peers[culprit].is_liar {
                        self.violate(culprit, "there is evidence against an honest authority".into());
                    }
                }
                Action::Standing(standing) => self.note(|| format!("peer {index} now stands as {standing:?}")),
            }
        }
    }

    fn executed(&mut self, index: usize, executed: &Executed) {
        let header = &executed.block.header;
        self.trace.update(&self.now.to_le_bytes());
        self.trace.update(&(index as u64).to_le_bytes());
        self.trace.update(&executed.digest.0);
        let (height, view, count) = (header.height, header.view, executed.block.transactions.len());
        self.note(|| format!("peer {index} executes height {height} of view {view} with {count} transactions"));
        let peer = &mut self.peers[index];
        if !peer.is_liar
            && let Some(replica) = &peer.replica
        {
            // The replica may be some blocks further by now; what is checked of it holds at every height.
            let checked = self.checks.executed(executed, replica);
            let bounded = self.checks.bounded(replica, peer.disk.journal_len());
            if let Err(what) = checked.and(bounded) {
                self.violate(index, what);
                return;
            }
        }
        let begun = self.peers[index].worker.as_mut().map(|worker| worker.on_executed(executed)).unwrap_or_default();
        self.run_all(index, begun);
    }

    fn run_all(&mut self, index: usize, begun: Vec<(AttemptId, u64)>) {
        let life = Some(self.peers[index].life);
        for (attempt, us) in begun {
            self.post(self.now + us, Event::Parcel { to: index, life, parcel: Parcel::Ran(attempt) });
        }
    }

    fn send(&mut self, from: usize, to: PublicKey, message: &Arc<Message>) {
        let sender = self.peers[from].public;
        for to in self.by_key.get(&to).cloned().unwrap_or_default() {
            self.carry(from, to, Parcel::Message(sender, Arc::clone(message)));
        }
    }

    fn carry(&mut self, from: usize, to: usize, parcel: Parcel) {
        if !self.cuts.carries(from, to) || self.peers[from].withholds && self.random.random_range(0..100) < 70 {
            return;
        }
        let Fate::Comes { after_us, corrupt } = fate(&self.weather, from, to, &mut self.random) else { return };
        for (copy, after_us) in after_us.into_iter().enumerate() {
            let parcel = if corrupt && copy == 0 { self.corrupt(&parcel) } else { Some(parcel.clone()) };
            if let Some(parcel) = parcel {
                self.post(self.now + after_us, Event::Parcel { to, life: None, parcel });
            }
        }
    }

    /// A message with a flipped bit; nothing if it cannot be read any more.
    fn corrupt(&mut self, parcel: &Parcel) -> Option<Parcel> {
        *self.faults.entry("corrupt message").or_default() += 1;
        let mut flip = |bytes: &mut Vec<u8>| {
            let bit = self.random.random_range(0..bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
        };
        match parcel {
            Parcel::Gossip(gossip) => {
                let mut bytes = codec::encode(&**gossip);
                flip(&mut bytes);
                Gossip::decode(&bytes, &self.genesis).ok().map(|gossip| Parcel::Gossip(Arc::new(gossip)))
            }
            Parcel::Message(from, message) => {
                let mut bytes = codec::encode(&**message);
                flip(&mut bytes);
                let message = Message::decode(&bytes, &self.genesis).ok()?;
                Some(Parcel::Message(*from, Arc::new(message)))
            }
            other => Some(other.clone()),
        }
    }

    fn start(&mut self, index: usize) {
        if self.peers[index].replica.is_some() {
            return;
        }
        if let Err(what) = self.peers[index].start(&self.genesis, self.now) {
            self.violate(index, format!("it cannot start from its disk: {what}"));
            return;
        }
        let life = Some(self.peers[index].life);
        let parcel = |parcel| Event::Parcel { to: index, life, parcel };
        self.post(self.now, parcel(Parcel::Wake));
        if self.peers[index].worker.is_some() {
            self.post(self.now + 1, parcel(Parcel::WorkerTick));
        }
        let me = self.peers[index].public;
        for other in (0..self.peers.len()).filter(|other| *other != index) {
            let key = self.peers[other].public;
            if key != me && self.peers[other].replica.is_some() {
                self.post(self.now, Event::Parcel { to: index, life, parcel: Parcel::Connected(key) });
                let theirs = Some(self.peers[other].life);
                self.post(self.now, Event::Parcel { to: other, life: theirs, parcel: Parcel::Connected(me) });
            }
        }
    }

    fn crash(&mut self, index: usize) {
        if self.peers[index].replica.is_none() {
            return;
        }
        let coin = self.random.random_range(0..2) == 0;
        self.peers[index].crash(coin);
        let key = self.peers[index].public;
        for peer in &mut self.peers {
            if let Some(replica) = &mut peer.replica {
                replica.disconnected(&key);
            }
        }
    }

    fn befall(&mut self, fault: &Fault) {
        *self.faults.entry(fault.kind()).or_default() += 1;
        self.note(|| format!("{fault:?}"));
        match *fault {
            Fault::Crash(peer) => self.crash(peer),
            Fault::Start(peer) => self.start(peer),
            Fault::LoseDisk(peer) => {
                if self.peers[peer].replica.is_none() {
                    self.peers[peer].disk.lose();
                    self.peers[peer].has_lost_journal = true;
                }
            }
            Fault::Pause(peer, us) => {
                self.peers[peer].paused_until = (self.now + us).min(self.scenario.whole_at_us);
            }
            Fault::Split(ref side) => self.cuts.side.clone_from(side),
            Fault::Mute(peer) => {
                self.cuts.mute.insert(peer);
            }
            Fault::Heal => self.cuts = Cuts::default(),
            Fault::SlowDisk(peer, us) => self.peers[peer].sync_us = us,
            Fault::ClockJump(peer, us) => self.peers[peer].clock.ahead_us += us,
        }
    }

    /// From here on everyone is up, well connected and awake. Liars go on lying.
    fn make_whole(&mut self) {
        self.note(|| "the network is whole".into());
        self.is_whole = true;
        self.cuts = Cuts::default();
        self.weather = Weather { distance: self.weather.distance, ..Weather::fair() };
        let lost: BTreeSet<usize> = self.scenario.twins.iter().copied().collect();
        for index in 0..self.peers.len() {
            self.peers[index].sync_us = 300;
            self.peers[index].paused_until = 0;
            if !lost.contains(&index) {
                self.start(index);
            }
            self.go_on(index);
        }
    }

    fn sign(&mut self, index: usize, action: types::Action) -> Arc<SignedTransaction> {
        // Signed by the moment of the run, not by a clock that may be wrong by more than a transaction lives.
        let expires = BlockTime(START_US + self.now).plus_ms(LIFE_MS);
        let transaction = Transaction { nonce: self.random.random(), expires, action };
        Arc::new(SignedTransaction::sign(transaction, &self.peers[index].key, &self.genesis.network_id()))
    }

    fn submit_work(&mut self, place: usize, work: &Work) {
        match *work {
            Work::Job { through, tasks, task_ms, priority, fails } => {
                self.submit_job(through, tasks, task_ms, priority, fails);
            }
            Work::Burst { through, jobs } => {
                for _ in 0..jobs {
                    self.submit_job(through, 1, 5, 0, false);
                }
            }
            Work::Cancel { through, ago } => {
                let Some(job) = self.jobs.iter().rev().nth(ago).copied() else { return };
                let signed = self.sign(through, types::Action::Cancel(Cancel { job }));
                self.submit(through, signed);
            }
            Work::Replay { through } => {
                let count = self.submitted.len();
                if count > 0 {
                    let again = Arc::clone(&self.submitted[place % count]);
                    self.submit(through, again);
                }
            }
        }
    }

    fn submit_job(&mut self, through: usize, tasks: u32, task_ms: u64, priority: i16, fails: bool) {
        let spec = TaskSpec {
            program: Program::Wasm(BlobRef { digest: Digest::ZERO, bytes: 1 }),
            arguments: if fails { vec!["fail".into()] } else { Vec::new() },
            environment: BTreeMap::new(),
            stdin: None,
            inputs: Vec::new(),
            // Short ones take so little that only the slots bound how many run.
            resources: Resources { millicores: if task_ms > 100 { 1000 } else { 10 }, memory_bytes: 1 << 20 },
            labels: BTreeMap::new(),
            limits: Limits { wall_ms: 10_000, fuel: task_ms, output_bytes: 1000 },
            priority,
            retry: Retry { retries: 3, delay_ms: 50 },
        };
        let submit = Submit { name: "job".into(), spec: Arc::new(spec), tasks: Arc::new(Tasks::Repeat(tasks)) };
        let signed = self.sign(through, types::Action::Submit(submit));
        self.jobs.push(JobId(signed.id().0));
        self.submit(through, signed);
    }

    fn submit(&mut self, through: usize, signed: Arc<SignedTransaction>) {
        self.submitted.push(Arc::clone(&signed));
        let peer = &mut self.peers[through];
        // Whoever submits to a peer that is down or busy hears nothing, and would come again.
        if peer.syncing.is_some() || peer.paused_until > self.now {
            return;
        }
        let now = peer.now(self.now);
        let Some(replica) = &mut peer.replica else { return };
        let mut actions = Vec::new();
        replica.submit(now, vec![signed], &mut actions);
        self.step(through, actions);
        self.go_on(through);
    }
}
