//! A whole network in miniature, run once from fixed keys and a fixed clock: four authorities, a worker and a
//! submitter. Its messages and stored values are the seeds. The state that one authority has stored half-way is
//! the state on which every input is tried.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Arc, LazyLock},
};

use meshwork_core::{
    consensus::{Monotonic, Now, Record, VotingStatus},
    digest::Digest,
    identity::{NetworkId, SecretKey},
    ledger::Ledger,
    merkle::{self, Position},
    proof::{Handover, Proof},
    replica::{Action, Config, Executed, Gossip, Message, Recovered, Replica},
    snapshot::{Certified, Chunks, SnapshotOffer},
    types::{
        self, Access, Authority, Block, BlockTime, Certificate, ConsensusParameters, Epoch, Genesis, Header, Height,
        LedgerLimits, Receipt, Role, ScheduleParameters, SignedTransaction, SnapshotDigest, Transaction, View,
    },
};

use crate::seeds::work::{Work, work};

/// How many authorities there are. One may lie.
pub const AUTHORITIES: usize = 4;
/// When the network was founded.
const FOUNDED: BlockTime = BlockTime(1_700_000_000_000_000);
/// How much time goes by from step to step, in microseconds.
const STEP_US: u64 = 20_000;
/// The steps in which the last authority hears and says nothing. So the others give up its views, and it has to
/// catch up.
const CUT_OFF: std::ops::Range<u64> = 60..180;
/// The step after which the first authority's stored state is taken, to try inputs on.
const TRIED_AFTER: u64 = 220;
/// How many steps the run takes.
const STEPS: u64 = 280;

static NETWORK: LazyLock<Network> = LazyLock::new(Network::run);

/// The network, which runs on first use.
#[must_use]
pub fn network() -> &'static Network {
    &NETWORK
}

/// The stored state of one authority.
#[derive(Clone, Debug, Default)]
struct Store {
    blocks: BTreeMap<Height, Arc<Block>>,
    finalizations: BTreeMap<Height, Certificate>,
    roots: BTreeMap<Height, Digest>,
    snapshots: BTreeMap<Height, Vec<u8>>,
    digests: BTreeMap<Height, Digest>,
    journal: Vec<Record>,
    receipts: BTreeMap<Height, Vec<Receipt>>,
    history: BTreeMap<Position, Digest>,
}

/// The network's keys, and the results of its run.
#[derive(Debug)]
pub struct Network {
    /// Its genesis.
    pub genesis: Arc<Genesis>,
    /// Its id, which signatures contain.
    pub id: NetworkId,
    /// The authorities' keys, in their order.
    pub authorities: Vec<SecretKey>,
    /// A worker's key. The worker has a standing claim and holds attempts.
    pub worker: SecretKey,
    /// A submitter's key, with jobs in every state.
    pub submitter: SecretKey,
    /// Every transaction, in the order in which they were signed.
    pub transactions: Vec<Arc<SignedTransaction>>,
    /// All gossip, in order.
    pub gossip: Vec<Gossip>,
    /// All direct messages, in order.
    pub messages: Vec<Message>,
    /// Every journal record of the first authority.
    pub records: Vec<Record>,
    /// The ledger that transactions are tried on.
    pub ledger: Ledger,
    /// The time at which inputs are tried.
    now: Now,
    tried: Store,
    end: Store,
}

fn genesis(authorities: &[SecretKey]) -> Genesis {
    let listed = authorities.iter().enumerate().map(|(index, key)| Authority {
        name: format!("a{index}"),
        key: key.public(),
        addresses: vec![format!("/ip4/127.0.0.1/tcp/{}", 4000 + index)],
    });
    Genesis {
        name: "miniature".into(),
        time: FOUNDED,
        authorities: listed.collect(),
        access: Access::default(),
        consensus: ConsensusParameters { snapshot_interval: 4, snapshot_lag: 1, ..ConsensusParameters::default() },
        ledger: LedgerLimits::default(),
        schedule: ScheduleParameters::default(),
    }
}

/// The time of a step.
fn moment(step: u64) -> Now {
    let us = (step + 1) * STEP_US;
    Now { monotonic: Monotonic(us), clock: BlockTime(FOUNDED.0 + us) }
}

/// A message that is on its way to someone.
enum Said {
    All(Gossip),
    One(Message),
}

