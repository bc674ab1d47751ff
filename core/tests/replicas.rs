//! Whole replicas in one thread and virtual time: pool, consensus, ledger and catch-up joined, with workers
//! that report on their leases after a while. A seed draws the delay of each message. Some messages are lost.
//! Peers stop, and start again from what they stored.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use meshwork_core::{
    codec::ByteString,
    consensus::{Evidence, Monotonic, Now, Record, VotingStatus},
    digest::Digest,
    identity::{PublicKey, SecretKey},
    ledger::{LedgerEvent, TaskCounts},
    replica::{Action, Config, Executed, Gossip, Message, Recovered, Replica},
    types::{
        self, Access, AttemptId, Authority, AuthorityIndex, Block, BlockTime, Certificate, Claim, ConsensusParameters,
        Epoch, Genesis, Height, Incarnation, InlineOutput, JobId, LedgerLimits, Limits, Output, Receipt, Report,
        ReportItem, Resources, ScheduleParameters, SignedTransaction, Statement, Submit, TaskSpec, Tasks, Transaction,
        Usage, Verdict, Vote,
    },
};

const START: u64 = 1_000_000_000_000;
const MS: u64 = 1000;

fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed([seed; 32])
}

/// Something on its way to a peer.
enum Parcel {
    Gossip(Gossip),
    Message(PublicKey, Message),
    Wake,
    Submit(Arc<SignedTransaction>),
    /// The worker has run this attempt.
    Ran(AttemptId),
    Claim,
}

/// One peer: its replica while it is up, and its store.
struct Peer {
    key: SecretKey,
    works: bool,
    incarnation: u64,
    replica: Option<Replica>,
    wakes: BTreeSet<u64>,
    blocks: Vec<(Arc<Block>, Option<Certificate>, Digest)>,
    journal: Vec<Record>,
    evidence: Vec<Evidence>,
    receipts: Vec<Receipt>,
}

struct Network {
    genesis: Arc<Genesis>,
    peers: Vec<Peer>,
    parcels: BTreeMap<(u64, u64), (usize, Parcel)>,
    now: u64,
    sent: u64,
    random: u64,
    loss_percent: u64,
    task_ms: u64,
}

impl Network {
    /// Makes a network of authorities, then workers, then one peer that is neither.
    fn new(authorities: u8, workers: u8, seed: u64) -> Self {
        let list = (0..authorities).map(|index| Authority {
            name: format!("a{index}"),
            key: key(index + 1).public(),
            addresses: Vec::new(),
        });
        let consensus =
            ConsensusParameters { delta_ms: 100, heartbeat_ms: 500, clock_bound_ms: 100, ..Default::default() };
        let genesis = Arc::new(Genesis {
            name: "replicas".into(),
            time: BlockTime(START),
            authorities: list.collect(),
            access: Access::default(),
            consensus: ConsensusParameters { snapshot_interval: 16, ..consensus },
            ledger: LedgerLimits { claim_stands_ms_max: 8_000, allowance_ms: 8_000, ..Default::default() },
            schedule: ScheduleParameters::default(),
        });
        genesis.check().expect("a good genesis");
        let peers = (0..=authorities + workers).map(|index| Peer {
            key: key(index + 1),
            works: (authorities..authorities + workers).contains(&index),
            incarnation: 0,
            replica: None,
            wakes: BTreeSet::new(),
            blocks: Vec::new(),
            journal: Vec::new(),
            evidence: Vec::new(),
            receipts: Vec::new(),
        });
        let peers: Vec<Peer> = peers.collect();
        let random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut network =
            Self { genesis, peers, parcels: BTreeMap::new(), now: 0, sent: 0, random, loss_percent: 0, task_ms: 50 };
        for peer in 0..network.peers.len() {
            network.start(peer);
        }
        network
    }

    fn draw(&mut self, below: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % below
    }

    fn time(&self) -> Now {
        Now { monotonic: Monotonic(self.now), clock: BlockTime(START + self.now) }
    }

