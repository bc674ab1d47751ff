//! A network in memory, with virtual time. A seed decides every delay, loss and crash.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    super::{evidence::conflict, *},
    Random, genesis, key,
    node::Node,
    transaction,
};
use crate::types::{BlockTime, Certificate, Genesis, Proposal, SignedTransaction, Statement, Vote};

/// A message on its way, or a restart.
#[derive(Clone)]
pub(super) enum Packet {
    Proposal(Arc<Proposal>),
    Finalization(Certificate),
    Votes(Vec<Vote>),
    Message(AuthorityIndex, Message),
    Blocks(Vec<Arc<Block>>, Certificate),
    Pooled(Arc<SignedTransaction>),
    Restart,
}

pub(super) struct Network {
    pub genesis: Arc<Genesis>,
    pub seed: u64,
    pub random: Random,
    pub now_us: u64,
    pub nodes: Vec<Node>,
    queue: BTreeMap<(u64, u64), (usize, Packet)>,
    sent: u64,
    /// The shortest and the longest delay of a message.
    pub delay_us: (u64, u64),
    /// Of a thousand messages, this many are lost.
    pub loss_permille: u64,
    /// Of a thousand effects, this many are cut off by a crash.
    pub crash_permille: u64,
    /// Nodes in different groups do not hear each other.
    pub group: Vec<usize>,
    /// The final blocks of all nodes, by height.
    pub chain: Vec<Digest>,
    /// All statements that honest authorities ever made.
    said: BTreeMap<AuthorityIndex, BTreeSet<Statement>>,
    /// Every certificate that was ever persisted, for tests that look back.
    pub nullified: BTreeSet<View>,
    pub proposals: Vec<Arc<Proposal>>,
    pub finalizations_gossiped: usize,
    pub messages: usize,
    pub transactions: u64,
}

impl Network {
    /// Makes a network of authorities, and after them followers.
    pub(super) fn new(authorities: usize, followers: usize, seed: u64) -> Self {
        Self::with(genesis(authorities), followers, seed)
    }

    pub(super) fn with(genesis: Arc<Genesis>, followers: usize, seed: u64) -> Self {
        let authorities = genesis.authorities.len();
        let keys = (0..authorities).map(|index| Some(key(index))).chain((0..followers).map(|_| None));
        let nodes: Vec<Node> = keys.map(|key| Node::new(&genesis, key)).collect();
        Self {
            seed,
            random: Random::new(seed),
            now_us: 1_000,
            group: vec![0; nodes.len()],
            nodes,
            queue: BTreeMap::new(),
            sent: 0,
            delay_us: (500, 5_000),
            loss_permille: 0,
            crash_permille: 0,
            chain: Vec::new(),
            said: BTreeMap::new(),
            nullified: BTreeSet::new(),
            proposals: Vec::new(),
            finalizations_gossiped: 0,
            messages: 0,
            transactions: 0,
            genesis,
        }
    }

    /// Makes the last node a twin of an authority.
    pub(super) fn add_twin(&mut self, of: usize) {
        let mut twin = Node::new(&self.genesis, Some(key(of)));
        (twin.twin, twin.skew_us) = (true, 1_700);
        self.nodes[of].twin = true;
        self.nodes.push(twin);
        self.group.push(0);
    }

    fn post(&mut self, to: usize, after_us: u64, packet: Packet) {
        self.sent += 1;
        self.queue.insert((self.now_us + after_us, self.sent), (to, packet));
    }

    fn send(&mut self, from: usize, to: usize, packet: Packet) {
        self.messages += 1;
        // Twins mostly speak to different halves of the network, and hear everyone.
        let lies = self.random.permille(800)
            && self.nodes[from].twin
            && !self.nodes[to].twin
            && to.is_multiple_of(2) != (from == self.nodes.len() - 1);
        if self.group[from] == self.group[to] && !lies && !self.random.permille(self.loss_permille) {
            let delay_us = self.delay_us.0 + self.random.below(self.delay_us.1 - self.delay_us.0 + 1);
            self.post(to, delay_us, packet);
        }
    }

    fn broadcast(&mut self, from: usize, packet: &Packet, all: bool) {
        for to in (0..self.nodes.len()).filter(|to| *to != from) {
            if all || self.nodes[to].key.is_some() {
                self.send(from, to, packet.clone());
            }
        }
    }

    /// Pools a new transaction everywhere.
    pub(super) fn submit(&mut self) {
        self.transactions += 1;
        let transaction = transaction(&self.genesis, self.transactions);
        for to in 0..self.nodes.len() {
            let delay_us = self.random.below(2_000);
            self.post(to, delay_us, Packet::Pooled(Arc::clone(&transaction)));
        }
    }

