//! What the ledger knows of a worker: its claim, its leases, and when its claims stood.

use serde_tuple::{Deserialize_tuple, Serialize_tuple};

use crate::{
    fault::{Fault, is_planted},
    ledger::{
        index::{HeldLeases, WorkerIndex},
        records::{lease_time::LeaseTime, tracks::Tracks},
    },
    schedule::{
        placement::{Candidate, Opening, Policies, Score},
        ready::Needs,
    },
    types::{BlockTime, Claim, Height, Incarnation, Resources},
};

/// How many replicas a worker may have committed itself to at a time. They hold none of its resources, so nothing else
/// bounds them.
const COMMITTED_MAX: usize = 1024;

/// How many past standings of a worker are remembered. A second holder's word may name a height in any of them.
pub const STANDINGS_KEPT: usize = 8;

/// What is known of a worker and cannot be computed.
#[derive(Clone, Debug, Serialize_tuple, Deserialize_tuple)]
pub(in crate::ledger) struct WorkerRecord {
    /// The sequence of the last claim or drain that was executed.
    pub(in crate::ledger) sequence: u64,
    /// The newest incarnation that claimed.
    pub(in crate::ledger) incarnation: Incarnation,
    /// When a claim or drain was last executed, or the claim ended. The time until the worker is forgotten starts
    /// here.
    pub(in crate::ledger) last: BlockTime,
    /// See [`Candidate::turn`].
    pub(in crate::ledger) turn: u64,
    pub(in crate::ledger) standing: Option<StandingClaim>,
    /// Its trial, until it delivers.
    pub(in crate::ledger) trial: Option<Trial>,
    /// What became of what it computed.
    pub(in crate::ledger) tracks: Tracks,
    /// Past standings, oldest first. Each is the first height after which the claim stood, and the first after which
    /// it did not.
    pub(in crate::ledger) stood: Vec<(Height, Height)>,
}

/// The trial of a worker that has delivered nothing, or has lost an attempt since.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub(in crate::ledger) struct Trial {
    /// Attempts with lower lease numbers were given before the trial. Their ends count for nothing in it.
    pub(in crate::ledger) since: u64,
    /// How many of the trial's attempts were lost or returned.
    pub(in crate::ledger) losses: u32,
    /// It gets no attempt before it claims at this time or later, if it has lost one.
    pub(in crate::ledger) waits_until: Option<BlockTime>,
}

impl Trial {
    /// The longest that a worker waits for another attempt, in milliseconds: a day.
    pub(in crate::ledger) const WAIT_MS_MAX: u64 = 24 * 3_600_000;

    /// Whether the worker is on trial only because it is new: it has lost nothing.
    pub(in crate::ledger) const fn is_of_newcomer(&self) -> bool {
        self.since == 0
    }
}

impl WorkerRecord {
    /// Whether it lost the attempt of its trial, and gets none for now.
    pub(in crate::ledger) fn waits_out(&self) -> bool {
        self.trial.is_some_and(|trial| trial.waits_until.is_some())
    }

    /// Whether its claim stands and offers slots. Only such a claim takes a place.
    pub(in crate::ledger) fn offers_slots(&self) -> bool {
        self.standing.as_ref().is_some_and(|standing| standing.claim.slots > 0)
    }
}

/// A claim that stands.
#[derive(Clone, Debug, Serialize_tuple, Deserialize_tuple)]
pub(in crate::ledger) struct StandingClaim {
    pub(in crate::ledger) claim: Claim,
    /// The height since which claims of this key have stood without a break.
    pub(in crate::ledger) from: Height,
    /// The time of that height's block.
    pub(in crate::ledger) since: BlockTime,
    pub(in crate::ledger) until: LeaseTime,
    /// See [`Candidate::seat`].
    pub(in crate::ledger) seat: u32,
    /// See [`Candidate::running_at_claim`].
    pub(in crate::ledger) running_at_claim: u32,
}

impl StandingClaim {
    /// Whether a task could ever run under this claim, whatever runs there now.
    pub(in crate::ledger) fn could_ever_hold(&self, needs: &Needs) -> bool {
        let Claim { slots, resources, labels, .. } = &self.claim;
        *slots > 0
            && needs.millicores <= resources.millicores
            && needs.memory_bytes <= resources.memory_bytes
            && needs.labels.iter().all(|(label, value)| labels.get(label) == Some(value))
    }
}

