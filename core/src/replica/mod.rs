//! A replica: pool, consensus and ledger joined. Events come in with the time, actions go out, and nothing else happens.
//!
//! The driver keeps three promises:
//!
//! 1. Actions are carried out in their order, and an [`Action::Persist`] is durable before anything after it is done.
//! 2. [`Replica::tick`] is called when [`Replica::next_wake`] has come.
//! 3. After a restart, [`Replica::new`] is given what was stored ([`Recovered`]).
//!
//! The node is one driver; a simulation is another.

mod application;
mod epochs;
mod executed;
mod install;
mod message;
mod network_time;
#[cfg(feature = "memo")]
mod shared;
mod sync;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use application::{Parts, Results};
pub use executed::{EndedJob, EndedTask, Executed, Given, Snapshot};
pub use install::{InstallError, Installation};
pub use message::{BLOCKS_BYTES_MAX, Gossip, Message, gossip_bytes_max, message_bytes_max};
pub use network_time::NetworkTime;
#[cfg(feature = "memo")]
pub use shared::share_execution;
use thiserror::Error;

use crate::{
    consensus::{self, Consensus, Effect, Evidence, FinalTip, Input, Judgement, Monotonic, Now, Record, Standing},
    digest::Digest,
    fault::{Fault, is_planted},
    identity::{NetworkId, PublicKey, SecretKey},
    ledger::{Applied, Ledger, RestoreError},
    pool::{Pool, Refusal},
    proof::Handover,
    types::{
        AuthorityIndex, AuthoritySet, Block, Certificate, Closing, Epoch, Genesis, Header, Height, SignedTransaction,
        TransactionId, View,
    },
};

/// How long a transaction that came in here waits before it is offered to the next leaders directly, in microseconds.
const OFFER_US: u64 = 500_000;
/// What expires so long after any block could hold it was taken while a clock was wrong, in milliseconds.
const WRONG_CLOCK_MS: u64 = 10_000;
/// How many of the next leaders it is offered to.
const OFFER_LEADERS: u64 = 2;
/// The most bytes of transactions in one offer.
const OFFER_BYTES_MAX: usize = 1 << 20;

/// What a replica is told at its start.
#[derive(Clone, Debug)]
pub struct Config {
    /// The network.
    pub genesis: Arc<Genesis>,
    /// This peer's key; it votes if the genesis lists it.
    pub key: SecretKey,
}

/// What was stored before.
#[derive(Debug)]
pub struct Recovered {
    /// The newest stored snapshot of the ledger.
    pub snapshot: Option<Vec<u8>>,
    /// The final blocks after it, oldest first.
    pub blocks: Vec<Arc<Block>>,
    /// The newest final block's header, be it in `blocks` or under the snapshot, and its own finalization. If that is none,
    /// the block is its epoch's last and `closing` shows it to be final.
    pub tip: Option<(Header, Option<Certificate>)>,
    /// What was stored of closing blocks beside the newest final block.
    pub closing: Option<Closing>,
    /// The receipts roots of the heights from the tip's F on.
    pub roots: BTreeMap<Height, Digest>,
    /// The state digests of snapshot heights, at least those that no final header has carried.
    pub snapshots: BTreeMap<Height, Digest>,
    /// The round's journal.
    pub journal: Vec<Record>,
    /// Proofs that authorities broke promises.
    pub evidence: Vec<Evidence>,
    /// Whether the journal is the one that belongs to this key.
    pub standing: Standing,
}

impl Recovered {
    /// Nothing: the very first start.
    #[must_use]
    pub const fn nothing(standing: Standing) -> Self {
        Self {
            snapshot: None,
            blocks: Vec::new(),
            tip: None,
            closing: None,
            roots: BTreeMap::new(),
            snapshots: BTreeMap::new(),
            journal: Vec::new(),
            evidence: Vec::new(),
            standing,
        }
    }
}

