//! Claim: a worker's standing offer, and the heartbeat of its leases.

use crate::{
    identity::PublicKey,
    invariant::known,
    ledger::{
        Applied, EndReason, Ledger, LedgerEvent, bounds,
        records::{trust::ByTrust, workers::Worker},
    },
    types::{Claim, Permission, VoidReason},
};

/// How many workers may be known for each one that may stand.
const KNOWN_FOR_EACH: u64 = 4;

impl Ledger {
    pub(in crate::ledger) fn check_claim(&self, signer: &PublicKey, claim: &Claim) -> Result<(), VoidReason> {
        bounds::check_claim(&self.genesis.ledger, claim)?;
        let worker = self.records.worker(signer);
        if let Some(Worker { record, .. }) = worker {
            if claim.sequence <= record.sequence {
                return Err(VoidReason::OldSequence);
            }
            if claim.incarnation < record.incarnation {
                return Err(VoidReason::OldIncarnation);
            }
        }
        let takes_place = claim.slots > 0 && !worker.is_some_and(Worker::offers_slots);
        if takes_place {
            let most = self.genesis.ledger.workers_max as u64;
            self.check_workers(signer, most, self.index.places())?;
        }
        if worker.is_none() { self.check_known(signer) } else { Ok(()) }
    }

    pub(in crate::ledger) fn claim(&mut self, signer: PublicKey, claim: &Claim, applied: &mut Applied) {
        self.know_worker(signer);
        let Some(worker) = known(self.records.worker(&signer)) else { return };
        let stood = worker.record.standing.is_some();
        let older = stood && worker.record.incarnation != claim.incarnation;
        if older {
            // The process that held these leases is gone.
            self.give_back_all(signer, EndReason::NewIncarnation, applied);
        }
        let limits = &self.genesis.ledger;
        let stands_ms = claim.stands_ms.min(limits.claim_stands_ms_max).max(self.stall_threshold_ms.saturating_mul(3));
        self.stand(signer, claim, self.lease_time().plus_ms(stands_ms));
        if !stood || older {
            applied.events.push(LedgerEvent::ClaimBegan { worker: signer, incarnation: claim.incarnation });
        }
    }

    /// How many workers may be known, those that have left and are remembered for a while included.
    pub(in crate::ledger) fn workers_known_max(&self) -> u64 {
        (self.genesis.ledger.workers_max as u64).saturating_mul(KNOWN_FOR_EACH)
    }

    /// Whether this worker, which is not known, may be known.
    pub(in crate::ledger) fn check_known(&self, worker: &PublicKey) -> Result<(), VoidReason> {
        self.check_workers(worker, self.workers_known_max(), self.index.workers_known())
    }

    /// Whether one more worker may be counted with these, of which there may be so many in all.
    fn check_workers(&self, worker: &PublicKey, most: u64, counted: &ByTrust<u64>) -> Result<(), VoidReason> {
        let trust = self.trust(Permission::Work, worker);
        self.room(most).takes(counted, trust, 1).map_err(|full| full.reason(VoidReason::WorkersFull))
    }
}
