//! A replica: pool, consensus and ledger joined. Events come in with the time, and actions go out.
//!
//! The driver must keep three promises:
//!
//! 1. It carries out actions in their order, and makes an [`Action::Persist`] durable before it does anything
//!    after it.
//! 2. It calls [`Replica::tick`] when [`Replica::next_wake`] has come.
//! 3. After a restart it gives [`Replica::new`] what was stored ([`Recovered`]).
//!
//! The node is one driver; the simulator is another.

mod action;
mod application;
mod effects;
mod epochs;
mod executed;
mod install;
mod message;
mod network_time;
mod recover;
#[cfg(feature = "memo")]
mod shared;
mod sync;
mod transactions;

use std::{collections::VecDeque, sync::Arc};

pub use action::Action;
use application::{Parts, Results};
pub use executed::{Assignment, EndedJob, EndedTask, Executed, Snapshot};
pub use install::{InstallError, Installation};
pub use message::{BLOCKS_BYTES_MAX, Gossip, Message, gossip_bytes_max, message_bytes_max};
pub use network_time::NetworkTime;
pub use recover::{RecoverError, Recovered};
#[cfg(feature = "memo")]
pub use shared::share_execution;

use crate::{
    consensus::{self, Consensus, FinalTip, Fork, Input, Judgement, Monotonic, Now},
    digest::Digest,
    fault::{Fault, is_planted},
    identity::{NetworkId, PublicKey, SecretKey},
    ledger::{Ledger, Owed},
    pool::Pool,
    types::{AttemptId, AuthorityIndex, Closing, Epoch, Genesis, View},
};

/// The settings of a replica.
#[derive(Clone, Debug)]
pub struct Config {
    /// The network.
    pub genesis: Arc<Genesis>,
    /// This peer's key. The peer votes if the present authorities include it.
    pub key: SecretKey,
}

/// One peer's copy of the network's state.
pub struct Replica {
    genesis: Arc<Genesis>,
    network: NetworkId,
    me: PublicKey,
    consensus: Consensus,
    ledger: Arc<Ledger>,
    /// The digest of the newest executed block.
    executed: Digest,
    pool: Pool,
    results: Results,
    sync: sync::Sync,
    /// The epoch and view of the newest finalization whose block is not executed here, once consensus has said
    /// that it lacks blocks.
    behind: Option<(Epoch, View)>,
    /// Whether to ask a peer once, after a message of an epoch that has not begun here.
    suspects: bool,
    /// The latest epoch of any message that came, be it true or not.
    heard_of: Epoch,
    /// The closing blocks of the present epoch, or of the one that has just ended.
    closing: Option<Closing>,
    has_pending: bool,
    offer_at: Monotonic,
    network_time: NetworkTime,
    fork: Option<Fork>,
}

impl Replica {
    /// Starts a replica from what was stored, or a new one. [`Replica::tick`] is due at once.
    ///
    /// # Errors
    /// The stored parts do not fit together.
    pub fn new(config: Config, recovered: Recovered) -> Result<Self, RecoverError> {
        let Config { genesis, key } = config;
        let Recovered {
            snapshot,
            blocks,
            tip,
            closing,
            mut roots,
            mut snapshots,
            journal,
            evidence,
            fork,
            voting_status,
        } = recovered;
        let mut ledger = match snapshot {
            Some(bytes) => Ledger::restore(Arc::clone(&genesis), &bytes)?,
            None => Ledger::new(Arc::clone(&genesis)),
        };
        if is_planted(Fault::DigestsForgotten) {
            snapshots.clear();
        }
        roots.insert(ledger.height(), ledger.receipts_root());
        for block in &blocks {
            let (height, found) = (ledger.height(), block.header.height);
            if found != height.next() {
                return Err(RecoverError::Gap { height, found });
            }
            ledger.apply(block);
            roots.insert(found, ledger.receipts_root());
            if found.0.is_multiple_of(genesis.consensus.snapshot_interval) && !is_planted(Fault::DigestsForgotten) {
                snapshots.entry(found).or_insert_with(|| ledger.state_digest());
            }
        }
        let tip = match tip {
            Some((header, None)) if closing.is_none() => return Err(RecoverError::NotFinal(header.height)),
            Some((header, finalization)) => FinalTip::stored(&header, finalization, closing.as_ref()),
            None => FinalTip::genesis(&genesis),
        };
        let height = ledger.height();
        let executed = tip.digest;
        if tip.height != height {
            return Err(RecoverError::Gap { height, found: tip.height });
        }
        let network = genesis.network_id();
        let network_time = NetworkTime::begun(ledger.time());
        let results = Results::new(roots, snapshots, tip.result_height);
        let is_next = tip.epoch > ledger.epoch();
        let authorities = Arc::clone(if is_next { ledger.next_authorities() } else { ledger.authorities() });
        let round = consensus::Config { genesis: Arc::clone(&genesis), network, key: Some(key.clone()), authorities };
        Ok(Self {
            network,
            me: key.public(),
            consensus: Consensus::new(round, tip, closing.clone(), journal, evidence, voting_status),
            ledger: Arc::new(ledger),
            executed,
            pool: Pool::default(),
            results,
            sync: sync::Sync::default(),
            behind: None,
            suspects: false,
            heard_of: Epoch(0),
            closing,
            has_pending: false,
            offer_at: Monotonic(0),
            network_time,
            fork,
            genesis,
        })
    }

