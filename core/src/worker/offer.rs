//! When a worker claims, and what it offers. It claims as often as its leases need, and when its load or throughput has
//! moved enough.

use std::collections::BTreeSet;

use super::{Ticket, input::Config, throughput::Throughput};
use crate::{
    consensus::Monotonic,
    digest::Digest,
    fault::{Fault, is_planted},
    types::{Claim, Genesis, Incarnation, TransactionId},
};

/// The change of the load score that is worth a new claim.
const LOAD_STEP: u16 = 100;
/// The least time between two claims that are not urgent, in microseconds.
const CLAIM_EVERY_US: u64 = 500_000;
/// The least time between two claims if far more waiting places are wanted than were claimed, in microseconds. A worker
/// that turns out fast does not stay idle.
const GROW_EVERY_US: u64 = 50_000;
/// The time after which a claim that is not executed counts as lost, in microseconds.
const LOST_AFTER_US: u64 = 3_000_000;
/// How often a claim's list of large blobs is looked up, in microseconds.
const HOLDS_EVERY_US: u64 = 10_000_000;

/// The last claim.
struct Sent {
    ticket: Ticket,
    id: Option<TransactionId>,
    at: Monotonic,
    waiting: u32,
    load: u16,
    offers: bool,
    executed: bool,
}

/// What a worker offers.
pub(super) struct Offer {
    stands_us: u64,
    places_max: u32,
    load: u16,
    has_disk_space: bool,
    paused: bool,
    blobs: BTreeSet<Digest>,
    held: Option<Monotonic>,
    sent: Option<Sent>,
    has_stood: bool,
    newer: Option<Newer>,
}

/// A newer process of the same key.
#[derive(Clone, Copy)]
struct Newer {
    incarnation: Incarnation,
    /// When it counts as gone; `None` while its claim stands.
    gone: Option<Monotonic>,
}

impl Offer {
    pub(super) fn new(genesis: &Genesis, slots: u32) -> Self {
        Self {
            stands_us: genesis.ledger.claim_stands_ms_max.saturating_mul(1000),
            places_max: genesis.ledger.claim_attempts_max.saturating_sub(slots),
            load: 0,
            has_disk_space: true,
            paused: false,
            blobs: BTreeSet::new(),
            held: None,
            sent: None,
            has_stood: false,
            newer: None,
        }
    }

    /// Records the machine's load, and whether its disk has space.
    pub(super) const fn measured(&mut self, load: u16, has_disk_space: bool) {
        self.load = load;
        self.has_disk_space = has_disk_space;
    }

    /// Pauses or resumes the offer.
    pub(super) const fn pause(&mut self, paused: bool) {
        self.paused = paused;
    }

    /// Whether the offer is paused.
    pub(super) const fn is_paused(&self) -> bool {
        self.paused
    }

    fn offers(&self) -> bool {
        self.has_disk_space && (!self.paused || is_planted(Fault::PausedClaims))
    }

    /// Whether to look up the large blobs on this machine before the next claim.
    pub(super) fn wants_holds(&self, now: Monotonic) -> bool {
        self.held.is_none_or(|held| now >= held.plus_us(HOLDS_EVERY_US))
    }

    /// Records the large blobs on this machine.
    pub(super) fn hold(&mut self, blobs: BTreeSet<Digest>, now: Monotonic) {
        (self.blobs, self.held) = (blobs, Some(now));
    }

    /// Whether to claim now, if this many waiting places are wanted.
    pub(super) fn is_due(&self, waiting: u32, now: Monotonic) -> bool {
        if self.newer.is_some() {
            return false;
        }
        let Some(sent) = &self.sent else { return true };
        let age_us = now.0.saturating_sub(sent.at.0);
        let wanted = waiting.min(self.places_max);
        let grows = sent.executed && wanted / 2 > sent.waiting;
        if age_us < if grows { GROW_EVERY_US } else { CLAIM_EVERY_US } {
            return false;
        }
        if !sent.executed {
            return age_us >= LOST_AFTER_US.min(self.stands_us / 3);
        }
        let renews_us = if is_planted(Fault::HeartbeatMissed) { self.stands_us / 3 * 2 } else { self.stands_us / 3 };
        let moved = Throughput::differs(sent.waiting, wanted) || sent.load.abs_diff(self.load) >= LOAD_STEP;
        sent.offers != self.offers() || age_us >= renews_us || moved
    }

    /// The claim to sign. It offers nothing if the worker is paused or the disk lacks space for what tasks bring and
    /// leave.
    pub(super) fn claim(
        &mut self,
        config: &Config,
        (sequence, incarnation): (u64, Incarnation),
        (waiting, now): (u32, Monotonic),
        ticket: Ticket,
    ) -> Claim {
        let (load, offers, wanted) = (self.load, self.offers(), waiting.min(self.places_max));
        self.sent = Some(Sent { ticket, id: None, at: now, waiting: wanted, load, offers, executed: false });
        let (slots, waiting) = if offers { (config.slots, wanted) } else { (0, 0) };
        Claim {
            sequence,
            incarnation,
            slots,
            resources: config.resources,
            waiting,
            load,
            labels: config.labels.clone(),
            blobs: self.blobs.clone(),
            stands_ms: self.stands_us / 1000,
        }
    }

    /// A claim was signed and has this id.
    pub(super) fn signed(&mut self, ticket: Ticket, id: TransactionId) {
        if let Some(sent) = self.sent.as_mut().filter(|sent| sent.ticket == ticket) {
            sent.id = Some(id);
        }
    }

    /// A transaction was executed or void.
    pub(super) fn executed(&mut self, id: TransactionId, is_good: bool) {
        if let Some(sent) = self.sent.as_mut().filter(|sent| sent.id == Some(id)) {
            sent.executed = is_good;
            self.has_stood |= is_good;
        }
    }

    /// Whether a claim of this process was executed, and no newer process's claim has ended since.
    pub(super) const fn has_stood(&self) -> bool {
        self.has_stood
    }

    /// The claim of a newer process of the same key stands. This process claims nothing until that one is gone.
    pub(super) const fn supersede(&mut self, incarnation: Incarnation) {
        self.newer = Some(Newer { incarnation, gone: None });
    }

    /// The newer process of the same key that is not known to be gone.
    pub(super) fn newer(&self) -> Option<Incarnation> {
        self.newer.map(|newer| newer.incarnation)
    }

    /// No claim of this key stands any more. If it was this process's own, another is due at once. A newer process that
    /// has drained is gone, and one whose claim ran out is gone when it has claimed nothing for as long as a claim
    /// stands: it may only have lost touch for a while, and two that take turns would get nothing done.
    pub(super) fn lapsed(&mut self, drained: bool, now: Monotonic) {
        self.sent = None;
        match &mut self.newer {
            Some(newer) if !drained => newer.gone = newer.gone.or(Some(now.plus_us(self.stands_us))),
            Some(_) => self.forget_newer(),
            None => {}
        }
    }

    /// Forgets a newer process that is gone by now. The next claim must exceed that one's.
    pub(super) fn forget_if_gone(&mut self, now: Monotonic) {
        if self.newer.is_some_and(|newer| newer.gone.is_some_and(|gone| now >= gone)) {
            self.forget_newer();
        }
    }

    const fn forget_newer(&mut self) {
        (self.newer, self.has_stood) = (None, false);
    }
}
