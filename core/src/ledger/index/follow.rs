//! What follows when something ends or opens: the tasks, arrays and jobs that depend on it may begin, or are skipped
//! because their condition can no longer be met.
//!
//! This module and `attach` keep counts and queues in step with the records: `attach` for tasks that have states of
//! their own, this one for those without.

use super::{Consequences, Ending, Judged, judge, quotas::EndedTasks};
use crate::{
    invariant::known,
    ledger::{
        Applied, Ledger,
        records::jobs::{FreshState, Gone, Job, Live, Phase, TaskCounts, TaskRef, TaskState},
    },
    schedule::ready::JobNumber,
    types::{AfterJob, When},
};

impl Job {
    /// Whether the job has met a dependent's condition; none while it has not ended.
    pub(in crate::ledger) fn has_met(&self, when: When) -> Option<bool> {
        self.record.ended?;
        Some(judge(when, self.ending()) == Judged::Met)
    }

    /// How the job as a whole ended, as its dependents see it.
    fn ending(&self) -> Ending {
        let TaskCounts { succeeded, failed, cancelled, skipped, .. } = *self.counts();
        if failed > 0 {
            Ending::Failed
        } else if cancelled > 0 || succeeded == 0 && skipped > 0 {
            Ending::Gone
        } else {
            Ending::Well
        }
    }

    /// The positions of an array's segments.
    fn segments_of(&self, array: u16) -> std::ops::Range<usize> {
        let segments = &self.record.segments;
        segments.partition_point(|segment| segment.array < array)
            ..segments.partition_point(|segment| segment.array <= array)
    }

    /// The tasks of a segment that have no states of their own.
    fn stateless(&self, at: usize) -> Vec<u32> {
        let Some(segment) = known(self.record.segments.get(at)) else { return Vec::new() };
        (segment.fresh..segment.end).filter(|index| !self.record.states.contains_key(index)).collect()
    }
}

impl Ledger {
    /// Counts again the tasks of a segment that have no states of their own, and adds them to the queue or removes
    /// them.
    pub(in crate::ledger) fn recount_segment(&mut self, number: JobNumber, at: usize) {
        let now = self.time();
        let Some(job) = known(self.records.job_mut(number)) else { return };
        let state = job.fresh_state(at, now);
        let Some(entry) = known(job.run(at)) else { return };
        let Some(summary) = known(job.index.summaries.get_mut(at)) else { return };
        let count = summary.stateless;
        let before = summary.counted.replace((state, count));
        for counts in [&mut job.index.counts, &mut self.index.counts] {
            if let Some((before, count)) = before {
                *counts.of_fresh(before) -= u64::from(count);
            }
            *counts.of_fresh(state) += u64::from(count);
        }
        let queued = |state: Option<(FreshState, u32)>| matches!(state, Some((FreshState::Ready, 1..)));
        match (queued(before), queued(Some((state, count)))) {
            (false, true) => self.index.ready.push(&entry, &self.sequence, self.records.shares()),
            (true, false) => self.index.ready.remove(&entry, &self.sequence, self.records.shares()),
            _ => {}
        }
    }

    /// Opens whatever may begin in a job that may begin.
    pub(in crate::ledger) fn open_job(&mut self, number: JobNumber) {
        let Some(job) = known(self.records.job(number)) else { return };
        if job.is_shut(self.time()) {
            return;
        }
        let open: Vec<u16> = (0..job.index.graph.arrays()).filter(|array| job.index.graph.is_open(*array)).collect();
        for array in open {
            self.open_array(number, array);
        }
    }

    fn open_array(&mut self, number: JobNumber, array: u16) {
        let Some(job) = known(self.records.job(number)) else { return };
        let (segments, free) = (job.segments_of(array), job.index.graph.free_of(array));
        for at in segments {
            self.recount_segment(number, at);
        }
        for index in free {
            self.free(TaskRef { job: number, index });
        }
    }

    /// Gives a task a state of its own once it waits for no single task any more, if its array and its job may begin.
    fn free(&mut self, task: TaskRef) {
        let now = self.time();
        let Some(job) = known(self.records.job_mut(task.job)) else { return };
        let Some(at) = known(job.segment_at(task.index)) else { return };
        let segment = &job.record.segments[at];
        let may_begin = !job.is_shut(now) && job.index.graph.is_open(segment.array) && segment.gone.is_none();
        if !may_begin || job.record.states.contains_key(&task.index) {
            return;
        }
        let phase = if segment.held { Phase::Held } else { Phase::Ready };
        let live = Live::at(phase);
        job.record.states.insert(task.index, TaskState::Live(Box::new(live)));
        job.index.summaries[at].stateless -= 1;
        self.recount_segment(task.job, at);
        self.attach(task);
    }