    pub(super) fn crash(&mut self, node: usize) {
        self.nodes[node].round = None;
    }

    pub(super) fn restart_after(&mut self, node: usize, after_us: u64) {
        self.post(node, after_us, Packet::Restart);
    }

    /// Lets time pass.
    pub(super) fn run_ms(&mut self, ms: u64) {
        let until_us = self.now_us + ms * 1000;
        self.run_until(until_us, |_| false);
    }

    /// Lets time pass until a condition holds. Returns whether it did in time.
    pub(super) fn run_until(&mut self, until_us: u64, done: impl Fn(&Self) -> bool) -> bool {
        loop {
            if done(self) {
                return true;
            }
            let wakes = self.nodes.iter().map(|node| node.round.as_ref().and_then(Consensus::next_wake));
            let wakes = wakes.enumerate().filter_map(|(node, wake)| Some((wake?.0.max(self.now_us), node)));
            let wake = wakes.min();
            let packet = self.queue.keys().next().map(|(at, _)| *at);
            let next = wake.map(|(at, _)| at).into_iter().chain(packet).min().unwrap_or(u64::MAX);
            if next > until_us {
                self.now_us = until_us;
                return done(self);
            }
            self.now_us = self.now_us.max(next);
            if packet == Some(next) {
                let ((_, _), (node, packet)) = self.queue.pop_first().expect("it was peeked at");
                self.deliver(node, packet);
            } else if let Some((_, node)) = wake {
                self.input(node, Input::Tick);
                // A node that asks again and again to be woken at once would stop time.
                self.now_us += 1;
            }
        }
    }

    fn deliver(&mut self, to: usize, packet: Packet) {
        let input = match packet {
            Packet::Restart => {
                if self.nodes[to].round.is_none() {
                    let genesis = Arc::clone(&self.genesis);
                    self.nodes[to].start(&genesis, VotingStatus::Voting);
                    self.reason(to);
                }
                return;
            }
            Packet::Pooled(transaction) => {
                let app = &mut self.nodes[to].app;
                if !app.done.contains(&transaction.id()) {
                    app.pool.insert(transaction.id(), transaction);
                }
                self.reason(to);
                return;
            }
            Packet::Proposal(proposal) => Input::Proposal((*proposal).clone()),
            Packet::Finalization(certificate) => Input::Certificate(certificate),
            Packet::Votes(votes) => Input::Votes(votes),
            Packet::Message(from, Message::Ask(ask)) => Input::Ask { from, ask },
            Packet::Message(_, Message::Tell(tell)) => Input::Tell(tell),
            Packet::Blocks(blocks, finalization) => Input::Blocks { blocks, finalization },
        };
        self.input(to, input);
    }

    fn reason(&mut self, node: usize) {
        let reason = !self.nodes[node].app.pool.is_empty();
        self.input(node, Input::Pending(reason));
    }

    pub(super) fn input(&mut self, node: usize, input: Input) -> Option<Judgement> {
        let clock = BlockTime((50_000_000 + self.now_us).saturating_add_signed(self.nodes[node].skew_us));
        let now = Now { monotonic: Monotonic(self.now_us), clock };
        let mut effects = Vec::new();
        let Node { round, app, twin, .. } = &mut self.nodes[node];
        let round = round.as_mut()?;
        let judgement = round.handle(now, input, app, &mut effects);
        if *twin {
            round.trust = VotingStatus::Voting;
        } else {
            let lying = matches!(judgement, Judgement::Reject(_)) && !self.nodes.iter().any(|node| node.twin);
            assert!(!lying, "seed {}: an honest node was called a liar: {judgement:?}", self.seed);
        }
        let before = self.nodes[node].height();
        for effect in effects {
            let crashes = !self.nodes[node].twin && self.nodes[node].key.is_some();
            if crashes && self.random.permille(self.crash_permille) {
                self.crash(node);
                let away_us = self.random.below(2_000_000);
                self.restart_after(node, away_us);
                return None;
            }
            self.carry_out(node, effect);
        }
        let height = self.nodes[node].height();
        if height > before {
            self.input(node, Input::Executed(height));
            self.reason(node);
        }
        Some(judgement)
    }

