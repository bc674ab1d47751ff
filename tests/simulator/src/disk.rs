//! What a peer has stored, and what of it would survive a crash now.
//!
//! The rules are those of the node's store: everything that one step wants stored is one transaction; a step that holds a
//! journal record is synced before anything is sent; a step without one may be lost until the next synced one.

use std::{collections::BTreeMap, sync::Arc};

use meshwork_core::{
    codec,
    consensus::{Evidence, Record, Standing},
    digest::Digest,
    proof::Handover,
    replica::{Action, BLOCKS_BYTES_MAX, Message, Recovered},
    types::{Block, Certificate, Closing, Epoch, Height, Role},
};

/// How many snapshots are kept.
const SNAPSHOTS_KEPT: usize = 2;

/// One final block as it is stored.
#[derive(Clone)]
struct Stored {
    block: Arc<Block>,
    finalization: Option<Certificate>,
    root: Digest,
    /// What closed its epoch, if it is the last.
    closing: Option<Closing>,
}

/// What one transaction may hold.
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

/// What one step wants stored.
#[derive(Clone, Default)]
pub struct Transaction {
    writes: Vec<Write>,
    /// Whether it must be synced before anything is sent.
    pub must_sync: bool,
}

impl Transaction {
    /// What these actions want stored.
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
                Action::Executed(executed) => Write::Executed {
                    height: executed.block.header.height,
                    stored: Stored {
                        block: Arc::clone(&executed.block),
                        finalization: executed.finalization.clone(),
                        root: executed.root,
                        closing: None,
                    },
                    snapshot: executed.snapshot.as_ref().map(|taken| (taken.chunks.state(), taken.bytes.clone())),
                },
                Action::Evidence(evidence) => Write::Evidence((**evidence).clone()),
                Action::Send { .. } | Action::Gossip(_) | Action::ServeBlocks { .. } | Action::Standing(_) => continue,
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
    /// What a crash leaves.
    durable: State,
    /// What was written since, in order.
    unsynced: Vec<Write>,
    /// As it looks to the running process.
    seen: State,
}

impl Disk {
    /// Writes a transaction. It survives a crash from now on if it is synced, and all before it with it.
    pub fn write(&mut self, transaction: Transaction, sync: bool) {
        for write in &transaction.writes {
            self.seen.apply(write);
        }
        self.unsynced.extend(transaction.writes);
        if sync {
            self.sync();
        }
    }

    /// Makes everything written survive.
    pub fn sync(&mut self) {
        for write in std::mem::take(&mut self.unsynced) {
            self.durable.apply(&write);
        }
    }

    /// The process, or the machine, stops: what was not synced is gone.
    pub fn crash(&mut self) {
        self.unsynced.clear();
        self.seen = self.durable.clone();
    }

    /// Everything is lost, the journal with it.
    pub fn lose(&mut self) {
        *self = Self::default();
    }

    /// The journal loses the record that its key is not to vote again.
    pub fn forget_stop(&mut self) {
        for state in [&mut self.durable, &mut self.seen] {
            state.journal.retain(|_, record| *record != Record::Stopped);
        }
    }

    /// How epochs ended, by the one that began.
    pub fn handovers(&self) -> impl Iterator<Item = (&Epoch, &Handover)> {
        self.seen.handovers.iter()
    }

    /// How many journal records there are.
    #[must_use]
    pub fn journal_len(&self) -> usize {
        self.seen.journal.len()
    }

    /// What a replica starts from.
    #[must_use]
    pub fn recover(&self, standing: Standing) -> Recovered {
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
            standing,
        }
    }

    /// Blocks from a height on for a peer that asked, as the node's store gives them.
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