/// The run itself.
struct Run {
    replicas: Vec<Replica>,
    stores: Vec<Store>,
    keys: Vec<SecretKey>,
    queue: VecDeque<(usize, usize, Said)>,
    step: u64,
    gossip: Vec<Gossip>,
    messages: Vec<Message>,
    records: Vec<Record>,
}

impl Run {
    fn carry(&mut self, at: usize, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Persist(record) => {
                    if at == 0 {
                        self.records.push(record.clone());
                    }
                    self.stores[at].journal.push(record);
                }
                Action::Prune(epoch, below) => {
                    let kept = |record: &Record| record.place().is_none_or(|place| place >= (epoch, below));
                    self.stores[at].journal.retain(kept);
                }
                Action::Executed(executed) => self.stores[at].executed(*executed),
                Action::Send { to, message } => {
                    let to = self.keys.iter().position(|key| key.public() == to);
                    self.send(at, to, message);
                }
                Action::Gossip(gossip) => {
                    self.gossip.push(gossip.clone());
                    for to in (0..AUTHORITIES).filter(|to| *to != at) {
                        self.queue.push_back((at, to, Said::All(gossip.clone())));
                    }
                }
                Action::ServeBlocks { to, from, .. } => {
                    let to = self.keys.iter().position(|key| key.public() == to);
                    if let Some(message) = self.stores[at].blocks_from(from) {
                        self.send(at, to, message);
                    }
                }
                Action::Closed(..) | Action::Epoch { .. } => unreachable!("nobody governs here"),
                Action::Evidence(_) | Action::Fork(_) | Action::VotingStatus(_) => {}
            }
        }
    }

    fn send(&mut self, from: usize, to: Option<usize>, message: Message) {
        self.messages.push(message.clone());
        if let Some(to) = to {
            self.queue.push_back((from, to, Said::One(message)));
        }
    }

    /// Plays one step: time passes for everyone, and every message of the step is delivered.
    fn pass(&mut self) {
        let now = moment(self.step);
        for at in 0..AUTHORITIES {
            let mut actions = Vec::new();
            self.replicas[at].tick(now, &mut actions);
            self.carry(at, actions);
        }
        while let Some((from, to, said)) = self.queue.pop_front() {
            let last = AUTHORITIES - 1;
            if CUT_OFF.contains(&self.step) && (from == last || to == last) {
                continue;
            }
            let mut actions = Vec::new();
            match said {
                Said::All(gossip) => drop(self.replicas[to].gossip(now, gossip, &mut actions)),
                Said::One(message) => {
                    let from = self.keys[from].public();
                    self.replicas[to].message(now, from, message, &mut actions);
                }
            }
            self.carry(to, actions);
        }
        self.step += 1;
    }
}

impl Store {
    fn executed(&mut self, executed: Executed) {
        let height = executed.block.header.height;
        self.blocks.insert(height, executed.block);
        self.finalizations.extend(executed.finalization.map(|finalization| (height, finalization)));
        self.roots.insert(height, executed.root);
        if let Some(snapshot) = executed.snapshot {
            self.digests.insert(height, snapshot.chunks.state());
            self.snapshots.insert(height, snapshot.bytes);
        }
        self.receipts.insert(height, executed.applied.receipts);
        self.history.extend(executed.applied.history);
    }

    fn blocks_from(&self, from: Height) -> Option<Message> {
        let (newest, finalization) = self.finalizations.last_key_value()?;
        let blocks: Vec<Arc<Block>> = self.blocks.range(from..=*newest).map(|(_, block)| Arc::clone(block)).collect();
        (!blocks.is_empty()).then(|| Message::Blocks(blocks, Box::new(finalization.clone())))
    }

    fn recovered(&self, journal: Vec<Record>) -> Recovered {
        let snapshot = self.snapshots.last_key_value();
        let from = snapshot.map_or(Height(1), |(height, _)| height.next());
        let tip = self.blocks.last_key_value().and_then(|(height, block)| {
            let finalization = self.finalizations.get(height)?;
            Some((block.header.clone(), Some(finalization.clone())))
        });
        Recovered {
            snapshot: snapshot.map(|(_, bytes)| bytes.clone()),
            blocks: self.blocks.range(from..).map(|(_, block)| Arc::clone(block)).collect(),
            tip,
            closing: None,
            roots: self.roots.clone(),
            snapshots: self.digests.clone(),
            journal,
            evidence: Vec::new(),
            fork: None,
            voting_status: VotingStatus::Voting,
        }
    }
}