/// What was stored does not fit together.
#[derive(Debug, Error)]
pub enum RecoverError {
    /// The snapshot is not one of this network's ledger.
    #[error("the stored snapshot cannot be restored: {0}")]
    Snapshot(#[from] RestoreError),
    /// The blocks do not follow each other and the snapshot.
    #[error("the stored blocks have a gap: height {found} follows {height}")]
    Gap {
        /// The height before the gap.
        height: Height,
        /// The height after it.
        found: Height,
    },
    /// Nothing that is stored shows the newest block to be final.
    #[error("no finalization of the newest stored block, at height {0}, is stored")]
    NotFinal(Height),
}

/// What the driver is to do.
#[derive(Debug)]
pub enum Action {
    /// Make this durable before anything that comes after it.
    Persist(Record),
    /// Records whose place is below this are not needed any more, once what comes before this action is stored.
    Prune(Epoch, View),
    /// Store a final block and what came of it.
    Executed(Box<Executed>),
    /// Store closing blocks beside the block of this height, their epoch's last, instead of what was stored there before.
    Closed(Height, Box<Closing>),
    /// An epoch begins. Store how the one before it ended, for proofs; and be connected to these authorities.
    Epoch {
        /// Which begins.
        epoch: Epoch,
        /// How it came to be.
        handover: Box<Handover>,
    },
    /// Send this to one peer.
    Send {
        /// Whom.
        to: PublicKey,
        /// What.
        message: Message,
    },
    /// Send this to everyone.
    Gossip(Gossip),
    /// Send stored final blocks to a peer, as [`Message::Blocks`]: the closing blocks beside the block below this height,
    /// if there are any and they are of that epoch; else the blocks from this height on, to the end of their epoch at most,
    /// and then its closing blocks with them.
    ServeBlocks {
        /// Whom.
        to: PublicKey,
        /// The epoch in which the peer is.
        epoch: Epoch,
        /// The first height.
        from: Height,
    },
    /// Keep and show the proof that an authority broke a promise. At most one comes for each authority.
    Evidence(Box<Evidence>),
    /// Tell people that this authority has stopped voting, and why.
    Standing(Standing),
}

/// Which epoch and view a certificate is of.
fn place_of(certificate: &Certificate) -> (Epoch, View) {
    (certificate.epoch, certificate.statement.view())
}

/// A peer's copy of the network.
pub struct Replica {
    genesis: Arc<Genesis>,
    network: NetworkId,
    me: PublicKey,
    consensus: Consensus,
    ledger: Arc<Ledger>,
    /// The newest block that is executed.
    executed: Digest,
    pool: Pool,
    results: Results,
    sync: sync::Sync,
    /// The view of the newest finalization whose block is not executed here, once consensus has said that it lacks blocks.
    behind: Option<(Epoch, View)>,
    /// Something came of an epoch that has not begun here: a peer is to be asked once.
    suspects: bool,
    /// The latest epoch that anything came of, be it true or not.
    heard_of: Epoch,
    /// The closing blocks of the present epoch, or of the one that has just ended.
    closing: Option<Closing>,
    has_reason: bool,
    offer_at: Monotonic,
    network_time: NetworkTime,
}

impl Replica {
    /// The replica as it was stored, or a new one. [`Replica::tick`] is due at once.
    ///
    /// # Errors
    /// What was stored does not fit together.
    pub fn new(config: Config, recovered: Recovered) -> Result<Self, RecoverError> {
        let Config { genesis, key } = config;
        let Recovered { snapshot, blocks, tip, closing, mut roots, mut snapshots, journal, evidence, standing } =
            recovered;
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
            consensus: Consensus::new(round, tip, closing.clone(), journal, evidence, standing),
            ledger: Arc::new(ledger),
            executed,
            pool: Pool::default(),
            results,
            sync: sync::Sync::default(),
            behind: None,
            suspects: false,
            heard_of: Epoch(0),
            closing,
            has_reason: false,
            offer_at: Monotonic(0),
            network_time,
            genesis,
        })
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Now, actions: &mut Vec<Action>) {
        self.step(now, Input::Tick, actions);
        self.offer(now, actions);
        self.catch_up(now, actions);
    }

    /// When [`Replica::tick`] is due next.
    #[must_use]
    pub fn next_wake(&self, now: Now) -> Option<Monotonic> {
        let due = (!self.has_reason).then(|| self.ledger.next_due()).flatten();
        let due = due.map(|due| Monotonic(now.monotonic.0 + due.micros_since(now.clock)));
        let offer = self.pool.has_work().then_some(self.offer_at);
        let sync = (self.behind.is_some() || self.suspects).then(|| self.sync.next_wake()).flatten();
        [self.consensus.next_wake(), due, offer, sync].into_iter().flatten().min()
    }

    /// Transactions come in here, from this peer's own people or worker. One answer for each.
    pub fn submit(
        &mut self,
        now: Now,
        transactions: Vec<Arc<SignedTransaction>>,
        actions: &mut Vec<Action>,
    ) -> Vec<Result<TransactionId, Refusal>> {
        if !self.pool.has_work() {
            self.offer_at = Monotonic(now.monotonic.0 + OFFER_US);
        }
        let mut taken = Vec::new();
        let mut answers = Vec::with_capacity(transactions.len());
        for transaction in transactions {
            let answer = self.admit(now, &transaction, true);
            answers.push(answer.map(|()| transaction.id()));
            if answer.is_ok() {
                taken.push(transaction);
            }
        }
        if !taken.is_empty() {
            actions.push(Action::Gossip(Gossip::Transactions(taken)));
            self.update_reason(now, actions);
        }
        answers
    }

    /// Something came by gossip.
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

    /// A peer said something directly.
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
                    // One who is an authority in another epoch does nothing wrong.
                    return Judgement::Ignore("told by someone who is no authority here");
                }
                let judgement = self.step(now, Input::Tell(*tell), actions);
                self.catch_up(now, actions);
                judgement
            }
            Message::Transactions(transactions) => self.take_all(now, transactions, actions),
            Message::BlocksFrom(epoch, height) => {
                // Closing blocks stand beside the last block of their epoch.
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

    /// A peer can be reached.
    pub fn connected(&mut self, now: Now, peer: PublicKey, actions: &mut Vec<Action>) {
        self.sync.connected(peer);
        self.catch_up(now, actions);
    }

    /// A peer can be reached no longer.
    pub fn disconnected(&mut self, peer: &PublicKey) {
        self.sync.disconnected(peer);
    }

    fn authority_index(&self, key: &PublicKey) -> Option<AuthorityIndex> {
        self.consensus.authorities().index_of(key)
    }

    fn admit(&mut self, now: Now, transaction: &Arc<SignedTransaction>, local: bool) -> Result<(), Refusal> {
        if !transaction.verify(&self.network) {
            return Err(Refusal::BadSignature);
        }
        self.admit_checked(now, transaction, local)
    }

    /// Pools a transaction whose signature is good by the strict rule.
    fn admit_checked(&mut self, now: Now, transaction: &Arc<SignedTransaction>, local: bool) -> Result<(), Refusal> {
        self.pool.room_for(transaction)?;
        self.ledger.check(transaction, self.network_time().at(now))?;
        self.pool.insert(Arc::clone(transaction), local)
    }

    fn take_all(
        &mut self,
        now: Now,
        transactions: Vec<Arc<SignedTransaction>>,
        actions: &mut Vec<Action>,
    ) -> Judgement {
        let mut judgement = Judgement::Ignore("no transaction in it is new and could be executed");
        for transaction in transactions {
            if self.pool.holds(&transaction) {
                continue;
            }
            // Every signature is looked at, also where nothing else speaks for the transaction: whoever forwards a batch
            // answers for all of it, to peers that may see it otherwise.
            if !transaction.verify(&self.network) {
                judgement = Judgement::Reject("a transaction's signature is not good");
                break;
            }
            if self.admit_checked(now, &transaction, false).is_ok() {
                judgement = Judgement::Accept;
            }
        }
        self.update_reason(now, actions);
        judgement
    }

    /// Gives consensus an input, and then whatever follows from it.
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

    /// Tells consensus when there comes to be something to order, or ceases to be.
    fn update_reason(&mut self, now: Now, actions: &mut Vec<Action>) {
        loop {
            let due = self.ledger.next_due().is_some_and(|due| due <= now.clock);
            let has_reason = self.pool.has_work() || due || self.ledger.change_waits();
            if has_reason == self.has_reason {
                return;
            }
            self.has_reason = has_reason;
            let mut inputs = VecDeque::from([Input::Reason(has_reason)]);
            while let Some(input) = inputs.pop_front() {
                self.round(now, input, &mut inputs, actions);
            }
        }
    }

    /// `authorities` are those among whom the first of these effects is said.
    fn carry_all(
        &mut self,
        mut authorities: Arc<AuthoritySet>,
        effects: Vec<Effect>,
        inputs: &mut VecDeque<Input>,
        actions: &mut Vec<Action>,
    ) {
        for effect in effects {
            match effect {
                Effect::Persist(Record::Voted(_) | Record::Notarized(..)) if is_planted(Fault::VotesNotDurable) => {}
                Effect::Persist(Record::Certified(_)) if is_planted(Fault::NoCertificates) => {}
                Effect::Persist(record) => actions.push(Action::Persist(record)),
                Effect::Prune { epoch, below } => actions.push(Action::Prune(epoch, below)),
                Effect::SendVotes(votes) => {
                    let others = authorities.keys().filter(|key| *key != self.me);
                    actions.extend(others.map(|to| Action::Send { to, message: Message::Votes(votes.clone()) }));
                }
                Effect::Send { to, message } => {
                    let Some(to) = authorities.key(to) else { continue };
                    let message = match message {
                        consensus::Message::Ask(ask) => Message::Ask(ask),
                        consensus::Message::Tell(tell) => Message::Tell(Box::new(tell)),
                    };
                    actions.push(Action::Send { to, message });
                }
                Effect::GossipProposal(proposal) => {
                    actions.push(Action::Gossip(Gossip::Proposal(Box::new(Arc::unwrap_or_clone(proposal)))));
                }
                Effect::GossipFinalization(certificate) => {
                    actions.push(Action::Gossip(Gossip::Finalization(certificate)));
                }
                Effect::Finalized { blocks, finalization } => {
                    self.execute_all(blocks, finalization, inputs, actions);
                }
                Effect::Closed { last, closing } => {
                    if self.behind.is_some_and(|view| view <= place_of(&closing.finalization)) {
                        self.behind = None;
                    }
                    self.closing = Some(closing.clone());
                    actions.push(Action::Closed(last, Box::new(closing)));
                }
                Effect::Epoch { epoch, authorities: next } => {
                    authorities = next;
                    actions.extend(self.epoch_begins(epoch, &authorities));
                }
                Effect::Evidence(evidence) => {
                    actions.push(Action::Evidence(Box::new(evidence.clone())));
                    // Gossip drops it as a duplicate where it came that way.
                    actions.push(Action::Gossip(Gossip::Evidence(Box::new(evidence))));
                }
                Effect::Behind { finalization, .. } => {
                    self.behind = self.behind.max(Some(place_of(&finalization)));
                }
                Effect::Standing(standing) => actions.push(Action::Standing(standing)),
            }
        }
    }

    fn execute_all(
        &mut self,
        blocks: Vec<Arc<Block>>,
        finalization: Certificate,
        inputs: &mut VecDeque<Input>,
        actions: &mut Vec<Action>,
    ) {
        if self.behind.is_some_and(|place| place <= place_of(&finalization)) {
            self.behind = None;
        }
        self.closing = None;
        for block in blocks {
            let height = block.header.height;
            let digest = block.header.digest();
            let (applied, snapshot) = self.execute(&block, digest);
            self.results.executed(height, self.ledger.receipts_root());
            if let Some(snapshot) = &snapshot {
                self.results.snapshot_taken(height, snapshot.chunks.state());
            }
            self.results.prune(&block, self.genesis.consensus.snapshot_lag);
            let life_ms = self.genesis.ledger.transaction_life_ms_max;
            self.pool.settle(&block, block.header.time.plus_ms(life_ms.saturating_add(WRONG_CLOCK_MS)));
            let of_this = finalization.statement.block() == Some(digest);
            let finalization = of_this.then(|| finalization.clone());
            let executed = Executed::of(&self.ledger, &self.me, (block, digest), finalization, (applied, snapshot));
            actions.push(Action::Executed(Box::new(executed)));
            inputs.push_back(Input::Executed(height));
        }
    }

    fn execute(&mut self, block: &Block, digest: Digest) -> (Applied, Option<Snapshot>) {
        let before = std::mem::replace(&mut self.executed, digest);
        #[cfg(feature = "memo")]
        return shared::execute(&mut self.ledger, before, (digest, block), executed::execute);
        #[cfg(not(feature = "memo"))]
        {
            let _ = before;
            executed::execute(Arc::make_mut(&mut self.ledger), block)
        }
    }

    /// Offers what came in here and is still not ordered to the next leaders, directly: gossip may have lost it, and would
    /// drop it as a duplicate if it were published again.
    fn offer(&mut self, now: Now, actions: &mut Vec<Action>) {
        if !self.pool.has_work() || now.monotonic < self.offer_at {
            return;
        }
        self.offer_at = Monotonic(now.monotonic.0 + OFFER_US);
        let waiting = self.pool.local_waiting(OFFER_BYTES_MAX);
        if waiting.is_empty() {
            return;
        }
        if is_planted(Fault::RetriesByGossip) {
            actions.push(Action::Gossip(Gossip::Transactions(waiting)));
            return;
        }
        let authorities = self.consensus.authorities();
        let leaders = (0..OFFER_LEADERS.min(authorities.count() as u64)).filter_map(|ahead| {
            authorities.key(authorities.leader(View(self.consensus.view().0.saturating_add(ahead))))
        });
        for to in leaders.filter(|key| *key != self.me) {
            actions.push(Action::Send { to, message: Message::Transactions(waiting.clone()) });
        }
    }

    /// Whether more is final than has been executed here, as far as is known; what speaks of later epochs may be a lie.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.behind.is_some() || self.heard_of > self.consensus.epoch()
    }

    /// Whether a valid finalization has come of a block that has not been executed here: what the ledger says is of the past.
    #[must_use]
    pub const fn lacks_blocks(&self) -> bool {
        self.behind.is_some()
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

    /// The round.
    #[must_use]
    pub const fn consensus(&self) -> &Consensus {
        &self.consensus
    }

    /// The transactions that wait.
    #[must_use]
    pub const fn pool(&self) -> &Pool {
        &self.pool
    }
}
