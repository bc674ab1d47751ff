//! The replica's driver: one thread that hands it inputs, stores what it wants stored and sends what it wants sent,
//! in that order.
//!
//! The driver handles all waiting inputs as one step. Their actions share one transaction of the store and one sync,
//! and gossiped transactions leave in one message. So the busier a node is, the larger its batches.

use std::sync::Arc;

use meshwork_core::{
    codec,
    consensus::{Fork, Judgement, VotingStatus},
    identity::PublicKey,
    pool::Refusal,
    replica::{self, Action, Executed, Gossip, Installation, Message, Replica, message_bytes_max},
    types::{AuthorityIndex, AuthoritySet, Certificate, Epoch, SignedTransaction, TransactionId},
};
use thiserror::Error;
use tokio::sync::{broadcast, mpsc, oneshot};
use tracing::{error, info, warn};

use crate::{
    alarms::{Alarm, Alarms},
    clock::Clock,
    mesh::{Acceptance, MeshEvent, MeshEvents, MeshHandle, Topic},
    metrics::Metrics,
    store::{FinalizedBlocks, Reader, Store, StoreError},
};

/// How many commands may wait before their senders must.
const COMMANDS_MAX: usize = 1024;
/// The most commands, and the most messages, in one step.
const STEP_MAX: usize = 256;
/// How many executed blocks a slow listener may lag behind.
const LISTENER_BLOCKS_MAX: usize = 256;
/// How many blocks in a row must show that this machine's clock is wrong before the node reports it. A single block
/// that became final late says nothing about clocks: a split network may just have come together.
const BLOCKS_OFF: u32 = 5;
/// Points against a peer for a message that no honest peer sends.
const MALICE: u32 = 100;
/// Points against a peer for bytes that cannot be read. It may be of another version.
const UNREADABLE: u32 = 10;

type Query = Box<dyn FnOnce(&Replica) + Send>;

type Answers = Vec<Result<TransactionId, Refusal>>;

/// Requests of this peer's own parts to the driver.
enum Command {
    Submit(Vec<Arc<SignedTransaction>>, oneshot::Sender<Answers>),
    Query(Query),
    Install(Box<Installation>, oneshot::Sender<()>),
}

/// A block that was executed and stored, for listeners.
#[derive(Debug)]
pub struct FinalizedBlock {
    /// The block, and what its execution produced.
    pub executed: Executed,
    /// Time from the block's own time until it was final here, in microseconds.
    pub finality_us: u64,
}

/// What listeners are told.
#[derive(Clone, Debug)]
pub enum News {
    /// A block was executed.
    Finalized(Arc<FinalizedBlock>),
    /// The ledger was replaced by a snapshot this many blocks ahead. Listeners are not told what happened in between.
    Jumped(u64),
}

/// The driver has stopped, because the node is stopping or its store failed.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("this node is stopping")]
pub struct Stopped;

/// The handle to the replica.
#[derive(Clone)]
pub struct Handle {
    commands: mpsc::Sender<Command>,
    finalized: broadcast::Sender<News>,
    reader: Reader,
}

impl Handle {
    /// Submits transactions of this peer's own users or worker.
    ///
    /// # Errors
    /// The driver has stopped.
    pub async fn submit(&self, transactions: Vec<Arc<SignedTransaction>>) -> Result<Answers, Stopped> {
        let (answer, answered) = oneshot::channel();
        self.commands.send(Command::Submit(transactions, answer)).await.map_err(|_| Stopped)?;
        answered.await.map_err(|_| Stopped)
    }

    /// Looks at the replica between two steps. The look should be short: consensus waits for it.
    ///
    /// # Errors
    /// The driver has stopped.
    pub async fn query<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Replica) -> T + Send + 'static,
    ) -> Result<T, Stopped> {
        let (answer, answered) = oneshot::channel();
        let query: Query = Box::new(move |replica| drop(answer.send(look(replica))));
        self.commands.send(Command::Query(query)).await.map_err(|_| Stopped)?;
        answered.await.map_err(|_| Stopped)
    }

    /// Installs another peer's snapshot and continues from it. Nothing happens if executing blocks was faster.
    ///
    /// # Errors
    /// The driver has stopped.
    pub async fn install(&self, installation: Installation) -> Result<(), Stopped> {
        let (answer, answered) = oneshot::channel();
        self.commands.send(Command::Install(Box::new(installation), answer)).await.map_err(|_| Stopped)?;
        answered.await.map_err(|_| Stopped)
    }

    /// A receiver of every block that is executed from now on.
    #[must_use]
    pub fn finalized(&self) -> broadcast::Receiver<News> {
        self.finalized.subscribe()
    }

    /// A reader of the store.
    #[must_use]
    pub const fn reader(&self) -> &Reader {
        &self.reader
    }
}

