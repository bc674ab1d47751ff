//! Begins, changes and ends workers' claims, and forgets workers without one.

use super::WorkerIndex;
use crate::{
    fault::{Fault, is_planted},
    identity::PublicKey,
    invariant::known,
    ledger::{
        Applied, EndReason, Ledger, LedgerEvent,
        records::{
            jobs::{AttemptRef, TaskRef},
            lease_time::LeaseTime,
            tracks::Tracks,
            workers::{StandingClaim, Worker, WorkerRecord},
        },
    },
    schedule::placement::Opening,
    types::{BlockTime, Claim, Incarnation, Permission},
};

impl Ledger {
    /// Takes up a worker from its record.
    pub(super) fn take_up_worker(&mut self, key: PublicKey, record: WorkerRecord) {
        let until = record.standing.as_ref().map(|standing| standing.until);
        if let Some(standing) = &record.standing {
            self.index.open.describe(key, &standing.claim);
        }
        let offers = record.offers_slots();
        self.add_known(key, record);
        self.count_place(&key, offers, true);
        if let Some(until) = until {
            self.index.claims_standing += 1;
            self.index.due.claims.insert((until, key));
        }
        self.await_forgetting(key);
        self.reindex(key);
    }

    /// Adds a worker's record, if there is none.
    pub(in crate::ledger) fn know_worker(&mut self, key: PublicKey) {
        if self.records.worker(&key).is_none() {
            let (incarnation, last) = (Incarnation(0), self.time());
            let trial = self.first_trial(&key);
            let (standing, tracks, stood) = (None, Tracks::default(), Vec::new());
            let record = WorkerRecord { sequence: 0, incarnation, last, turn: 0, standing, trial, tracks, stood };
            self.add_known(key, record);
        }
    }

    fn add_known(&mut self, key: PublicKey, record: WorkerRecord) {
        let trust = self.trust(Permission::Work, &key);
        self.records.add_worker(key, Worker { record, index: WorkerIndex::empty() });
        self.index.workers_known.count(trust, true);
    }

    /// Counts one place more or fewer that the worker's claim takes, if it takes one.
    fn count_place(&mut self, key: &PublicKey, takes_one: bool, more: bool) {
        if takes_one {
            let trust = self.trust(Permission::Work, key);
            self.index.places.count(trust, more);
        }
    }

    /// Makes a known worker's claim stand until this lease time, in place of its previous claim. If the incarnation
    /// is new, its caller has given the old leases back already.
    pub(in crate::ledger) fn stand(&mut self, key: PublicKey, claim: &Claim, until: LeaseTime) {
        let relabelled = self.leases_to_count_again(&key, claim);
        for task in &relabelled {
            self.count_spread(*task, key, false);
        }
        let (height, time) = (self.height(), self.time());
        let offered = self.records.worker(&key).is_some_and(Worker::offers_slots);
        self.count_place(&key, offered, false);
        self.count_place(&key, claim.slots > 0, true);
        let Some(worker) = known(self.records.worker_mut(&key)) else { return };
        let before = worker.record.standing.take();
        let seat = before.as_ref().map_or_else(|| self.index.open.free_seat(), |standing| standing.seat);
        let (from, since) = before.as_ref().map_or((height, time), |standing| (standing.from, standing.since));
        let running_at_claim = worker.index.leases.running.len() as u32;
        worker.record.sequence = claim.sequence;
        worker.record.incarnation = claim.incarnation;
        worker.record.last = time;
        worker.record.standing =
            Some(StandingClaim { claim: claim.clone(), from, since, until, seat, running_at_claim });
        let before = before.map(|standing| (standing.until, standing.claim));
        let offers_the_same = before.as_ref().is_some_and(|(_, before)| {
            before.slots == claim.slots && before.resources == claim.resources && before.labels == claim.labels
        });
        if !offers_the_same {
            self.index.offers.0 += 1;
            if !self.records.unclaimed().is_empty()
                && let Some(standing) = self.records.worker(&key).and_then(|worker| worker.record.standing.clone())
            {
                self.records.unclaimed_mut().claim(|needs| standing.could_ever_hold(needs));
            }
        }
        match &before {
            Some((until, before)) => {
                self.index.due.claims.remove(&(*until, key));
                if before.labels != claim.labels || before.blobs != claim.blobs {
                    self.index.open.forget(&key, before);
                    self.index.open.describe(key, claim);
                }
            }
            None => {
                self.index.claims_standing += 1;
                self.index.open.take_seat(seat);
                self.index.open.describe(key, claim);
                self.await_forgetting(key);
            }
        }
        for task in relabelled {
            self.count_spread(task, key, true);
        }
        self.index.due.claims.insert((until, key));
        *self.index.unsettled.entry(key).or_default() |= !offers_the_same;
        // A heartbeat that offers the same brings no new capacity.
        if !offers_the_same || before.as_ref().is_some_and(|(_, before)| claim.waiting > before.waiting) {
            self.index.changed.insert(key);
        }
        self.end_trial_wait(key);
        self.reindex(key);
    }

