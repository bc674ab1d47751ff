//! Recurring jobs: which exist, when their occurrences come, and which of the occurrences' jobs have not ended.

use std::collections::{BTreeMap, BTreeSet};

use super::Outstanding;
use crate::{
    identity::PublicKey,
    invariant::known,
    ledger::{
        Applied, Ledger, LedgerEvent,
        records::{
            recurring::{RecurringEnd, RecurringEndReason, RecurringJob, RecurringNumber, RecurringRecord},
            trust::{ByTrust, Trust},
        },
    },
    types::{BlockTime, JobId, Occurrence, Permission, RecurringId},
};

/// The unfinished jobs of one recurring job, by occurrence.
type LiveJobs = BTreeMap<BlockTime, JobId>;

/// What is computed from recurring jobs, and from the jobs of their occurrences.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::ledger) struct RecurringIndex {
    numbers: BTreeMap<RecurringId, RecurringNumber>,
    /// How many recurring jobs of each submitter have not ended.
    by_key: BTreeMap<PublicKey, u64>,
    /// How many recurring jobs have not ended, by the trust of their submitters.
    live: ByTrust<u64>,
    /// When the next occurrence comes of each recurring job that is not paused.
    due: BTreeSet<(BlockTime, RecurringNumber)>,
    /// When ended recurring jobs are dropped.
    retention: BTreeSet<(BlockTime, RecurringNumber)>,
    /// The unfinished jobs of each recurring job that has any.
    live_jobs: BTreeMap<RecurringNumber, LiveJobs>,
}

impl RecurringIndex {
    pub(super) const fn empty() -> Self {
        Self {
            numbers: BTreeMap::new(),
            by_key: BTreeMap::new(),
            live: ByTrust::new(0, 0, 0),
            due: BTreeSet::new(),
            retention: BTreeSet::new(),
            live_jobs: BTreeMap::new(),
        }
    }

    /// The number of a recurring job that is not forgotten.
    pub(in crate::ledger) fn number_of(&self, id: &RecurringId) -> Option<RecurringNumber> {
        self.numbers.get(id).copied()
    }

    /// How many recurring jobs of this submitter have not ended.
    pub(in crate::ledger) fn live_of(&self, submitter: &PublicKey) -> u64 {
        self.by_key.get(submitter).copied().unwrap_or(0)
    }

    /// How many recurring jobs have not ended, by the trust of their submitters.
    pub(in crate::ledger) const fn live(&self) -> &ByTrust<u64> {
        &self.live
    }

    /// Counts a submitter's recurring jobs with those of keys of another trust.
    pub(super) fn change_trust(&mut self, submitter: &PublicKey, before: Trust, after: Trust) {
        for _ in 0..self.live_of(submitter) {
            self.live.count(before, false);
            self.live.count(after, true);
        }
    }

    /// The first occurrence that has to be run or skipped.
    pub(in crate::ledger) fn next_due(&self) -> Option<BlockTime> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Takes out the recurring job whose occurrence comes first, if it is due.
    pub(super) fn take_due(&mut self, now: BlockTime) -> Option<RecurringNumber> {
        let (at, number) = self.due.first().copied()?;
        (at <= now).then(|| self.due.pop_first())?;
        Some(number)
    }

    /// The unfinished jobs of a recurring job, by occurrence.
    pub(in crate::ledger) fn live_jobs(&self, number: RecurringNumber) -> impl DoubleEndedIterator<Item = JobId> {
        self.live_jobs.get(&number).into_iter().flat_map(LiveJobs::values).copied()
    }

    /// Removes an occurrence's job, which has ended.
    pub(super) fn end_occurrence(&mut self, run: Occurrence) {
        let Some(number) = self.number_of(&run.recurring) else { return };
        if let Some(live_jobs) = self.live_jobs.get_mut(&number) {
            live_jobs.remove(&run.time);
            if live_jobs.is_empty() {
                self.live_jobs.remove(&number);
            }
        }
    }

