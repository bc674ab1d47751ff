//! The worker: what a volunteer does with what the ledger gives it, as a pure state machine. It runs nothing, measures
//! nothing and signs nothing itself: inputs come with the time, and what is to be done goes out as effects. Start at
//! [`Worker::handle`].
//!
//! `docs/glossary.md` explains the words.
//!
//! The worker decides nothing about who gets what. It offers to hold attempts, begins those that it is given as its own
//! slots and memory come free, and says what became of them until the ledger knows. Whoever drives it owes it the
//! progress of each effect, in any order and as late as it likes.
//!
//! | on | do | where |
//! |---|---|---|
//! | being given an attempt by its own incarnation's claim | have it prepared, once; paused, return it; leaving, leave it to the drain | `handle/executed.rs` |
//! | being given it again, after it missed blocks | nothing: what it holds it has begun or will | `handle/executed.rs` |
//! | a free slot, and memory for what is prepared | begin that, in the order of leases. A waiting attempt is begun as soon as there is room *here*: the ledger learns of the room by the very report that made it | `handle/begin.rs` |
//! | an attempt's run ended | free its slot at once, though its output is still on its way to a second holder | `handle/progress.rs` |
//! | an outcome | say it in the next report, in place of a checkpoint that waits to be said | `handle/progress.rs`, `outbox.rs` |
//! | an outcome of what was taken back meanwhile | say it if it is a success: the ledger takes it while the task is outstanding | `handle/progress.rs` |
//! | the end of an attempt | stop whatever goes on for it, be that its delivery; if it was lost, keep saying a success that it had | `handle/executed.rs` |
//! | a word of its that was ignored | forget that word, not a newer one on the same attempt; if its holder was not believed have it delivered to another, at most four times | `handle/executed.rs` |
//! | a report that was void, refused or lost | say what it held again | `outbox.rs` |
//! | being asked to make room | at the next checkpoint that the ledger knows stop, free the slot and yield | `handle/executed.rs` |
//! | all slots taken, and an attempt that has waited here for longer than its patience | return it: long tasks are never hoarded | `handle/tick.rs` |
//! | a third of its claim's life, a change of what it offers, or the end of its claim | claim anew | `offer.rs` |
//! | … before each claim | look up what its key signed last, and sign above it; as long as none of its own claims has stood, be of a newer incarnation too. Claim nothing while blocks are known that it lacks: it would be given what it does not hear of | `handle/claim.rs` |
//! | the claim of a newer incarnation of its key | claim no more, and do not drain either, until that claim has ended; then exceed it | `handle/executed.rs`, `handle/drain.rs` |
//! | a disk without space | claim no slots and no waiting places; what it holds goes on | `offer.rs` |
//! | a pause | claim none, return what has not begun; what runs goes on | `handle/pause.rs` |
//! | being told to leave | return what has not begun, stop what runs; wait, for five seconds at most, until what has run is delivered, said and taken; then drain, and wait as long for that to be executed | `handle/drain.rs` |
//!
//! What it asks to hold in waiting places is what its slots run in two rounds of reporting (`throughput.rs`): enough
//! never to be idle, and no more than others could run sooner.
//!
//! Bounds: it holds what it claimed, at most `claim_attempts_max`; each attempt has one word that is not taken; two
//! reports are on their way at once, and one claim.

mod effect;
mod handle;
mod input;
mod offer;
mod outbox;
#[cfg(test)]
mod tests;
mod throughput;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

pub use effect::{Effect, Ticket};
pub use input::{Config, Happened, Input, LedgerStatus, LookedUp, News, Progress};

use self::{offer::Offer, outbox::Outbox, throughput::Throughput};
use crate::{
    consensus::{Monotonic, Now},
    replica::{Assignment, NetworkTime},
    types::{Action, AttemptId, BlockTime, Genesis, Incarnation, TransactionId},
};

