//! Claim: a worker's standing offer, and the heartbeat of what it holds.

use crate::{
    identity::PublicKey,
    ledger::{
        Applied, EndReason, Ledger, LedgerEvent, bounds,
        records::{
            jobs::{AttemptRef, TaskRef},
            workers::{Standing, Worker, WorkerRecord},
        },
    },
    types::{Claim, Incarnation, VoidReason},
};

/// How many workers are known, standing or not, for each that may stand.
const KNOWN_FOR_EACH: usize = 4;

impl Ledger {
    pub(in crate::ledger) fn check_claim(&self, signer: &PublicKey, claim: &Claim) -> Result<(), VoidReason> {
        bounds::check_claim(&self.genesis.ledger, claim)?;
        let worker = self.workers.get(signer);
        if let Some(Worker { record, .. }) = worker {
            if claim.sequence <= record.sequence {
                return Err(VoidReason::OldSequence);
            }
            if claim.incarnation < record.incarnation {
                return Err(VoidReason::OldIncarnation);
            }
        }
        let stands = worker.is_some_and(|worker| worker.record.standing.is_some());
        if !stands && self.standing >= self.genesis.ledger.workers_max {
            return Err(VoidReason::WorkersFull);
        }
        if worker.is_none() && !self.may_know_another() {
            return Err(VoidReason::WorkersFull);
        }
        Ok(())
    }

    pub(in crate::ledger) fn claim(&mut self, signer: PublicKey, claim: &Claim, applied: &mut Applied) {
        let worker = self.known_worker(signer);
        let older = worker.record.standing.is_some() && worker.record.incarnation != claim.incarnation;
        if older {
            // The process that held these has forgotten them.
            self.give_back_all(signer, EndReason::NewIncarnation, applied);
        }
        let relabelled = self.leases_to_count_again(&signer, claim);
        for task in &relabelled {
            self.count_spread(*task, signer, false);
        }
        let limits = &self.genesis.ledger;
        let stands_ms = claim.stands_ms.min(limits.claim_stands_ms_max).max(self.stall_threshold_ms.saturating_mul(3));
        let until = self.lease_time.plus_ms(stands_ms);
        let (height, time) = (self.height, self.time);
        let Some(worker) = self.workers.get_mut(&signer) else { return };
        let before = worker.record.standing.take();
        let seat = before.as_ref().map_or_else(|| self.open.free_seat(), |standing| standing.seat);
        let (from, since) = before.as_ref().map_or((height, time), |standing| (standing.from, standing.since));
        let running_at_claim = worker.held.running.len() as u32;
        worker.record.sequence = claim.sequence;
        worker.record.incarnation = claim.incarnation;
        worker.record.last = time;
        worker.record.standing = Some(Standing { claim: claim.clone(), from, since, until, seat, running_at_claim });
        let before = before.map(|standing| (standing.until, standing.claim));
        let offers_the_same = before.as_ref().is_some_and(|(_, before)| {
            before.slots == claim.slots && before.resources == claim.resources && before.labels == claim.labels
        });
        if !offers_the_same {
            self.offers.0 += 1;
        }
        match &before {
            Some((until, before)) => {
                self.due.claims.remove(&(*until, signer));
                if before.labels != claim.labels || before.holds != claim.holds {
                    self.open.forget(&signer, before);
                    self.open.describe(signer, claim);
                }
            }
            None => {
                self.standing += 1;
                self.open.take_seat(seat);
                self.open.describe(signer, claim);
            }
        }
        for task in relabelled {
            self.count_spread(task, signer, true);
        }
        self.due.claims.insert((until, signer));
        *self.unsettled.entry(signer).or_default() |= !offers_the_same;
        // A mere heartbeat gives no room that was not there.
        if !offers_the_same || before.as_ref().is_some_and(|(_, before)| claim.waiting > before.waiting) {
            self.changed.insert(signer);
        }
        self.reindex(signer);
        if before.is_none() || older {
            applied.events.push(LedgerEvent::ClaimBegan { worker: signer, incarnation: claim.incarnation });
        }
    }

    /// What a worker holds, if its labels change with this claim: jobs that are spread over one of them count anew.
    fn leases_to_count_again(&self, key: &PublicKey, claim: &Claim) -> Vec<TaskRef> {
        let Some(worker) = self.workers.get(key) else { return Vec::new() };
        if worker.record.standing.as_ref().is_none_or(|standing| standing.claim.labels == claim.labels) {
            return Vec::new();
        }
        worker.held.attempts().iter().map(AttemptRef::task).collect()
    }

    /// Whether there is room to know another worker: those that left are remembered for a while.
    pub(in crate::ledger) fn may_know_another(&self) -> bool {
        self.workers.len() / KNOWN_FOR_EACH < self.genesis.ledger.workers_max
    }

    /// The worker of this key, made known if it is not.
    pub(in crate::ledger) fn known_worker(&mut self, key: PublicKey) -> &mut Worker {
        let time = self.time;
        self.workers.entry(key).or_insert_with(|| {
            Worker::new(WorkerRecord {
                sequence: 0,
                incarnation: Incarnation(0),
                last: time,
                turn: 0,
                standing: None,
                stood: Vec::new(),
            })
        })
    }
}