    fn count_ended(&mut self, submitter: &PublicKey, trust: Trust) {
        self.live.count(trust, false);
        if let Some(count) = known(self.by_key.get_mut(submitter)) {
            *count -= 1;
            if *count == 0 {
                self.by_key.remove(submitter);
            }
        }
    }
}

impl Ledger {
    /// Takes up a recurring job from its record.
    pub(in crate::ledger) fn take_up_recurring(&mut self, id: RecurringId, record: RecurringRecord) {
        let (number, submitter, definition_bytes) = (record.number, record.submitter, record.definition_bytes);
        let ended = record.ended;
        self.index.recurring.numbers.insert(id, number);
        self.records.recurring_mut().add(RecurringJob { id, record });
        self.add_outstanding(submitter, Outstanding::definition(definition_bytes));
        match ended {
            Some(RecurringEnd { at, .. }) => self.keep_ended_recurring(at, number),
            None => {
                let trust = self.trust(Permission::Submit, &submitter);
                self.index.recurring.live.count(trust, true);
                *self.index.recurring.by_key.entry(submitter).or_default() += 1;
            }
        }
        self.await_occurrence(number);
    }

    /// Takes up an unfinished job as an occurrence of a recurring job. That recurring job may be forgotten.
    pub(in crate::ledger) fn take_up_occurrence(&mut self, run: Occurrence, job: JobId) {
        if let Some(number) = self.index.recurring.number_of(&run.recurring) {
            self.index.recurring.live_jobs.entry(number).or_default().insert(run.time, job);
        }
    }

    /// Schedules the next occurrence of a recurring job that is not scheduled.
    pub(in crate::ledger) fn await_occurrence(&mut self, number: RecurringNumber) {
        let Some(RecurringJob { record, .. }) = known(self.records.recurring().numbered(number)) else { return };
        if let Some(next) = record.next.filter(|_| !record.is_paused && record.ended.is_none()) {
            self.index.recurring.due.insert((next, number));
        }
    }

    /// Removes a recurring job from the schedule.
    pub(in crate::ledger) fn await_nothing(&mut self, number: RecurringNumber) {
        let Some(RecurringJob { record, .. }) = known(self.records.recurring().numbered(number)) else { return };
        if let Some(next) = record.next {
            self.index.recurring.due.remove(&(next, number));
        }
    }

    fn keep_ended_recurring(&mut self, ended: BlockTime, number: RecurringNumber) {
        let at = ended.plus_ms(self.genesis.ledger.retention_ms);
        self.index.recurring.retention.insert((at, number));
    }

    /// Drops the recurring jobs that ended long enough ago.
    pub(in crate::ledger) fn forget_recurring(&mut self, applied: &mut Applied) {
        while let Some((at, number)) = self.index.recurring.retention.first().copied()
            && at <= self.time()
        {
            self.index.recurring.retention.pop_first();
            if let Some(RecurringJob { id, .. }) = known(self.records.recurring_mut().remove(number)) {
                self.index.recurring.numbers.remove(&id);
                self.index.recurring.live_jobs.remove(&number);
                applied.events.push(LedgerEvent::RecurringForgotten { recurring: id });
            }
        }
    }

    /// Ends a recurring job: none of its further occurrences is run.
    pub(in crate::ledger) fn end_recurring(
        &mut self,
        number: RecurringNumber,
        why: RecurringEndReason,
        applied: &mut Applied,
    ) {
        self.await_nothing(number);
        let now = self.time();
        let Some(RecurringJob { id, record }) = known(self.records.recurring_mut().numbered_mut(number)) else {
            return;
        };
        if record.ended.is_some() {
            return;
        }
        (record.ended, record.is_paused, record.next) = (Some(RecurringEnd { at: now, why }), false, None);
        record.recurring.job.arrays.clear();
        let (submitter, definition_bytes) = (record.submitter, std::mem::take(&mut record.definition_bytes));
        applied.events.push(LedgerEvent::RecurringEnded { recurring: *id, why });
        self.subtract_outstanding(submitter, Outstanding::definition(definition_bytes));
        let trust = self.trust(Permission::Submit, &submitter);
        self.index.recurring.count_ended(&submitter, trust);
        self.keep_ended_recurring(now, number);
    }
}
