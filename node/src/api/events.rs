//! The event stream: server-sent events made from executed blocks.

use std::{collections::BTreeSet, convert::Infallible, sync::Arc, time::Duration};

use axum::{
    extract::{Query, State},
    response::sse::{Event, KeepAlive, Sse},
};
use futures::{Stream, StreamExt};
use meshwork_api::{EventFilter, EventView, TaskState, ended_in_words};
use meshwork_core::{
    ledger::{EndReason, LedgerEvent, PastOccurrences},
    replica::EndedJob,
    types::{AttemptId, JobId, TaskId},
};
use tokio_stream::wrappers::{BroadcastStream, errors::BroadcastStreamRecvError};

use super::{Api, error::ApiError, jobs, recurring};
use crate::driver::{FinalizedBlock, News};

pub(super) async fn stream(
    State(api): State<Api>,
    Query(filter): Query<EventFilter>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, ApiError> {
    let finalized = BroadcastStream::new(api.driver.finalized());
    let events = finalized.flat_map(move |block| {
        let (block, missed) = match block {
            Ok(News::Finalized(block)) => (Some(block), None),
            Ok(News::Jumped(events)) | Err(BroadcastStreamRecvError::Lagged(events)) => {
                (None, Some(EventView::Missed { events }))
            }
        };
        let views = block.map(|block| views(&block, filter)).into_iter().flatten().chain(missed);
        // Writing an event as JSON cannot fail: it consists of numbers and texts.
        futures::stream::iter(views.filter_map(|view| Event::default().json_data(view).ok()).map(Ok))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(Duration::from_secs(10))))
}

/// The wanted events of a block. Each is made when the stream has come to it: of a large block, all of them would take
/// megabytes for each stream whose client does not read.
fn views(block: &Arc<FinalizedBlock>, filter: EventFilter) -> impl Iterator<Item = EventView> + Send + use<> {
    let executed = &block.executed;
    let first = filter.job.is_none().then(|| EventView::Block {
        height: executed.block.header.height,
        time_us: executed.block.header.time.0,
        transactions: executed.block.transactions.len(),
        finality_ms: block.finality_us as f64 / 1000.0,
    });
    let wanted = move |job: &JobId| filter.job.is_none_or(|only| only == *job);
    let outcomes = executed.applied.receipts.iter().filter_map(jobs::outcome_of).map(|(task, ..)| task);
    let done: BTreeSet<TaskId> =
        if filter.tasks == Some(false) { BTreeSet::new() } else { outcomes.filter(|task| wanted(&task.job)).collect() };
    let event = move |block: &FinalizedBlock, at| ledger_view(block.executed.applied.events.get(at)?, filter, &done);
    let outcome = move |block: &FinalizedBlock, at| {
        let outcome = jobs::outcome_of(block.executed.applied.receipts.get(at)?)?;
        let (TaskId { job, index }, attempt, worker, state, why) = outcome;
        let sends = filter.tasks != Some(false) && wanted(&job);
        sends.then_some(EventView::Task { job, index, attempt, state, worker, why })
    };
    let ended = move |block: &FinalizedBlock, at| {
        let job: &EndedJob = block.executed.ended.get(at)?;
        wanted(&job.id).then(|| EventView::JobEnded { job: job.id, counts: jobs::ended_counts(job) })
    };
    first
        .into_iter()
        .chain(each(Arc::clone(block), executed.applied.events.len(), event))
        .chain(each(Arc::clone(block), executed.applied.receipts.len(), outcome))
        .chain(each(Arc::clone(block), executed.ended.len(), ended))
}

/// What a function makes of each of so many parts of a block.
fn each(
    block: Arc<FinalizedBlock>,
    count: usize,
    view: impl Fn(&FinalizedBlock, usize) -> Option<EventView>,
) -> impl Iterator<Item = EventView> {
    (0..count).filter_map(move |at| view(&block, at))
}

/// The event that a listener gets for a ledger event, if it wants one. Tasks in `done` have an outcome in the same
/// block.
fn ledger_view(event: &LedgerEvent, filter: EventFilter, done: &BTreeSet<TaskId>) -> Option<EventView> {
    let wanted = |job: &JobId| filter.job.is_none_or(|only| only == *job);
    let whole_ledger = filter.job.is_none();
    match event {
        LedgerEvent::JobAdmitted { job, tasks } if wanted(job) => {
            Some(EventView::JobAdmitted { job: *job, tasks: *tasks })
        }
        LedgerEvent::RecurringRun { recurring, occurrence, job } if whole_ledger => {
            Some(EventView::RecurringRun { recurring: *recurring, occurrence_us: occurrence.0, job: *job })
        }
        LedgerEvent::RecurringSkipped { recurring, first, last, occurrences, why } if whole_ledger => {
            let past = PastOccurrences { first: *first, last: *last, occurrences: *occurrences, became: Err(*why) };
            let occurrences = recurring::occurrences(&past);
            Some(EventView::RecurringSkipped { recurring: *recurring, occurrences })
        }
        LedgerEvent::ChangeApproved { proposal, change } if whole_ledger => {
            Some(EventView::ChangeApproved { proposal: *proposal, change: (&**change).into() })
        }
        event if filter.tasks != Some(false) => {
            task_view(event, done).filter(|(job, _)| wanted(job)).map(|(_, view)| view)
        }
        _ => None,
    }
}

/// The event of one task that a ledger event left without an outcome.
fn task_view(event: &LedgerEvent, done: &BTreeSet<TaskId>) -> Option<(JobId, EventView)> {
    let view = |attempt: &AttemptId, worker, state, why: Option<&str>| {
        let AttemptId { task: TaskId { job, index }, number } = *attempt;
        let why = why.map(str::to_owned);
        Some((job, EventView::Task { job, index, attempt: number.0, state, worker, why }))
    };
    match event {
        LedgerEvent::Leased { attempt, worker, speculative: true, .. } => {
            view(attempt, *worker, TaskState::Running, Some("speculative, since another attempt is slow"))
        }
        LedgerEvent::Leased { attempt, worker, running, .. } => {
            view(attempt, *worker, if *running { TaskState::Running } else { TaskState::Waiting }, None)
        }
        LedgerEvent::Started { attempt, worker } => view(attempt, *worker, TaskState::Running, None),
        LedgerEvent::Ended { attempt, worker, why, goes_on } if !done.contains(&attempt.task) => {
            let state = match why {
                EndReason::Cancelled => TaskState::Cancelled,
                _ if *goes_on => TaskState::Running,
                EndReason::Failed => TaskState::BackingOff,
                _ => TaskState::Ready,
            };
            view(attempt, *worker, state, Some(ended_in_words(*why)))
        }
        _ => None,
    }
}