    /// Handles the passing of time.
    pub fn tick(&mut self, now: Now, actions: &mut Vec<Action>) {
        self.step(now, Input::Tick, actions);
        self.offer(now, actions);
        self.catch_up(now, actions);
    }

    /// When [`Replica::tick`] is due next.
    #[must_use]
    pub fn next_wake(&self, now: Now) -> Option<Monotonic> {
        let due = (!self.has_pending).then(|| self.ledger.next_due()).flatten();
        let due = due.map(|due| Monotonic(now.monotonic.0 + due.micros_since(now.clock)));
        let offer = self.pool.has_work().then_some(self.offer_at);
        let sync = (self.behind.is_some() || self.suspects).then(|| self.sync.next_wake()).flatten();
        [self.consensus.next_wake(), due, offer, sync].into_iter().flatten().min()
    }

    /// Handles a message that came by gossip.
    pub fn gossip(&mut self, now: Now, gossip: Gossip, actions: &mut Vec<Action>) -> Judgement {
        match gossip {
            Gossip::Transactions(transactions) => self.take_all(now, transactions, actions),
            Gossip::Proposal(proposal) => self.step(now, Input::Proposal(*proposal), actions),
            Gossip::Finalization(certificate) => {
                self.suspect(certificate.epoch);
                let judgement = self.step(now, Input::Certificate(certificate), actions);
                self.catch_up(now, actions);
                judgement
            }
            Gossip::Evidence(evidence) => self.step(now, Input::Evidence(*evidence), actions),
        }
    }

    /// Handles a direct message from a peer.
    pub fn message(&mut self, now: Now, from: PublicKey, message: Message, actions: &mut Vec<Action>) -> Judgement {
        match message {
            Message::Votes(votes) => self.votes(now, &from, votes, actions),
            Message::Ask(ask) if ask.epoch < self.consensus.epoch() => self.hand_over(now, from, actions),
            Message::Ask(ask) => {
                self.suspect(ask.epoch);
                self.catch_up(now, actions);
                match self.authority_index(&from) {
                    Some(from) => self.step(now, Input::Ask { from, ask }, actions),
                    None => Judgement::Ignore("asked by someone who is no authority"),
                }
            }
            Message::Tell(tell) => {
                tell.certificates.iter().for_each(|certificate| self.suspect(certificate.epoch));
                if self.authority_index(&from).is_none() {
                    self.catch_up(now, actions);
                    // A peer that is an authority in another epoch does nothing wrong.
                    return Judgement::Ignore("told by someone who is no authority here");
                }
                let judgement = self.step(now, Input::Tell(*tell), actions);
                self.catch_up(now, actions);
                judgement
            }
            Message::Transactions(transactions) => self.take_all(now, transactions, actions),
            Message::BlocksFrom(epoch, height) => {
                // Closing blocks are stored beside the last block of their epoch.
                let newest = self.ledger.height();
                let closing = height == newest.next() && self.closing.is_some();
                if (height > newest && !closing) || !self.sync.may_serve(from, now.monotonic) {
                    return Judgement::Ignore("asked for blocks that are not here, or too often");
                }
                actions.push(Action::ServeBlocks { to: from, epoch, from: height });
                Judgement::Accept
            }
            Message::Blocks(blocks, finalization) => {
                if !self.sync.answered(&from) {
                    return Judgement::Ignore("blocks that nobody asked for");
                }
                let before = (self.consensus.epoch(), self.ledger.height());
                let bytes: usize = blocks.iter().map(|block| block.transaction_bytes()).sum();
                let input = Input::Blocks { blocks, finalization: *finalization };
                let judgement = self.step(now, input, actions);
                // A peer that gives a little at a time may not keep others from giving more.
                let much = self.behind.is_none() || bytes >= BLOCKS_BYTES_MAX / 2;
                if much && (self.consensus.epoch(), self.ledger.height()) > before {
                    self.sync.keep(from);
                }
                self.catch_up(now, actions);
                judgement
            }
        }
    }