    fn post(&mut self, at: u64, to: usize, parcel: Parcel) {
        self.sent += 1;
        self.parcels.insert((at, self.sent), (to, parcel));
    }

    /// Starts a peer from what it has stored.
    fn start(&mut self, index: usize) {
        let peer = &mut self.peers[index];
        let tip = peer.blocks.iter().rev().find_map(|(block, certificate, _)| {
            certificate.as_ref().map(|certificate| (block.header.clone(), Some(certificate.clone())))
        });
        let recovered = Recovered {
            blocks: peer.blocks.iter().map(|(block, ..)| Arc::clone(block)).collect(),
            roots: peer.blocks.iter().map(|(block, _, root)| (block.header.height, *root)).collect(),
            tip,
            journal: peer.journal.clone(),
            evidence: peer.evidence.clone(),
            ..Recovered::nothing(VotingStatus::Voting)
        };
        let config = Config { genesis: Arc::clone(&self.genesis), key: peer.key.clone() };
        peer.replica = Some(Replica::new(config, recovered).expect("what was stored fits together"));
        peer.incarnation += 1;
        peer.wakes.clear();
        self.post(self.now, index, Parcel::Wake);
        if self.peers[index].works {
            self.post(self.now + 1, index, Parcel::Claim);
        }
        let keys: Vec<PublicKey> = self.peers.iter().map(|peer| peer.key.public()).collect();
        for (other, key) in keys.iter().enumerate().filter(|(other, _)| *other != index) {
            self.meet(index, *key);
            if self.peers[other].replica.is_some() {
                self.meet(other, keys[index]);
            }
        }
    }

    fn meet(&mut self, index: usize, other: PublicKey) {
        let now = self.time();
        let mut actions = Vec::new();
        if let Some(replica) = &mut self.peers[index].replica {
            replica.connected(now, other, &mut actions);
        }
        self.act(index, actions);
    }

    fn stop(&mut self, index: usize) {
        self.peers[index].replica = None;
        let key = self.peers[index].key.public();
        for peer in &mut self.peers {
            if let Some(replica) = &mut peer.replica {
                replica.disconnected(&key);
            }
        }
    }

    fn sign(&mut self, index: usize, action: types::Action) -> Arc<SignedTransaction> {
        let expires = BlockTime(START + self.now).plus_ms(60_000);
        let transaction = Transaction { nonce: self.draw(u64::MAX), expires, action };
        Arc::new(SignedTransaction::sign(transaction, &self.peers[index].key, &self.genesis.network_id()))
    }

    fn submit_job(&mut self, index: usize, tasks: u32) -> JobId {
        let blob = types::BlobRef { digest: Digest::of(b"program"), bytes: 7 };
        let spec = TaskSpec {
            resources: Resources { millicores: 100, memory_bytes: 1 << 20 },
            limits: Limits { wall_ms: 10_000, fuel: 1 << 30, output_bytes: 1000 },
            retry: types::Retry::default(),
            ..TaskSpec::of(blob)
        };
        let submit = Submit::new("job", spec, Tasks::Repeat(tasks));
        let signed = self.sign(index, types::Action::Submit(submit));
        let job = JobId(signed.id().0);
        self.post(self.now, index, Parcel::Submit(signed));
        job
    }

    fn claim(&mut self, index: usize) {
        let claim = Claim {
            sequence: START + self.now,
            incarnation: Incarnation(self.peers[index].incarnation),
            slots: 2,
            resources: Resources { millicores: 2000, memory_bytes: 1 << 30 },
            waiting: 4,
            load: 0,
            stands_ms: 8_000,
            ..Claim::default()
        };
        let signed = self.sign(index, types::Action::Claim(claim));
        self.post(self.now, index, Parcel::Submit(signed));
        self.post(self.now + 2_000 * MS, index, Parcel::Claim);
    }

