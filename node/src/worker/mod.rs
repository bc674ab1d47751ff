//! The volunteer: carries out what [`meshwork_core::worker`] decides. It fetches, runs and delivers in tasks of their
//! own. It measures the machine, signs transactions, and hands them in through the driver like everything else on this
//! peer.

mod begun;
mod ending;
mod given;
mod room;
mod spawns;
mod task;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

pub use begun::BegunJournal;
use meshwork_core::{
    identity::{NetworkId, SecretKey},
    ledger::Stage,
    replica::Assignment,
    types::{
        Action, Answer, AttemptId, BlockTime, Claim, Genesis, Resources, Salt, SignedTransaction, Transaction, Verdict,
    },
    worker::{self, Config, Effect, Happened, Input, LedgerStatus, LookedUp, News, Progress, Ticket},
};
pub use task::TaskContext;
use tokio::sync::{broadcast::error::RecvError, mpsc};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::{
    alarms::{Alarm, Alarms},
    clock::Clock,
    config::WorkerConfig,
    disk_space::DiskSpace,
    driver::{self, FinalizedBlock, Handle, Stopped},
    load::LoadSampler,
};

/// How often the worker gets a tick.
const TICK: Duration = Duration::from_millis(250);
/// How often the load is measured.
const MEASURE_EVERY: Duration = Duration::from_secs(1);

/// What the worker hears of the work that it began.
pub enum Heard {
    /// Everything that an attempt needs is here.
    Prepared(AttemptId, task::Prepared),
    /// The answer of a replica is known, and stays here until the ledger asks for it.
    Answered(AttemptId, ending::Unrevealed),
    /// The outcome of an attempt, or how far it has come.
    Progress(Progress),
    /// This peer's own replica refused a transaction.
    Refused(Ticket),
}

/// The work for an attempt.
struct GoesOn {
    stop: CancellationToken,
    /// What it needs, while it waits for a slot.
    prepared: Option<task::Prepared>,
    /// The answer to which this worker has committed itself.
    answer: Option<ending::Unrevealed>,
}

/// A worker and everything that it works with.
pub struct Worker {
    machine: worker::Worker,
    key: SecretKey,
    network: NetworkId,
    driver: Handle,
    clock: Clock,
    disk_space: DiskSpace,
    context: Arc<TaskContext>,
    load: LoadSampler,
    measured: Instant,
    score: u16,
    slots: u32,
    alarms: Alarms,
    going_on: BTreeMap<AttemptId, GoesOn>,
    heard: mpsc::UnboundedSender<Heard>,
    has_left: bool,
}

impl Worker {
    /// A worker that has claimed nothing yet, and the channel on which it hears of its own tasks.
    #[must_use]
    pub fn new(
        key: SecretKey,
        genesis: &Genesis,
        config: WorkerConfig,
        driver: Handle,
        clock: Clock,
        (disk_space, alarms): (DiskSpace, Alarms),
        context: Arc<TaskContext>,
    ) -> (Self, mpsc::UnboundedReceiver<Heard>) {
        // Bounded by what the worker claims to hold: each attempt says a few things at most.
        let (sender, heard) = mpsc::unbounded_channel();
        let WorkerConfig { slots, millicores, memory_bytes, labels, .. } = config;
        let resources = Resources { millicores, memory_bytes };
        let died_of = context.begun().died_of();
        if !died_of.is_empty() {
            warn!(attempts = died_of.len(), "the process before this one died while it compiled or ran attempts");
        }
        let machine = Config { key: key.public(), slots, resources, labels, died_of };
        let worker = Self {
            machine: worker::Worker::new(machine, genesis, clock.now()),
            network: genesis.network_id(),
            load: LoadSampler::new(slots),
            measured: Instant::now(),
            score: 0,
            slots,
            alarms,
            going_on: BTreeMap::new(),
            heard: sender,
            has_left: false,
            key,
            driver,
            clock,
            disk_space,
            context,
        };
        (worker, heard)
    }

    /// Works until told to stop, then drains.
    ///
    /// # Errors
    /// The node is stopping.
    pub async fn run(mut self, heard: mpsc::UnboundedReceiver<Heard>, stop: CancellationToken) -> Result<(), Stopped> {
        let ended = self.work(heard, stop).await;
        // What still runs is stopped with this process, which does not die of it.
        self.context.begun().close();
        ended
    }

