//! A run: a queue of events in virtual time, the peers that are run in full, and the messages between them.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BinaryHeap},
    sync::Arc,
};

use meshwork_core::{
    codec,
    identity::{NetworkId, PublicKey, SecretKey},
    replica::{Action, Executed, Gossip, Message, message_bytes_max},
    types::{AttemptId, Block, Certificate, Genesis, Height, TransactionId},
};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

use super::{
    crowd::{Heard, Pending},
    figures::Figures,
    finality::{Finality, Passed},
    full::{Follows, Full, Parcel, SYNC_US},
    gossip::Mesh,
    record::Record,
    setup::Setup,
    volunteer::{News, Volunteer},
    wire::Way,
};
use crate::scenario::Scenario;

/// How long a job submitted while measuring may take to become final, in microseconds, before it counts as not
/// final.
const PATIENCE_US: u64 = 30_000_000;

pub(super) enum Event {
    /// An input arrives at a peer that is run in full.
    Parcel(usize, Parcel),
    Synced(usize),
    /// A peer submits a job.
    Submit,
    /// A volunteer checks what is due.
    Look(usize),
    Ran(usize, AttemptId, u64),
    Heard(usize, Box<News>),
    /// A peer checks whether its transaction is in a block by now.
    Offer(TransactionId),
}

struct Posted {
    at_us: u64,
    order: u64,
    event: Event,
}

impl Ord for Posted {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at_us, other.order).cmp(&(self.at_us, self.order))
    }
}

impl PartialOrd for Posted {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Posted {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Posted {}

pub(super) struct Network<'a> {
    pub(super) setup: &'a Setup,
    pub(super) genesis: Arc<Genesis>,
    pub(super) id: NetworkId,
    pub(super) keys: Vec<SecretKey>,
    pub(super) by_key: BTreeMap<PublicKey, usize>,
    pub(super) mesh: Mesh,
    /// The authorities, and the one ordinary peer that is watched.
    pub(super) fulls: Vec<Full>,
    /// The volunteers: all peers that are not run in full, in their order.
    pub(super) volunteers: Vec<Volunteer>,
    /// When each of them checks next what is due.
    pub(super) looks_us: Vec<u64>,
    events: BinaryHeap<Posted>,
    posted: u64,
    pub(super) now_us: u64,
    pub(super) random: Pcg64Mcg,
    /// Transactions that are not executed yet.
    pub(super) pending: BTreeMap<TransactionId, Pending>,
    pub(super) finality: Finality<Heard>,
    /// Final blocks from height 1 on, for peers that ask.
    chain: Vec<(Arc<Block>, Option<Certificate>)>,
    pub(super) record: Record,
}

/// Runs a network, and returns the measurements.
///
/// # Panics
/// The setup is not sound: see [`Setup::is_sound`].
#[must_use]
pub fn run(setup: &Setup) -> Figures {
    assert!(setup.is_sound(), "{setup:?}");
    let mut network = Network::new(setup);
    network.play();
    Figures::of(setup, &network.genesis, &network.mesh, &network.record, &network.fulls)
}

impl<'a> Network<'a> {
    fn new(setup: &'a Setup) -> Self {
        let genesis = setup.genesis();
        let mut random = Pcg64Mcg::seed_from_u64(setup.seed ^ 0x0073_6361_6c65);
        let keys: Vec<SecretKey> = (0..setup.peers).map(Scenario::key).collect();
        let full_count = setup.authorities + 1;
        let stands_us = genesis.ledger.claim_stands_ms_max * 1000;
        let volunteers = (full_count..setup.peers).map(|_| Volunteer::new(stands_us, &mut random)).collect();
        Self {
            id: genesis.network_id(),
            by_key: keys.iter().enumerate().map(|(peer, key)| (key.public(), peer)).collect(),
            keys,
            mesh: Mesh::draw(setup),
            fulls: (0..full_count).map(|peer| Full::new(peer, &genesis)).collect(),
            volunteers,
            looks_us: vec![u64::MAX; setup.peers - full_count],
            events: BinaryHeap::new(),
            posted: 0,
            now_us: 0,
            random,
            pending: BTreeMap::new(),
            finality: Finality::of(setup.peers),
            chain: Vec::new(),
            record: Record::default(),
            genesis,
            setup,
        }
    }

    pub(super) fn post(&mut self, at_us: u64, event: Event) {
        self.posted += 1;
        self.events.push(Posted { at_us: at_us.max(self.now_us), order: self.posted, event });
    }

    fn play(&mut self) {
        let publics: Vec<PublicKey> = self.fulls.iter().map(|full| full.public).collect();
        for full in 0..self.fulls.len() {
            self.post(0, Event::Parcel(full, Parcel::Wake));
            for other in publics.iter().filter(|other| **other != publics[full]) {
                self.post(0, Event::Parcel(full, Parcel::Connected(*other)));
            }
        }
        let ramp_us = self.setup.from_us() / 3 * 2;
        for volunteer in 0..self.volunteers.len() {
            let at_us = self.random.random_range(0..ramp_us);
            self.look_at(volunteer, at_us);
        }
        if self.setup.tasks_per_s > 0 {
            self.post(ramp_us / 2, Event::Submit);
        }
        while let Some(Posted { at_us, event, .. }) = self.events.pop() {
            self.now_us = at_us;
            self.mesh.counting = self.is_measured(at_us);
            let until_us = self.setup.until_us();
            if at_us >= until_us && (self.record.outstanding == 0 || at_us >= until_us + PATIENCE_US) {
                return;
            }
            self.handle(event);
        }
    }