/// What one step gathers: actions to take, and callers to answer afterwards.
#[derive(Default)]
struct Step {
    actions: Vec<Action>,
    answers: Vec<(Answers, oneshot::Sender<Answers>)>,
    install: Option<(Box<Installation>, oneshot::Sender<()>)>,
}

/// The replica, with all that it needs to act.
pub struct Driver {
    config: replica::Config,
    run_bytes_max: usize,
    replica: Replica,
    store: Store,
    mesh: MeshHandle,
    events: MeshEvents,
    metrics: Arc<Metrics>,
    alarms: Alarms,
    clock: Clock,
    /// How many blocks in a row have shown this machine's clock to be wrong.
    blocks_off: u32,
    commands: mpsc::Receiver<Command>,
    finalized: broadcast::Sender<News>,
}

impl Driver {
    /// Creates a driver and its handle.
    #[must_use]
    pub fn new(
        config: replica::Config,
        replica: Replica,
        store: Store,
        mesh: (MeshHandle, MeshEvents),
        (metrics, alarms): (Arc<Metrics>, Alarms),
        clock: Clock,
    ) -> (Self, Handle) {
        let (mesh, events) = mesh;
        let (sender, commands) = mpsc::channel(COMMANDS_MAX);
        let (finalized, _) = broadcast::channel(LISTENER_BLOCKS_MAX);
        let handle = Handle { commands: sender, finalized: finalized.clone(), reader: store.reader() };
        // The finalization that goes with blocks takes some of a message's bytes.
        let run_bytes_max = message_bytes_max(&config.genesis).saturating_sub(64 << 10);
        let driver = Self {
            config,
            run_bytes_max,
            replica,
            store,
            mesh,
            events,
            metrics,
            alarms,
            clock,
            blocks_off: 0,
            commands,
            finalized,
        };
        (driver, handle)
    }

    /// Runs until every handle is dropped, the mesh has stopped, or the store fails.
    ///
    /// # Errors
    /// The store failed: the replica can keep no promise any more.
    pub async fn run(mut self) -> Result<(), StoreError> {
        self.show();
        if let Some(fork) = self.replica.fork() {
            self.tell_of_fork(fork);
        }
        loop {
            let wake = self.replica.next_wake(self.clock.now()).map(|at| self.clock.instant(at));
            let until = [wake, self.store.sync_due()].into_iter().flatten().min();
            let mut step = Step::default();
            tokio::select! {
                command = self.commands.recv() => match command {
                    Some(command) => self.command(command, &mut step),
                    None => return self.store.sync(true),
                },
                event = self.events.recv() => match event {
                    Some(event) => self.event(event, &mut step),
                    None => return self.store.sync(true),
                },
                () = sleep_until(until) => {}
            }
            self.take_what_waits(&mut step);
            let now = self.clock.now();
            if self.replica.next_wake(now).is_some_and(|at| at <= now.monotonic) {
                self.replica.tick(now, &mut step.actions);
            }
            self.act(step.actions)?;
            if let Some((installation, done)) = step.install {
                self.install(&installation)?;
                // The caller may have gone.
                let _ = done.send(());
            }
            self.store.sync(false)?;
            for (answers, to) in step.answers {
                // The caller may have gone.
                let _ = to.send(answers);
            }
        }
    }

    fn take_what_waits(&mut self, step: &mut Step) {
        for _ in 0..STEP_MAX {
            let Some(event) = self.events.try_recv() else { break };
            self.event(event, step);
        }
        for _ in 0..STEP_MAX {
            let Ok(command) = self.commands.try_recv() else { break };
            self.command(command, step);
        }
    }

    fn command(&mut self, command: Command, step: &mut Step) {
        match command {
            Command::Submit(transactions, to) => {
                let answers = self.replica.submit(self.clock.now(), transactions, &mut step.actions);
                for refusal in answers.iter().filter_map(|answer| answer.as_ref().err()) {
                    self.metrics.refuse(refusal.to_string());
                }
                step.answers.push((answers, to));
            }
            Command::Query(look) => look(&self.replica),
            Command::Install(installation, done) => step.install = Some((installation, done)),
        }
    }