    /// Notes that a peer can be reached.
    pub fn connected(&mut self, now: Now, peer: PublicKey, actions: &mut Vec<Action>) {
        self.sync.connected(peer);
        self.catch_up(now, actions);
    }

    /// Notes that a peer can no longer be reached.
    pub fn disconnected(&mut self, peer: &PublicKey) {
        self.sync.disconnected(peer);
    }

    fn authority_index(&self, key: &PublicKey) -> Option<AuthorityIndex> {
        self.consensus.authorities().index_of(key)
    }

    /// Gives consensus an input, and then all inputs that follow from it.
    fn step(&mut self, now: Now, input: Input, actions: &mut Vec<Action>) -> Judgement {
        let mut inputs = VecDeque::new();
        let judgement = self.round(now, input, &mut inputs, actions);
        while let Some(input) = inputs.pop_front() {
            self.round(now, input, &mut inputs, actions);
        }
        self.update_reason(now, actions);
        judgement
    }

    fn round(&mut self, now: Now, input: Input, inputs: &mut VecDeque<Input>, actions: &mut Vec<Action>) -> Judgement {
        let mut effects = Vec::new();
        let mut parts = Parts {
            genesis: &self.genesis,
            network: &self.network,
            pool: &mut self.pool,
            ledger: &self.ledger,
            results: &self.results,
            clock: now.clock,
        };
        let authorities = Arc::clone(self.consensus.authorities());
        let judgement = self.consensus.handle(now, input, &mut parts, &mut effects);
        let before = self.ledger.height();
        self.carry_all(authorities, effects, inputs, actions);
        if self.ledger.height() > before {
            self.network_time = NetworkTime::heard(self.ledger.time(), now.monotonic);
        }
        judgement
    }

    /// Tells consensus when there is something to order, and when there no longer is.
    fn update_reason(&mut self, now: Now, actions: &mut Vec<Action>) {
        loop {
            let due = self.ledger.next_due().is_some_and(|due| due <= now.clock);
            let has_pending = self.pool.has_work() || due || self.ledger.change_waits();
            if has_pending == self.has_pending {
                return;
            }
            self.has_pending = has_pending;
            let mut inputs = VecDeque::from([Input::Pending(has_pending)]);
            while let Some(input) = inputs.pop_front() {
                self.round(now, input, &mut inputs, actions);
            }
        }
    }

    /// Whether more is final than has been executed here, as far as this peer knows. Messages of later epochs
    /// count, and may be lies.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.behind.is_some() || self.heard_of > self.consensus.epoch()
    }

    /// Whether a valid finalization has come of a block that is not executed here. The ledger then shows the
    /// past.
    #[must_use]
    pub const fn lacks_blocks(&self) -> bool {
        self.behind.is_some()
    }

    /// [`Ledger::owed`]. While blocks are lacking, a job that is not known may have yet to come.
    #[must_use]
    pub fn owed(&self, attempt: AttemptId, manifest: &Digest) -> Owed {
        match self.ledger.owed(attempt, manifest) {
            Owed::Nobody if self.lacks_blocks() && self.ledger.job(attempt.task.job).is_none() => Owed::Undecided,
            owed => owed,
        }
    }

    /// What this peer knows of the network's time. Blocks that it fetches say nothing of the present.
    #[must_use]
    pub fn network_time(&self) -> NetworkTime {
        if self.lacks_blocks() { NetworkTime::begun(self.ledger.time()) } else { self.network_time }
    }

    /// The ledger, as of the newest final block.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The state of the round.
    #[must_use]
    pub const fn consensus(&self) -> &Consensus {
        &self.consensus
    }

    /// The proof that a block is final elsewhere which conflicts with what was final here, if there is one. It outlasts
    /// restarts.
    #[must_use]
    pub const fn fork(&self) -> Option<&Fork> {
        self.fork.as_ref()
    }

    /// The transactions that wait.
    #[must_use]
    pub const fn pool(&self) -> &Pool {
        &self.pool
    }
}
