//! A job's timeline: what each of its tasks waited for and when, who ran it, and how each attempt ended. It is
//! computed from the attempts that the ledger keeps. These are the last
//! [`ATTEMPTS_KEPT`](crate::ledger::ATTEMPTS_KEPT) of a task, none of a cancelled task, and nothing of a forgotten
//! job.

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
    /// Its name.
    pub name: String,
    /// Its submitter.
    pub submitter: PublicKey,
    /// The last block that was executed. A span without an end still goes on at this height.
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
    /// The requested tasks, by index.
    pub tasks: Vec<TaskTimeline>,
}

/// A task's times.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskTimeline {
    /// Its place in the job.
    pub index: u32,
    /// Its array's name; may be empty.
    pub array: String,
    /// How it ended, if it has.
    pub ended: Option<TaskEnd>,
    /// How many attempts there have been, the present one included. For a done task, those up to the one with the
    /// outcome.
    pub attempts: u32,
    /// The task's spans, in order. They leave no gaps, except for times when only a speculative attempt lived. A span
    /// is empty only if an attempt ended with it. There are none for a task that will have no outcome.
    pub spans: Vec<Span>,
    /// The spans of its speculative attempts. Each runs beside the slow attempt, and perhaps beyond its end.
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

    /// Whether a span ended an attempt that was taken for lost and whose success was accepted later.
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
    /// With a success.
    Succeeded,
    /// With a final failure.
    Failed,
    /// Its submitter cancelled it.
    Cancelled,
    /// A dependency's condition could no longer be met.
    Skipped,
    /// Its job's time ran out.
    Expired,
    /// Its submitter was barred.
    Barred,
    /// Too many workers died while they ran its program.
    EndedHosts,
    /// For too long, no claim that stood could ever hold it.
    Unclaimed,
}

/// A span of time in a task's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// Since when.
    #[serde(rename = "from_us")]
    pub from: BlockTime,
    /// Until when; none if it goes on.
    #[serde(rename = "to_us")]
    pub to: Option<BlockTime>,
    /// What the task did.
    pub what: What,
}

/// What a task does during a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum What {
    /// It waits for other tasks or jobs, or for its job's time.
    Blocked,
    /// Its submitter holds it.
    Held,
    /// It waits to be leased. For past times the ledger does not know whether it could have been: it may have waited
    /// for other tasks, or for the end of a back-off.
    Queued,
    /// It waits until a back-off after a setback is over.
    BackingOff,
    /// It waits at a worker for resources.
    Waiting(AttemptSpan),
    /// It has resources at a worker.
    Running(AttemptSpan),
}

/// An attempt, or one stage of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptSpan {
    /// Its number, from 0.
    pub attempt: u32,
    /// Who holds it.
    pub worker: PublicKey,
    /// How it ended, if it ended with this span.
    pub ended: Option<EndReason>,
    /// Whether the accepted outcome is this attempt's own. (It may have been taken for lost before.)
    pub accepted: bool,
}

impl What {
    /// The attempt that a worker holds during the span, if any.
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

/// Builds consecutive spans.
struct Spans {
    /// The end of the spans so far; none if the last one goes on.
    at: Option<BlockTime>,
    spans: Vec<Span>,
    speculative: Vec<Span>,
}

impl Spans {
    /// Adds a span until `to`, unless that has passed. Without `to`, the span goes on.
    fn until(&mut self, to: Option<BlockTime>, what: What) {
        let Some(at) = self.at else { return };
        let ends = what.attempt().is_some_and(|attempt| attempt.ended.is_some());
        if to.is_none_or(|to| at < to) || ends {
            let to = to.map(|to| to.max(at));
            self.spans.push(Span { from: at, to, what });
            self.at = to;
        }
    }

    /// Adds the next attempt. One that began before the last one ended is speculative.
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
    /// The timeline of a job's tasks from index `from` on, at most `tasks_max` of them; none if there is no such job
    /// or it is forgotten.
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
        TaskStateView::Gone(Gone::Barred) => Some(TaskEnd::Barred),
        TaskStateView::Gone(Gone::EndedHosts) => Some(TaskEnd::EndedHosts),
        TaskStateView::Gone(Gone::Unclaimed) => Some(TaskEnd::Unclaimed),
        _ => None,
    }
}
