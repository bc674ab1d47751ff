//! A worker's process: the very [`meshwork_core::worker`] that a node drives, and around it what a node does, in
//! virtual time.
//!
//! Preparing takes some time and may fail, runs take as long as their tasks say, programs save checkpoints, and outputs
//! are delivered to second holders, whom the ledger does not always believe. What bad workers do is in `manner`, as
//! changes of what the machine hears and says; what the machine must do whoever it works for is in
//! [`crate::checks::workers`].

mod manner;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use meshwork_core::{
    codec::ByteString,
    consensus::Now,
    digest::Digest,
    identity::{NetworkId, PublicKey},
    replica::{Assignment, Executed},
    types::{
        Action, AttemptId, BlobRef, BlockTime, DeliveryStatement, Failure, Genesis, Height, InlineOutput, Labels,
        Output, Resources, Spawn, Usage, Verdict,
    },
    worker::{self, Config, Effect, Input, LedgerStatus, News, Progress, Ticket},
};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

use self::manner::Mask;
use crate::{
    checks::workers::Watch,
    scenario::{Manner, Scenario},
};

/// How many tasks a worker runs at once.
pub const SLOTS: u32 = 2;
/// Bytes of memory that a worker offers.
pub const MEMORY_BYTES: u64 = (SLOTS as u64) << 30;
/// How often a worker looks around, in microseconds.
const TICK_US: u64 = 500_000;
/// The same for one that does everything at the last moment.
const LAST_MINUTE_TICK_US: u64 = 20_000;
/// How often a program saves a checkpoint, in microseconds.
const SAVES_EVERY_US: u64 = 1_500_000;
/// Of a hundred attempts, so many need nothing that is not here.
const PREPARED_PERCENT: u32 = 70;
/// Of a hundred others, so many cannot be prepared, and so many only after seconds.
const FAILS_PERCENT: u32 = 3;
const SLOW_PERCENT: u32 = 6;
/// Of a hundred outputs, so many are too large for the ledger.
const STORED_PERCENT: u32 = 20;
/// Of a hundred second holders, the ledger does not believe so many.
const UNBELIEVED_PERCENT: u32 = 20;
/// Of a thousand blocks that hold something for a worker, it misses the first of some so many times.
const LAGS_PERMILLE: u32 = 5;
/// In one of so many ticks the disk comes to have no space for a while.
const FULL_EVERY: u32 = 2_000;

/// What comes to a worker.
#[derive(Clone, Debug)]
pub enum Errand {
    /// What a block holds for it.
    News(News),
    /// It has missed blocks, and asks what it holds.
    CatchUp,
    /// It looks around.
    Tick,
    /// What a claim needs is looked up, its blobs too or not.
    LookUp(bool),
    /// Something that it had done has come so far.
    Due(Due),
    /// It is to take no more, or may again.
    Rest(bool),
    /// It is to leave.
    Leave,
}

/// How far something has come that a worker had done.
#[derive(Clone, Copy, Debug)]
pub struct Due {
    attempt: AttemptId,
    /// Which of the things that went on for it.
    number: u64,
    what: What,
}

#[derive(Clone, Copy, Debug)]
enum What {
    Prepared { fails: bool },
    Saves,
    Saved { done_us: u64 },
    Ran,
    Delivered,
}

/// What a worker's process wants of its peer.
#[derive(Debug)]
pub enum Wish {
    /// To be told this, so many microseconds later.
    Later(u64, Due),
    /// To know what a claim needs.
    LookUp {
        /// Whether its blobs too.
        blobs: bool,
    },
    /// To have something signed and handed in.
    HandIn {
        /// What the machine calls it, if it is its own.
        ticket: Option<Ticket>,
        /// What.
        action: Action,
        /// Until when it may be executed.
        expires: BlockTime,
    },
    /// It has left.
    Left,
}

/// What goes on for an attempt.
struct GoesOn {
    number: u64,
    given: Arc<Assignment>,
    /// Since when its program runs, and what was done before, in microseconds.
    since_us: u64,
    done_us: u64,
}

/// A worker's process.
pub struct Worker {
    machine: worker::Worker,
    mask: Mask,
    watch: Watch,
    network: NetworkId,
    authorities: usize,
    random: Pcg64Mcg,
    /// Nothing of its own goes wrong.
    is_steady: bool,
    going_on: BTreeMap<AttemptId, GoesOn>,
    /// Outputs that are being delivered, by which of the things that went on that is, and what is said once they are.
    delivering: BTreeMap<AttemptId, (u64, Usage, Vec<Spawn>)>,
    begun: u64,
    /// What it has missed since it came to lag.
    missed: Option<Vec<News>>,
    load: u16,
    ticks: u32,
    full_until_us: u64,
}

