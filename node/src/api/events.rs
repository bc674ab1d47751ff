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
        let views = match block {
            Ok(News::Finalized(block)) => views(&block, &filter),
            Ok(News::Jumped(blocks)) => vec![EventView::Missed { events: blocks }],
            Err(BroadcastStreamRecvError::Lagged(events)) => vec![EventView::Missed { events }],
        };
        // Writing an event as JSON cannot fail: it consists of numbers and texts.
        futures::stream::iter(views.into_iter().filter_map(|view| Event::default().json_data(view).ok()).map(Ok))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(Duration::from_secs(10))))
}

fn views(block: &Arc<FinalizedBlock>, filter: &EventFilter) -> Vec<EventView> {
    let executed = &block.executed;
    let wanted = |job: &JobId| filter.job.is_none_or(|only| only == *job);
    let mut views = Vec::new();
    if filter.job.is_none() {
        views.push(EventView::Block {
            height: executed.block.header.height,
            time_us: executed.block.header.time.0,
            transactions: executed.block.transactions.len(),
            finality_ms: block.finality_us as f64 / 1000.0,
        });
    }
    let outcomes: Vec<_> = executed.applied.receipts.iter().filter_map(jobs::outcome_of).collect();
    let done: BTreeSet<TaskId> = outcomes.iter().map(|(task, ..)| *task).collect();
    for event in &executed.applied.events {
        match event {
            LedgerEvent::JobAdmitted { job, tasks } if wanted(job) => {
                views.push(EventView::JobAdmitted { job: *job, tasks: *tasks });
            }
            LedgerEvent::RecurringRun { recurring, occurrence, job } if filter.job.is_none() => {
                views.push(EventView::RecurringRun { recurring: *recurring, occurrence_us: occurrence.0, job: *job });
            }
            LedgerEvent::RecurringSkipped { recurring, first, last, occurrences, why } if filter.job.is_none() => {
                let past = PastOccurrences { first: *first, last: *last, occurrences: *occurrences, became: Err(*why) };
                views.push(EventView::RecurringSkipped {
                    recurring: *recurring,
                    occurrences: recurring::occurrences(&past),
                });
            }
            LedgerEvent::ChangeApproved { proposal, change } if filter.job.is_none() => {
                views.push(EventView::ChangeApproved { proposal: *proposal, change: (&**change).into() });
            }
            event if filter.tasks != Some(false) => {
                views.extend(task_view(event, &done).filter(|(job, _)| wanted(job)).map(|(_, view)| view));
            }
            _ => {}
        }
    }
    if filter.tasks != Some(false) {
        views.extend(outcomes.into_iter().filter(|(task, ..)| wanted(&task.job)).map(
            |(TaskId { job, index }, attempt, worker, state, why)| EventView::Task {
                job,
                index,
                attempt,
                state,
                worker,
                why,
            },
        ));
    }
    for job in executed.ended.iter().filter(|job| wanted(&job.id)) {
        views.push(EventView::JobEnded { job: job.id, counts: jobs::ended_counts(job) });
    }
    views
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