    fn carry_out(&mut self, node: usize, effect: Effect) {
        let from = self.nodes[node].round.as_ref().and_then(Consensus::me).unwrap_or_default();
        match effect {
            Effect::Persist(record) => {
                if let Record::Certified(certificate) = &record
                    && let Statement::Nullify(view) = certificate.statement
                {
                    self.nullified.insert(view);
                }
                self.nodes[node].disk.journal.push(record);
            }
            Effect::Prune { epoch, below } => {
                let kept = |record: &Record| record.place().is_none_or(|place| place >= (epoch, below));
                self.nodes[node].disk.journal.retain(kept);
            }
            Effect::SendVotes(votes) => {
                votes.iter().for_each(|vote| self.hold_to(node, vote));
                self.broadcast(node, &Packet::Votes(votes), false);
            }
            Effect::Send { to, message } => {
                for other in 0..self.nodes.len() {
                    if other != node && self.nodes[other].round.as_ref().and_then(Consensus::me) == Some(to) {
                        self.send(node, other, Packet::Message(from, message.clone()));
                    }
                }
            }
            Effect::GossipProposal(proposal) => {
                let header = &proposal.block.header;
                let statement = Statement::Notarize(header.view, header.digest());
                let vote = Vote { epoch: header.epoch, statement, voter: from, signature: proposal.signature };
                self.hold_to(node, &vote);
                self.proposals.push(Arc::clone(&proposal));
                self.broadcast(node, &Packet::Proposal(proposal), true);
            }
            Effect::GossipFinalization(certificate) => {
                self.finalizations_gossiped += 1;
                self.broadcast(node, &Packet::Finalization(certificate), true);
            }
            Effect::Finalized { blocks, finalization } => self.finalized(node, &blocks, finalization),
            Effect::Closed { .. } | Effect::Epoch { .. } => unreachable!("nothing is approved here"),
            Effect::Fork(fork) => panic!("two histories are final: {fork:?}"),
            Effect::Evidence(evidence) => {
                assert!(evidence.verify(&self.genesis.authority_set(), &self.genesis.network_id()));
                self.nodes[node].evidence.push(evidence);
            }
            Effect::Behind { from, .. } => {
                let sources = (0..self.nodes.len()).filter(|other| self.group[*other] == self.group[node]);
                let ranges: Vec<_> = sources.filter_map(|other| self.nodes[other].disk.range(from)).collect();
                if !ranges.is_empty() {
                    let (blocks, certificate) = ranges[self.random.below(ranges.len() as u64) as usize].clone();
                    self.post(node, 5_000, Packet::Blocks(blocks, certificate));
                }
            }
            Effect::VotingStatus(voting_status) => {
                assert!(self.nodes[node].twin, "seed {}: node {node} stopped: {voting_status:?}", self.seed);
            }
        }
    }

    /// Checks a vote that goes out: it must be durable, and must break no promise ever made, over all crashes.
    fn hold_to(&mut self, node: usize, vote: &Vote) {
        if self.nodes[node].twin {
            return;
        }
        let durable = self.nodes[node].disk.journal.iter().any(|record| match record {
            Record::Notarized(known, proposal) => {
                known == vote && vote.statement.block() == Some(proposal.block.header.digest())
            }
            Record::Voted(known) => known == vote,
            _ => false,
        });
        assert!(durable, "seed {}: {vote:?} was sent before it was durable", self.seed);
        let said = self.said.entry(vote.voter).or_default();
        let broken = said.iter().find(|other| conflict(other, &vote.statement));
        assert!(broken.is_none(), "seed {}: {:?} and {broken:?} by {}", self.seed, vote.statement, vote.voter);
        said.insert(vote.statement);
    }

    fn finalized(&mut self, node: usize, blocks: &[Arc<Block>], finalization: Certificate) {
        let seed = self.seed;
        for block in blocks {
            let (height, digest) = (block.header.height, block.header.digest());
            assert_eq!(height, self.nodes[node].height().next(), "seed {seed}: a height came twice, or not");
            match self.chain.get(height.0 as usize - 1) {
                Some(agreed) => assert_eq!(*agreed, digest, "seed {seed}: two final blocks at height {height}"),
                None => self.chain.push(digest),
            }
            let parent = self.nodes[node].disk.blocks.last().map_or(Digest::ZERO, |parent| parent.header.digest());
            assert_eq!(block.header.parent, parent, "seed {seed}: the chain is broken at {height}");
            self.nodes[node].disk.blocks.push(Arc::clone(block));
            self.nodes[node].app.execute(block);
        }
        let height = self.nodes[node].height();
        assert_eq!(finalization.statement.block(), self.chain.get(height.0 as usize - 1).copied());
        self.nodes[node].disk.finalizations.insert(height, finalization);
    }

    pub(super) fn highest(&self) -> Height {
        Height(self.chain.len() as u64)
    }

    /// Whether all honest nodes have executed all transactions.
    pub(super) fn all_done(&self) -> bool {
        let mut honest = self.nodes.iter().filter(|node| !node.twin);
        honest.all(|node| node.round.is_some() && node.app.done.len() as u64 == self.transactions)
    }
}