    async fn work(
        &mut self,
        mut heard: mpsc::UnboundedReceiver<Heard>,
        stop: CancellationToken,
    ) -> Result<(), Stopped> {
        let mut finalized = self.driver.finalized();
        let mut tick = tokio::time::interval(TICK);
        let mut leaves = false;
        while !self.has_left {
            tokio::select! {
                news = finalized.recv() => self.on_news(news).await?,
                Some(first) = heard.recv() => self.on_heard(first, &mut heard).await?,
                _ = tick.tick() => {
                    let tick = self.tick();
                    self.handle(tick).await?;
                }
                () = stop.cancelled(), if !leaves => {
                    leaves = true;
                    info!(held = self.machine.held(), "this worker gives back what it holds and leaves");
                    self.handle(Input::Drain).await?;
                }
            }
        }
        Ok(())
    }

    async fn on_news(&mut self, news: Result<driver::News, RecvError>) -> Result<(), Stopped> {
        let input = match news {
            Ok(driver::News::Finalized(block)) => self.news_of(&block),
            Ok(driver::News::Jumped(_)) | Err(RecvError::Lagged(_)) => Some(self.standing().await?),
            Err(RecvError::Closed) => return Err(Stopped),
        };
        let Some(input) = input else { return Ok(()) };
        let ended = self.ended_answers(&input);
        self.handle(input).await?;
        for attempt in &ended {
            self.stop(attempt);
        }
        Ok(())
    }

    /// The attempts that have ended, by this news, of those whose answers are kept here.
    fn ended_answers(&self, news: &Input) -> Vec<AttemptId> {
        let answers = self.going_on.iter().filter(|(_, goes_on)| goes_on.answer.is_some());
        let has_ended = |attempt: &AttemptId| match news {
            Input::Executed(news) => news
                .happened
                .iter()
                .any(|what| matches!(what, Happened::Ended { attempt: ended, .. } if ended == attempt)),
            Input::Resynchronized(status) => !status.committed.contains_key(attempt),
            _ => false,
        };
        answers.map(|(attempt, _)| *attempt).filter(has_ended).collect()
    }

    fn news_of(&self, block: &FinalizedBlock) -> Option<Input> {
        let news = News::of(&block.executed, &self.key.public());
        (!news.is_empty()).then_some(Input::Executed(news))
    }

    /// The input for a worker that was too slow to follow every block: what the ledger says it holds.
    async fn standing(&self) -> Result<Input, Stopped> {
        let me = self.key.public();
        let standing = self.driver.query(move |replica| {
            let ledger = replica.ledger();
            let assignment = |attempt, incarnation| Assignment::of(ledger, attempt, incarnation);
            let leases = ledger.leases_of(&me);
            let committed = leases.iter().filter_map(|lease| match lease.stage {
                Stage::Committed { asked } => Some((lease.attempt, asked)),
                Stage::Waiting | Stage::Running => None,
            });
            LedgerStatus {
                committed: committed.collect(),
                leases: leases.iter().filter_map(|lease| assignment(lease.attempt, lease.incarnation)).collect(),
                stands: ledger.worker(&me).map(|worker| worker.claim.incarnation),
            }
        });
        Ok(Input::Resynchronized(standing.await?))
    }

    /// Handles everything that it has heard by now of the work that it began.
    async fn on_heard(&mut self, first: Heard, more: &mut mpsc::UnboundedReceiver<Heard>) -> Result<(), Stopped> {
        let (mut progress, mut refused) = (Vec::new(), Vec::new());
        let mut next = Some(first);
        while let Some(heard) = next {
            match heard {
                Heard::Prepared(attempt, prepared) => {
                    if let Some(goes_on) = self.going_on.get_mut(&attempt) {
                        goes_on.prepared = Some(prepared);
                        progress.push(Progress::Prepared(attempt, Ok(())));
                    }
                }
                Heard::Answered(attempt, answer) => {
                    if let Some(goes_on) = self.going_on.get_mut(&attempt) {
                        let (salt, me) = (Salt::of(&self.key, &attempt), self.key.public());
                        let commitment = Answer::commitment(&answer.digest(), &attempt, &me, &salt);
                        goes_on.answer = Some(answer);
                        progress.push(Progress::Answered(attempt, commitment));
                    }
                }
                // The ledger may not believe who holds the output, and ask again.
                Heard::Progress(news @ Progress::Ended(_, Verdict::Revealed(..))) => progress.push(news),
                Heard::Progress(news) => {
                    if let Progress::Ended(attempt, _) | Progress::Prepared(attempt, Err(_)) = &news {
                        self.going_on.remove(attempt);
                    }
                    progress.push(news);
                }
                Heard::Refused(ticket) => refused.push(ticket),
            }
            next = more.try_recv().ok();
        }
        for ticket in refused {
            self.handle(Input::Refused(ticket)).await?;
        }
        self.handle(Input::Progress(progress)).await
    }

