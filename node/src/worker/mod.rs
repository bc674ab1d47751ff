//! The volunteer: offers to hold tasks, runs what the ledger gives it, says what became of it, and leaves politely.
//!
//! The worker decides nothing about who gets what. It signs claims (its standing offer and heartbeat), follows the ledger's
//! events for its own leases, begins attempts in the order of their leases as its own slots and memory come free, and stops
//! what was taken back. An attempt in a waiting place may be begun as soon as there is room here: the ledger learns of the
//! room by the very report that made it.

mod asks;
mod offer;
mod outbox;
mod pace;
mod task;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use meshwork_core::{
    identity::{NetworkId, PublicKey, SecretKey},
    ledger::{EndReason, IgnoredReason, LedgerEvent},
    replica::{Given, NetworkTime},
    types::{
        Action, AttemptId, BlockTime, Claim, Drain, Genesis, Incarnation, Receipt, SignedTransaction, Transaction,
        TransactionId, Verdict,
    },
};
use offer::Offer;
use outbox::Outbox;
use pace::Pace;
pub use task::TaskContext;
use tokio::sync::{
    broadcast::{self, error::RecvError},
    mpsc,
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::{
    clock::Clock,
    config::WorkerConfig,
    disk_space::DiskSpace,
    driver::{Final, Handle, News, Stopped},
};

/// How long a worker's transactions may wait to be executed, in milliseconds.
const TRANSACTION_LIFE_MS: u64 = 60_000;
/// How often the worker looks at its clock.
const TICK: Duration = Duration::from_millis(250);
/// How long a leaving worker waits for its drain to be executed.
const DRAIN_TIME: Duration = Duration::from_secs(5);
/// How often an output whose delivery the ledger did not believe is delivered again.
const DELIVERIES_MAX: u32 = 4;

/// An attempt that this worker holds.
struct Held {
    given: Arc<Given>,
    /// Its place in the line.
    place: u64,
    since: Instant,
    phase: Phase,
}

enum Phase {
    /// Its program and inputs are being fetched, and the program compiled.
    Preparing,
    /// It waits for a slot.
    Ready(task::Prepared),
    /// It runs.
    Running,
    /// It has run; its output is on its way to a second holder, or its outcome to the ledger.
    Ended,
}

/// What a task of the worker's tells it.
pub enum Progress {
    /// Everything that an attempt needs is here, or why that cannot be.
    Prepared(AttemptId, Result<task::Prepared, Verdict>),
    /// Its program has run for so long, and its slot is free.
    Ran(AttemptId, Duration),
    /// Its program has saved a checkpoint, which another holds.
    Saved(AttemptId, Verdict),
    /// What became of it.
    Ended(AttemptId, Verdict),
    /// A report was not taken by this peer's own replica.
    ReportRefused(TransactionId),
}

/// Who this worker is, and all that it works with.
pub struct Worker {
    key: SecretKey,
    me: PublicKey,
    network: NetworkId,
    genesis: Arc<Genesis>,
    config: WorkerConfig,
    driver: Handle,
    clock: Clock,
    context: Arc<TaskContext>,
    incarnation: Incarnation,
    sequence: u64,
    /// As of the last claim.
    network_time: NetworkTime,
    held: BTreeMap<AttemptId, Held>,
    /// The attempts that wait for preparation or a slot, in the order of their leases.
    line: BTreeMap<u64, AttemptId>,
    leases: u64,
    running: BTreeSet<AttemptId>,
    /// Those that are to make room at their next checkpoint.
    asked: BTreeSet<AttemptId>,
    stops: BTreeMap<AttemptId, CancellationToken>,
    redelivered: BTreeMap<AttemptId, u32>,
    memory_used: u64,
    outbox: Outbox,
    pace: Pace,
    offer: Offer,
    progress: mpsc::UnboundedSender<Progress>,
}

impl Worker {
    /// A worker that has claimed nothing yet, and where it hears of its own tasks.
    #[must_use]
    pub fn new(
        key: SecretKey,
        genesis: Arc<Genesis>,
        config: WorkerConfig,
        driver: Handle,
        clock: Clock,
        room: DiskSpace,
        context: Arc<TaskContext>,
    ) -> (Self, mpsc::UnboundedReceiver<Progress>) {
        // Bounded by what the worker claims to hold: each attempt says three things at most.
        let (progress, heard) = mpsc::unbounded_channel();
        let limits = &genesis.ledger;
        let outbox = Outbox::new(limits.report_items_max, limits.transaction_bytes_max / 2);
        let worker = Self {
            me: key.public(),
            network: genesis.network_id(),
            incarnation: Incarnation(clock.now().clock.0),
            sequence: 0,
            network_time: NetworkTime::begun(BlockTime::default()),
            held: BTreeMap::new(),
            line: BTreeMap::new(),
            leases: 0,
            running: BTreeSet::new(),
            asked: BTreeSet::new(),
            stops: BTreeMap::new(),
            redelivered: BTreeMap::new(),
            memory_used: 0,
            outbox,
            pace: Pace::default(),
            offer: Offer::new(&genesis, &config, room),
            progress,
            key,
            genesis,
            config,
            driver,
            clock,
            context,
        };
        (worker, heard)
    }

    /// Works until told to stop, then drains.
    ///
    /// # Errors
    /// The node is stopping.
    pub async fn run(
        mut self,
        mut heard: mpsc::UnboundedReceiver<Progress>,
        stop: CancellationToken,
    ) -> Result<(), Stopped> {
        let mut finals = self.driver.finals();
        let mut tick = tokio::time::interval(TICK);
        while !stop.is_cancelled() {
            tokio::select! {
                block = finals.recv() => match block {
                    Ok(News::Final(block)) => self.on_final(&block),
                    Ok(News::Jumped(_)) | Err(RecvError::Lagged(_)) => self.resynchronize().await?,
                    Err(RecvError::Closed) => return Err(Stopped),
                },
                Some(progress) = heard.recv() => {
                    self.on_progress(progress);
                    while let Ok(more) = heard.try_recv() {
                        self.on_progress(more);
                    }
                }
                _ = tick.tick() => self.on_tick(),
                () = stop.cancelled() => break,
            }
            self.begin();
            self.report();
            self.claim().await?;
        }
        self.drain(heard, finals).await
    }

    /// A process whose clock was set back must still sign above what its key signed before. Its own store may not know: this
    /// is looked up until a claim of this process has been executed.
    fn exceed(&mut self, last: Option<(u64, Incarnation)>) {
        if let Some((sequence, incarnation)) = last {
            self.sequence = self.sequence.max(sequence);
            // What is equal was executed just now, and is this process' own.
            if incarnation > self.incarnation {
                self.incarnation = incarnation.next();
            }
        }
    }

    fn next_sequence(&mut self) -> u64 {
        self.sequence = Claim::next_sequence(self.sequence, self.clock.now().clock);
        self.sequence
    }

    fn sign(&self, action: Action) -> Arc<SignedTransaction> {
        let life_ms = TRANSACTION_LIFE_MS.min(self.genesis.ledger.transaction_life_ms_max / 2);
        let expires = self.network_time.at(self.clock.now()).plus_ms(life_ms);
        let transaction = Transaction { nonce: rand::random(), expires, action };
        Arc::new(SignedTransaction::sign(transaction, &self.key, &self.network))
    }

    async fn sign_and_submit(&self, action: Action) -> Result<Option<TransactionId>, Stopped> {
        submit(&self.driver, self.sign(action)).await
    }

    fn on_final(&mut self, block: &Final) {
        let applied = &block.executed.applied;
        for event in &applied.events {
            match event {
                LedgerEvent::Ended { attempt, worker, why, .. } if *worker == self.me => self.on_ended(attempt, *why),
                LedgerEvent::ReportIgnored { attempt, worker, why } if *worker == self.me => {
                    self.on_ignored(attempt, *why);
                }
                LedgerEvent::ClaimEnded { worker, .. } if *worker == self.me => self.offer.lapsed(),
                LedgerEvent::RoomAsked { attempt, worker } if *worker == self.me => {
                    self.asked.insert(*attempt);
                }
                LedgerEvent::Checkpointed { attempt, worker } if *worker == self.me => self.on_checkpoint(attempt),
                _ => {}
            }
        }
        for receipt in &applied.receipts {
            let Receipt::Transaction(receipt) = receipt else { continue };
            if let Some(took) = self.outbox.executed(receipt.id) {
                self.pace.round(took);
            }
            self.offer.executed(receipt.id, receipt.result.is_ok());
        }
        self.take(&block.executed.given);
    }

    /// Prepares the attempts that this worker was given.
    fn take(&mut self, given: &[Given]) {
        for given in given {
            let attempt = given.attempt;
            if given.incarnation != self.incarnation || self.held.contains_key(&attempt) {
                continue;
            }
            self.leases += 1;
            let given = Arc::new(given.clone());
            let task = task::Task::new(Arc::clone(&given));
            let held = Held { given, place: self.leases, since: Instant::now(), phase: Phase::Preparing };
            let stop = CancellationToken::new();
            match self.context.prepared_already(&task) {
                Some(prepared) => self.hold(attempt, Held { phase: Phase::Ready(prepared), ..held }, stop),
                None => {
                    self.hold(attempt, held, stop.clone());
                    let (context, progress) = (Arc::clone(&self.context), self.progress.clone());
                    tokio::spawn(async move {
                        let prepared = context.prepare(&task, stop).await;
                        // A worker that has gone needs to know nothing.
                        let _ = progress.send(Progress::Prepared(attempt, prepared));
                    });
                }
            }
        }
    }

    fn hold(&mut self, attempt: AttemptId, held: Held, stop: CancellationToken) {
        self.line.insert(held.place, attempt);
        self.held.insert(attempt, held);
        self.stops.insert(attempt, stop);
    }

    fn on_progress(&mut self, progress: Progress) {
        match progress {
            Progress::Prepared(attempt, prepared) => match (prepared, self.held.get_mut(&attempt)) {
                (Ok(prepared), Some(held)) => held.phase = Phase::Ready(prepared),
                (Err(verdict), Some(held)) => {
                    held.phase = Phase::Ended;
                    self.line.remove(&held.place);
                    self.outbox.push(attempt, verdict);
                }
                (_, None) => {}
            },
            Progress::ReportRefused(id) => self.outbox.refused(id),
            Progress::Ran(attempt, took) => {
                self.pace.task(took);
                self.free(&attempt);
                if let Some(held) = self.held.get_mut(&attempt) {
                    held.phase = Phase::Ended;
                }
            }
            Progress::Saved(attempt, checkpoint) => {
                if self.running.contains(&attempt) {
                    self.outbox.push_checkpoint(attempt, checkpoint);
                }
            }
            Progress::Ended(attempt, verdict) => {
                self.free(&attempt);
                // What was taken back in the meantime may still be a late success, which the ledger takes if it is owed.
                if self.held.contains_key(&attempt) || matches!(verdict, Verdict::Succeeded(..)) {
                    self.outbox.push(attempt, verdict);
                }
            }
        }
    }

    fn free(&mut self, attempt: &AttemptId) {
        if self.running.remove(attempt)
            && let Some(held) = self.held.get(attempt)
        {
            self.memory_used -= held.given.resources.memory_bytes;
        }
    }

    /// Begins what is ready and fits, in the order of leases.
    fn begin(&mut self) {
        let mut begun = Vec::new();
        for (place, attempt) in &self.line {
            let attempt = *attempt;
            if self.running.len() >= self.config.slots as usize {
                break;
            }
            let Some(held) = self.held.get_mut(&attempt) else { continue };
            let memory = self.memory_used + held.given.resources.memory_bytes;
            if memory > self.config.memory_bytes || !matches!(held.phase, Phase::Ready(_)) {
                continue;
            }
            let Phase::Ready(prepared) = std::mem::replace(&mut held.phase, Phase::Running) else { continue };
            begun.push(*place);
            self.memory_used = memory;
            self.running.insert(attempt);
            let task = task::Task::new(Arc::clone(&held.given));
            let stop = self.stops.get(&attempt).cloned().unwrap_or_default();
            let (context, progress) = (Arc::clone(&self.context), self.progress.clone());
            tokio::spawn(async move { context.run(task, prepared, stop, progress).await });
        }
        for place in begun {
            self.line.remove(&place);
        }
    }

    /// The ledger says that an attempt of this worker's has ended.
    fn on_ended(&mut self, attempt: &AttemptId, why: EndReason) {
        self.outbox.settle(attempt);
        self.redelivered.remove(attempt);
        if !matches!(why, EndReason::Succeeded | EndReason::Failed | EndReason::Returned | EndReason::Yielded)
            && let Some(stop) = self.stops.get(attempt)
        {
            debug!(%attempt, ?why, "an attempt was taken back");
            stop.cancel();
        }
        self.forget(attempt);
    }

    /// The ledger knows a checkpoint: whoever was asked to make room can do so now.
    fn on_checkpoint(&mut self, attempt: &AttemptId) {
        self.outbox.settle_checkpoint(attempt);
        if self.running.contains(attempt) && self.asked.remove(attempt) {
            if let Some(stop) = self.stops.get(attempt) {
                stop.cancel();
            }
            self.free(attempt);
            self.outbox.push(*attempt, Verdict::Yielded);
        }
    }

    fn forget(&mut self, attempt: &AttemptId) {
        self.asked.remove(attempt);
        self.free(attempt);
        self.stops.remove(attempt);
        if let Some(held) = self.held.remove(attempt) {
            self.line.remove(&held.place);
        }
    }

    fn on_ignored(&mut self, attempt: &AttemptId, why: IgnoredReason) {
        let Some(verdict) = self.outbox.settle(attempt) else { return };
        match (why, verdict) {
            (IgnoredReason::NotDelivered, Verdict::Succeeded(output, usage, asks)) => {
                let tries = self.redelivered.entry(*attempt).or_default();
                *tries += 1;
                if *tries > DELIVERIES_MAX {
                    warn!(%attempt, "an output was delivered, but the ledger does not believe any of its holders");
                    return;
                }
                let (context, progress, attempt) = (Arc::clone(&self.context), self.progress.clone(), *attempt);
                let stop = self.stops.get(&attempt).cloned().unwrap_or_default();
                tokio::spawn(async move {
                    if let Some(verdict) = context.deliver_again(attempt, output, (usage, asks), stop).await {
                        // A worker that has gone needs to know nothing.
                        let _ = progress.send(Progress::Ended(attempt, verdict));
                    }
                });
            }
            // It was said before, and is now executed.
            (IgnoredReason::Repeated | IgnoredReason::TaskEnded, _) => self.forget(attempt),
            (why, _) => warn!(%attempt, ?why, "the ledger ignored what this worker reported"),
        }
    }

    fn on_tick(&mut self) {
        self.outbox.give_up_on_lost();
        self.give_back_what_waits_too_long();
        self.offer.measure(self.running.len());
    }

    /// Long tasks are never hoarded: what has waited too long behind others is given back.
    fn give_back_what_waits_too_long(&mut self) {
        if self.running.len() < self.config.slots as usize {
            return;
        }
        let patience = self.pace.patience();
        let waits = |attempt: &AttemptId| {
            self.held.get(attempt).is_some_and(|held| {
                matches!(held.phase, Phase::Ready(_) | Phase::Preparing) && held.since.elapsed() > patience
            })
        };
        let late: Vec<AttemptId> = self.line.values().copied().filter(waits).collect();
        for attempt in late {
            if let Some(held) = self.held.get_mut(&attempt) {
                held.phase = Phase::Ended;
                self.line.remove(&held.place);
            }
            self.outbox.push(attempt, Verdict::Returned);
        }
    }

    /// Hands in what there is to report, without waiting: a slot must not stand idle while a report is taken.
    fn report(&mut self) {
        while let Some(report) = self.outbox.next() {
            let items = report.items.iter().map(|item| item.attempt).collect();
            let signed = self.sign(Action::Report(report));
            let id = signed.id();
            self.outbox.sent(id, items);
            let (driver, progress) = (self.driver.clone(), self.progress.clone());
            tokio::spawn(async move {
                if let Ok(None) = submit(&driver, signed).await {
                    // A worker that has gone needs to know nothing.
                    let _ = progress.send(Progress::ReportRefused(id));
                }
            });
        }
    }

    async fn claim(&mut self) -> Result<(), Stopped> {
        let waiting = self.pace.waiting_places(self.config.slots);
        if !self.offer.is_due(waiting) {
            return Ok(());
        }
        let me = self.me;
        let query = self.driver.query(move |replica| {
            (replica.lacks_blocks(), replica.network_time(), replica.ledger().last_sequence(&me))
        });
        let (lacks_blocks, network_time, last) = query.await?;
        // It would be given what it does not hear of. Another may have that once this one's claim has run out.
        if lacks_blocks {
            return Ok(());
        }
        self.network_time = network_time;
        if !self.offer.has_stood() {
            self.exceed(last);
        }
        self.offer.look_up(self.context.blob_store());
        let sequence = self.next_sequence();
        let claim = self.offer.claim(sequence, self.incarnation, waiting);
        let id = self.sign_and_submit(Action::Claim(claim)).await?;
        self.offer.sent(id, waiting);
        Ok(())
    }

    /// The worker was too slow to follow every block: asks the ledger what it holds.
    async fn resynchronize(&mut self) -> Result<(), Stopped> {
        let (me, incarnation) = (self.me, self.incarnation);
        let leases = self.driver.query(move |replica| {
            let ledger = replica.ledger();
            let mine = ledger.leases_of(&me).into_iter().filter(|lease| lease.incarnation == incarnation);
            mine.filter_map(|lease| Given::of(ledger, lease.attempt, incarnation)).collect::<Vec<_>>()
        });
        let leases = leases.await?;
        let mine: BTreeSet<AttemptId> = leases.iter().map(|given| given.attempt).collect();
        let gone: Vec<AttemptId> = self.held.keys().filter(|attempt| !mine.contains(attempt)).copied().collect();
        for attempt in gone {
            self.on_ended(&attempt, EndReason::TakenBack);
        }
        self.take(&leases);
        Ok(())
    }

    /// Leaves: stops what runs, waits a little until what is done is handed in and taken, gives everything else back, and
    /// waits until that is executed.
    async fn drain(
        mut self,
        mut heard: mpsc::UnboundedReceiver<Progress>,
        mut finals: broadcast::Receiver<News>,
    ) -> Result<(), Stopped> {
        info!(held = self.held.len(), "this worker gives back what it holds and leaves");
        let unfinished = self.held.iter().filter(|(_, held)| !matches!(held.phase, Phase::Ended));
        for stop in unfinished.filter_map(|(attempt, _)| self.stops.get(attempt)) {
            stop.cancel();
        }
        let handed_in = async {
            while self.held.values().any(|held| matches!(held.phase, Phase::Ended)) {
                self.report();
                tokio::select! {
                    block = finals.recv() => match block {
                        Ok(News::Final(block)) => self.on_final(&block),
                        Ok(News::Jumped(_)) | Err(RecvError::Lagged(_)) => self.resynchronize().await?,
                        Err(RecvError::Closed) => return Err(Stopped),
                    },
                    Some(progress) = heard.recv() => self.on_progress(progress),
                    () = tokio::time::sleep(TICK) => {}
                }
            }
            Ok(())
        };
        match tokio::time::timeout(DRAIN_TIME, handed_in).await {
            Ok(done) => done?,
            Err(_) => warn!("not all that is done was taken in time; it is given back with the rest"),
        }
        let sequence = self.next_sequence();
        let Some(id) = self.sign_and_submit(Action::Drain(Drain { sequence })).await? else { return Ok(()) };
        let executed = async {
            loop {
                match finals.recv().await {
                    Ok(News::Final(block)) if has_receipt_of(&block, id) => return,
                    Ok(_) | Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return,
                }
            }
        };
        if tokio::time::timeout(DRAIN_TIME, executed).await.is_err() {
            warn!("the drain was not executed in time; what this worker held comes back when its claim runs out");
        }
        Ok(())
    }
}

fn has_receipt_of(block: &Final, id: TransactionId) -> bool {
    let is_its = |receipt: &Receipt| matches!(receipt, Receipt::Transaction(receipt) if receipt.id == id);
    block.executed.applied.receipts.iter().any(is_its)
}

/// Hands in a transaction. Nothing if it was not taken.
async fn submit(driver: &Handle, signed: Arc<SignedTransaction>) -> Result<Option<TransactionId>, Stopped> {
    match driver.submit(vec![signed]).await?.pop() {
        Some(Ok(id)) => Ok(Some(id)),
        Some(Err(refusal)) => {
            debug!(%refusal, "a transaction of this worker was not taken");
            Ok(None)
        }
        None => Ok(None),
    }
}
