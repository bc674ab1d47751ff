//! Explanations and timelines of tasks. The ledger has them; for jobs that it has forgotten, the receipts say less.

use axum::{
    Json,
    extract::{Path, Query, State},
};
use meshwork_api::{ExplanationView, LIST_MAX, Page, TimelineView};
use meshwork_core::{
    ledger::explain::reasons::{Done, Explanation, NoOutcome, Why},
    replica::EndedTask,
    types::{BlockTime, Height, Receipt, TaskId, Verdict},
};

use super::{
    Api,
    error::ApiError,
    jobs::{no_such_job, parse_job},
};

pub(super) async fn explanation(
    State(api): State<Api>,
    Path((job, index)): Path<(String, u32)>,
) -> Result<Json<ExplanationView>, ApiError> {
    let id = parse_job(&job)?;
    let task = TaskId { job: id, index };
    let looked = api.driver.query(move |replica| {
        let ledger = replica.ledger();
        let is_known = ledger.job(id).is_some();
        (is_known, ledger.explain(task), ledger.height(), ledger.time())
    });
    let found = match looked.await? {
        (true, found, ..) => found,
        (false, _, height, time) => {
            let job = api.driver.reader().ended_job(id)?.ok_or_else(|| no_such_job(&id))?;
            job.tasks.get(index as usize).map(|ended| forgotten(task, *ended, height, time))
        }
    };
    let mut explanation = found.ok_or_else(|| ApiError::not_found(format!("job {id} has no task {index}")))?;
    if let Why::Done(done) = &mut explanation.why {
        add_outcome(&api, done)?;
    }
    Ok(Json(explanation))
}

/// What is known about a task whose job the ledger has forgotten.
fn forgotten(task: TaskId, ended: EndedTask, height: Height, time: BlockTime) -> Explanation {
    let done = |succeeded, height, receipt| {
        let (worker, status, failure, ended) = (None, None, None, None);
        Why::Done(Done { succeeded, attempt: 0, worker, status, failure, height, receipt, ended })
    };
    let why = match ended {
        EndedTask::Succeeded(height, receipt) => done(true, height, receipt),
        EndedTask::Failed(height, receipt) => done(false, height, receipt),
        EndedTask::Gone(how) => Why::Gone(NoOutcome { how, arrays: Vec::new(), tasks: Vec::new() }),
    };
    Explanation { job: task.job, index: task.index, height, time, attempts: 0, replicas: None, could_join: None, why }
}

/// Adds what only the receipt says.
fn add_outcome(api: &Api, done: &mut Done) -> Result<(), ApiError> {
    let receipts = api.driver.reader().receipts(done.height)?;
    if let Some(Receipt::Outcome(outcome)) = receipts.get(done.receipt as usize) {
        done.attempt = outcome.attempt.number.0;
        done.worker = Some(outcome.worker);
        done.status = outcome.verdict.status();
        if let Verdict::Failed(failure, ..) = &outcome.verdict {
            done.failure = Some(failure.clone());
        }
    }
    Ok(())
}

pub(super) async fn timeline(
    State(api): State<Api>,
    Path(job): Path<String>,
    Query(page): Query<Page>,
) -> Result<Json<TimelineView>, ApiError> {
    let id = parse_job(&job)?;
    let (from, limit) = (page.from.unwrap_or(0), page.limit(LIST_MAX));
    let timeline = api.driver.query(move |replica| replica.ledger().timeline(id, from, limit)).await?;
    if let Some(timeline) = timeline {
        return Ok(Json(timeline));
    }
    api.driver.reader().ended_job(id)?.ok_or_else(|| no_such_job(&id))?;
    Err(ApiError::not_found(format!(
        "job {id} ended so long ago that the ledger has forgotten when its tasks ran; how they ended is still known"
    )))
}
