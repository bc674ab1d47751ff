//! A job's timeline: what each of its tasks waited for and when, who ran it, and how each attempt ended. Computed from
//! what the ledger keeps of attempts: the last [`ATTEMPTS_KEPT`](crate::ledger::ATTEMPTS_KEPT) of a task, none of one
//! that was cancelled, and nothing of a job that is forgotten.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{
    identity::PublicKey,
    ledger::{
        EndReason, Gone, Ledger, PastAttempt, TaskStateView, TaskView,
        records::jobs::{Job, Lease, Live},
    },
    types::{AttemptNumber, BlockTime, Height, JobId, TaskId},
};

/// A job with the times of some of its tasks, at one height.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeline {
    /// The job.
    pub job: JobId,
    /// What people call it.
    pub name: String,
    /// Whose it is.
    pub submitter: PublicKey,
    /// The last block that was executed: what goes on, goes on then.
    pub height: Height,
    /// That block's time.
    #[serde(rename = "time_us")]
    pub time: BlockTime,
    /// When it was admitted.
    #[serde(rename = "submitted_us")]
    pub submitted: BlockTime,
    /// When its first task was leased, if one was.
    #[serde(rename = "began_us")]
    pub began: Option<BlockTime>,
    /// When its last task ended, if all have.
    #[serde(rename = "ended_us")]
    pub ended: Option<BlockTime>,
    /// How many tasks it has.
    pub count: u32,
    /// Those that were asked for, by index.
    pub tasks: Vec<TaskTimeline>,
}

/// A task's times.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskTimeline {
    /// Its place in the job.
    pub index: u32,
    /// What people call its array; may be empty.
    pub array: String,
    /// How it ended, if it has.
    pub ended: Option<TaskEnd>,
    /// How many attempts there were, the present one included. Of a task that was done, up to the one that did it.
    pub attempts: u32,
    /// What it went through, one after the other without a gap but for times when only a speculative attempt lived,
    /// each for longer than nothing unless an attempt ended by it. Nothing of a task that will have no outcome.
    pub spans: Vec<Span>,
    /// What its speculative attempts went through, each beside the slow one, and perhaps beyond.
    pub speculative: Vec<Span>,
}

impl TaskTimeline {
    /// How many of its attempts are forgotten.
    #[must_use]
    pub fn forgotten(&self) -> u32 {
        let spans = self.spans.iter().chain(&self.speculative).filter_map(|span| span.what.attempt());
        let known: BTreeSet<u32> = spans.map(|span| span.attempt).filter(|number| *number < self.attempts).collect();
        let known = known.len();
        self.attempts.saturating_sub(u32::try_from(known).unwrap_or(u32::MAX))
    }

    /// Whether a span ended an attempt that was thought lost, and whose success was accepted later.
    #[must_use]
    pub fn is_late(&self, span: &Span) -> bool {
        self.ended == Some(TaskEnd::Succeeded)
            && span
                .what
                .attempt()
                .is_some_and(|attempt| attempt.accepted && attempt.ended.is_some_and(|why| why != EndReason::Succeeded))
    }
}

/// How a task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TaskEnd {
    /// Well.
    Succeeded,
    /// Badly, for good.
    Failed,
    /// Its submitter cancelled it.
    Cancelled,
    /// What it waited for cannot be any more.
    Skipped,
    /// Its job's time ran out.
    Expired,
}

/// A time in a task's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// Since when.
    #[serde(rename = "from_us")]
    pub from: BlockTime,
    /// Until when; nothing if it goes on.
    #[serde(rename = "to_us")]
    pub to: Option<BlockTime>,
    /// What it was.
    pub what: What,
}

/// What a task does for a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum What {
    /// It waits for other tasks or jobs, or for its job's time.
    Blocked,
    /// Its submitter holds it.
    Held,
    /// It waits to be leased. Of times that are past the ledger does not know whether it could have been: it may have
    /// waited for other tasks, or after a setback.
    Queued,
    /// It waits after a setback.
    BackingOff,
    /// It waits at a worker for resources.
    Waiting(AttemptSpan),
    /// It has resources at a worker.
    Running(AttemptSpan),
}

/// An attempt, or a part of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptSpan {
    /// Which, from 0.
    pub attempt: u32,
    /// Who holds it.
    pub worker: PublicKey,
    /// How it ended, if it ended with this.
    pub ended: Option<EndReason>,
    /// Whether the outcome that was accepted is its own. (That may be one that was thought lost.)
    pub accepted: bool,
}

impl What {
    /// The attempt that a worker holds meanwhile, if one does.
    #[must_use]
    pub const fn attempt(&self) -> Option<&AttemptSpan> {
        match self {
            Self::Waiting(attempt) | Self::Running(attempt) => Some(attempt),
            _ => None,
        }
    }
}

/// An attempt, ended or not.
struct Attempt {
    span: AttemptSpan,
    leased: BlockTime,
    started: Option<BlockTime>,
    ended: Option<BlockTime>,
}

