//! The worker: a pure state machine that carries a volunteer's attempts from lease to report. It runs, measures and
//! signs nothing itself. Inputs come with the time, and effects say what to do. Start at [`Worker::handle`].
//!
//! `docs/glossary.md` explains the words.
//!
//! The worker does not decide who gets which task. It offers to hold attempts, begins those that it is given as its
//! slots and memory come free, and reports them until the ledger has taken the report. Its driver must answer each
//! effect, in any order and after any time.
//!
//! | event | what the worker does | where |
//! |---|---|---|
//! | An assignment for its own incarnation comes | Has it prepared, once. A paused worker returns it. A leaving worker leaves it to the drain | `handle/executed.rs` |
//! | The same assignment comes again, after missed blocks | Nothing: it has begun the attempt or will | `handle/executed.rs` |
//! | A slot is free, with memory for a prepared attempt | Begins attempts in the order of leases. It does not wait for the ledger, which hears of the free slot only by the report that follows | `handle/begin.rs` |
//! | A run has ended | Frees its slot at once, even if its output is still on its way to a second holder | `handle/progress.rs` |
//! | An outcome is known | Reports it next, in place of a checkpoint that waits to be reported | `handle/progress.rs`, `outbox.rs` |
//! | A replica's answer is known | Reports the commitment to it, and keeps the answer until the ledger asks for it | `handle/progress.rs` |
//! | The ledger asks for the answer of a replica | Has its output delivered, and reports it | `handle/executed.rs` |
//! | An outcome of an attempt that was taken back is known | Reports it if it is a success: the ledger takes it while the task is outstanding | `handle/progress.rs` |
//! | The ledger ends an attempt | Stops all work for it, including its delivery. It keeps reporting a success of a lost attempt | `handle/executed.rs` |
//! | The ledger ignores a verdict | Drops that verdict, but no newer one on the same attempt. If the ledger did not believe the holder, the output is delivered to another, at most four times | `handle/executed.rs` |
//! | A report is void, refused or lost | Reports its items again | `outbox.rs` |
//! | An attempt is to be preempted | Stops it at the next checkpoint that the ledger knows, frees the slot and reports the preemption | `handle/executed.rs` |
//! | All slots are taken, and an attempt has waited here beyond the worker's patience | Returns it, so that long tasks are never hoarded | `handle/tick.rs` |
//! | A third of its claim's life has passed, its offer has changed, or its claim has ended | Claims anew | `offer.rs` |
//! | A claim is due | First looks up what its key signed last, and signs above it. Until one of its own claims has stood, it also takes a newer incarnation. It does not claim while it lacks known blocks, because it would not hear what it is given | `handle/claim.rs` |
//! | The process before this one died | Reports what that process compiled and ran, and claims once the ledger has heard of it | `handle/died.rs` |
//! | An attempt is to run alone | Prepares and runs it once nothing is prepared or runs but its program for its job, and prepares nothing else until it has ended | `handle/begin.rs` |
//! | A newer incarnation of its key claims | Neither claims nor drains until that process is gone: it has drained, or its claim ran out and nothing came of it for as long as a claim stands. Then it exceeds that incarnation | `offer.rs`, `handle/executed.rs`, `handle/drain.rs` |
//! | The disk has no space | Claims no slots and no waiting places. What it holds goes on | `offer.rs` |
//! | It is paused | Claims no slots and no waiting places, and returns what has not begun. What runs goes on | `handle/pause.rs` |
//! | It is told to leave | Returns what has not begun, and stops what runs. It waits at most five seconds until the ledger has taken everything that has run. Then it drains, and waits at most as long for the drain to be executed | `handle/drain.rs` |
//!
//! A worker claims as many waiting places as its slots run attempts in two rounds of reporting (`throughput.rs`). So it
//! is never idle, and holds nothing that others could run sooner.
//!
//! Bounds: a worker holds what it claimed, at most `claim_attempts_max`. It keeps one verdict for each attempt until
//! the ledger takes it. At most two reports and one claim are on their way at once.

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
pub use input::{Config, Died, Happened, Input, LedgerStatus, LookedUp, News, Progress};