impl Network {
    fn run() -> Self {
        let authorities: Vec<SecretKey> =
            (1..=AUTHORITIES as u8).map(|seed| SecretKey::from_seed([seed; 32])).collect();
        let (worker, submitter) = (SecretKey::from_seed([100; 32]), SecretKey::from_seed([200; 32]));
        let genesis = Arc::new(genesis(&authorities));
        let id = genesis.network_id();
        let new = |key: &SecretKey| {
            let config = Config { genesis: Arc::clone(&genesis), key: key.clone() };
            Replica::new(config, Recovered::nothing(VotingStatus::Voting)).expect("nothing fits nothing")
        };
        let mut run = Run {
            replicas: authorities.iter().map(new).collect(),
            stores: vec![Store::default(); AUTHORITIES],
            keys: authorities.clone(),
            queue: VecDeque::new(),
            step: 0,
            gossip: Vec::new(),
            messages: Vec::new(),
            records: Vec::new(),
        };
        for at in 0..AUTHORITIES {
            for peer in (0..AUTHORITIES).filter(|peer| *peer != at) {
                run.replicas[at].connected(moment(0), authorities[peer].public(), &mut Vec::new());
            }
        }
        let mut transactions = Vec::new();
        let mut reported = BTreeSet::new();
        let mut tried = None;
        while run.step < STEPS {
            run.pass();
            let ledger = run.replicas[0].ledger();
            for Work { signer, action } in work(run.step, ledger, &id, &mut reported) {
                let nonce = transactions.len() as u64;
                // Short spans, so that jobs are forgotten soon and snapshots stay small.
                let expires = moment(run.step).clock.plus_ms(2_000);
                let signed = SignedTransaction::sign(Transaction { nonce, expires, action }, &signer, &id);
                transactions.push(Arc::new(signed));
                let newest = transactions.last().cloned().into_iter().collect();
                let mut actions = Vec::new();
                run.replicas[0].submit(moment(run.step), newest, &mut actions);
                run.carry(0, actions);
            }
            if run.step == TRIED_AFTER {
                tried = Some((moment(run.step), run.stores[0].clone(), run.replicas[0].ledger().clone()));
            }
        }
        let (now, tried, ledger) = tried.expect("the step comes before the end");
        let Run { gossip, messages, records, mut stores, .. } = run;
        let end = stores.swap_remove(0);
        Self {
            genesis,
            id,
            authorities,
            worker,
            submitter,
            transactions,
            gossip,
            messages,
            records,
            ledger,
            now,
            tried,
            end,
        }
    }

    /// The first authority, restored from its stored state half-way, at the time of its first tick.
    #[must_use]
    pub fn replica(&self) -> (Replica, Now) {
        self.replica_with(self.tried.journal.clone())
    }

    /// The same with another journal.
    ///
    /// # Panics
    /// If a replica panics that is restored from this journal.
    #[must_use]
    pub fn replica_with(&self, journal: Vec<Record>) -> (Replica, Now) {
        let config = Config { genesis: Arc::clone(&self.genesis), key: self.authorities[0].clone() };
        let mut replica = Replica::new(config, self.tried.recovered(journal)).expect("what it stored fits together");
        replica.tick(self.now, &mut Vec::new());
        for peer in &self.authorities[1..] {
            replica.connected(self.now, peer.public(), &mut Vec::new());
        }
        (replica, self.now)
    }

    /// A block for [`Network::ledger`], or for a ledger that follows from it.
    #[must_use]
    pub fn block(ledger: &Ledger, later_ms: u64, transactions: Vec<Arc<SignedTransaction>>) -> Block {
        let header = Header {
            epoch: Epoch(0),
            view: View(1),
            role: Role::Inner,
            height: ledger.height().next(),
            parent: Digest::ZERO,
            time: ledger.time().plus_ms(later_ms),
            transactions: Block::transactions_digest(&transactions),
            final_height: ledger.height(),
            result_height: ledger.height(),
            result: ledger.receipts_root(),
            snapshots: Vec::new(),
        };
        Block { header, transactions }
    }

    /// The final blocks, oldest first.
    pub fn blocks(&self) -> impl Iterator<Item = &Arc<Block>> {
        self.end.blocks.values()
    }

