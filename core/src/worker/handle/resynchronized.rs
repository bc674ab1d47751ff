//! Missed blocks: the worker adopts what the ledger says now.

use std::collections::BTreeSet;

use crate::{
    consensus::Now,
    ledger::EndReason,
    types::AttemptId,
    worker::{Effect, LedgerStatus, Worker},
};

impl Worker {
    pub(super) fn on_resynchronized(&mut self, now: Now, standing: LedgerStatus, effects: &mut Vec<Effect>) {
        let LedgerStatus { leases, stands, committed } = standing;
        match stands {
            Some(incarnation) if incarnation > self.incarnation => self.on_claim_began(incarnation),
            _ if self.offer.newer().is_some() => self.offer.lapsed(false, now.monotonic),
            _ => {}
        }
        let own = leases.iter().filter(|assignment| assignment.incarnation == self.incarnation);
        let own: BTreeSet<AttemptId> = own.map(|assignment| assignment.attempt).collect();
        let gone: Vec<AttemptId> = self.held.keys().filter(|attempt| !own.contains(attempt)).copied().collect();
        for attempt in gone {
            self.on_ended(&attempt, EndReason::TakenBack, effects);
        }
        self.take(now, leases, effects);
        for (attempt, is_asked) in committed {
            self.outbox.settle_commitment(&attempt);
            if is_asked {
                self.reveal(&attempt, effects);
            }
        }
        self.outbox.report_all_again();
    }
}
