//! Control: a submitter holds, releases, changes or stops its own tasks.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use crate::{
    fault::{Fault, is_planted},
    identity::PublicKey,
    invariant::known,
    ledger::{
        Applied, EndReason, Ledger, bounds,
        index::{Consequences, Ending, Outstanding, SEGMENT_BYTES, SEGMENTS_MAX},
        records::jobs::{AttemptRef, FreshState, Gone, Job, Phase, TaskRef, TaskState},
    },
    schedule::ready::{JobNumber, Needs},
    types::{Amendment, BlockTime, Control, Deadline, Directive, Filter, JobId, Selection, VoidReason},
};

/// How many tasks with states of their own control transactions may go through in one block: for one submitter, and
/// in total. The first transaction always passes, or a large job could not be held at all.
const KEY_CONTROLLED_MAX: u64 = 1 << 17;
const CONTROLLED_MAX: u64 = 1 << 19;

/// How many such tasks this block has gone through.
#[derive(Clone, Debug, Default)]
pub(in crate::ledger) struct Controlled {
    all: u64,
    by_key: BTreeMap<PublicKey, u64>,
}

impl Controlled {
    fn takes(&self, signer: &PublicKey, more: u64) -> bool {
        let of_key = self.by_key.get(signer).copied().unwrap_or(0);
        let fits = |before: u64, most: u64| before == 0 || before + more <= most;
        fits(of_key, KEY_CONTROLLED_MAX) && fits(self.all, CONTROLLED_MAX)
    }

    fn add(&mut self, signer: PublicKey, more: u64) {
        self.all += more;
        *self.by_key.entry(signer).or_default() += more;
    }
}

impl Filter {
    const fn of_fresh(state: FreshState) -> Option<Self> {
        match state {
            FreshState::Ready => Some(Self::Ready),
            FreshState::Blocked => Some(Self::Blocked),
            FreshState::Held => Some(Self::Held),
            FreshState::Gone(_) => None,
        }
    }

    fn of_state(state: &TaskState) -> Option<Self> {
        let TaskState::Live(live) = state else { return None };
        match &live.phase {
            Phase::Ready => Some(Self::Ready),
            Phase::Held => Some(Self::Held),
            Phase::BackingOff(_) => Some(Self::BackingOff),
            Phase::Leased(_) | Phase::Replicated if live.lease().is_some_and(|lease| lease.allocation.is_some()) => {
                Some(Self::Running)
            }
            Phase::Leased(_) | Phase::Replicated => Some(Self::Waiting),
        }
    }
}

/// Ascending ranges of tasks. Adjacent ones are joined.
#[derive(Default)]
struct Runs(Vec<Range<u32>>);

impl Runs {
    fn add(&mut self, tasks: Range<u32>) {
        match self.0.last_mut() {
            Some(last) if last.end == tasks.start => last.end = tasks.end,
            _ if tasks.is_empty() => {}
            _ => self.0.push(tasks),
        }
    }
}

impl Job {
    /// The ranges of a selection, cut to the job's tasks.
    fn ranges_of<'a>(&'a self, which: &'a Selection) -> impl Iterator<Item = Range<u32>> + 'a {
        let all = which.ranges.is_empty().then_some((0, u32::MAX));
        let ranges = all.into_iter().chain(which.ranges.iter().copied());
        ranges.map(|(first, last)| first.min(self.count())..last.saturating_add(1).min(self.count()))
    }

    /// The unfinished tasks of a selection, as ranges that each lie in one segment.
    fn select(&self, which: &Selection, now: BlockTime) -> Vec<Range<u32>> {
        let picks =
            |filter: Option<Filter>| filter.is_some_and(|own| which.only.is_empty() || which.only.contains(&own));
        let mut selected = Vec::new();
        for range in self.ranges_of(which) {
            let mut at = self.segment_at(range.start).unwrap_or(usize::MAX);
            while let Some(segment) = self.record.segments.get(at).filter(|segment| segment.start < range.end) {
                let (start, end) = (segment.start.max(range.start), segment.end.min(range.end));
                let takes_rest = picks(Filter::of_fresh(self.fresh_state(at, now)));
                let (mut runs, mut next) = (Runs::default(), start);
                for (index, state) in self.record.states.range(start..end) {
                    if takes_rest {
                        runs.add(next..*index);
                    }
                    if picks(Filter::of_state(state)) {
                        runs.add(*index..index + 1);
                    }
                    next = index + 1;
                }
                if takes_rest {
                    runs.add(next..end);
                }
                selected.append(&mut runs.0);
                at += 1;
            }
        }
        selected
    }

