//! A worker's process: the same [`meshwork_core::worker`] that a node drives, driven in virtual time.
//!
//! Preparing takes some time and may fail. Runs take as long as their tasks say. Programs save checkpoints. Outputs are
//! delivered to second holders, which the ledger does not always believe. `manner` makes bad workers, by changing what
//! the machine hears and says. [`crate::checks::workers`] holds the rules that the machine must keep whatever the
//! worker's manner.

mod manner;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use meshwork_core::{
    codec::ByteString,
    consensus::Now,
    digest::Digest,
    identity::{NetworkId, PublicKey},
    replica::{Assignment, Executed},
    types::{
        Action, Answer, AttemptId, BlobRef, BlockTime, DeliveryStatement, Failure, Genesis, Height, InlineOutput,
        Labels, Output, Redundancy, Remains, Resources, Salt, Spawn, TaskId, Usage, Verdict,
    },
    worker::{self, Config, Died, Effect, Input, LedgerStatus, News, Progress, Ticket},
};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

use self::manner::Mask;
use crate::{
    checks::{deaths::KILLS, workers::Watch},
    scenario::{Manner, Scenario},
};

/// The number of slots of a worker.
pub const SLOTS: u32 = 2;
/// The memory that a worker offers, in bytes.
pub const MEMORY_BYTES: u64 = (SLOTS as u64) << 30;
/// The time between two ticks, in microseconds.
const TICK_US: u64 = 500_000;
/// The same for a worker that does everything at the last moment.
const LAST_MINUTE_TICK_US: u64 = 20_000;
/// How often a program saves a checkpoint, in microseconds.
const SAVES_EVERY_US: u64 = 1_500_000;
/// The percentage of attempts that need no fetching or compiling.
const PREPARED_PERCENT: u32 = 70;
/// The percentages of other attempts that cannot be prepared, and that are prepared only after seconds.
const FAILS_PERCENT: u32 = 3;
const SLOW_PERCENT: u32 = 6;
/// The percentage of outputs that are too large for the ledger.
const STORED_PERCENT: u32 = 20;
/// The percentage of second holders that the ledger does not believe.
const UNBELIEVED_PERCENT: u32 = 20;
/// A worker begins to miss blocks at so many of a thousand blocks that hold something for it.
const LAGS_PERMILLE: u32 = 5;
/// The disk becomes full for a while in one of this many ticks.
const FULL_EVERY: u32 = 2_000;

/// Something that comes to a worker.
#[derive(Clone, Debug)]
pub enum Errand {
    /// What a block holds for it.
    News(News),
    /// It has missed blocks, and asks what it holds.
    CatchUp,
    /// A tick is due.
    Tick,
    /// A look-up for a claim is due, with its blobs or without.
    LookUp(bool),
    /// Something that it has begun has made progress.
    Due(Due),
    /// It is to pause, or to resume.
    Rest(bool),
    /// It is to leave.
    Leave,
}

/// Progress of something that a worker has begun.
#[derive(Clone, Copy, Debug)]
pub struct Due {
    attempt: AttemptId,
    /// Which piece of work for the attempt this is.
    number: u64,
    what: What,
}

#[derive(Clone, Copy, Debug)]
enum What {
    Prepared {
        fails: bool,
    },
    Saves,
    Saved {
        done_us: u64,
    },
    Ran,
    Delivered,
    Revealed,
    /// Its program brings the process down.
    Kills,
}

/// What a worker's process wants its peer to do.
#[derive(Debug)]
pub enum Wish {
    /// Tell it this, so many microseconds later.
    Later(u64, Due),
    /// Look up what a claim needs.
    LookUp {
        /// Whether to look up its blobs too.
        blobs: bool,
    },
    /// Sign an action and hand it in.
    HandIn {
        /// The machine's name for the transaction, if the machine wants it.
        ticket: Option<Ticket>,
        /// The action.
        action: Action,
        /// The last block time at which it may be executed.
        expires: BlockTime,
    },
    /// It has left.
    Left,
    /// Its process dies.
    Die,
    /// The ledger has heard that it died of this.
    Forget(AttemptId),
}