    /// Carries out what the end of a task means for other tasks of its job.
    pub(in crate::ledger) fn follow_task(&mut self, task: TaskRef, ending: Ending, applied: &mut Applied) {
        let mut consequences = Consequences::default();
        self.end_in_graph(task, ending, &mut consequences);
        self.follow(task.job, consequences);
        self.end_job_if_over(task.job, applied);
    }

    /// Carries out consequences, and the consequences of those.
    pub(in crate::ledger) fn follow(&mut self, number: JobNumber, mut next: Consequences) {
        while !next.is_empty() {
            let Consequences { opened, missed, freed, lost } = std::mem::take(&mut next);
            for array in missed {
                self.skip_array(number, array, &mut next);
            }
            for index in lost {
                self.skip_task(TaskRef { job: number, index }, &mut next);
            }
            for array in opened {
                self.open_array(number, array);
            }
            for index in freed {
                self.free(TaskRef { job: number, index });
            }
        }
    }

    fn skip_array(&mut self, number: JobNumber, array: u16, next: &mut Consequences) {
        let Some(job) = known(self.records.job(number)) else { return };
        for at in job.segments_of(array) {
            self.vanish(number, at, Gone::Skipped, next);
        }
    }

    fn skip_task(&mut self, task: TaskRef, next: &mut Consequences) {
        let Some(job) = known(self.records.job_mut(task.job)) else { return };
        let Some(at) = known(job.segment_at(task.index)) else { return };
        let segment = &job.record.segments[at];
        if segment.gone.is_some() || job.record.states.contains_key(&task.index) {
            return;
        }
        let (array, ended) = (segment.array, EndedTasks::of(job, segment, 1));
        job.record.states.insert(task.index, TaskState::Gone(Gone::Skipped));
        job.index.summaries[at].stateless -= 1;
        job.index.graph.end(array, task.index, Ending::Gone, next);
        self.recount_segment(task.job, at);
        self.attach(task);
        self.records.counters_mut().skipped += 1;
        self.settle_tasks(&ended);
    }

    /// Ends the tasks of a segment that have no states of their own, without an outcome.
    pub(in crate::ledger) fn vanish(&mut self, number: JobNumber, at: usize, why: Gone, next: &mut Consequences) {
        let Some(job) = known(self.records.job_mut(number)) else { return };
        let stateless = job.stateless(at);
        let Some(segment) = known(job.record.segments.get_mut(at)) else { return };
        if segment.gone.is_some() {
            return;
        }
        segment.gone = Some(why);
        let (array, count) = (segment.array, stateless.len() as u64);
        let Some(ended) = known(job.record.segments.get(at).map(|segment| EndedTasks::of(job, segment, count))) else {
            return;
        };
        job.index.graph.vanish(array, stateless.into_iter(), next);
        self.recount_segment(number, at);
        match why {
            Gone::Skipped => self.records.counters_mut().skipped += count,
            Gone::Cancelled | Gone::Expired | Gone::Barred | Gone::EndedHosts | Gone::Unclaimed => {
                self.records.counters_mut().cancelled += count;
            }
        }
        self.settle_tasks(&ended);
    }

    /// Carries out what the end of jobs means for the jobs that wait for them, directly or through others.
    pub(in crate::ledger) fn follow_ended_jobs(&mut self, applied: &mut Applied) {
        while let Some(number) = self.index.just_ended.pop() {
            let Some(job) = known(self.records.job(number)) else { continue };
            let (id, ending) = (job.id, job.ending());
            for waiter in self.index.waiters.remove(&id).unwrap_or_default() {
                let Some(job) = known(self.records.job_mut(waiter)) else { continue };
                let judged = |after: &AfterJob| after.job == id && judge(after.when, ending) == Judged::Missed;
                let missed = job.record.after.iter().any(judged);
                job.record.after.retain(|after| after.job != id);
                if missed {
                    self.skip_job(waiter, applied);
                } else {
                    self.open_job(waiter);
                }
            }
        }
    }

    /// Skips a job whose condition can no longer be met. None of its tasks has begun.
    pub(in crate::ledger) fn skip_job(&mut self, number: JobNumber, applied: &mut Applied) {
        let Some(job) = known(self.records.job_mut(number)) else { return };
        if job.record.ended.is_some() {
            return;
        }
        job.record.open_until = None;
        for at in 0..job.record.segments.len() {
            self.vanish(number, at, Gone::Skipped, &mut Consequences::default());
        }
        self.end_job_if_over(number, applied);
    }

    /// Records in the graph that a task has ended, for other tasks of its job.
    pub(in crate::ledger) fn end_in_graph(&mut self, task: TaskRef, ending: Ending, consequences: &mut Consequences) {
        let Some(job) = known(self.records.job_mut(task.job)) else { return };
        let Some((array, _)) = known(job.array_index(task.index)) else { return };
        job.index.graph.end(array, task.index, ending, consequences);
    }
}