    /// The snapshots that were taken.
    pub fn snapshots(&self) -> impl Iterator<Item = &Vec<u8>> {
        self.end.snapshots.values()
    }

    /// The digest of the state of a height, if a snapshot was taken there.
    #[must_use]
    pub fn snapshot_digest(&self, height: Height) -> Option<Digest> {
        self.end.digests.get(&height).copied()
    }

    /// What the first authority could offer to a peer that is far behind: each snapshot that a final header
    /// vouches for.
    #[must_use]
    pub fn offers(&self) -> Vec<SnapshotOffer> {
        let offer = |(height, bytes): (&Height, &Vec<u8>)| {
            let digest = SnapshotDigest { height: *height, state: self.snapshot_digest(*height)? };
            let carries = |block: &&Arc<Block>| block.header.snapshots.contains(&digest);
            let carrier = self.end.blocks.range(*height..).map(|(_, block)| block).find(carries)?.header.height;
            let (last, finalization) = self.end.finalizations.range(carrier..).find(|(last, _)| {
                self.end.blocks.get(last).is_some_and(|block| block.header.final_height >= *height)
            })?;
            let headers = self.end.blocks.range(*height..=*last).map(|(_, block)| block.header.clone()).collect();
            let finalization = finalization.clone();
            let certified = Certified { chunks: Chunks::of(bytes), headers, finalization, handovers: Vec::new() };
            Some(SnapshotOffer { certified, blocks_from: Height(1) })
        };
        self.end.snapshots.iter().filter_map(offer).collect()
    }

    /// What happened at each height.
    #[must_use]
    pub const fn receipts(&self) -> &BTreeMap<Height, Vec<Receipt>> {
        &self.end.receipts
    }

    /// The finalizations of final blocks.
    pub fn finalizations(&self) -> impl Iterator<Item = &Certificate> {
        self.end.finalizations.values()
    }

    /// The proof of every receipt that a header carries.
    #[must_use]
    pub fn proofs(&self) -> Vec<Proof> {
        let Some((newest, finalization)) = self.end.finalizations.last_key_value() else { return Vec::new() };
        let Some(carrier) = self.end.blocks.get(newest) else { return Vec::new() };
        let size = carrier.header.result_height.0;
        let mut proofs = Vec::new();
        for (height, receipts) in self.end.receipts.range(..=carrier.header.result_height) {
            let leaves: Vec<Digest> = receipts.iter().map(Receipt::digest).collect();
            for (index, receipt) in receipts.iter().enumerate() {
                let node = &mut |position: Position| self.end.history.get(&position).copied();
                let paths = merkle::path_of(&leaves, index).zip(merkle::path(height.0 - 1, size, node));
                let Some((block_path, history_path)) = paths else { continue };
                proofs.push(Proof {
                    receipt: receipt.clone(),
                    height: *height,
                    index: index as u32,
                    count: leaves.len() as u32,
                    block_path,
                    history_path,
                    headers: vec![carrier.header.clone()],
                    finalization: finalization.clone(),
                    handovers: Vec::new(),
                });
            }
        }
        proofs
    }

    /// How epoch 0 would end if the first authority left.
    #[must_use]
    pub fn handover(&self) -> Option<Handover> {
        let authorities = self.genesis.authority_set().without(&self.authorities.first()?.public());
        let (height, last) = self.end.blocks.last_key_value()?;
        let role = Role::Closing(Some(authorities.digest()));
        let header = Header { role, view: last.header.view.next(), height: height.next(), ..last.header.clone() };
        let statement = types::Statement::Finalize(header.view, header.digest());
        let votes: Vec<types::Vote> = (0..3).map(|voter| self.vote(voter, statement)).collect();
        let signers = types::Signers::of(votes.iter().map(|vote| vote.voter));
        let signatures = votes.iter().map(|vote| vote.signature).collect();
        Some(Handover {
            header,
            authorities,
            finalization: Certificate { epoch: Epoch(0), statement, signers, signatures },
        })
    }

    /// An authority's own vote.
    #[must_use]
    pub fn vote(&self, voter: usize, statement: types::Statement) -> types::Vote {
        let index = types::AuthorityIndex(voter as u16);
        types::Vote::sign(Epoch(0), statement, index, &self.authorities[voter], &self.id)
    }
}