    /// The worker's leases that have to be counted again because this claim changes its labels: jobs may be spread
    /// over one.
    fn leases_to_count_again(&self, key: &PublicKey, claim: &Claim) -> Vec<TaskRef> {
        let Some(worker) = known(self.records.worker(key)) else { return Vec::new() };
        if worker.record.standing.as_ref().is_none_or(|standing| standing.claim.labels == claim.labels) {
            return Vec::new();
        }
        worker.leases().attempts().iter().map(AttemptRef::task).collect()
    }

    /// Ends a worker's standing claim and all of its leases.
    pub(in crate::ledger) fn end_claim(&mut self, key: PublicKey, why: EndReason, applied: &mut Applied) {
        if why != EndReason::ClaimEnded || !is_planted(Fault::ClaimRevives) {
            self.give_back_all(key, why, applied);
        }
        let (height, time) = (self.height(), self.time());
        let Some(standing) = self.records.worker_mut(&key).and_then(|worker| worker.end_standing(height, time)) else {
            return;
        };
        self.index.due.claims.remove(&(standing.until, key));
        self.index.open.forget(&key, &standing.claim);
        self.index.open.leave_seat(standing.seat);
        self.index.claims_standing -= 1;
        self.count_place(&key, standing.claim.slots > 0, false);
        self.index.offers.0 += 1;
        self.reindex(key);
        self.await_forgetting(key);
        applied.events.push(LedgerEvent::ClaimEnded { worker: key, drained: why == EndReason::Drained });
    }

    /// When a worker may be forgotten, if its last claim or drain was executed, or its claim ended, at `last`. By
    /// then every claim that was signed before with an honest expiry has expired, so its sequence number need not be
    /// remembered.
    fn forgets_worker_at(&self, last: BlockTime) -> BlockTime {
        last.plus_ms(self.genesis.ledger.transaction_life_ms_max).plus_ms(1)
    }

    /// Schedules when a worker is forgotten: some time after its last transaction, unless its claim stands.
    pub(in crate::ledger) fn await_forgetting(&mut self, key: PublicKey) {
        let Some(WorkerRecord { standing, last, .. }) = known(self.records.worker(&key)).map(|worker| &worker.record)
        else {
            return;
        };
        let at = standing.is_none().then(|| self.forgets_worker_at(*last));
        let Some(worker) = known(self.records.worker_mut(&key)) else { return };
        if let Some(before) = std::mem::replace(&mut worker.index.forgotten, at) {
            self.index.due.workers.remove(&(before, key));
        }
        self.index.due.workers.extend(at.map(|at| (at, key)));
    }

    /// Forgets the workers whose claims ended long enough ago.
    pub(in crate::ledger) fn forget_workers(&mut self) {
        for key in self.index.due.take_workers(self.time()) {
            let trust = self.trust(Permission::Work, &key);
            self.index.workers_known.count(trust, false);
            self.records.remove_worker(&key);
        }
    }

    /// Updates a worker's place among the open claims.
    pub(super) fn reindex(&mut self, key: PublicKey) {
        let Some(worker) = known(self.records.worker_mut(&key)) else { return };
        let now = worker.scores(&self.policies);
        let before = std::mem::replace(&mut worker.index.indexed, now);
        self.index.open.update(Opening::Resources, key, before[0], now[0]);
        self.index.open.update(Opening::Waiting, key, before[1], now[1]);
    }
}
