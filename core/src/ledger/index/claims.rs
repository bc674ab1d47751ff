//! Workers' claims begin, change and end, and workers that have none are forgotten.

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
            workers::{StandingClaim, Worker, WorkerRecord},
        },
    },
    schedule::placement::Opening,
    types::{BlockTime, Claim, Incarnation},
};

impl Ledger {
    /// Takes up a worker from its record.
    pub(super) fn take_up_worker(&mut self, key: PublicKey, record: WorkerRecord) {
        let until = record.standing.as_ref().map(|standing| standing.until);
        if let Some(standing) = &record.standing {
            self.index.open.describe(key, &standing.claim);
        }
        self.records.add_worker(key, Worker { record, index: WorkerIndex::empty() });
        if let Some(until) = until {
            self.index.claims_standing += 1;
            self.index.due.claims.insert((until, key));
        }
        self.await_forgetting(key);
        self.reindex(key);
    }

    /// Makes a worker known, if it is not.
    pub(in crate::ledger) fn know_worker(&mut self, key: PublicKey) {
        if self.records.worker(&key).is_none() {
            let (incarnation, last) = (Incarnation(0), self.time());
            let record = WorkerRecord { sequence: 0, incarnation, last, turn: 0, standing: None, stood: Vec::new() };
            self.records.add_worker(key, Worker { record, index: WorkerIndex::empty() });
        }
    }

    /// A claim of a worker that is known stands, in place of the one before, until this lease time. What that one stood
    /// for is taken from it: a new incarnation's leases have been given back.
    pub(in crate::ledger) fn stand(&mut self, key: PublicKey, claim: &Claim, until: LeaseTime) {
        let relabelled = self.leases_to_count_again(&key, claim);
        for task in &relabelled {
            self.count_spread(*task, key, false);
        }
        let (height, time) = (self.height(), self.time());
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
        // A mere heartbeat gives no room that was not there.
        if !offers_the_same || before.as_ref().is_some_and(|(_, before)| claim.waiting > before.waiting) {
            self.index.changed.insert(key);
        }
        self.reindex(key);
    }

    /// What a worker holds, if its labels change with this claim: jobs that are spread over one of them count anew.
    fn leases_to_count_again(&self, key: &PublicKey, claim: &Claim) -> Vec<TaskRef> {
        let Some(worker) = known(self.records.worker(key)) else { return Vec::new() };
        if worker.record.standing.as_ref().is_none_or(|standing| standing.claim.labels == claim.labels) {
            return Vec::new();
        }
        worker.leases().attempts().iter().map(AttemptRef::task).collect()
    }

    /// Ends a worker's standing claim and all that it holds.
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
        self.index.offers.0 += 1;
        self.reindex(key);
        self.await_forgetting(key);
        applied.events.push(LedgerEvent::ClaimEnded { worker: key, drained: why == EndReason::Drained });
    }

    /// When a worker whose claim ended, or whose last claim or drain was executed, at this time may be forgotten. A
    /// claim that was signed with an honest expiry before then has expired by then, so its sequence number needs no
    /// memory.
    fn forgets_worker_at(&self, last: BlockTime) -> BlockTime {
        last.plus_ms(self.genesis.ledger.transaction_life_ms_max).plus_ms(1)
    }

    /// Notes when a worker is forgotten: some time after its last word, unless its claim stands.
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

    /// Forgets the workers that have had no claim for long enough.
    pub(in crate::ledger) fn forget_workers(&mut self) {
        for key in self.index.due.take_workers(self.time()) {
            self.records.remove_worker(&key);
        }
    }

    /// Puts a worker where its claim now stands among the open ones.
    pub(super) fn reindex(&mut self, key: PublicKey) {
        let Some(worker) = known(self.records.worker_mut(&key)) else { return };
        let now = worker.scores(&self.policies);
        let before = std::mem::replace(&mut worker.index.indexed, now);
        self.index.open.update(Opening::Resources, key, before[0], now[0]);
        self.index.open.update(Opening::Waiting, key, before[1], now[1]);
    }
}