impl Worker {
    /// A new process of this key's, in a scenario.
    #[must_use]
    pub fn new(scenario: &Scenario, genesis: &Genesis, manner: Manner, key: PublicKey, now: Now, life: u64) -> Self {
        let config = Config {
            key,
            slots: SLOTS,
            resources: Resources { millicores: SLOTS * 1000, memory_bytes: MEMORY_BYTES },
            labels: Labels::from([("zone".to_owned(), (key.0[0] % 3).to_string())]),
        };
        let drawn = scenario.seed ^ u64::from(key.0[1]) << 48 ^ u64::from(key.0[2]) << 40 ^ life << 20;
        Self {
            watch: Watch::new(&config, genesis),
            machine: worker::Worker::new(config, genesis, now),
            mask: Mask::new(manner, key, genesis),
            network: genesis.network_id(),
            authorities: scenario.authorities,
            random: Pcg64Mcg::seed_from_u64(drawn),
            is_steady: scenario.runs_once,
            going_on: BTreeMap::new(),
            delivering: BTreeMap::new(),
            begun: 0,
            missed: None,
            load: 0,
            ticks: 0,
            full_until_us: 0,
        }
    }

    /// How often it looks around, in microseconds.
    #[must_use]
    pub const fn tick_us(&self) -> u64 {
        if matches!(self.mask.manner(), Manner::LastMinute) { LAST_MINUTE_TICK_US } else { TICK_US }
    }

    /// The first rule that it has broken.
    #[must_use]
    pub fn broken(&mut self) -> Option<String> {
        self.watch.broken.take()
    }

    fn percent(&mut self, share: u32) -> bool {
        !self.is_steady && self.random.random_range(0..100) < share
    }

    /// Whether the own replica is to refuse what it hands in.
    pub fn is_unlucky(&mut self) -> bool {
        self.percent(2)
    }

    /// A block was executed. What the worker is to hear of it, and when, in microseconds from now.
    pub fn executed(&mut self, executed: &Executed, key: &PublicKey) -> Option<(u64, Errand)> {
        self.mask.sees(executed);
        let news = News::of(executed, key);
        if news.is_empty() {
            return None;
        }
        if let Some(missed) = &mut self.missed {
            missed.push(news);
            return None;
        }
        if !self.is_steady && self.random.random_range(0..1000) < LAGS_PERMILLE {
            self.missed = Some(vec![news]);
            return Some((self.random.random_range(10_000..1_000_000), Errand::CatchUp));
        }
        Some((0, Errand::News(news)))
    }

    /// It has missed blocks: `standing` is what the ledger says by now. The newest of what it missed still come to it.
    pub fn catch_up(&mut self, now: Now, standing: LedgerStatus) -> Vec<Wish> {
        let mut missed = self.missed.take().unwrap_or_default();
        let mut wishes = self.tell(now, Input::Resynchronized(standing));
        let lost = self.random.random_range(1..=missed.len().max(1)).min(missed.len());
        for news in missed.drain(lost..) {
            wishes.extend(self.tell(now, Input::Executed(news)));
        }
        wishes
    }

    /// Does what an errand says.
    pub fn take(&mut self, now: Now, height: Height, errand: Errand) -> Vec<Wish> {
        match errand {
            Errand::News(news) => self.tell(now, Input::Executed(news)),
            Errand::CatchUp | Errand::LookUp(_) => Vec::new(),
            Errand::Tick => {
                let mut wishes = self.mask.keeps_no_longer(now);
                let tick = self.tick(now);
                wishes.extend(self.tell(now, tick));
                wishes
            }
            Errand::Due(due) => self.is_due(now, height, due),
            Errand::Rest(true) => self.tell(now, Input::Pause),
            Errand::Rest(false) => self.tell(now, Input::Resume),
            Errand::Leave => self.tell(now, Input::Drain),
        }
    }

    /// Measures, each second.
    fn tick(&mut self, now: Now) -> Input {
        self.ticks += 1;
        if self.ticks.is_multiple_of(2) {
            let present = 1000 * self.machine.running().min(SLOTS) / SLOTS;
            self.load = ((u32::from(self.load) * 82 + present * 18) / 100) as u16;
        }
        if !self.is_steady && self.random.random_range(0..FULL_EVERY) == 0 {
            self.full_until_us = now.monotonic.0 + self.random.random_range(2_000_000..20_000_000);
        }
        Input::Tick { load: self.load, has_disk_space: now.monotonic.0 >= self.full_until_us }
    }