    fn report(&mut self, index: usize, attempt: AttemptId) {
        let output = InlineOutput { stdout: ByteString::from(&b"done"[..]), ..InlineOutput::default() };
        let verdict = Verdict::Succeeded(0, Output::Inline(output), Usage::default(), Vec::new());
        let report = Report { items: vec![ReportItem { attempt, verdict }] };
        let signed = self.sign(index, types::Action::Report(report));
        self.post(self.now, index, Parcel::Submit(signed));
    }

    /// Runs until `done`. Fails after `limit_ms` milliseconds.
    fn run_until(&mut self, limit_ms: u64, what: &str, mut done: impl FnMut(&Self) -> bool) {
        let until = self.now + limit_ms * MS;
        while !done(self) {
            let ((at, _), (to, parcel)) = self.parcels.pop_first().expect("somebody always waits for something");
            assert!(at <= until, "{what} has not come to pass in {limit_ms} ms: {}", self.describe());
            self.now = at;
            self.deliver(to, parcel);
        }
    }

    fn describe(&self) -> String {
        let heights = self.peers.iter().map(|peer| peer.blocks.len().to_string());
        format!("heights {}, counts {:?}", heights.collect::<Vec<_>>().join(" "), self.counts(0))
    }

    fn deliver(&mut self, to: usize, parcel: Parcel) {
        let now = self.time();
        let Peer { replica: Some(replica), wakes, .. } = &mut self.peers[to] else { return };
        let mut actions = Vec::new();
        match parcel {
            Parcel::Gossip(gossip) => {
                replica.gossip(now, gossip, &mut actions);
            }
            Parcel::Message(from, message) => {
                replica.message(now, from, message, &mut actions);
            }
            Parcel::Wake => {
                wakes.remove(&self.now);
                if replica.next_wake(now).is_some_and(|at| at <= now.monotonic) {
                    replica.tick(now, &mut actions);
                }
            }
            Parcel::Submit(transaction) => {
                for answer in replica.submit(now, vec![transaction], &mut actions) {
                    answer.expect("an honest transaction is taken");
                }
            }
            Parcel::Ran(attempt) => self.report(to, attempt),
            Parcel::Claim => self.claim(to),
        }
        self.act(to, actions);
    }