use self::{offer::Offer, outbox::Outbox, throughput::Throughput};
use crate::{
    consensus::{Monotonic, Now},
    replica::{Assignment, NetworkTime},
    types::{Action, AttemptId, BlockTime, Genesis, Incarnation, TransactionId},
};

/// How long a worker's transactions may wait to be executed, in milliseconds.
const TRANSACTION_LIFE_MS: u64 = 60_000;

/// One process of a worker's key.
pub struct Worker {
    config: Config,
    incarnation: Incarnation,
    sequence: u64,
    transaction_life_ms: u64,
    /// The network's time at the last claim.
    network_time: NetworkTime,
    held: BTreeMap<AttemptId, Held>,
    /// The attempts that wait for preparation or a slot, in the order of their leases.
    queue: BTreeMap<u64, AttemptId>,
    leases: u64,
    running: u32,
    memory_used: u64,
    /// Attempts to be preempted at their next checkpoint.
    preempted: BTreeSet<AttemptId>,
    /// How often each output was delivered again.
    redelivered: BTreeMap<AttemptId, u32>,
    outbox: Outbox,
    throughput: Throughput,
    offer: Offer,
    /// Whether a look-up for a claim is under way.
    looks_up: bool,
    /// What the process before this one died of, as far as the ledger has not heard of it.
    died_of: Vec<Died>,
    /// When this process first reported that.
    told_deaths: Option<Monotonic>,
    tickets: u64,
    stage: Stage,
}

/// An attempt that this worker holds.
struct Held {
    assignment: Arc<Assignment>,
    /// Its key in the worker's `queue`.
    order: u64,
    since: Monotonic,
    /// When its preparation began.
    prepared: Option<Monotonic>,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// It waits to be prepared, because it or an attempt before it is to run alone.
    Queued,
    /// Its program and inputs are being fetched, and the program compiled.
    Preparing,
    /// It waits for a slot.
    Ready,
    /// It runs.
    Running,
    /// It has run, and its output is on its way to a second holder.
    Delivering,
    /// It has run, and the worker has committed itself to its answer, or is about to. It waits until it is asked for the
    /// answer.
    Committed,
    /// Its verdict is being reported, until the ledger ends the attempt.
    Said,
    /// This worker can do and report nothing more for it.
    Over,
}

impl Phase {
    const fn waits(self) -> bool {
        matches!(self, Self::Queued | Self::Preparing | Self::Ready)
    }

    /// Whether its program is or will be compiled or run without a further decision.
    const fn is_on(self) -> bool {
        matches!(self, Self::Preparing | Self::Ready | Self::Running)
    }
}

/// How far a worker is on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Working,
    /// Everything done is being handed in, at most until this time.
    Finishing {
        until: Monotonic,
    },
    /// The drain waits to be executed, at most until this time.
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
    pub fn new(mut config: Config, genesis: &Genesis, now: Now) -> Self {
        let limits = &genesis.ledger;
        let died_of = std::mem::take(&mut config.died_of);
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
            died_of,
            told_deaths: None,
            tickets: 0,
            stage: Stage::Working,
            config,
        }
    }

    /// The newer process of the same key because of which this one claims nothing, if there is one. Each has the other's
    /// key: their machines were cloned, or one directory was copied.
    #[must_use]
    pub fn newer(&self) -> Option<Incarnation> {
        self.offer.newer()
    }

    /// The number of attempts that it holds.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// The number of attempts that run.
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

    /// Removes an attempt from the queue or from its slot.
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

    /// Drops an attempt that the ledger has ended.
    fn forget(&mut self, attempt: &AttemptId) {
        self.preempted.remove(attempt);
        self.free(attempt, Phase::Over);
        self.held.remove(attempt);
    }
}