    fn event(&mut self, event: MeshEvent, step: &mut Step) {
        let now = self.clock.now();
        match event {
            MeshEvent::Gossip { bytes, from, id, .. } => {
                let acceptance = match Gossip::decode(&bytes, &self.config.genesis) {
                    Ok(gossip) => {
                        let judgement = self.replica.gossip(now, gossip, &mut step.actions);
                        self.acceptance(judgement, from)
                    }
                    Err(error) => {
                        self.refuse(from, error.reason(), UNREADABLE);
                        Acceptance::Reject
                    }
                };
                self.mesh.judge(id, acceptance);
            }
            MeshEvent::Message { from, bytes } => match Message::decode(&bytes, &self.config.genesis) {
                Ok(message) => {
                    let judgement = self.replica.message(now, from, message, &mut step.actions);
                    self.acceptance(judgement, from);
                }
                Err(error) => self.refuse(from, error.reason(), UNREADABLE),
            },
            MeshEvent::Connected(peer) => self.replica.connected(now, peer, &mut step.actions),
            MeshEvent::Disconnected(peer) => self.replica.disconnected(&peer),
        }
    }

    /// What gossip does with a message. The sender may get points for it.
    fn acceptance(&self, judgement: Judgement, from: PublicKey) -> Acceptance {
        match judgement {
            Judgement::Accept | Judgement::Deferred(_) => Acceptance::Accept,
            Judgement::Ignore(reason) => {
                self.metrics.refuse(reason);
                Acceptance::Ignore
            }
            Judgement::Reject(reason) => {
                self.refuse(from, reason, MALICE);
                Acceptance::Reject
            }
        }
    }

    fn refuse(&self, from: PublicKey, reason: &str, points: u32) {
        self.metrics.refuse(reason);
        self.mesh.penalize(from, points);
    }

    /// Restarts the replica from another peer's snapshot, with its own journal and the transactions that its users
    /// still wait for.
    fn install(&mut self, installation: &Installation) -> Result<(), StoreError> {
        let before = self.replica.ledger().height();
        if installation.header.height <= before {
            return Ok(());
        }
        let voting_status = self.replica.consensus().voting_status();
        let waiting = self.replica.pool().local_waiting(usize::MAX);
        self.store.install(installation)?;
        let recovered = self.store.recover(voting_status)?;
        let replica = Replica::new(self.config.clone(), recovered);
        self.replica = replica.map_err(|error| StoreError::Unreadable(error.to_string()))?;
        let (now, mut actions) = (self.clock.now(), Vec::new());
        self.mesh.set_authorities(self.replica.consensus().authorities());
        for peer in self.mesh.connected() {
            self.replica.connected(now, peer, &mut actions);
        }
        // Transactions that were executed meanwhile are refused.
        self.replica.submit(now, waiting, &mut actions);
        // There may be no listeners.
        let _ = self.finalized.send(News::Jumped(self.replica.ledger().height().0 - before.0));
        self.act(actions)
    }

    /// Stores first, then sends and tells.
    fn act(&mut self, actions: Vec<Action>) -> Result<(), StoreError> {
        if actions.is_empty() {
            return Ok(());
        }
        self.store.write(&actions)?;
        let executes = actions.iter().any(|action| matches!(action, Action::Executed(_)));
        let mut transactions = Vec::new();
        for action in actions {
            match action {
                Action::Persist(_) | Action::Prune(..) | Action::Closed(..) => {}
                Action::Epoch { epoch, handover } => self.enter(epoch, &handover.authorities),
                Action::Executed(executed) => self.tell(*executed),
                Action::Send { to, message } => self.mesh.send(to, codec::encode(&message)),
                Action::Gossip(Gossip::Transactions(more)) => transactions.extend(more),
                Action::Gossip(gossip) => self.publish(&gossip),
                Action::ServeBlocks { to, epoch, from } => {
                    if let Some(FinalizedBlocks { blocks, finalization }) =
                        self.store.reader().blocks_from(epoch, from, self.run_bytes_max)?
                    {
                        self.mesh.send(to, codec::encode(&Message::Blocks(blocks, Box::new(finalization))));
                    }
                }
                Action::Evidence(evidence) => {
                    self.metrics.evidence.inc();
                    warn!(authority = %evidence.culprit(), "an authority broke a promise and signed the proof");
                }
                Action::Fork(fork) => self.tell_of_fork(&fork),
                Action::VotingStatus(voting_status) => explain(voting_status),
            }
        }
        self.publish_all(transactions);
        if executes {
            self.compare_clocks();
        }
        self.show();
        Ok(())
    }