    /// The most steps that going through a selection takes.
    fn steps_of(&self, which: &Selection) -> u64 {
        let named: u64 = self.ranges_of(which).map(|range| u64::from(range.end.saturating_sub(range.start))).sum();
        named.min(self.record.states.len() as u64) + self.record.segments.len() as u64
    }
}

impl Ledger {
    pub(in crate::ledger) fn check_control(&self, signer: &PublicKey, control: &Control) -> Result<(), VoidReason> {
        let job = self.own_job(signer, control.job)?;
        let Control { which, directive, .. } = control;
        bounds::check_selection(which)?;
        if let Directive::Amend(amendment) = directive {
            bounds::check_amendment(amendment)?;
            if matches!(amendment.deadline, Some(Deadline::At(time)) if time <= self.time()) {
                return Err(VoidReason::DeadlinePassed);
            }
        }
        // A job that has ended in the meantime stays as it ended.
        if which.is_all() && *directive == Directive::Cancel {
            return Ok(());
        }
        if !self.block.controlled.takes(signer, job.steps_of(which)) {
            return Err(VoidReason::ControlsFull);
        }
        let selected = job.select(which, self.time());
        let waits_for_tasks = which.is_all() && job.record.open_until.is_some();
        if selected.is_empty() && !waits_for_tasks {
            return Err(VoidReason::NothingSelected);
        }
        if !which.is_all() {
            let more = 2 * selected.len();
            if job.record.segments.len() + more > job.record.arrays.len() + SEGMENTS_MAX {
                return Err(VoidReason::TooManySegments);
            }
            self.check_quotas(signer, &[], more as u64 * SEGMENT_BYTES)?;
        }
        match directive {
            Directive::Amend(amendment) if amendment.is_of_resources() => {
                self.check_needs(signer, &self.needs_amended(job, &selected, amendment))
            }
            _ => Ok(()),
        }
    }

    fn needs_amended(&self, job: &Job, selected: &[Range<u32>], amendment: &Amendment) -> BTreeSet<Needs> {
        let segments = selected.iter().filter_map(|run| job.segment(run.start));
        let needs = segments.map(|segment| {
            let terms = segment.terms.amended(amendment);
            Needs::new(terms.resources, segment.spec.labels.clone())
        });
        needs.collect()
    }

    /// A job, if it belongs to the signer.
    pub(in crate::ledger) fn own_job(&self, signer: &PublicKey, id: JobId) -> Result<&Job, VoidReason> {
        let number = self.index.number_of(&id).ok_or(VoidReason::UnknownJob)?;
        let job = self.records.job(number).ok_or(VoidReason::UnknownJob)?;
        if job.record.submitter == *signer { Ok(job) } else { Err(VoidReason::NotYours) }
    }

    pub(in crate::ledger) fn control(&mut self, signer: PublicKey, control: &Control, applied: &mut Applied) {
        let Control { job, which, directive } = control;
        let Some(number) = known(self.index.number_of(job)) else { return };
        if which.is_all() && *directive == Directive::Cancel {
            self.stop_job(number, Gone::Cancelled, applied);
            return;
        }
        let now = self.time();
        let Some(job) = known(self.records.job_mut(number)) else { return };
        self.block.controlled.add(signer, job.steps_of(which));
        if which.is_all() {
            match directive {
                Directive::Hold => job.record.held = true,
                Directive::Release => job.record.held = false,
                Directive::Amend(Amendment { deadline: Some(deadline), .. }) => {
                    job.record.times.deadline = match deadline {
                        Deadline::At(time) => Some(*time),
                        Deadline::Never => None,
                    };
                }
                Directive::Amend(_) | Directive::Cancel => {}
            }
        }
        let before = job.record.segments.len();
        let selected = job.select(which, now);
        match directive {
            Directive::Cancel => self.stop_tasks(number, &selected, Gone::Cancelled, applied),
            Directive::Hold => self.change_tasks(number, &selected, |ledger, at| {
                ledger.change_segment(number, at, |segment| segment.held = true);
            }),
            Directive::Release => self.change_tasks(number, &selected, |ledger, at| {
                ledger.change_segment(number, at, |segment| segment.held = false);
            }),
            Directive::Amend(amendment) => {
                if amendment.is_of_resources() && !is_planted(Fault::WaitingKeepsOldNeeds) {
                    self.take_back_waiting(number, &selected, applied);
                }
                self.change_tasks(number, &selected, |ledger, at| {
                    ledger.change_segment(number, at, |segment| segment.terms = segment.terms.amended(amendment));
                });
            }
        }
        self.join_segments(number);
        self.charge_segments(number, before);
        self.end_job_if_over(number, applied);
    }