/// A worker.
#[derive(Clone, Debug)]
pub(in crate::ledger) struct Worker {
    pub(in crate::ledger) record: WorkerRecord,
    /// What is computed from the record. Only the index writes it.
    pub(in crate::ledger) index: WorkerIndex,
}

impl Worker {
    pub(in crate::ledger) const fn leases(&self) -> &HeldLeases {
        self.index.leases()
    }

    /// Whether its claim stands and offers slots.
    pub(in crate::ledger) fn offers_slots(&self) -> bool {
        self.record.offers_slots()
    }

    /// Whether the resources that a task needs are free, waiting leases aside. None are while running attempts take
    /// more than the claim offers.
    pub(in crate::ledger) fn has_capacity(&self, needs: &Needs) -> bool {
        let Some(standing) = &self.record.standing else { return false };
        let offer = &standing.claim.resources;
        let fits = |taken: u64, needed: u64, offered: u64| taken.checked_add(needed).is_some_and(|sum| sum <= offered);
        let runs = if is_planted(Fault::SlotsNotCounted) { 0 } else { self.leases().running().len() as u64 };
        runs < u64::from(standing.claim.slots)
            && fits(self.leases().millicores(), u64::from(needs.millicores), u64::from(offer.millicores))
            && fits(self.leases().memory_bytes(), needs.memory_bytes, offer.memory_bytes)
            && standing.could_ever_hold(needs)
    }

    /// Whether a task's needs would be free if a running attempt with these resources ended.
    pub(in crate::ledger) fn would_have_capacity(&self, needs: &Needs, gone: Resources) -> bool {
        let Some(standing) = &self.record.standing else { return false };
        let offer = &standing.claim.resources;
        let fits = |taken: u64, gone: u64, needed: u64, offered: u64| {
            taken.saturating_sub(gone).checked_add(needed).is_some_and(|sum| sum <= offered)
        };
        let (millicores, memory) = (self.leases().millicores(), self.leases().memory_bytes());
        self.leases().running().len() as u64 <= u64::from(standing.claim.slots)
            && fits(millicores, gone.millicores.into(), needs.millicores.into(), offer.millicores.into())
            && fits(memory, gone.memory_bytes, needs.memory_bytes, offer.memory_bytes)
            && standing.could_ever_hold(needs)
    }

    /// Whether the claim has this opening for a task with these needs.
    pub(in crate::ledger) fn takes(&self, needs: &Needs, opening: Opening) -> bool {
        match opening {
            Opening::Resources => self.has_capacity(needs),
            Opening::Waiting => self.record.standing.as_ref().is_some_and(|standing| standing.could_ever_hold(needs)),
        }
    }

    /// The claim's scores for its openings: for resources and for a waiting place, where it has them.
    pub(in crate::ledger) fn scores(&self, policies: &Policies) -> [Option<Score>; 2] {
        let Some(standing) = &self.record.standing else { return [None; 2] };
        let Claim { slots, waiting: places, load, .. } = standing.claim;
        if slots == 0 || !self.may_have_another() || self.leases().committed().len() >= COMMITTED_MAX {
            return [None; 2];
        }
        let (running, waiting) = (self.leases().running().len() as u32, self.leases().waiting().len() as u32);
        let score = policies.score(&Candidate {
            load,
            slots,
            running,
            running_at_claim: standing.running_at_claim,
            waiting,
            turn: self.record.turn,
            seat: standing.seat,
            faults_permille: if policies.look_at_tracks { self.record.tracks.sum().faults_permille() } else { 0 },
        });
        let running = if is_planted(Fault::SlotsNotCounted) { 0 } else { running };
        let is_next = waiting == 0 || is_planted(Fault::PastTheWaiting);
        [(is_next && running < slots).then_some(score), (waiting < places).then_some(score)]
    }

    /// Ends the claim after the block at this height.
    pub(in crate::ledger) fn end_standing(&mut self, height: Height, time: BlockTime) -> Option<StandingClaim> {
        let standing = self.record.standing.take()?;
        self.record.last = self.record.last.max(time);
        if standing.from < height {
            self.record.stood.push((standing.from, height));
            if self.record.stood.len() > STANDINGS_KEPT {
                self.record.stood.remove(0);
            }
        }
        Some(standing)
    }

    /// Whether a claim of this worker stood after the block at `height`.
    pub(in crate::ledger) fn stood_at(&self, height: Height) -> bool {
        self.record.standing.as_ref().is_some_and(|standing| standing.from <= height)
            || self.record.stood.iter().any(|(from, to)| (*from..*to).contains(&height))
    }
}
