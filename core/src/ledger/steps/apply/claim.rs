//! Claim: a worker's standing offer, and the heartbeat of its leases.

use crate::{
    identity::PublicKey,
    invariant::known,
    ledger::{Applied, EndReason, Ledger, LedgerEvent, bounds, records::workers::Worker},
    types::{Claim, VoidReason},
};

/// How many workers may be known for each one that may stand.
const KNOWN_FOR_EACH: usize = 4;

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
        let stands = worker.is_some_and(|worker| worker.record.standing.is_some());
        if !stands && self.index.claims_standing() >= self.genesis.ledger.workers_max {
            return Err(VoidReason::WorkersFull);
        }
        if worker.is_none() && !self.may_know_another() {
            return Err(VoidReason::WorkersFull);
        }
        Ok(())
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

    /// Whether another worker may be known. Workers that have left are remembered for a while and count too.
    pub(in crate::ledger) fn may_know_another(&self) -> bool {
        self.records.workers().len() / KNOWN_FOR_EACH < self.genesis.ledger.workers_max
    }
}
