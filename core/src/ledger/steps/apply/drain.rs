//! Drain: a worker leaves. Its claim ends, and its attempts go back at once.

use crate::{
    identity::PublicKey,
    invariant::known,
    ledger::{Applied, EndReason, Ledger},
    types::{Drain, VoidReason},
};

impl Ledger {
    pub(in crate::ledger) fn check_drain(&self, signer: &PublicKey, drain: &Drain) -> Result<(), VoidReason> {
        match self.records.worker(signer) {
            Some(worker) if drain.sequence <= worker.record.sequence => Err(VoidReason::OldSequence),
            Some(_) => Ok(()),
            None => self.check_known(signer),
        }
    }

    /// Executes a drain. Without a standing claim, the drain still keeps earlier claims from being executed.
    pub(in crate::ledger) fn drain(&mut self, signer: PublicKey, drain: &Drain, applied: &mut Applied) {
        let time = self.time();
        self.know_worker(signer);
        let Some(worker) = known(self.records.worker_mut(&signer)) else { return };
        worker.record.sequence = drain.sequence;
        worker.record.last = time;
        let stands = worker.record.standing.is_some();
        if stands {
            self.end_claim(signer, EndReason::Drained, applied);
        } else {
            self.await_forgetting(signer);
        }
    }
}
