//! Splits segments where their tasks come to differ, changes them, and joins them where they are alike again.

use std::{collections::BTreeSet, sync::Arc};

use super::SegmentSummary;
use crate::{
    invariant::known,
    ledger::{
        Ledger,
        records::jobs::{FreshState, Phase, Segment, TaskRef, TaskState},
    },
    schedule::ready::JobNumber,
};

/// The most segments of one job besides one for each array.
pub(in crate::ledger) const SEGMENTS_MAX: usize = 8192;
/// What a segment costs its submitter, out of the bytes that the definitions of its jobs may take.
pub(in crate::ledger) const SEGMENT_BYTES: u64 = 256;

impl Segment {
    /// Splits into the part before a task and the part from it on.
    fn split_before(mut self, index: u32) -> (Self, Self) {
        let right = Self { start: index, fresh: self.fresh.max(index), ..self.clone() };
        self.end = index;
        self.fresh = self.fresh.min(index);
        (self, right)
    }

    /// Whether this segment and the next can be joined. Both have their array's specification, so it need not be
    /// compared.
    fn goes_on_as(&self, next: &Self) -> bool {
        self.array == next.array
            && self.terms == next.terms
            && self.expected_ms == next.expected_ms
            && self.held == next.held
            && self.gone == next.gone
            && (self.fresh == self.end || next.fresh == next.start)
    }
}

impl Ledger {
    /// Splits a job's segments so that each of these tasks begins one.
    pub(in crate::ledger) fn split_segments(&mut self, number: JobNumber, starts: &BTreeSet<u32>) {
        let Some(job) = known(self.records.job(number)) else { return };
        let split = |segment: &Segment| starts.range(segment.start + 1..segment.end).next().is_some();
        let places: Vec<usize> = (0..job.record.segments.len()).filter(|at| split(&job.record.segments[*at])).collect();
        if places.is_empty() {
            return;
        }
        for at in &places {
            self.uncount_segment(number, *at);
        }
        let Some(job) = known(self.records.job_mut(number)) else { return };
        let submitter = job.record.submitter;
        let (segments, summaries) =
            (std::mem::take(&mut job.record.segments), std::mem::take(&mut job.index.summaries));
        let mut more = Vec::new();
        for (mut segment, summary) in segments.into_iter().zip(summaries) {
            for start in starts.range(segment.start + 1..segment.end) {
                let (left, right) = segment.split_before(*start);
                more.push(Arc::clone(&summary.needs));
                job.index.summaries.push(SegmentSummary { needs: Arc::clone(&summary.needs), ..summary });
                job.record.segments.push(left);
                segment = right;
            }
            job.index.summaries.push(summary);
            job.record.segments.push(segment);
        }
        for needs in &more {
            self.need(submitter, needs);
        }
        self.recount_segments(number);
    }

    /// Joins neighbouring segments of a job that are alike.
    pub(in crate::ledger) fn join_segments(&mut self, number: JobNumber) {
        let Some(job) = known(self.records.job(number)) else { return };
        let segments = &job.record.segments;
        let joined = |at: &usize| segments[*at].goes_on_as(&segments[at + 1]);
        let places: BTreeSet<usize> = (0..segments.len().saturating_sub(1)).filter(joined).collect();
        if places.is_empty() {
            return;
        }
        for at in &places {
            self.uncount_segment(number, *at);
            self.uncount_segment(number, at + 1);
        }
        let Some(job) = known(self.records.job_mut(number)) else { return };
        let submitter = job.record.submitter;
        let (segments, summaries) =
            (std::mem::take(&mut job.record.segments), std::mem::take(&mut job.index.summaries));
        let mut fewer = Vec::new();
        for (segment, summary) in segments.into_iter().zip(summaries) {
            match job.record.segments.last_mut().filter(|last| last.goes_on_as(&segment)) {
                Some(last) => {
                    last.fresh = if last.fresh == last.end { segment.fresh } else { last.fresh };
                    last.end = segment.end;
                    fewer.push(summary.needs);
                }
                None => {
                    job.record.segments.push(segment);
                    job.index.summaries.push(summary);
                }
            }
        }
        for needs in &fewer {
            self.need_no_more(submitter, needs);
        }
        self.recount_segments(number);
    }