    fn act(&mut self, index: usize, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Persist(record) => self.peers[index].journal.push(record),
                Action::Prune(epoch, below) => {
                    let kept = |record: &Record| record.place().is_none_or(|place| place >= (epoch, below));
                    self.peers[index].journal.retain(kept);
                }
                Action::Executed(executed) => self.executed(index, *executed),
                Action::Send { to, message } => {
                    let to =
                        self.peers.iter().position(|peer| peer.key.public() == to).expect("a peer of this network");
                    let from = self.peers[index].key.public();
                    self.carry(to, Parcel::Message(from, message));
                }
                Action::Gossip(gossip) => {
                    for to in (0..self.peers.len()).filter(|to| *to != index) {
                        self.carry(to, Parcel::Gossip(gossip.clone()));
                    }
                }
                Action::ServeBlocks { to, from, .. } => {
                    let to =
                        self.peers.iter().position(|peer| peer.key.public() == to).expect("a peer of this network");
                    let stored = self.peers[index].blocks.get(from.0 as usize - 1..).unwrap_or_default();
                    let last = stored.iter().take(8).rposition(|(_, certificate, _)| certificate.is_some());
                    let Some(last) = last else { continue };
                    let certificate = stored[last].1.clone().expect("it was just found");
                    let blocks = stored[..=last].iter().map(|(block, ..)| Arc::clone(block)).collect();
                    let from = self.peers[index].key.public();
                    self.carry(to, Parcel::Message(from, Message::Blocks(blocks, Box::new(certificate))));
                }
                Action::Closed(..) | Action::Epoch { .. } => unreachable!("nobody governs here"),
                Action::Fork(fork) => panic!("two histories are final: {fork:?}"),
                Action::Evidence(evidence) => self.peers[index].evidence.push(*evidence),
                Action::VotingStatus(voting_status) => {
                    let own = self.peers[index].replica.as_ref().map(|replica| replica.consensus().evidence());
                    let convicted = own.is_some_and(|mut proofs| proofs.any(|proof| proof.culprit().0 == index as u16));
                    assert!(convicted, "nobody else has cause to stop voting: {voting_status:?}");
                }
            }
        }
        let now = self.time();
        let Some(replica) = &self.peers[index].replica else { return };
        if let Some(Monotonic(at)) = replica.next_wake(now) {
            let at = at.max(self.now + 1);
            if self.peers[index].wakes.insert(at) {
                self.post(at, index, Parcel::Wake);
            }
        }
    }

    fn carry(&mut self, to: usize, parcel: Parcel) {
        let delay = MS + self.draw(20 * MS);
        if self.draw(100) >= self.loss_percent {
            self.post(self.now + delay, to, parcel);
        }
    }

    fn executed(&mut self, index: usize, executed: Executed) {
        let me = self.peers[index].key.public();
        for event in &executed.applied.events {
            if let LedgerEvent::Leased { attempt, worker, incarnation, .. } = event
                && *worker == me
                && *incarnation == Incarnation(self.peers[index].incarnation)
            {
                let task_ms = self.task_ms + self.draw(self.task_ms);
                self.post(self.now + task_ms * MS, index, Parcel::Ran(*attempt));
            }
        }
        let height = executed.block.header.height;
        let peer = &mut self.peers[index];
        assert_eq!(height, Height(peer.blocks.len() as u64 + 1), "each block is executed once, in order");
        peer.blocks.push((executed.block, executed.finalization, executed.root));
        peer.receipts.extend(executed.applied.receipts);
        for other in &self.peers {
            if let Some((block, _, root)) = other.blocks.get(height.0 as usize - 1) {
                let (mine, _, my_root) = &self.peers[index].blocks[height.0 as usize - 1];
                assert_eq!(block.header, mine.header, "no two blocks are final at one height");
                assert_eq!(root, my_root, "the same blocks have the same receipts");
            }
        }
    }

    fn counts(&self, index: usize) -> TaskCounts {
        self.peers[index].replica.as_ref().map(|replica| replica.ledger().totals().tasks).unwrap_or_default()
    }

    fn convicted(&self, index: usize) -> Vec<AuthorityIndex> {
        let replica = self.peers[index].replica.as_ref();
        replica.into_iter().flat_map(|replica| replica.consensus().evidence()).map(Evidence::culprit).collect()
    }

    fn all_done(&self, tasks: u64) -> bool {
        let up = (0..self.peers.len()).filter(|index| self.peers[*index].replica.is_some());
        up.map(|index| self.counts(index)).all(|counts| counts.succeeded == tasks && counts.unfinished() == 0)
    }

    /// Checks every outcome that one peer's ledger accepted: each task has one.
    fn check_outcomes(&self, index: usize, tasks: u64) {
        let mut seen = BTreeSet::new();
        for receipt in &self.peers[index].receipts {
            if let Receipt::Outcome(outcome) = receipt {
                assert!(seen.insert(outcome.attempt.task), "{} has two outcomes", outcome.attempt.task);
            }
        }
        assert_eq!(seen.len() as u64, tasks);
    }
}

#[test]
fn a_job_is_run_and_every_peer_knows_the_same() {
    for (authorities, seed) in [(1, 1), (4, 2), (4, 3), (7, 4)] {
        let mut network = Network::new(authorities, 3, seed);
        let follower = network.peers.len() - 1;
        network.submit_job(follower, 60);
        network.run_until(20_000, "the job's end", |network| network.all_done(60));
        network.check_outcomes(0, 60);
        let digests = network
            .peers
            .iter()
            .filter_map(|peer| peer.replica.as_ref())
            .map(|replica| (replica.ledger().height(), replica.ledger().state_digest()));
        let by_height: BTreeMap<_, BTreeSet<_>> = digests.fold(BTreeMap::new(), |mut map, (height, digest)| {
            map.entry(height).or_insert_with(BTreeSet::new).insert(digest);
            map
        });
        assert!(by_height.values().all(|digests| digests.len() == 1), "{by_height:?}");
    }
}