    pub(super) const fn is_measured(&self, at_us: u64) -> bool {
        at_us >= self.setup.from_us() && at_us < self.setup.until_us()
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Parcel(full, parcel) => {
                self.fulls[full].put(parcel, self.now_us);
                self.go_on(full);
            }
            Event::Synced(full) => {
                let actions = self.fulls[full].synced();
                self.carry_out(full, actions);
                self.go_on(full);
            }
            Event::Submit => self.submit_job(),
            Event::Look(volunteer) => {
                if self.looks_us[volunteer] <= self.now_us {
                    self.look(volunteer);
                }
            }
            Event::Ran(volunteer, attempt, us) => self.ran(volunteer, attempt, us),
            Event::Heard(volunteer, news) => self.hear(volunteer, *news),
            Event::Offer(id) => self.offer(id),
        }
    }

    /// Handles the waiting inputs of a peer, until it waits for its disk or none is left.
    fn go_on(&mut self, full: usize) {
        while let Some(follows) = self.fulls[full].step(self.now_us) {
            match follows {
                Follows::Now(actions) => self.carry_out(full, actions),
                Follows::Sync => self.post(self.now_us + SYNC_US, Event::Synced(full)),
            }
        }
        if let Some(at_us) = self.fulls[full].wake_at(self.now_us) {
            self.post(at_us, Event::Parcel(full, Parcel::Wake));
        }
    }

    fn carry_out(&mut self, full: usize, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Persist(_) | Action::Prune(..) | Action::VotingStatus(_) => {}
                Action::Closed(..) | Action::Epoch { .. } => unreachable!("nobody governs here"),
                Action::Executed(executed) => self.executed(full, &executed),
                Action::Send { to, message } => {
                    if let Some(to) = self.by_key.get(&to).copied() {
                        self.send(full, to, Arc::new(message));
                    }
                }
                Action::Gossip(gossip) => self.publish(full, gossip),
                Action::ServeBlocks { to, from, .. } => self.serve(full, to, from),
                Action::Fork(fork) => panic!("two histories are final: {fork:?}"),
                Action::Evidence(evidence) => panic!("nobody lies here, and yet there is {evidence:?}"),
            }
        }
    }

    /// Sends a direct message to a peer that is run in full.
    pub(super) fn send(&mut self, from: usize, to: usize, message: Arc<Message>) {
        let at_us = self.mesh.send(from, to, codec::encode(&*message).len(), self.now_us);
        if to < self.fulls.len() {
            let sender = self.keys[from].public();
            self.post(at_us, Event::Parcel(to, Parcel::Message(sender, message)));
        }
    }

    fn serve(&mut self, full: usize, to: PublicKey, from: Height) {
        let Some(to) = self.by_key.get(&to).copied() else { return };
        let most = message_bytes_max(&self.genesis) / 2;
        let (mut blocks, mut bytes, mut found) = (Vec::new(), 0, None);
        for (block, finalization) in self.chain.iter().skip(from.0.saturating_sub(1) as usize) {
            bytes += block.transaction_bytes() + 512;
            if bytes > most && found.is_some() {
                break;
            }
            blocks.push(Arc::clone(block));
            if let Some(finalization) = finalization {
                found = Some((blocks.len(), finalization.clone()));
            }
        }
        if let Some((count, finalization)) = found {
            blocks.truncate(count);
            self.record.caught_up += 1;
            self.send(full, to, Arc::new(Message::Blocks(blocks, Box::new(finalization))));
        }
    }

    /// Publishes by gossip.
    pub(super) fn publish(&mut self, origin: usize, gossip: Gossip) {
        let way = match &gossip {
            Gossip::Transactions(_) => Way::Transactions,
            Gossip::Proposal(_) => Way::Blocks,
            Gossip::Finalization(_) | Gossip::Evidence(_) => Way::Finalizations,
        };
        let bytes = codec::encode(&gossip).len();
        let comes_us = self.mesh.publish(way, origin, bytes, self.now_us);
        let to_fulls: Vec<u64> = comes_us[..self.fulls.len()].to_vec();
        match &gossip {
            Gossip::Proposal(proposal) => {
                let comes_us: Arc<[u64]> = comes_us.into();
                let header = &proposal.block.header;
                if self.is_measured(self.now_us) {
                    self.record.proposed(&proposal.block, bytes);
                }
                if let Some(shown) = &proposal.finalization {
                    self.finality.finalized(shown.statement.view(), Arc::clone(&comes_us));
                }
                self.see_in_block(&proposal.block, &comes_us);
                self.finality.proposed(header.view, header.digest(), comes_us);
            }
            Gossip::Finalization(certificate) => {
                let comes_us: Arc<[u64]> = comes_us.into();
                self.finality.finalized(certificate.statement.view(), comes_us);
            }
            Gossip::Transactions(_) | Gossip::Evidence(_) => {}
        }
        self.settle();
        let gossip = Arc::new(gossip);
        for (full, at_us) in to_fulls.into_iter().enumerate().filter(|(full, _)| *full != origin) {
            self.post(at_us, Event::Parcel(full, Parcel::Gossip(Arc::clone(&gossip))));
        }
    }

    fn executed(&mut self, full: usize, executed: &Executed) {
        let Height(height) = executed.block.header.height;
        if full == self.setup.authorities {
            self.record.watched(height, self.now_us);
        }
        if height as usize <= self.chain.len() {
            return;
        }
        self.chain.push((Arc::clone(&executed.block), executed.finalization.clone()));
        let heard = self.gather(executed);
        if self.is_measured(self.now_us) {
            self.record.executed(executed);
        }
        let (view, digest) = (executed.block.header.view, executed.digest);
        self.finality.passed(Passed { view, digest, then: heard });
        self.settle();
    }
}