    /// Tells the machine something, and carries out what it says then. What can be prepared at once is so in the same
    /// step.
    pub fn tell(&mut self, now: Now, input: Input) -> Vec<Wish> {
        let mut wishes = Vec::new();
        let mut next = Some(self.mask.hears(input));
        while let Some(input) = next.take() {
            let mut effects = Vec::new();
            self.watch.told(now, &input);
            self.machine.handle(now, input, &mut effects);
            self.watch.did(now, &effects);
            let mut prepared = Vec::new();
            for effect in effects {
                match effect {
                    Effect::Prepare(given) => prepared.extend(self.prepare(given, &mut wishes)),
                    Effect::Run(given) => self.run(now, given, &mut wishes),
                    Effect::Stop(attempt) => self.stop(&attempt),
                    Effect::Deliver { attempt, usage, spawns, .. } => {
                        self.deliver(attempt, (usage, spawns), &mut wishes);
                    }
                    Effect::LookUp { blobs } => wishes.push(Wish::LookUp { blobs }),
                    Effect::HandIn { ticket, action, expires } => {
                        wishes.extend(self.mask.says(now, ticket, action, expires));
                    }
                    Effect::Left { .. } => wishes.push(Wish::Left),
                }
            }
            next = (!prepared.is_empty()).then_some(Input::Progress(prepared));
        }
        wishes
    }

    fn goes_on(&mut self, given: Arc<Assignment>) -> u64 {
        self.begun += 1;
        let (number, attempt) = (self.begun, given.attempt);
        self.going_on.insert(attempt, GoesOn { number, given, since_us: 0, done_us: 0 });
        number
    }

    fn stop(&mut self, attempt: &AttemptId) {
        self.going_on.remove(attempt);
        self.delivering.remove(attempt);
    }

    fn prepare(&mut self, given: Arc<Assignment>, wishes: &mut Vec<Wish>) -> Option<Progress> {
        let attempt = given.attempt;
        let number = self.goes_on(given);
        if self.is_steady || self.percent(PREPARED_PERCENT) {
            return Some(Progress::Prepared(attempt, Ok(())));
        }
        let fails = self.percent(FAILS_PERCENT);
        let most_us = if self.percent(SLOW_PERCENT) { 5_000_000 } else { 100_000 };
        let after_us = self.random.random_range(1_000..most_us);
        wishes.push(Wish::Later(after_us, Due { attempt, number, what: What::Prepared { fails } }));
        None
    }

    fn run(&mut self, now: Now, given: Arc<Assignment>, wishes: &mut Vec<Wish>) {
        let attempt = given.attempt;
        // What a checkpoint holds is how far it has come, in milliseconds.
        let done_us = given.checkpoint.map_or(0, |checkpoint| checkpoint.bytes * 1000);
        let takes_us = self.mask.lasts_us((given.spec.limits.fuel * 1000).saturating_sub(done_us).max(1));
        let saves = given.spec.checkpoints;
        let number = self.goes_on(given);
        if let Some(goes_on) = self.going_on.get_mut(&attempt) {
            (goes_on.since_us, goes_on.done_us) = (now.monotonic.0, done_us);
        }
        wishes.push(Wish::Later(takes_us, Due { attempt, number, what: What::Ran }));
        if saves && takes_us > SAVES_EVERY_US {
            wishes.push(Wish::Later(SAVES_EVERY_US, Due { attempt, number, what: What::Saves }));
        }
    }

    /// How long it takes to have something held by another, in microseconds.
    fn delivery_us(&mut self) -> u64 {
        let most_us = if self.percent(10) { 8_000_000 } else { 300_000 };
        self.random.random_range(5_000..most_us)
    }

    fn deliver(&mut self, attempt: AttemptId, (usage, spawns): (Usage, Vec<Spawn>), wishes: &mut Vec<Wish>) {
        self.begun += 1;
        let number = self.begun;
        self.delivering.insert(attempt, (number, usage, spawns));
        let after_us = self.delivery_us();
        wishes.push(Wish::Later(after_us, Due { attempt, number, what: What::Delivered }));
    }