    /// Changes the terms of all tasks in a segment, and moves those that wait to where they then belong.
    pub(in crate::ledger) fn change_segment(
        &mut self,
        number: JobNumber,
        at: usize,
        change: impl FnOnce(&mut Segment),
    ) {
        let Some(job) = known(self.records.job(number)) else { return };
        let Some(segment) = known(job.record.segments.get(at)) else { return };
        let waits = |state: &TaskState| matches!(state, TaskState::Live(live) if matches!(live.phase, Phase::Ready | Phase::Held));
        let own = job.record.states.range(segment.start..segment.end);
        let waiting: Vec<u32> = own.filter(|(_, state)| waits(state)).map(|(index, _)| *index).collect();
        for index in &waiting {
            self.detach(TaskRef { job: number, index: *index });
        }
        self.uncount_segment(number, at);
        let Some(job) = known(self.records.job_mut(number)) else { return };
        let Some(segment) = known(job.record.segments.get_mut(at)) else { return };
        change(segment);
        let phase = if segment.held { Phase::Held } else { Phase::Ready };
        for index in &waiting {
            if let Some(live) = known(job.live_mut(*index)) {
                live.phase = phase.clone();
            }
        }
        self.value_segment(number, at);
        for index in &waiting {
            self.attach(TaskRef { job: number, index: *index });
        }
        self.recount_segment(number, at);
    }

    /// Computes what a segment's tasks need and their rank in the queue, by their present terms.
    fn value_segment(&mut self, number: JobNumber, at: usize) {
        let Some(job) = known(self.records.job(number)) else { return };
        let (Some(segment), Some(summary)) = (job.record.segments.get(at), job.index.summaries.get(at)) else {
            return;
        };
        let (needs, rank, submitter) = (self.needs_of(segment), self.rank_of(job, segment), job.record.submitter);
        let before = Arc::clone(&summary.needs);
        if before != needs {
            self.need(submitter, &needs);
            self.need_no_more(submitter, &before);
        }
        let summary = self.records.job_mut(number).and_then(|job| job.index.summaries.get_mut(at));
        if let Some(summary) = summary {
            (summary.needs, summary.rank) = (needs, rank);
        }
    }

    /// Removes a segment's tasks without states of their own from the counts and the queue.
    fn uncount_segment(&mut self, number: JobNumber, at: usize) {
        let Some(job) = known(self.records.job_mut(number)) else { return };
        let Some(entry) = known(job.run(at)) else { return };
        let Some((state, count)) = job.index.summaries.get_mut(at).and_then(|summary| summary.counted.take()) else {
            return;
        };
        for counts in [&mut job.index.counts, &mut self.index.counts] {
            *counts.of_fresh(state) -= u64::from(count);
        }
        if state == FreshState::Ready && count > 0 {
            self.index.ready.remove(&entry, &self.sequence, self.records.shares());
        }
    }

    /// Counts again the segments that were removed from the counts.
    fn recount_segments(&mut self, number: JobNumber) {
        let Some(job) = known(self.records.job_mut(number)) else { return };
        let laid_down = |at: &usize| job.index.summaries[*at].counted.is_none();
        let places: Vec<usize> = (0..job.index.summaries.len()).filter(laid_down).collect();
        for at in &places {
            let Some(segment) = known(job.record.segments.get(*at)) else { return };
            let own = job.record.states.range(segment.start..segment.end).count();
            let stateless = (segment.end - segment.start).saturating_sub(u32::try_from(own).unwrap_or(u32::MAX));
            job.index.summaries[*at].stateless = stateless;
        }
        for at in places {
            self.recount_segment(number, at);
        }
    }
}