    /// Makes a tick, and measures the machine when that is due.
    fn tick(&mut self) -> Input {
        if self.measured.elapsed() >= MEASURE_EVERY {
            self.measured = Instant::now();
            self.score = self.load.score(self.machine.running());
            self.look_for_room();
        }
        Input::Tick { load: self.score, has_disk_space: self.disk_space.takes_tasks() }
    }

    /// Sees whether there is room for what more tasks leave, and makes some if not.
    fn look_for_room(&self) {
        let wanted = self.context.room_wanted(self.slots);
        let has_room = room::has_room(self.context.blob_store(), &wanted);
        self.disk_space.note_room(has_room, wanted.iter().sum());
        if !has_room {
            let context = Arc::clone(&self.context);
            tokio::spawn(async move { context.make_room(&wanted).await });
        }
    }

    /// Has the state machine handle an input, and carries out its effects. Attempts that need no fetching or compiling
    /// begin before this function waits for anything.
    async fn handle(&mut self, input: Input) -> Result<(), Stopped> {
        let mut inputs = VecDeque::from([input]);
        let (mut effects, mut looks_up) = (Vec::new(), None);
        loop {
            let Some(input) = inputs.pop_front() else {
                let Some(blobs) = looks_up.take() else { break };
                inputs.push_back(self.look_up(blobs).await?);
                continue;
            };
            self.machine.handle(self.clock.now(), input, &mut effects);
            let mut prepared = Vec::new();
            for effect in effects.drain(..) {
                match effect {
                    Effect::Prepare(assignment) => prepared.extend(self.prepare(assignment)),
                    Effect::Run(assignment) => self.spawn_run(assignment),
                    Effect::Stop(attempt) => self.stop(&attempt),
                    Effect::Deliver { attempt, verdict } => self.deliver(attempt, verdict),
                    Effect::HandIn { ticket, action, expires } => {
                        inputs.push_back(self.hand_in(ticket, action, expires));
                    }
                    Effect::Reveal(attempt) => self.reveal(attempt),
                    Effect::Forget(attempt) => self.context.begun().forget(&attempt),
                    Effect::LookUp { blobs } => looks_up = Some(blobs),
                    Effect::Left { is_known } => self.leave(is_known),
                }
            }
            if !prepared.is_empty() {
                inputs.push_front(Input::Progress(prepared));
            }
        }
        self.tell_of_newer();
        Ok(())
    }

    /// Raises an alarm while a newer process of this worker's key keeps it from claiming.
    fn tell_of_newer(&self) {
        match self.machine.newer() {
            Some(incarnation) => self.alarms.raise(
                Alarm::NewerProcess,
                format!(
                    "another process, which began later, works with this node's own key (its incarnation is \
                     {incarnation}), so this one takes no tasks: stop one of the two, and give it a key of its own"
                ),
            ),
            None => {
                self.alarms.end(Alarm::NewerProcess, "the other process with this node's key is gone: this one works")
            }
        }
    }

    /// Prepares an attempt. Answers at once if it needs no fetching or compiling.
    fn prepare(&mut self, assignment: Arc<Assignment>) -> Option<Progress> {
        let attempt = assignment.attempt;
        let task = task::Task::new(assignment);
        let stop = CancellationToken::new();
        let prepared = self.context.prepared_already(&task);
        let is_prepared = prepared.is_some();
        self.going_on.insert(attempt, GoesOn { stop: stop.clone(), prepared, answer: None });
        if is_prepared {
            return Some(Progress::Prepared(attempt, Ok(())));
        }
        let (context, heard) = (Arc::clone(&self.context), self.heard.clone());
        tokio::spawn(async move {
            let news = match context.prepare(&task, stop).await {
                Ok(prepared) => Heard::Prepared(attempt, prepared),
                Err(verdict) if task.has_replicas() => match Answer::of(verdict) {
                    Ok(answer) => Heard::Answered(attempt, ending::Unrevealed::Whole(answer)),
                    Err(verdict) => Heard::Progress(Progress::Prepared(attempt, Err(*verdict))),
                },
                Err(verdict) => Heard::Progress(Progress::Prepared(attempt, Err(verdict))),
            };
            // If this fails, the worker is gone.
            let _ = heard.send(news);
        });
        None
    }