impl Attempt {
    fn past(past: &PastAttempt, accepted: Option<AttemptNumber>) -> Self {
        let accepted = accepted == Some(past.number);
        Self {
            span: AttemptSpan { attempt: past.number.0, worker: past.worker, ended: Some(past.why), accepted },
            leased: past.leased,
            started: past.started,
            ended: Some(past.ended),
        }
    }

    fn present(lease: &Lease) -> Self {
        Self {
            span: AttemptSpan { attempt: lease.attempt.0, worker: lease.worker, ended: None, accepted: false },
            leased: lease.leased,
            started: lease.allocation.map(|allocation| allocation.started),
            ended: None,
        }
    }
}

/// Puts spans one after the other.
struct Spans {
    /// Until when it is known; for good, if something goes on.
    at: Option<BlockTime>,
    spans: Vec<Span>,
    speculative: Vec<Span>,
}

impl Spans {
    /// Until a time it was this, unless that has passed; or it still is.
    fn until(&mut self, to: Option<BlockTime>, what: What) {
        let Some(at) = self.at else { return };
        let ends = what.attempt().is_some_and(|attempt| attempt.ended.is_some());
        if to.is_none_or(|to| at < to) || ends {
            let to = to.map(|to| to.max(at));
            self.spans.push(Span { from: at, to, what });
            self.at = to;
        }
    }

    /// The next attempt; one that began before the last one ended is speculative.
    fn attempt(&mut self, attempt: &Attempt) {
        let Attempt { span, leased, started, ended } = attempt;
        if self.at.is_none_or(|at| *leased < at) {
            self.speculative.push(Span { from: *leased, to: *ended, what: What::Running(*span) });
            self.at = self.at.zip(*ended).map(|(at, ended)| at.max(ended));
            return;
        }
        self.until(Some(*leased), What::Queued);
        match started {
            Some(started) => {
                self.until(Some(*started), What::Waiting(AttemptSpan { ended: None, ..*span }));
                self.until(*ended, What::Running(*span));
            }
            None => self.until(*ended, What::Waiting(*span)),
        }
    }
}

impl Ledger {
    /// The times of a job's tasks from one on, at most so many; nothing if there is no such job, or it is forgotten.
    #[must_use]
    pub fn timeline(&self, id: JobId, from: u32, tasks_max: usize) -> Option<Timeline> {
        let job = self.records.job(self.index.number_of(&id)?)?;
        let record = &job.record;
        let tasks = (from..job.count()).take(tasks_max);
        Some(Timeline {
            job: id,
            name: record.name.clone(),
            submitter: record.submitter,
            height: self.height(),
            time: self.time(),
            submitted: record.time,
            began: record.began,
            ended: record.ended,
            count: job.count(),
            tasks: tasks.filter_map(|index| self.timeline_of(job, TaskId { job: id, index })).collect(),
        })
    }

    fn timeline_of(&self, job: &Job, id: TaskId) -> Option<TaskTimeline> {
        let view = self.task(id)?;
        let array = job.record.arrays.get(usize::from(view.array)).map(|array| array.name.clone());
        let spans = spans(job, &view, self.time());
        Some(TaskTimeline {
            index: id.index,
            array: array.unwrap_or_default(),
            ended: ended(view.state),
            attempts: view.attempts,
            spans: spans.spans,
            speculative: spans.speculative,
        })
    }
}

fn spans(job: &Job, view: &TaskView<'_>, now: BlockTime) -> Spans {
    let mut spans = Spans { at: Some(job.record.time), spans: Vec::new(), speculative: Vec::new() };
    let accepted = match view.state {
        TaskStateView::Done { attempt, .. } => Some(attempt),
        TaskStateView::Gone(_) => return spans,
        _ => None,
    };
    if let Some(opens) = job.record.times.not_before
        && view.state != TaskStateView::Blocked
    {
        spans.until(Some(opens.min(now)), What::Blocked);
    }
    let past = view.past.iter().map(|past| Attempt::past(past, accepted));
    let present = job.live(view.id.index).into_iter().flat_map(Live::leases).map(Attempt::present);
    let mut attempts: Vec<Attempt> = past.chain(present).collect();
    attempts.sort_by_key(|attempt| attempt.span.attempt);
    for attempt in &attempts {
        spans.attempt(attempt);
    }
    match view.state {
        TaskStateView::Blocked => spans.until(None, What::Blocked),
        TaskStateView::Held => spans.until(None, What::Held),
        TaskStateView::Ready => spans.until(None, What::Queued),
        TaskStateView::BackingOff { .. } => spans.until(None, What::BackingOff),
        TaskStateView::Leased { .. } | TaskStateView::Done { .. } | TaskStateView::Gone(_) => {}
    }
    spans
}

const fn ended(state: TaskStateView) -> Option<TaskEnd> {
    match state {
        TaskStateView::Done { succeeded: true, .. } => Some(TaskEnd::Succeeded),
        TaskStateView::Done { .. } => Some(TaskEnd::Failed),
        TaskStateView::Gone(Gone::Cancelled) => Some(TaskEnd::Cancelled),
        TaskStateView::Gone(Gone::Skipped) => Some(TaskEnd::Skipped),
        TaskStateView::Gone(Gone::Expired) => Some(TaskEnd::Expired),
        _ => None,
    }
}