    /// Raises the alarm that there are two histories.
    fn tell_of_fork(&self, fork: &Fork) {
        let present = self.replica.consensus().authorities();
        let name = |signer: AuthorityIndex| {
            let authority = present.authorities().get(usize::from(signer.0));
            let known = authority.filter(|_| fork.here.epoch == self.replica.consensus().epoch());
            known.map_or_else(|| format!("authority {signer}"), |authority| authority.name.clone())
        };
        let both: Vec<String> = fork.signed_both().into_iter().map(name).collect();
        let block = |certificate: &Certificate| certificate.statement.block().map(|block| block.to_string());
        self.alarms.raise(
            Alarm::Fork,
            format!(
                "the network has two histories: block {} of view {} is final here, and block {} of view {} elsewhere, which \
                 does not stand on it. Signed for both: {}. See which of these run from an old copy of their data, or \
                 twice. This node follows the first history; with an empty data directory it can follow the other",
                block(&fork.here).unwrap_or_default(),
                fork.here.statement.view(),
                block(&fork.there).unwrap_or_default(),
                fork.there.statement.view(),
                both.join(", ")
            ),
        );
    }

    /// Sets the metrics that say where the replica is.
    fn show(&self) {
        self.metrics.height.set(self.replica.ledger().height().0.cast_signed());
        self.metrics.view.set(self.replica.consensus().view().0.cast_signed());
        self.metrics.pool.set(i64::try_from(self.replica.pool().len()).unwrap_or(i64::MAX));
    }

    /// Enters an epoch: connects to its authorities.
    fn enter(&self, epoch: Epoch, authorities: &AuthoritySet) {
        info!(%epoch, authorities = authorities.count(), "an epoch begins");
        explain(self.replica.consensus().voting_status());
        self.mesh.set_authorities(authorities);
    }

    fn publish(&self, gossip: &Gossip) {
        let topic = match gossip {
            Gossip::Transactions(_) => Topic::Transactions,
            Gossip::Proposal(_) => Topic::Blocks,
            Gossip::Finalization(_) => Topic::Finalizations,
            Gossip::Evidence(_) => Topic::Evidence,
        };
        self.mesh.publish(topic, codec::encode(gossip));
    }

    /// Publishes transactions in as few messages as their bound allows.
    fn publish_all(&self, transactions: Vec<Arc<SignedTransaction>>) {
        let mut batch = Vec::new();
        let mut bytes = 0;
        for transaction in transactions {
            bytes += transaction.wire_bytes();
            if bytes > self.config.genesis.consensus.block_bytes_max && !batch.is_empty() {
                self.publish(&Gossip::Transactions(std::mem::take(&mut batch)));
                bytes = transaction.wire_bytes();
            }
            batch.push(transaction);
        }
        if !batch.is_empty() {
            self.publish(&Gossip::Transactions(batch));
        }
    }

    fn tell(&self, executed: Executed) {
        let count = executed.block.transactions.len();
        let finality_us = self.clock.now().clock.micros_since(executed.block.header.time);
        self.metrics.executed(count);
        if count > 0 {
            self.metrics.finality(finality_us);
        }
        // There may be no listeners.
        let _ = self.finalized.send(News::Finalized(Arc::new(FinalizedBlock { executed, finality_us })));
    }

    /// Logs when this machine's clock becomes wrong, and when it is right again.
    fn compare_clocks(&mut self) {
        let Some(off_ms) = self.replica.network_time().clock_off_ms(self.clock.now()) else {
            if std::mem::take(&mut self.blocks_off) >= BLOCKS_OFF {
                info!("this machine's clock is the network's again");
            }
            return;
        };
        self.blocks_off = self.blocks_off.saturating_add(1);
        if self.blocks_off == BLOCKS_OFF {
            warn!(off_ms, "this machine's clock is not the network's: set it right");
        }
    }
}

async fn sleep_until(until: Option<std::time::Instant>) {
    match until {
        Some(until) => tokio::time::sleep_until(until.into()).await,
        None => std::future::pending().await,
    }
}

/// Logs in words what a standing means.
pub(crate) fn explain(voting_status: VotingStatus) {
    match voting_status {
        VotingStatus::Voting => info!("this authority votes"),
        VotingStatus::Follower => info!("this peer follows what the authorities decide"),
        VotingStatus::JournalLost => error!(
            "this authority's journal is lost or is another's: it does not vote again with this key, since it might \
             break a promise that it has forgotten; give the authority a new key"
        ),
        VotingStatus::VoteUnknown => error!(
            "this authority was shown a vote of its own that its journal lacks: another process votes, or voted, with \
             this key; it does not vote again"
        ),
    }
}