#[test]
fn lost_messages_cost_time_and_nothing_else() {
    for seed in 10..16 {
        let mut network = Network::new(4, 2, seed);
        network.loss_percent = 15;
        network.submit_job(6, 30);
        network.run_until(120_000, "the job's end", |network| network.all_done(30));
        network.check_outcomes(6, 30);
    }
}

#[test]
fn a_network_of_which_every_peer_restarts_in_the_middle_loses_nothing() {
    for seed in 20..24 {
        let mut network = Network::new(4, 2, seed);
        network.submit_job(0, 80);
        network.run_until(20_000, "a third of the job", |network| network.counts(0).succeeded > 25);
        for index in 0..network.peers.len() {
            network.stop(index);
        }
        network.now += 500 * MS;
        for index in 0..network.peers.len() {
            network.start(index);
        }
        network.run_until(60_000, "the job's end", |network| network.all_done(80));
        network.check_outcomes(0, 80);
    }
}

#[test]
fn a_lost_worker_and_a_lost_authority_are_done_without() {
    let mut network = Network::new(4, 3, 30);
    network.submit_job(7, 90);
    network.run_until(20_000, "a third of the job", |network| network.counts(0).succeeded > 30);
    network.stop(4);
    network.stop(3);
    network.run_until(60_000, "the job's end", |network| network.all_done(90));
    network.check_outcomes(0, 90);
}

#[test]
fn who_comes_late_catches_up_from_whoever_is_there() {
    let mut network = Network::new(4, 2, 40);
    network.stop(6);
    network.stop(3);
    network.submit_job(0, 100);
    network.run_until(30_000, "the job's end", |network| network.all_done(100));
    network.start(6);
    network.start(3);
    network.run_until(20_000, "catching up", |network| network.all_done(100));
    network.check_outcomes(6, 100);
    // The authority that came back votes again: the others are no quorum without it.
    network.stop(0);
    network.submit_job(6, 10);
    network.run_until(30_000, "another job", |network| network.all_done(110));
}

#[test]
fn who_votes_twice_is_known_to_everyone_for_good() {
    let mut network = Network::new(4, 1, 50);
    network.submit_job(5, 10);
    network.run_until(20_000, "the job's end", |network| network.all_done(10));
    assert!((0..6).all(|index| network.convicted(index).is_empty() && network.peers[index].evidence.is_empty()));
    let view = network.peers[0].replica.as_ref().map(|replica| replica.consensus().view()).expect("it is up");
    let liar = AuthorityIndex(3);
    for block in [&b"one"[..], b"other"] {
        let statement = Statement::Notarize(view, Digest::of(block));
        let vote = Vote::sign(Epoch(0), statement, liar, &key(4), &network.genesis.network_id());
        network.post(network.now + 1, 0, Parcel::Message(key(4).public(), Message::Votes(vec![vote])));
    }
    // The liar itself hears of it too, and so do followers, which see no votes.
    let everywhere = |network: &Network| (0..6).all(|index| network.convicted(index) == [liar]);
    network.run_until(5_000, "conviction", everywhere);
    for index in 0..6 {
        network.stop(index);
        network.start(index);
        assert_eq!(network.peers[index].evidence.len(), 1, "it is kept once");
    }
    assert!(everywhere(&network), "a restart forgets no proof");
    let voting_status = network.peers[3].replica.as_ref().map(|replica| replica.consensus().voting_status());
    assert_eq!(voting_status, Some(VotingStatus::VoteUnknown), "a key that votes in two places votes no more");
}
