//! Takes up jobs, adds arrays, and carries out when they are due, end and are forgotten.

use std::{collections::BTreeSet, sync::Arc};

use super::{Graph, JobIndex, Outstanding, SegmentSummary};
use crate::{
    fault::{Fault, is_planted},
    invariant::known,
    ledger::{
        Applied, Day, Gone, Ledger, LedgerEvent,
        records::{
            jobs::{Admission, ArrayRecord, Job, JobRecord, Segment, TaskCounts},
            stored,
            usage::UsageEntry,
        },
    },
    schedule::{
        order::{Facts, Rank},
        ready::{JobNumber, Needs},
    },
    types::{Array, BlockTime, JobId, Tasks, Terms},
};

impl Ledger {
    /// Takes up a job from its record, without its arrays.
    pub(in crate::ledger) fn take_up(&mut self, id: JobId, record: JobRecord) {
        let number = record.number;
        self.index.job_numbers.insert(id, number);
        self.records.add_job(Job { id, record, index: JobIndex::empty() });
        self.await_time(number);
    }

    /// Adds arrays, none of whose tasks has begun, to a job. Returns the job's new number of tasks.
    pub(in crate::ledger) fn add_arrays(&mut self, number: JobNumber, arrays: &[Array], admission: Admission) -> u32 {
        for array in arrays {
            // Without an estimate, the whole wall time is expected.
            let expected_ms = self.foreseen_ms(&array.spec).unwrap_or(array.spec.limits.wall_ms);
            let today = Day::of(self.time());
            let Some((job, days)) = known(self.records.job_and_days(number)) else { return 0 };
            let record = ArrayRecord {
                name: array.name.clone(),
                tasks: Arc::clone(&array.tasks),
                after: array.after.clone(),
                feeds: array.feeds,
                admission,
            };
            let before = &job.record;
            let more = job.index.graph.add(&record, &array.spec, |task| before.ending_of(task));
            let place = u16::try_from(job.record.arrays.len()).unwrap_or(u16::MAX);
            let start = job.index.count;
            let tasks = u32::try_from(array.tasks.count()).unwrap_or(u32::MAX);
            let segment = Segment {
                array: place,
                start,
                end: start.saturating_add(tasks),
                spec: Arc::clone(&array.spec),
                terms: Terms::of(&array.spec, job.record.times.deadline),
                expected_ms,
                fresh: start,
                held: job.record.held,
                gone: None,
            };
            let (submitter, output_bytes) = (job.record.submitter, array.spec.limits.output_bytes);
            job.record.arrays.push(record);
            job.record.segments.push(segment);
            let tasks = u64::from(tasks);
            days.book(today, &mut job.record, None, &UsageEntry::Tasks(tasks));
            self.add_outstanding(
                submitter,
                Outstanding { tasks, output_bytes: output_bytes.saturating_mul(tasks), definition_bytes: 0 },
            );
            let task_bytes = stored::task_bytes(&self.genesis.ledger, array.spec.redundancy);
            self.charge_stored(submitter, task_bytes.saturating_mul(tasks));
            self.records.counters_mut().tasks += tasks;
            self.take_up_segment(number);
            self.follow(number, more);
        }
        self.records.job(number).map_or(0, |job| job.index.count)
    }

    /// Takes up the next segment of a job, for which nothing has been computed yet.
    pub(super) fn take_up_segment(&mut self, number: JobNumber) {
        let Some(job) = known(self.records.job(number)) else { return };
        let at = job.index.summaries.len();
        let Some(segment) = known(job.record.segments.get(at)) else { return };
        let (needs, rank) = (self.needs_of(segment), self.rank_of(job, segment));
        let own = job.record.states.range(segment.start..segment.end).count();
        let stateless = (segment.end - segment.start).saturating_sub(u32::try_from(own).unwrap_or(u32::MAX));
        let (submitter, end, unfinished) = (job.record.submitter, segment.end, job.record.ended.is_none());
        if unfinished {
            self.need(submitter, &needs);
        }
        let Some(job) = known(self.records.job_mut(number)) else { return };
        job.index.summaries.push(SegmentSummary { needs, rank, stateless, counted: None });
        job.index.count = end;
        self.recount_segment(number, at);
    }

    /// The shared copy of what a segment's tasks need.
    pub(super) fn needs_of(&self, segment: &Segment) -> Arc<Needs> {
        self.index.one_copy(Needs::new(segment.terms.resources, segment.spec.labels.clone()))
    }

    /// The rank of a segment's tasks in the queue.
    pub(super) fn rank_of(&self, job: &Job, segment: &Segment) -> Rank {
        if is_planted(Fault::RankIgnored) {
            return Rank::default();
        }
        let admission = job.admission(segment.array);
        self.sequence.rank(&Facts {
            number: admission.number,
            admitted: admission.time,
            priority: segment.terms.priority,
            deadline: segment.terms.deadline,
            expected_ms: segment.expected_ms,
        })
    }

