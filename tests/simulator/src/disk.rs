//! A peer's stored data, and the part of it that would survive a crash now.
//!
//! The rules are those of the node's store. All that one step stores is one transaction. A step that holds a
//! journal record is synced before anything is sent. A step without one may be lost until the next synced one.

use std::{collections::BTreeMap, sync::Arc};

use meshwork_core::{
    codec,
    consensus::{Evidence, Record, VotingStatus},
    digest::Digest,
    proof::Handover,
    replica::{Action, BLOCKS_BYTES_MAX, Executed, Installation, Message, Recovered},
    snapshot::{Certified, Chunks, SnapshotOffer},
    types::{Block, Certificate, Closing, Epoch, Height, Role, SnapshotDigest},
};

/// How many snapshots are kept.
const SNAPSHOTS_KEPT: usize = 2;

/// One final block as it is stored.
#[derive(Clone)]
struct Stored {
    block: Arc<Block>,
    finalization: Option<Certificate>,
    root: Digest,
    /// The closing block of its epoch, if it is the last.
    closing: Option<Closing>,
}

/// The parts of a transaction.
#[derive(Clone, Default)]
struct State {
    blocks: BTreeMap<Height, Stored>,
    snapshots: BTreeMap<Height, Vec<u8>>,
    digests: BTreeMap<Height, Digest>,
    journal: BTreeMap<(u64, u64, Digest), Record>,
    handovers: BTreeMap<Epoch, Handover>,
    evidence: Vec<Evidence>,
}

/// A change of the state.
#[derive(Clone)]
enum Write {
    Persist(Record),
    Prune(u64, u64),
    Closed(Height, Closing),
    Handover(Epoch, Handover),
    Executed { height: Height, stored: Stored, snapshot: Option<(Digest, Vec<u8>)> },
    Evidence(Evidence),
}

impl Write {
    fn executed(executed: &Executed) -> Self {
        Self::Executed {
            height: executed.block.header.height,
            stored: Stored {
                block: Arc::clone(&executed.block),
                finalization: executed.finalization.clone(),
                root: executed.root,
                closing: None,
            },
            snapshot: executed.snapshot.as_ref().map(|taken| (taken.chunks.state(), taken.bytes.clone())),
        }
    }
}

/// Everything that one step stores.
#[derive(Clone, Default)]
pub struct Transaction {
    writes: Vec<Write>,
    /// Whether it must be synced before anything is sent.
    pub must_sync: bool,
}

impl Transaction {
    /// Everything that these actions store.
    #[must_use]
    pub fn of(actions: &[Action]) -> Self {
        let mut transaction = Self::default();
        for action in actions {
            let write = match action {
                Action::Persist(record) => {
                    transaction.must_sync = true;
                    Write::Persist(record.clone())
                }
                Action::Prune(epoch, view) => Write::Prune(epoch.0, view.0),
                Action::Closed(last, closing) => Write::Closed(*last, (**closing).clone()),
                Action::Epoch { epoch, handover } => Write::Handover(*epoch, (**handover).clone()),
                Action::Executed(executed) => Write::executed(executed),
                Action::Evidence(evidence) => Write::Evidence((**evidence).clone()),
                Action::Send { .. }
                | Action::Gossip(_)
                | Action::ServeBlocks { .. }
                | Action::Fork(_)
                | Action::VotingStatus(_) => {
                    continue;
                }
            };
            transaction.writes.push(write);
        }
        transaction
    }

    /// Whether nothing is to be stored.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }
}

/// A peer's disk.
#[derive(Default)]
pub struct Disk {
    /// What survives a crash.
    durable: State,
    /// Transactions written since, in order.
    unsynced: Vec<Write>,
    /// The state as the running process sees it.
    seen: State,
}

impl Disk {
    /// Writes a transaction. If it is synced, it survives a crash from now on, and so do all before it.
    pub fn write(&mut self, transaction: Transaction, sync: bool) {
        for write in &transaction.writes {
            self.seen.apply(write);
        }
        self.unsynced.extend(transaction.writes);
        if sync {
            self.sync();
        }
    }

    /// Makes everything written so far survive a crash.
    pub fn sync(&mut self) {
        for write in std::mem::take(&mut self.unsynced) {
            self.durable.apply(&write);
        }
    }

    /// The process, or the machine, stops. What was not synced is lost.
    pub fn crash(&mut self) {
        self.unsynced.clear();
        self.seen = self.durable.clone();
    }

    /// Everything is lost, including the journal.
    pub fn lose(&mut self) {
        *self = Self::default();
    }

    /// The journal loses the record that forbids its key to vote again.
    pub fn forget_stop(&mut self) {
        for state in [&mut self.durable, &mut self.seen] {
            state.journal.retain(|_, record| *record != Record::Stopped);
        }
    }

    /// The newest stored height.
    #[must_use]
    pub fn height(&self) -> Height {
        let block = self.seen.blocks.last_key_value().map(|(height, _)| *height);
        block.max(self.seen.snapshots.last_key_value().map(|(height, _)| *height)).unwrap_or(Height(0))
    }

    /// The ends of epochs, by the epoch that began.
    pub fn handovers(&self) -> impl Iterator<Item = (&Epoch, &Handover)> {
        self.seen.handovers.iter()
    }

    /// How many journal records there are.
    #[must_use]
    pub fn journal_len(&self) -> usize {
        self.seen.journal.len()
    }

