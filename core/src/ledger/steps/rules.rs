//! Changes rules: at once, except for the scheduler's policies, which change at the end of the block.

use std::sync::Arc;

use crate::{
    fault::{Fault, is_planted},
    identity::PublicKey,
    invariant::known,
    ledger::{
        Applied, EndReason, Gone, Ledger, RecurringEndReason,
        records::{jobs::Job, recurring::RecurringNumber},
    },
    schedule::{order::Sequence, ready::JobNumber},
    types::{Change, Limit, Permission},
};

impl Ledger {
    /// Makes a change that a quorum has approved. A new schedule takes effect at the end of the block.
    pub(super) fn change_rule(&mut self, change: Change, applied: &mut Applied) {
        match change {
            Change::Permit(_, key) | Change::Bar(_, key) | Change::SetQuota(key, _) => {
                self.change_trust(key, |records| records.rules_mut().set(change.clone()));
            }
            _ => self.records.rules_mut().set(change.clone()),
        }
        match change {
            Change::AddAuthority(_)
            | Change::RemoveAuthority(_)
            | Change::SetLimit(Limit::Network(_), _)
            | Change::Permit(..) => {}
            Change::SetQuota(key, _) => self.follow_rules_of(key),
            Change::Bar(Permission::Submit, key) => {
                if !is_planted(Fault::BarredKeepsRoom) {
                    self.end_all_of(&key, applied);
                }
            }
            Change::Bar(Permission::Work, key) => {
                if !is_planted(Fault::BarredWorksOn) {
                    self.end_claim(key, EndReason::ClaimEnded, applied);
                }
            }
            Change::SetLimit(Limit::Key(_), _) => self.follow_rules(),
            Change::SetSchedule(_) => self.block.schedule_changed = !is_planted(Fault::ScheduleOfGenesis),
        }
    }

    /// Ends everything of a submitter that has not ended, so that its room is free for others.
    fn end_all_of(&mut self, submitter: &PublicKey, applied: &mut Applied) {
        let unfinished = |job: &&Job| job.record.submitter == *submitter && job.record.ended.is_none();
        let jobs: Vec<JobNumber> =
            self.records.jobs().values().filter(unfinished).map(|job| job.record.number).collect();
        let own = self.records.recurring().all().filter(|recurring| recurring.record.submitter == *submitter);
        let recurring: Vec<RecurringNumber> = own.map(|recurring| recurring.record.number).collect();
        for number in recurring {
            self.end_recurring(number, RecurringEndReason::Barred, applied);
        }
        for number in jobs {
            self.stop_job(number, Gone::Barred, applied);
        }
    }

    /// Starts the shares anew. If shares count from now on, submitters are charged only for what workers hold.
    fn begin_shares(&mut self, is_fair: bool) {
        self.records.begin_shares();
        if !is_fair {
            return;
        }
        for (key, _) in self.index.quotas().outstanding_by_key().iter().filter(|(_, outstanding)| outstanding.tasks > 0)
        {
            self.records.shares_mut().begin(key);
        }
        let held: Vec<_> = self.records.workers().values().flat_map(|worker| worker.leases().attempts()).collect();
        for attempt in held {
            let Some(job) = known(self.records.job(attempt.task().job)) else { continue };
            let (lease, submitter) = (self.lease_of(attempt), job.record.submitter);
            if let Some(cost) = known(lease).map(|lease| lease.cost) {
                self.records.shares_mut().charge(&submitter, cost);
            }
        }
    }

    /// At the end of a block, recomputes everything that depends on the scheduler's policies, if they have changed.
    /// The result is what a restart at this height would compute.
    pub(in crate::ledger) fn follow_schedule(&mut self) {
        if !std::mem::take(&mut self.block.schedule_changed) {
            return;
        }
        let (was_fair, is_fair) = (self.sequence.is_fair(), Sequence::new(self.records.rules().schedule()).is_fair());
        if was_fair != is_fair {
            self.begin_shares(is_fair);
        }
        let anew = Self::of_records(Arc::clone(&self.genesis), self.network, self.saved());
        debug_assert!(anew.is_ok(), "a ledger can be restored from its own records: {anew:?}");
        if let Ok(anew) = anew {
            *self = anew;
        }
        // Slices of attempts that were leased under longer slices, or under none, may be over.
        self.end_slices();
    }
}