/// How long a worker's transactions may wait to be executed, in milliseconds.
const TRANSACTION_LIFE_MS: u64 = 60_000;

/// A worker's process.
pub struct Worker {
    config: Config,
    incarnation: Incarnation,
    sequence: u64,
    transaction_life_ms: u64,
    /// As of the last claim.
    network_time: NetworkTime,
    held: BTreeMap<AttemptId, Held>,
    /// The attempts that wait for preparation or a slot, in the order of their leases.
    queue: BTreeMap<u64, AttemptId>,
    leases: u64,
    running: u32,
    memory_used: u64,
    /// Those that are to be preempted at their next checkpoint.
    preempted: BTreeSet<AttemptId>,
    /// How often an output was delivered again.
    redelivered: BTreeMap<AttemptId, u32>,
    outbox: Outbox,
    throughput: Throughput,
    offer: Offer,
    /// Whether what a claim needs is being looked up.
    looks_up: bool,
    tickets: u64,
    stage: Stage,
}

/// An attempt that this worker holds.
struct Held {
    assignment: Arc<Assignment>,
    /// Its place in the line.
    order: u64,
    since: Monotonic,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Its program and inputs are being fetched, and the program compiled.
    Preparing,
    /// It waits for a slot.
    Ready,
    /// It runs.
    Running,
    /// It has run, and its output is on its way to a second holder.
    Delivering,
    /// What became of it is said, until the ledger ends it.
    Said,
    /// Nothing more comes of it here, and nothing can be said.
    Over,
}

impl Phase {
    const fn waits(self) -> bool {
        matches!(self, Self::Preparing | Self::Ready)
    }
}

/// How far a worker is on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Working,
    /// What is done is being handed in, until then at most.
    Finishing {
        until: Monotonic,
    },
    /// Its drain is to be executed, until then at most.
    Draining {
        until: Monotonic,
        ticket: Ticket,
        id: Option<TransactionId>,
    },
    Left,
}

impl Worker {
    /// A process that has claimed nothing yet.
    #[must_use]
    pub fn new(config: Config, genesis: &Genesis, now: Now) -> Self {
        let limits = &genesis.ledger;
        Self {
            incarnation: Incarnation(now.clock.0),
            sequence: 0,
            transaction_life_ms: TRANSACTION_LIFE_MS.min(limits.transaction_life_ms_max / 2),
            network_time: NetworkTime::begun(BlockTime::default()),
            held: BTreeMap::new(),
            queue: BTreeMap::new(),
            leases: 0,
            running: 0,
            memory_used: 0,
            preempted: BTreeSet::new(),
            redelivered: BTreeMap::new(),
            outbox: Outbox::new(limits.report_items_max, limits.transaction_bytes_max / 2),
            throughput: Throughput::default(),
            offer: Offer::new(genesis, config.slots),
            looks_up: false,
            tickets: 0,
            stage: Stage::Working,
            config,
        }
    }

    /// How many attempts it holds.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// How many of them run.
    #[must_use]
    pub const fn running(&self) -> u32 {
        self.running
    }

    const fn next_ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    fn hand_in(&self, now: Now, ticket: Ticket, action: Action) -> Effect {
        let expires = self.network_time.at(now).plus_ms(self.transaction_life_ms);
        Effect::HandIn { ticket, action, expires }
    }

    /// Takes an attempt out of the line, or its slot from it, where it has one.
    fn free(&mut self, attempt: &AttemptId, then: Phase) {
        let Some(held) = self.held.get_mut(attempt) else { return };
        if held.phase == Phase::Running {
            self.running -= 1;
            self.memory_used -= held.assignment.resources.memory_bytes;
        } else if held.phase.waits() {
            self.queue.remove(&held.order);
        }
        held.phase = then;
    }

    /// The ledger has ended an attempt.
    fn forget(&mut self, attempt: &AttemptId) {
        self.preempted.remove(attempt);
        self.free(attempt, Phase::Over);
        self.held.remove(attempt);
    }
}