    fn spawn_run(&mut self, assignment: Arc<Assignment>) {
        let Some(goes_on) = self.going_on.get_mut(&assignment.attempt) else { return };
        let Some(prepared) = goes_on.prepared.take() else { return };
        let (context, heard, stop) = (Arc::clone(&self.context), self.heard.clone(), goes_on.stop.clone());
        tokio::spawn(async move { context.run(task::Task::new(assignment), prepared, stop, heard).await });
    }

    fn stop(&mut self, attempt: &AttemptId) {
        if let Some(goes_on) = self.going_on.remove(attempt) {
            debug!(%attempt, "an attempt is stopped");
            goes_on.stop.cancel();
        }
    }

    /// Reveals the answer of a replica. A large output is delivered first.
    fn reveal(&mut self, attempt: AttemptId) {
        let Some(goes_on) = self.going_on.get(&attempt) else { return };
        let Some(answer) = goes_on.answer.clone() else { return };
        let (stop, salt) = (goes_on.stop.clone(), Salt::of(&self.key, &attempt));
        let (context, heard) = (Arc::clone(&self.context), self.heard.clone());
        tokio::spawn(async move {
            if let Some(answer) = context.reveal(attempt, answer, &stop).await {
                let verdict = answer.map_or(Verdict::Undelivered, |answer| Verdict::Revealed(answer, salt));
                // If this fails, the worker is gone.
                let _ = heard.send(Heard::Progress(Progress::Ended(attempt, verdict)));
            }
        });
    }

    fn deliver(&mut self, attempt: AttemptId, verdict: Verdict) {
        warn!(%attempt, "the ledger does not believe who holds an output, and it is delivered again");
        let stop = CancellationToken::new();
        self.going_on.insert(attempt, GoesOn { stop: stop.clone(), prepared: None, answer: None });
        let (context, heard) = (Arc::clone(&self.context), self.heard.clone());
        tokio::spawn(async move {
            if let Some(verdict) = context.deliver_again(attempt, verdict, stop).await {
                // If this fails, the worker is gone.
                let _ = heard.send(Heard::Progress(Progress::Ended(attempt, verdict)));
            }
        });
    }

    /// Signs a transaction and hands it in without waiting, because a slot must not stand idle while a report is taken.
    fn hand_in(&self, ticket: Ticket, action: Action, expires: BlockTime) -> Input {
        let transaction = Transaction { nonce: rand::random(), expires, action };
        let signed = Arc::new(SignedTransaction::sign(transaction, &self.key, &self.network));
        let id = signed.id();
        let (driver, heard) = (self.driver.clone(), self.heard.clone());
        tokio::spawn(async move {
            // If the driver has stopped, the worker notices because no more blocks come.
            let Ok(answers) = driver.submit(vec![signed]).await else { return };
            if let Some(Err(refusal)) = answers.first() {
                debug!(%refusal, "a transaction of this worker was not taken");
                // If this fails, the worker is gone.
                let _ = heard.send(Heard::Refused(ticket));
            }
        });
        Input::Signed { ticket, id }
    }

    async fn look_up(&self, blobs: bool) -> Result<Input, Stopped> {
        let me = self.key.public();
        let query = self.driver.query(move |replica| {
            (replica.lacks_blocks(), replica.network_time(), replica.ledger().last_sequence(&me))
        });
        let (lacks_blocks, network_time, last) = query.await?;
        let newest = || self.context.blob_store().newest(Claim::BLOB_BYTES_MIN, Claim::BLOBS_MAX);
        let blobs = blobs.then(|| newest().into_iter().collect());
        Ok(Input::LookedUp(LookedUp { lacks_blocks, network_time, last, blobs }))
    }

    fn leave(&mut self, is_known: bool) {
        self.has_left = true;
        if !is_known {
            warn!("the drain was not executed; what this worker held comes back when its claim runs out");
        }
    }
}
