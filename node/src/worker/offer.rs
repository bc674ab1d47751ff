//! When a worker claims, and what it offers: as often as its leases need, and when its load or pace has moved enough.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use meshwork_core::{
    digest::Digest,
    types::{Claim, Genesis, Incarnation, Resources, TransactionId},
};

use super::pace::Pace;
use crate::{blobs::BlobStore, config::WorkerConfig, disk_space::DiskSpace, load::LoadSampler};

/// A change of the load score that is worth a claim.
const LOAD_STEP: u16 = 100;
/// How often the load is measured.
const MEASURE_EVERY: Duration = Duration::from_secs(1);
/// The least time between two claims that are not urgent.
const CLAIM_EVERY: Duration = Duration::from_millis(500);
/// The least time between two claims if far more is wanted than was claimed: a worker that turns out fast is not kept idle.
const GROW_EVERY: Duration = Duration::from_millis(50);
/// A claim that is not executed after so long is followed by another.
const LOST_AFTER: Duration = Duration::from_secs(3);

/// How often the worker looks through its blobs for those that it names in its claims.
const HOLDS_EVERY: Duration = Duration::from_secs(10);

/// What was claimed last.
struct Sent {
    id: Option<TransactionId>,
    at: Instant,
    waiting: u32,
    load: u16,
    had_room: bool,
    executed: bool,
}

/// What a worker offers.
pub struct Offer {
    config: WorkerConfig,
    stands: Duration,
    places_max: u32,
    load: LoadSampler,
    measured: Instant,
    score: u16,
    holds: BTreeSet<Digest>,
    held: Option<Instant>,
    room: DiskSpace,
    sent: Option<Sent>,
    has_stood: bool,
}

impl Offer {
    pub fn new(genesis: &Genesis, config: &WorkerConfig, room: DiskSpace) -> Self {
        Self {
            room,
            config: config.clone(),
            stands: Duration::from_millis(genesis.ledger.claim_stands_ms_max),
            places_max: genesis.ledger.claim_attempts_max.saturating_sub(config.slots),
            load: LoadSampler::new(config.slots),
            measured: Instant::now(),
            score: 0,
            holds: BTreeSet::new(),
            held: None,
            sent: None,
            has_stood: false,
        }
    }

    /// Measures the machine, if it is time.
    pub fn measure(&mut self, running: usize) {
        if self.measured.elapsed() >= MEASURE_EVERY {
            self.measured = Instant::now();
            self.score = self.load.score(u32::try_from(running).unwrap_or(u32::MAX));
        }
    }

    /// Looks up the large blobs that are here, if it is time.
    pub fn look_up(&mut self, blobs: &BlobStore) {
        if self.held.is_none_or(|held| held.elapsed() >= HOLDS_EVERY) {
            self.held = Some(Instant::now());
            self.holds = blobs.newest(Claim::HELD_BYTES_MIN, Claim::HOLDS_MAX).into_iter().collect();
        }
    }

    /// Whether to claim now, if so many waiting places are wanted.
    pub fn is_due(&self, waiting: u32) -> bool {
        let Some(sent) = &self.sent else { return true };
        let age = sent.at.elapsed();
        let wanted = waiting.min(self.places_max);
        let grows = sent.executed && wanted / 2 > sent.waiting;
        if age < if grows { GROW_EVERY } else { CLAIM_EVERY } {
            return false;
        }
        let turned = sent.executed && sent.had_room != self.room.is_enough();
        let overdue =
            turned || if sent.executed { age >= self.stands / 3 } else { age >= LOST_AFTER.min(self.stands / 3) };
        overdue || sent.executed && (Pace::differs(sent.waiting, wanted) || sent.load.abs_diff(self.score) >= LOAD_STEP)
    }

    /// The claim to sign: one of nothing if the disk has no room for what tasks bring and leave. What runs goes on.
    pub fn claim(&self, sequence: u64, incarnation: Incarnation, waiting: u32) -> Claim {
        let WorkerConfig { slots, millicores, memory_bytes, labels } = &self.config;
        let (slots, waiting) = if self.room.is_enough() { (*slots, waiting) } else { (0, 0) };
        Claim {
            sequence,
            incarnation,
            slots,
            resources: Resources { millicores: *millicores, memory_bytes: *memory_bytes },
            waiting: waiting.min(self.places_max),
            load: self.score,
            labels: labels.clone(),
            holds: self.holds.clone(),
            stands_ms: u64::try_from(self.stands.as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// A claim is on its way, unless it was not taken.
    pub fn sent(&mut self, id: Option<TransactionId>, waiting: u32) {
        let waiting = waiting.min(self.places_max);
        self.sent = Some(Sent {
            id,
            at: Instant::now(),
            waiting,
            load: self.score,
            had_room: self.room.is_enough(),
            executed: false,
        });
    }

    /// A transaction was executed, or void.
    pub fn executed(&mut self, id: TransactionId, ok: bool) {
        if let Some(sent) = &mut self.sent
            && sent.id == Some(id)
        {
            sent.executed = ok;
            self.has_stood |= ok;
        }
    }

    /// Whether a claim was executed since this worker began.
    pub const fn has_stood(&self) -> bool {
        self.has_stood
    }

    /// The ledger says that this worker's claim ran out: another is due at once.
    pub fn lapsed(&mut self) {
        self.sent = None;
    }
}
