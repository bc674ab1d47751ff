//! Transactions on their way into this peer's own replica: signed, or refused.

use crate::{
    consensus::Now,
    types::TransactionId,
    worker::{Effect, Stage, Ticket, Worker},
};

impl Worker {
    pub(super) fn on_signed(&mut self, signed: Ticket, id: TransactionId) {
        self.outbox.signed(signed, id);
        self.offer.signed(signed, id);
        if let Stage::Draining { ticket, id: own, .. } = &mut self.stage
            && *ticket == signed
        {
            *own = Some(id);
        }
    }

    /// A refused report goes into the queue again. A refused claim is treated as lost.
    pub(super) fn on_refused(&mut self, now: Now, refused: Ticket, effects: &mut Vec<Effect>) {
        self.outbox.refused(refused, now.monotonic);
        if matches!(self.stage, Stage::Draining { ticket, .. } if ticket == refused) {
            self.leave(false, effects);
        }
    }
}
