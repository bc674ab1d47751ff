//! Recur: admits a recurring job, pauses and resumes it, and ends it.

use std::collections::VecDeque;

use crate::{
    identity::PublicKey,
    invariant::known,
    ledger::{
        Applied, Ledger, LedgerEvent, RecurringEndReason, bounds,
        records::recurring::{RecurringRecord, next_occurrence},
    },
    types::{KeyLimit, Limit, NetworkLimit, Permission, Recur, Recurring, RecurringId, VoidReason},
};

impl Ledger {
    pub(in crate::ledger) fn check_recur(
        &self,
        signer: &PublicKey,
        recur: &Recur,
        bytes: u64,
    ) -> Result<(), VoidReason> {
        let (Recur::Pause(id) | Recur::Resume(id) | Recur::Delete(id)) = recur else {
            let Recur::Submit(recurring) = recur else { return Ok(()) };
            return self.check_recurring(signer, recurring, bytes);
        };
        let number = self.index.recurring().number_of(id).ok_or(VoidReason::UnknownRecurring)?;
        let job = self.records.recurring().numbered(number).ok_or(VoidReason::UnknownRecurring)?;
        match &job.record {
            record if record.submitter != *signer => Err(VoidReason::NotYours),
            record if record.ended.is_some() => Err(VoidReason::RecurringEnded),
            _ => Ok(()),
        }
    }

    fn check_recurring(&self, signer: &PublicKey, recurring: &Recurring, bytes: u64) -> Result<(), VoidReason> {
        bounds::check_recurring(&self.genesis.ledger, recurring)?;
        next_occurrence(recurring, self.time()).ok_or(VoidReason::NeverRuns)?;
        let live = self.index.recurring();
        if live.live_of(signer) >= self.key_limit(signer, KeyLimit::Recurring) {
            return Err(VoidReason::KeyRecurringFull);
        }
        let room = self.room(self.limit(Limit::Network(NetworkLimit::Recurring)));
        let taken = room.takes(live.live(), self.trust(Permission::Submit, signer), 1);
        taken.map_err(|full| full.reason(VoidReason::RecurringFull))?;
        // The definition counts at once. Tasks count once an occurrence's job is admitted.
        self.check_quotas(signer, &[], bytes)?;
        self.check_daily_stored(signer, &[], 0, bytes)
    }

    pub(in crate::ledger) fn recur(
        &mut self,
        id: RecurringId,
        signer: PublicKey,
        recur: &Recur,
        bytes: u64,
        applied: &mut Applied,
    ) {
        match recur {
            Recur::Submit(recurring) => self.submit_recurring(id, signer, recurring, bytes, applied),
            Recur::Pause(id) => self.pause(*id, true, applied),
            Recur::Resume(id) => self.pause(*id, false, applied),
            Recur::Delete(id) => {
                if let Some(number) = known(self.index.recurring().number_of(id)) {
                    self.end_recurring(number, RecurringEndReason::Deleted, applied);
                }
            }
        }
    }

    fn submit_recurring(
        &mut self,
        id: RecurringId,
        submitter: PublicKey,
        recurring: &Recurring,
        definition_bytes: u64,
        applied: &mut Applied,
    ) {
        let number = self.records.recurring_mut().number();
        let record = RecurringRecord {
            number,
            submitter,
            height: self.height(),
            time: self.time(),
            definition_bytes,
            recurring: recurring.clone(),
            next: next_occurrence(recurring, self.time()),
            is_paused: false,
            resumed: None,
            ran: 0,
            skipped: 0,
            past: VecDeque::new(),
            ended: None,
        };
        self.take_up_recurring(id, record);
        self.charge_stored(submitter, definition_bytes);
        applied.events.push(LedgerEvent::RecurringAdmitted { recurring: id });
    }

    /// Pauses or resumes a recurring job. Nothing happens if it already is in that state.
    fn pause(&mut self, id: RecurringId, pauses: bool, applied: &mut Applied) {
        let now = self.time();
        let Some(number) = known(self.index.recurring().number_of(&id)) else { return };
        self.await_nothing(number);
        if let Some(job) = known(self.records.recurring_mut().numbered_mut(number))
            && job.record.is_paused != pauses
        {
            job.record.is_paused = pauses;
            if !pauses {
                job.record.resumed = Some(now);
            }
            applied.events.push(LedgerEvent::RecurringPaused { recurring: id, paused: pauses });
        }
        self.await_occurrence(number);
    }
}