/// The work for an attempt.
struct GoesOn {
    number: u64,
    given: Arc<Assignment>,
    /// When its program began, and how much was done before that, in microseconds.
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
    /// Whether nothing of its own goes wrong.
    is_steady: bool,
    going_on: BTreeMap<AttemptId, GoesOn>,
    /// What runners compile and run, which outlives the process.
    with_runners: BTreeSet<AttemptId>,
    /// Outputs that are being delivered. Each has the number of its work, and what to report, with another holder, once it
    /// is delivered.
    delivering: BTreeMap<AttemptId, (u64, Verdict)>,
    /// The answers of replicas, with the salts of the commitments.
    answers: BTreeMap<AttemptId, (Answer, Salt)>,
    begun: u64,
    /// What it has missed since it began to lag.
    missed: Option<Vec<News>>,
    load: u16,
    ticks: u32,
    full_until_us: u64,
}

impl Worker {
    /// A new process of this key in a scenario, after one that died of this.
    #[must_use]
    pub fn new(
        scenario: &Scenario,
        genesis: &Genesis,
        manner: Manner,
        died_of: Vec<Died>,
        (key, life): (PublicKey, u64),
        now: Now,
    ) -> Self {
        let config = Config {
            key,
            slots: SLOTS,
            resources: Resources { millicores: SLOTS * 1000, memory_bytes: MEMORY_BYTES },
            labels: labels(manner, &key),
            died_of,
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
            with_runners: BTreeSet::new(),
            delivering: BTreeMap::new(),
            answers: BTreeMap::new(),
            begun: 0,
            missed: None,
            load: 0,
            ticks: 0,
            full_until_us: 0,
        }
    }

    /// What it dies of if it dies now.
    #[must_use]
    pub fn dies_of(&self) -> Vec<Died> {
        // The programs of a job are all the same.
        let mut jobs = self.with_runners.iter().map(|attempt| attempt.task.job);
        let first = jobs.next();
        let alone = jobs.all(|job| Some(job) == first);
        self.with_runners.iter().map(|attempt| Died { attempt: *attempt, alone }).collect()
    }

    /// The time between two of its ticks, in microseconds.
    #[must_use]
    pub const fn tick_us(&self) -> u64 {
        if matches!(self.mask.manner(), Manner::LastMinute) { LAST_MINUTE_TICK_US } else { TICK_US }
    }

    /// The first rule that it has broken, if any.
    #[must_use]
    pub fn broken(&mut self) -> Option<String> {
        self.watch.broken.take()
    }

    fn percent(&mut self, share: u32) -> bool {
        !self.is_steady && self.random.random_range(0..100) < share
    }

    /// Whether its own replica is to refuse this transaction.
    pub fn is_unlucky(&mut self) -> bool {
        self.percent(2)
    }

    /// What the worker hears of an executed block, and when, in microseconds from now.
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

    /// Ends its lag: it hears `standing`, which is what the ledger says now, and then the newest of the blocks that it
    /// missed.
    pub fn catch_up(&mut self, now: Now, standing: LedgerStatus) -> Vec<Wish> {
        let mut missed = self.missed.take().unwrap_or_default();
        let mut wishes = self.tell(now, Input::Resynchronized(standing));
        let lost = self.random.random_range(1..=missed.len().max(1)).min(missed.len());
        for news in missed.drain(lost..) {
            wishes.extend(self.tell(now, Input::Executed(news)));
        }
        wishes
    }

    /// Carries out an errand.
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

    /// Makes a tick. Measures the load each second.
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