    /// Something that it had done has come so far, unless it was stopped.
    fn is_due(&mut self, now: Now, height: Height, due: Due) -> Vec<Wish> {
        let Due { attempt, number, what } = due;
        if matches!(what, What::Delivered) {
            if self.delivering.get(&attempt).is_none_or(|(delivery, ..)| *delivery != number) {
                return Vec::new();
            }
            let Some((_, usage, spawns)) = self.delivering.remove(&attempt) else { return Vec::new() };
            let manifest = BlobRef { digest: Digest::of(&attempt.task.index.to_be_bytes()), bytes: 10 };
            let output = self.stored(attempt, manifest, height);
            let verdict = Verdict::Succeeded(output, usage, spawns);
            return self.tell(now, Input::Progress(vec![Progress::Ended(attempt, verdict)]));
        }
        let Some(goes_on) = self.going_on.get(&attempt).filter(|goes_on| goes_on.number == number) else {
            return Vec::new();
        };
        let ran_us = now.monotonic.0.saturating_sub(goes_on.since_us);
        let done_us = goes_on.done_us + ran_us;
        let given = Arc::clone(&goes_on.given);
        let mut wishes = Vec::new();
        let progress = match what {
            What::Prepared { fails: false } => vec![Progress::Prepared(attempt, Ok(()))],
            What::Prepared { fails: true } => {
                self.going_on.remove(&attempt);
                let unavailable = Failure::InputUnavailable(Digest::ZERO);
                let failed = Verdict::Failed(unavailable, ByteString::default(), Usage::default());
                let verdict = if self.percent(50) { failed } else { Verdict::Returned };
                vec![Progress::Prepared(attempt, Err(verdict))]
            }
            What::Saves => {
                let after_us = self.random.random_range(5_000..200_000);
                wishes.push(Wish::Later(after_us, Due { what: What::Saved { done_us }, ..due }));
                wishes.push(Wish::Later(SAVES_EVERY_US, due));
                return wishes;
            }
            What::Saved { done_us } => {
                let manifest = BlobRef { digest: Digest::of(&attempt.number.0.to_be_bytes()), bytes: done_us / 1000 };
                let Output::Stored { manifest, bytes, delivery } = self.stored(attempt, manifest, height) else {
                    return wishes;
                };
                vec![Progress::Saved(attempt, Verdict::Checkpointed { manifest, bytes, delivery })]
            }
            What::Ran | What::Delivered => {
                self.going_on.remove(&attempt);
                let ran = Progress::Ran(attempt, Duration::from_micros(ran_us));
                self.ends(&given, ran, &mut wishes)
            }
        };
        wishes.extend(self.tell(now, Input::Progress(progress)));
        wishes
    }

    /// A program has ended: its output is small, or to be delivered first.
    fn ends(&mut self, given: &Arc<Assignment>, ran: Progress, wishes: &mut Vec<Wish>) -> Vec<Progress> {
        let attempt = given.attempt;
        if given.spec.arguments.iter().any(|argument| argument == "fail") {
            let failed = Verdict::Failed(Failure::Exited(1), ByteString::default(), Usage::default());
            return vec![ran, Progress::Ended(attempt, failed)];
        }
        // Every other task that may asks for one more.
        let spawns = given.spec.spawns && attempt.task.index.is_multiple_of(2);
        let spawns = if spawns { vec![Spawn::default()] } else { Vec::new() };
        if given.feeds || self.mask.stores() || self.percent(STORED_PERCENT) {
            self.deliver(attempt, (Usage::default(), spawns), wishes);
            return vec![ran];
        }
        let Verdict::Succeeded(output, usage, _) = success(&attempt) else { return vec![ran] };
        vec![ran, Progress::Ended(attempt, Verdict::Succeeded(output, usage, spawns))]
    }

    /// Something that a second holder signs for. Not every holder is believed.
    fn stored(&mut self, attempt: AttemptId, manifest: BlobRef, height: Height) -> Output {
        let is_believed = !self.mask.is_never_believed() && !self.percent(UNBELIEVED_PERCENT);
        let holder = if is_believed { self.random.random_range(0..self.authorities) } else { 998 };
        let statement = DeliveryStatement { attempt, manifest, bytes: manifest.bytes, height };
        let delivery = statement.sign(&Scenario::key(holder), &self.network);
        Output::Stored { manifest, bytes: manifest.bytes, delivery }
    }
}

/// The one right answer of a task, small.
fn success(attempt: &AttemptId) -> Verdict {
    let stdout = ByteString::from(attempt.task.index.to_be_bytes().as_slice());
    let output = InlineOutput { stdout, ..InlineOutput::default() };
    Verdict::Succeeded(Output::Inline(output), Usage::default(), Vec::new())
}