    /// The state that a replica starts from.
    #[must_use]
    pub fn recover(&self, voting_status: VotingStatus) -> Recovered {
        let state = &self.seen;
        let snapshot = state.snapshots.last_key_value();
        let from = snapshot.map_or(Height(1), |(height, _)| height.next());
        let newest = state.blocks.values().next_back();
        Recovered {
            snapshot: snapshot.map(|(_, bytes)| bytes.clone()),
            blocks: state.blocks.range(from..).map(|(_, stored)| Arc::clone(&stored.block)).collect(),
            roots: state.blocks.iter().map(|(height, stored)| (*height, stored.root)).collect(),
            snapshots: state.digests.clone(),
            tip: newest.map(|stored| (stored.block.header.clone(), stored.finalization.clone())),
            closing: newest.and_then(|stored| stored.closing.clone()),
            journal: state.journal.values().cloned().collect(),
            evidence: state.evidence.clone(),
            fork: None,
            voting_status,
        }
    }

    /// Everything that a peer which is far behind fetches: the newest snapshot that stored headers vouch for,
    /// its bytes, and the blocks up to the header that vouches for it.
    #[must_use]
    pub fn offer(&self) -> Option<(SnapshotOffer, Vec<u8>, Vec<Arc<Block>>)> {
        let state = &self.seen;
        state.snapshots.iter().rev().find_map(|(height, bytes)| {
            let chunks = Chunks::of(bytes);
            let digest = SnapshotDigest { height: *height, state: chunks.state() };
            let mut headers = vec![state.blocks.get(height)?.block.header.clone()];
            let mut blocks = Vec::new();
            let mut is_carried = false;
            for stored in state.blocks.range(height.next()..).map(|(_, stored)| stored) {
                let header = &stored.block.header;
                is_carried |= header.snapshots.contains(&digest);
                headers.push(header.clone());
                blocks.push(Arc::clone(&stored.block));
                let Some(finalization) = &stored.finalization else { continue };
                if is_carried && header.final_height >= *height {
                    let of_before = state.handovers.range(..=header.epoch).map(|(_, handover)| handover.clone());
                    let certified = Certified {
                        chunks,
                        finalization: finalization.clone(),
                        handovers: of_before.collect(),
                        headers,
                    };
                    let blocks_from = *state.blocks.first_key_value()?.0;
                    return Some((SnapshotOffer { certified, blocks_from }, bytes.clone(), blocks));
                }
            }
            None
        })
    }

    /// Stores the records made from another peer's snapshot, synced, in place of all blocks and snapshots. The
    /// journal stays.
    pub fn install(&mut self, installation: &Installation) {
        self.sync();
        let height = installation.header.height;
        for state in [&mut self.durable, &mut self.seen] {
            state.blocks.clear();
            state.snapshots = BTreeMap::from([(height, installation.snapshot.bytes.clone())]);
            state.digests = BTreeMap::from([(height, installation.snapshot.chunks.state())]);
            let epochs = (1..).map(Epoch).zip(installation.handovers.iter().cloned());
            state.handovers.extend(epochs);
            for executed in &installation.executed {
                state.apply(&Write::executed(executed));
            }
        }
    }

    /// Blocks from a height on, as the node's store gives them to a peer that asks.
    #[must_use]
    pub fn blocks_from(&self, epoch: Epoch, from: Height, bytes_max: usize) -> Option<Message> {
        let below = self.seen.blocks.get(&from.previous());
        if let Some(Stored { block, closing: Some(closing), .. }) =
            below.filter(|below| below.block.header.epoch == epoch)
        {
            debug_assert!(block.header.role == Role::Last);
            return Some(Message::Blocks(closing.blocks.clone(), Box::new(closing.finalization.clone())));
        }
        let mut blocks = Vec::new();
        let mut found: Option<(usize, Certificate)> = None;
        let mut bytes = 0;
        if !self.seen.blocks.contains_key(&from) {
            return None;
        }
        for stored in self.seen.blocks.range(from..).map(|(_, stored)| stored) {
            bytes += stored.block.transaction_bytes() + 512;
            if bytes > if found.is_some() { BLOCKS_BYTES_MAX } else { bytes_max } {
                break;
            }
            blocks.push(Arc::clone(&stored.block));
            if let Some(finalization) = &stored.finalization {
                found = Some((blocks.len(), finalization.clone()));
            }
            if let Some(closing) = &stored.closing {
                blocks.extend(closing.blocks.iter().cloned());
                found = Some((blocks.len(), closing.finalization.clone()));
            }
            if stored.block.header.role == Role::Last {
                break;
            }
        }
        let (count, finalization) = found?;
        blocks.truncate(count);
        Some(Message::Blocks(blocks, Box::new(finalization)))
    }
}

impl State {
    fn apply(&mut self, write: &Write) {
        match write {
            Write::Persist(record) => {
                let (epoch, view) = record.place().map_or((u64::MAX, u64::MAX), |(epoch, view)| (epoch.0, view.0));
                self.journal.insert((epoch, view, Digest::of(&codec::encode(record))), record.clone());
            }
            Write::Prune(epoch, below) => {
                self.journal.retain(|(of, view, _), _| (of, view) >= (epoch, below));
            }
            Write::Closed(last, closing) => {
                if let Some(stored) = self.blocks.get_mut(last) {
                    stored.closing = Some(closing.clone());
                }
            }
            Write::Handover(epoch, handover) => {
                self.handovers.insert(*epoch, handover.clone());
            }
            Write::Executed { height, stored, snapshot } => {
                self.blocks.insert(*height, stored.clone());
                if let Some((digest, bytes)) = snapshot {
                    self.digests.insert(*height, *digest);
                    self.snapshots.insert(*height, bytes.clone());
                    while self.snapshots.len() > SNAPSHOTS_KEPT {
                        self.snapshots.pop_first();
                    }
                }
            }
            Write::Evidence(evidence) => self.evidence.push(evidence.clone()),
        }
    }
}