    /// Judges a new job by its dependencies that have ended, and registers it as a waiter of the others.
    pub(in crate::ledger) fn wait_for_jobs(&mut self, number: JobNumber, applied: &mut Applied) {
        let Some(job) = known(self.records.job(number)) else { return };
        let (after, mut missed, mut met) = (job.record.after.clone(), false, BTreeSet::new());
        for waited in &after {
            let other = self.index.number_of(&waited.job).and_then(|other| self.records.job(other));
            match other.and_then(|other| other.has_met(waited.when)) {
                Some(true) => drop(met.insert(waited.job)),
                Some(false) => missed = true,
                None => self.await_job(number, waited.job),
            }
        }
        if let Some(job) = known(self.records.job_mut(number)) {
            job.record.after.retain(|after| !met.contains(&after.job));
        }
        if missed {
            self.skip_job(number, applied);
        }
    }

    /// Registers a job as a waiter of another.
    pub(super) fn await_job(&mut self, number: JobNumber, other: JobId) {
        self.index.waiters.entry(other).or_default().insert(number);
    }

    /// Removes a job from the waiters of another.
    fn await_job_no_more(&mut self, number: JobNumber, other: JobId) {
        if let Some(waiters) = self.index.waiters.get_mut(&other) {
            waiters.remove(&number);
            if waiters.is_empty() {
                self.index.waiters.remove(&other);
            }
        }
    }

    /// Handles a job that is due: it may begin, it is closed, or its time has run out.
    pub(in crate::ledger) fn job_is_due(&mut self, number: JobNumber, applied: &mut Applied) {
        let now = self.time();
        let Some(job) = known(self.records.job_mut(number)) else { return };
        job.index.due = None;
        let passed = |time: Option<BlockTime>| time.is_some_and(|time| time <= now);
        let record = &job.record;
        let lives_until = record.times.live_ms_max.map(|ms| record.time.plus_ms(ms));
        let runs_until = record.began.zip(record.times.run_ms_max).map(|(began, ms)| began.plus_ms(ms));
        if passed(lives_until) || passed(runs_until) {
            self.stop_job(number, Gone::Expired, applied);
            return;
        }
        if passed(record.open_until) {
            job.record.open_until = None;
            applied.events.push(LedgerEvent::JobClosed { job: job.id });
            self.end_job_if_over(number, applied);
        }
        self.open_job(number);
        self.await_time(number);
    }

    /// Schedules when a job next changes by time alone.
    pub(in crate::ledger) fn await_time(&mut self, number: JobNumber) {
        let now = self.time();
        let Some(job) = known(self.records.job_mut(number)) else { return };
        let due = job.next_due(now);
        if let Some(before) = std::mem::replace(&mut job.index.due, due) {
            self.index.due.jobs.remove(&(before, number));
        }
        self.index.due.jobs.extend(due.map(|due| (due, number)));
    }

    pub(in crate::ledger) fn end_job_if_over(&mut self, number: JobNumber, applied: &mut Applied) {
        if self.records.job(number).is_some_and(|job| job.record.ended.is_none() && job.is_over()) {
            self.end_job(number, applied);
        }
    }

    /// Ends a job whose tasks have all ended.
    fn end_job(&mut self, number: JobNumber, applied: &mut Applied) {
        let now = self.time();
        let Some(job) = known(self.records.job_mut(number)) else { return };
        job.record.ended = Some(now);
        // An ended job keeps nothing whose length is unbounded.
        for segment in &mut job.record.segments {
            segment.spec = Arc::new(segment.spec.outline());
        }
        for array in &mut job.record.arrays {
            array.tasks = Arc::new(Tasks::Repeat(u32::try_from(array.tasks.count()).unwrap_or(u32::MAX)));
            array.after.clear();
        }
        job.index.graph = Graph::empty();
        job.record.deaths.clear();
        let after = std::mem::take(&mut job.record.after);
        job.record.open_until = None;
        let definition_bytes = std::mem::take(&mut job.record.definition_bytes);
        let TaskCounts { cancelled, skipped, .. } = job.index.counts;
        applied.events.push(LedgerEvent::JobEnded { job: job.id, cancelled, skipped });
        let (submitter, run) = (job.record.submitter, job.record.occurrence_of);
        let needs: Vec<Arc<Needs>> = job.index.summaries.iter().map(|summary| Arc::clone(&summary.needs)).collect();
        for needs in &needs {
            self.need_no_more(submitter, needs);
        }
        for other in after {
            self.await_job_no_more(number, other.job);
        }
        if let Some(run) = run {
            self.index.recurring.end_occurrence(run);
        }
        self.keep_ended(number, now);
        self.await_time(number);
        self.index.just_ended.push(number);
        self.subtract_outstanding(submitter, Outstanding::definition(definition_bytes));
    }

    /// Schedules when an ended job is dropped.
    pub(super) fn keep_ended(&mut self, number: JobNumber, ended: BlockTime) {
        self.index.due.retention.insert((ended.plus_ms(self.genesis.ledger.retention_ms), number));
    }

    /// Drops a job that ended long ago.
    pub(in crate::ledger) fn forget_job(&mut self, number: JobNumber) -> Option<JobId> {
        let job = known(self.records.remove_job(number))?;
        self.index.job_numbers.remove(&job.id);
        let counts = &mut self.index.counts;
        counts.succeeded -= job.index.counts.succeeded;
        counts.failed -= job.index.counts.failed;
        counts.cancelled -= job.index.counts.cancelled;
        counts.skipped -= job.index.counts.skipped;
        Some(job.id)
    }
}