    /// Has the machine handle an input, and carries out its effects. Attempts that need no fetching or compiling are
    /// prepared in the same step.
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
                    Effect::Deliver { attempt, verdict } => self.deliver(attempt, verdict, &mut wishes),
                    Effect::Reveal(attempt) => self.reveal(attempt, &mut wishes),
                    Effect::Forget(attempt) => wishes.push(Wish::Forget(attempt)),
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
        self.with_runners.remove(attempt);
        self.delivering.remove(attempt);
        self.answers.remove(attempt);
    }

    fn prepare(&mut self, given: Arc<Assignment>, wishes: &mut Vec<Wish>) -> Option<Progress> {
        let attempt = given.attempt;
        let number = self.goes_on(given);
        if self.is_steady || self.percent(PREPARED_PERCENT) {
            return Some(Progress::Prepared(attempt, Ok(())));
        }
        self.with_runners.insert(attempt);
        let fails = self.percent(FAILS_PERCENT);
        let most_us = if self.percent(SLOW_PERCENT) { 5_000_000 } else { 100_000 };
        let after_us = self.random.random_range(1_000..most_us);
        wishes.push(Wish::Later(after_us, Due { attempt, number, what: What::Prepared { fails } }));
        None
    }

    fn run(&mut self, now: Now, given: Arc<Assignment>, wishes: &mut Vec<Wish>) {
        let attempt = given.attempt;
        // The size of a checkpoint stands for the progress that it holds, in milliseconds.
        let done_us = given.checkpoint.map_or(0, |checkpoint| checkpoint.bytes * 1000);
        let takes_us = self.mask.lasts_us((given.spec.limits.fuel * 1000).saturating_sub(done_us).max(1));
        let saves = given.spec.checkpoints;
        let kills = given.spec.arguments.iter().any(|argument| argument == KILLS);
        self.with_runners.insert(attempt);
        let number = self.goes_on(given);
        if let Some(goes_on) = self.going_on.get_mut(&attempt) {
            (goes_on.since_us, goes_on.done_us) = (now.monotonic.0, done_us);
        }
        let what = if kills { What::Kills } else { What::Ran };
        wishes.push(Wish::Later(takes_us, Due { attempt, number, what }));
        if saves && takes_us > SAVES_EVERY_US {
            wishes.push(Wish::Later(SAVES_EVERY_US, Due { attempt, number, what: What::Saves }));
        }
    }

    /// Answers are small here, and at hand; but now and then something holds the worker up.
    fn reveal(&mut self, attempt: AttemptId, wishes: &mut Vec<Wish>) {
        let after_us = if self.percent(2) { self.delivery_us() } else { self.random.random_range(1..20_000) };
        wishes.push(Wish::Later(after_us, Due { attempt, number: 0, what: What::Revealed }));
    }

    /// How long a delivery takes, in microseconds.
    fn delivery_us(&mut self) -> u64 {
        let most_us = if self.percent(10) { 8_000_000 } else { 300_000 };
        self.random.random_range(5_000..most_us)
    }

    fn deliver(&mut self, attempt: AttemptId, verdict: Verdict, wishes: &mut Vec<Wish>) {
        self.begun += 1;
        let number = self.begun;
        self.delivering.insert(attempt, (number, verdict));
        let after_us = self.delivery_us();
        wishes.push(Wish::Later(after_us, Due { attempt, number, what: What::Delivered }));
    }

    /// Handles progress of something that it has begun, unless that was stopped.
    fn is_due(&mut self, now: Now, height: Height, due: Due) -> Vec<Wish> {
        let Due { attempt, number, what } = due;
        if matches!(what, What::Delivered) {
            if self.delivering.get(&attempt).is_none_or(|(delivery, _)| *delivery != number) {
                return Vec::new();
            }
            let Some((_, verdict)) = self.delivering.remove(&attempt) else { return Vec::new() };
            let manifest = BlobRef { digest: Digest::of(&attempt.task.index.to_be_bytes()), bytes: 10 };
            let output = self.stored(attempt, manifest, height);
            let verdict = match verdict {
                Verdict::Succeeded(status, _, usage, spawns) => Verdict::Succeeded(status, output, usage, spawns),
                Verdict::Failed(failure, _, usage) => Verdict::Failed(failure, Remains::whole(output), usage),
                other => other,
            };
            return self.tell(now, Input::Progress(vec![Progress::Ended(attempt, verdict)]));
        }
        if matches!(what, What::Revealed) {
            let Some((answer, salt)) = self.answers.get(&attempt).cloned() else { return Vec::new() };
            let verdict = Verdict::Revealed(self.mask.reveals(&attempt.task, answer), salt);
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
            What::Kills => return vec![Wish::Die],
            What::Prepared { fails: false } => {
                self.with_runners.remove(&attempt);
                vec![Progress::Prepared(attempt, Ok(()))]
            }
            What::Prepared { fails: true } => {
                self.with_runners.remove(&attempt);
                self.going_on.remove(&attempt);
                let unavailable = Failure::InputUnavailable(Digest::ZERO);
                let failed = Verdict::Failed(unavailable, Remains::default(), Usage::default());
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
                let Output::Stored { manifest, bytes, delivery, .. } = self.stored(attempt, manifest, height) else {
                    return wishes;
                };
                vec![Progress::Saved(attempt, Verdict::Checkpointed { manifest, bytes, delivery })]
            }
            What::Ran | What::Delivered | What::Revealed => {
                self.with_runners.remove(&attempt);
                self.going_on.remove(&attempt);
                let ran = Progress::Ran(attempt, Duration::from_micros(ran_us));
                self.ends(&given, ran, &mut wishes)
            }
        };
        wishes.extend(self.tell(now, Input::Progress(progress)));
        wishes
    }

    /// A program has ended. A small output is reported, any other is delivered first.
    fn ends(&mut self, given: &Arc<Assignment>, ran: Progress, wishes: &mut Vec<Wish>) -> Vec<Progress> {
        let attempt = given.attempt;
        if given.spec.redundancy.is_some() {
            let answer = self.mask.answers(&attempt.task);
            let salt = Salt(self.random.random());
            let commitment = Answer::commitment(&answer.digest(), &attempt, self.mask.key(), &salt);
            self.answers.insert(attempt, (answer, salt));
            return vec![ran, Progress::Answered(attempt, commitment)];
        }
        if given.spec.arguments.iter().any(|argument| argument == "fail") {
            let Verdict::Succeeded(_, output, usage, _) = success(&attempt) else { return vec![ran] };
            let failed = Verdict::Failed(Failure::Exited(1), Remains::whole(output), usage);
            if self.mask.stores() || self.percent(STORED_PERCENT) {
                self.deliver(attempt, failed, wishes);
                return vec![ran];
            }
            return vec![ran, Progress::Ended(attempt, failed)];
        }
        // Every other task that may spawn spawns one task.
        let spawns = given.spec.spawns && attempt.task.index.is_multiple_of(2);
        let spawns = if spawns { vec![Spawn::default()] } else { Vec::new() };
        let Verdict::Succeeded(status, output, usage, _) = success(&attempt) else { return vec![ran] };
        let succeeded = Verdict::Succeeded(status, output, usage, spawns);
        if given.feeds || self.mask.stores() || self.percent(STORED_PERCENT) {
            self.deliver(attempt, succeeded, wishes);
            return vec![ran];
        }
        vec![ran, Progress::Ended(attempt, succeeded)]
    }

    /// An output that a second holder signs for. The ledger does not believe every holder.
    fn stored(&mut self, attempt: AttemptId, manifest: BlobRef, height: Height) -> Output {
        let is_believed = !self.mask.is_never_believed() && !self.percent(UNBELIEVED_PERCENT);
        let holder = if is_believed { self.random.random_range(0..self.authorities) } else { 998 };
        let statement = DeliveryStatement { attempt, manifest, stderr: None, bytes: manifest.bytes, height };
        let delivery = statement.sign(&Scenario::key(holder), &self.network);
        Output::Stored { manifest, stderr: None, bytes: manifest.bytes, delivery }
    }
}