    /// Splits segments at these tasks, and changes the segments that hold only them.
    fn change_tasks(&mut self, number: JobNumber, selected: &[Range<u32>], change: impl Fn(&mut Self, usize)) {
        self.split_segments(number, &selected.iter().flat_map(|run| [run.start, run.end]).collect());
        for run in selected {
            if let Some(at) = self.records.job(number).and_then(|job| job.segment_at(run.start)) {
                change(self, at);
            }
        }
    }

    /// Gives back the attempts that wait at their workers, because their terms have changed.
    fn take_back_waiting(&mut self, number: JobNumber, selected: &[Range<u32>], applied: &mut Applied) {
        let Some(job) = known(self.records.job(number)) else { return };
        let own = selected.iter().flat_map(|run| job.record.states.range(run.clone()));
        let live = own
            .filter_map(|(index, state)| if let TaskState::Live(live) = state { Some((*index, live)) } else { None });
        let waiting = live.flat_map(|(index, live)| {
            let task = TaskRef { job: number, index };
            let waiting = live.leases().filter(|lease| lease.waits());
            waiting.map(move |lease| AttemptRef::of(task, lease.attempt))
        });
        let waiting: Vec<AttemptRef> = waiting.collect();
        for attempt in waiting {
            self.give_back(attempt, EndReason::TakenBack, applied);
        }
    }

    /// Charges the submitter for the segments that the job has gained, or refunds those that it has lost.
    fn charge_segments(&mut self, number: JobNumber, before: usize) {
        let Some(job) = known(self.records.job_mut(number)) else { return };
        let (submitter, now, record) = (job.record.submitter, job.record.segments.len(), &mut job.record);
        let bytes = |segments: usize| Outstanding::definition(segments as u64 * SEGMENT_BYTES);
        let (more, fewer) = (bytes(now.saturating_sub(before)), bytes(before.saturating_sub(now)));
        record.definition_bytes =
            record.definition_bytes.saturating_add(more.definition_bytes).saturating_sub(fewer.definition_bytes);
        self.add_outstanding(submitter, more);
        self.subtract_outstanding(submitter, fewer);
    }

    /// Ends tasks of a job without an outcome, and the dependents that waited for their success.
    pub(in crate::ledger) fn stop_tasks(
        &mut self,
        number: JobNumber,
        selected: &[Range<u32>],
        why: Gone,
        applied: &mut Applied,
    ) {
        let Some(job) = known(self.records.job(number)) else { return };
        let states = &job.record.states;
        let has_others = |run: &&Range<u32>| states.range((*run).clone()).count() < run.len();
        let vanishing: Vec<Range<u32>> = selected.iter().filter(has_others).cloned().collect();
        let live = selected.iter().flat_map(|run| states.range(run.clone()));
        let live = live.filter(|(_, state)| matches!(state, TaskState::Live(_)));
        let live: Vec<u32> = live.map(|(index, _)| *index).collect();
        let mut next = Consequences::default();
        self.split_segments(number, &vanishing.iter().flat_map(|run| [run.start, run.end]).collect());
        for run in &vanishing {
            if let Some(at) = self.records.job(number).and_then(|job| job.segment_at(run.start)) {
                self.vanish(number, at, why, &mut next);
            }
        }
        for index in live {
            let task = TaskRef { job: number, index };
            self.give_up(task, why, applied);
            self.end_in_graph(task, Ending::Gone, &mut next);
        }
        self.follow(number, next);
    }

    /// Ends a job: its tasks without an outcome will have none.
    pub(in crate::ledger) fn stop_job(&mut self, number: JobNumber, why: Gone, applied: &mut Applied) {
        let Some(job) = known(self.records.job_mut(number)) else { return };
        if job.record.ended.is_some() {
            return;
        }
        job.record.open_until = None;
        let live = job.record.states.iter().filter(|(_, state)| matches!(state, TaskState::Live(_)));
        let live: Vec<u32> = live.map(|(index, _)| *index).collect();
        // Waiting tasks first, so that none of them takes the place of an attempt that is stopped.
        for at in 0..job.record.segments.len() {
            self.vanish(number, at, why, &mut Consequences::default());
        }
        for index in live {
            self.give_up(TaskRef { job: number, index }, why, applied);
        }
        self.end_job_if_over(number, applied);
    }
}