/// Each worker is in a zone. Those of one mob have the same operator.
fn labels(manner: Manner, key: &PublicKey) -> Labels {
    let mut labels = Labels::from([("zone".to_owned(), (key.0[0] % 3).to_string())]);
    if matches!(manner, Manner::Mob) {
        labels.insert(Redundancy::OPERATOR.to_owned(), "mob".to_owned());
    }
    labels
}

/// The statuses that tasks count as successes. Every other program answers by one of its own.
pub const SUCCESS: [i32; 2] = [0, 10];

const fn status(task: &TaskId) -> i32 {
    SUCCESS[task.index as usize % 2]
}

/// The one right answer to a task that several workers compute.
#[must_use]
pub fn right_answer(task: &TaskId) -> Answer {
    let stdout = ByteString::from(task.index.to_be_bytes().as_slice());
    Answer::Succeeded(
        status(task),
        Output::Inline(InlineOutput { stdout, ..InlineOutput::default() }),
        Usage::default(),
    )
}

/// The one right outcome of a task, with a small output.
fn success(attempt: &AttemptId) -> Verdict {
    let stdout = ByteString::from(attempt.task.index.to_be_bytes().as_slice());
    let output = InlineOutput { stdout, ..InlineOutput::default() };
    Verdict::Succeeded(status(&attempt.task), Output::Inline(output), Usage::default(), Vec::new())
}
