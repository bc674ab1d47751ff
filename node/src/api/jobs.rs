//! Jobs, their tasks, and the proofs of their outcomes. The store still has ended jobs that the ledger has forgotten.

use std::collections::{BTreeMap, btree_map::Entry};

use axum::{
    Json,
    extract::{Path, Query, State},
    http::{StatusCode, header},
    response::IntoResponse,
};
use meshwork_api::{
    ArrayView, AttemptView, CheckpointView, JobView, LIST_MAX, OccurrenceView, PROOFS_MAX, Page, ReceiptPosition,
    TaskCounts, TaskState, TaskView, attempt_in_words, outcome_in_words,
};
use meshwork_core::{
    codec,
    identity::PublicKey,
    ledger::{self, Gone, TaskStateView},
    proof::Proof,
    replica::{EndedJob, EndedTask},
    types::{Height, JobId, Receipt, TaskId, Verdict},
};

use super::{Api, error::ApiError};

pub(super) fn parse_job(text: &str) -> Result<JobId, ApiError> {
    text.parse()
        .map_err(|_| ApiError::bad_request(format!("{text:?} is not a job's id, which has 64 hexadecimal digits")))
}

pub(super) fn no_such_job(id: &JobId) -> ApiError {
    ApiError::not_found(format!("no job {id} is known here; if it was just submitted, wait for the next block"))
}

fn live_view(job: &ledger::JobView<'_>) -> JobView {
    JobView {
        id: job.id,
        name: job.name.to_owned(),
        submitter: job.submitter,
        height: job.height,
        submitted_us: job.submitted.0,
        ended_us: job.ended.map(|time| time.0),
        tasks: job.count,
        counts: job.counts.into(),
        open_until_us: job.open_until.map(|time| time.0),
        occurrence_of: job.occurrence_of.map(OccurrenceView::from),
    }
}

fn ended_view(job: &EndedJob) -> JobView {
    let mut counts = TaskCounts::default();
    for task in &job.tasks {
        match task {
            EndedTask::Succeeded(..) => counts.succeeded += 1,
            EndedTask::Failed(..) => counts.failed += 1,
            EndedTask::Gone(Gone::Cancelled | Gone::Expired | Gone::Barred | Gone::EndedHosts | Gone::Unclaimed) => {
                counts.cancelled += 1
            }
            EndedTask::Gone(Gone::Skipped) => counts.skipped += 1,
        }
    }
    JobView {
        id: job.id,
        name: job.name.clone(),
        submitter: job.submitter,
        height: job.height,
        submitted_us: job.submitted.0,
        ended_us: Some(job.ended.0),
        tasks: u32::try_from(job.tasks.len()).unwrap_or(u32::MAX),
        counts,
        open_until_us: None,
        occurrence_of: job.occurrence_of.map(OccurrenceView::from),
    }
}

/// How an ended job's tasks ended. Event streams use it too.
pub(super) fn ended_counts(job: &EndedJob) -> TaskCounts {
    ended_view(job).counts
}

pub(super) async fn list(State(api): State<Api>, Query(page): Query<Page>) -> Result<Json<Vec<JobView>>, ApiError> {
    let limit = page.limit(LIST_MAX);
    let views = api.driver.query(move |replica| {
        let newest_first = replica.ledger().jobs().rev();
        newest_first.take(limit).map(|job| live_view(&job)).collect()
    });
    Ok(Json(views.await?))
}

pub(super) async fn one(State(api): State<Api>, Path(job): Path<String>) -> Result<Json<JobView>, ApiError> {
    let id = parse_job(&job)?;
    let live = api.driver.query(move |replica| replica.ledger().job(id).map(|job| live_view(&job))).await?;
    if let Some(view) = live {
        return Ok(Json(view));
    }
    let ended = api.driver.reader().ended_job(id)?.ok_or_else(|| no_such_job(&id))?;
    Ok(Json(ended_view(&ended)))
}

pub(super) async fn arrays(State(api): State<Api>, Path(job): Path<String>) -> Result<Json<Vec<ArrayView>>, ApiError> {
    let id = parse_job(&job)?;
    let view = |array: &ledger::ArrayView<'_>| ArrayView {
        name: array.name.to_owned(),
        first: array.first,
        tasks: u32::try_from(array.tasks.count()).unwrap_or(u32::MAX),
        program: array.spec.program_blob().digest,
        feeds: array.feeds,
        counts: array.counts.into(),
    };
    let live = api.driver.query(move |replica| {
        let ledger = replica.ledger();
        ledger.job(id).map(|_| ledger.arrays(id).iter().map(view).collect::<Vec<_>>())
    });
    if let Some(views) = live.await? {
        return Ok(Json(views));
    }
    // The store keeps how a forgotten job's tasks ended, and not its arrays.
    api.driver.reader().ended_job(id)?.ok_or_else(|| no_such_job(&id))?;
    Ok(Json(Vec::new()))
}

const fn state_of(gone: Gone) -> TaskState {
    match gone {
        Gone::Cancelled => TaskState::Cancelled,
        Gone::Skipped => TaskState::Skipped,
        Gone::Expired => TaskState::Expired,
        Gone::Barred => TaskState::Barred,
        Gone::EndedHosts => TaskState::EndedHosts,
        Gone::Unclaimed => TaskState::Unclaimed,
    }
}

fn task_view(task: &ledger::TaskView<'_>) -> TaskView {
    let mut attempts: Vec<AttemptView> = task
        .past
        .iter()
        .map(|past| AttemptView {
            number: past.number.0,
            worker: past.worker,
            ended: Some(attempt_in_words(past.why, past.failure)),
        })
        .collect();
    let live = task.live.iter().map(|(number, worker)| AttemptView { number: number.0, worker: *worker, ended: None });
    attempts.extend(live);
    let (state, worker, receipt) = match task.state {
        TaskStateView::Blocked => (TaskState::Blocked, None, None),
        TaskStateView::Held => (TaskState::Held, None, None),
        // While one more replica is wanted, others may live.
        TaskStateView::Ready => (TaskState::Ready, None, None),
        TaskStateView::BackingOff { .. } => (TaskState::BackingOff, None, None),
        TaskStateView::Leased { worker, ends, .. } => {
            (if ends.is_some() { TaskState::Running } else { TaskState::Waiting }, Some(worker), None)
        }
        TaskStateView::Done { succeeded, height, receipt, .. } => {
            let state = if succeeded { TaskState::Succeeded } else { TaskState::Failed };
            (state, None, Some(ReceiptPosition { height, index: receipt }))
        }
        TaskStateView::Gone(gone) => (state_of(gone), None, None),
    };
    let checkpoint = task.checkpoint.map(|checkpoint| CheckpointView {
        manifest: checkpoint.manifest.digest,
        attempt: checkpoint.attempt.0,
        time_us: checkpoint.time.0,
    });
    let (job, index, replicas) = (task.id.job, task.id.index, task.replicas);
    TaskView { job, index, state, worker, attempts, replicas, checkpoint, receipt }
}

fn ended_task_view(job: &EndedJob, index: u32) -> Option<TaskView> {
    let task = job.tasks.get(index as usize)?;
    let state = match task {
        EndedTask::Succeeded(..) => TaskState::Succeeded,
        EndedTask::Failed(..) => TaskState::Failed,
        EndedTask::Gone(gone) => state_of(*gone),
    };
    let receipt = task.receipt().map(|(height, index)| ReceiptPosition { height, index });
    let attempts = Vec::new();
    Some(TaskView { job: job.id, index, state, worker: None, attempts, replicas: None, checkpoint: None, receipt })
}

/// Adds the worker whose outcome was accepted, which only the receipts say.
fn add_workers(api: &Api, views: &mut [TaskView]) -> Result<(), ApiError> {
    let mut receipts: BTreeMap<Height, Vec<Receipt>> = BTreeMap::new();
    for view in views {
        let Some(place) = view.receipt else { continue };
        let of_block = match receipts.entry(place.height) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => unknown.insert(api.driver.reader().receipts(place.height)?),
        };
        if let Some(Receipt::Outcome(outcome)) = of_block.get(place.index as usize) {
            let ended = match &outcome.verdict {
                Verdict::Failed(failure, ..) => failure.to_string(),
                verdict => outcome_in_words(verdict),
            };
            view.worker = Some(outcome.worker);
            let number = outcome.attempt.number.0;
            // While the ledger knows the task's attempts, the accepted one is among them. The receipt says more about
            // it.
            match view.attempts.iter_mut().find(|attempt| attempt.number == number) {
                Some(known) => known.ended = Some(ended),
                None => view.attempts.push(AttemptView { number, worker: outcome.worker, ended: Some(ended) }),
            }
        }
    }
    Ok(())
}

pub(super) async fn tasks(
    State(api): State<Api>,
    Path(job): Path<String>,
    Query(page): Query<Page>,
) -> Result<Json<Vec<TaskView>>, ApiError> {
    let id = parse_job(&job)?;
    let (from, limit) = (page.from.unwrap_or(0), page.limit(LIST_MAX));
    let wanted = move |view: &TaskView| page.state.is_none_or(|state| view.state == state);
    let live = api.driver.query(move |replica| {
        let ledger = replica.ledger();
        let count = ledger.job(id)?.count;
        let tasks = (from..count).filter_map(|index| ledger.task(TaskId { job: id, index }));
        Some(tasks.map(|task| task_view(&task)).filter(wanted).take(limit).collect::<Vec<_>>())
    });
    let mut views = match live.await? {
        Some(views) => views,
        None => {
            let job = api.driver.reader().ended_job(id)?.ok_or_else(|| no_such_job(&id))?;
            let tasks = (from..job.tasks.len() as u32).filter_map(|index| ended_task_view(&job, index));
            tasks.filter(wanted).take(limit).collect()
        }
    };
    add_workers(&api, &mut views)?;
    Ok(Json(views))
}

async fn find_task(api: &Api, job: &str, index: u32) -> Result<TaskView, ApiError> {
    let id = parse_job(job)?;
    let live = api.driver.query(move |replica| {
        let ledger = replica.ledger();
        ledger.job(id).map(|_| ledger.task(TaskId { job: id, index }).map(|task| task_view(&task)))
    });
    let found = match live.await? {
        Some(found) => found,
        None => {
            let job = api.driver.reader().ended_job(id)?.ok_or_else(|| no_such_job(&id))?;
            ended_task_view(&job, index)
        }
    };
    found.ok_or_else(|| ApiError::not_found(format!("job {id} has no task {index}")))
}

pub(super) async fn task(
    State(api): State<Api>,
    Path((job, index)): Path<(String, u32)>,
) -> Result<Json<TaskView>, ApiError> {
    let mut views = [find_task(&api, &job, index).await?];
    add_workers(&api, &mut views)?;
    let [view] = views;
    Ok(Json(view))
}

fn cbor(bytes: Vec<u8>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/cbor")], bytes)
}

pub(super) async fn proof(
    State(api): State<Api>,
    Path((job, index)): Path<(String, u32)>,
) -> Result<impl IntoResponse, ApiError> {
    let view = find_task(&api, &job, index).await?;
    let conflict = |sentence: &str| ApiError::new(StatusCode::CONFLICT, sentence);
    let place = view.receipt.ok_or_else(|| {
        conflict(match view.state {
            TaskState::Cancelled
            | TaskState::Skipped
            | TaskState::Expired
            | TaskState::Barred
            | TaskState::EndedHosts => "this task was stopped before it had an outcome that could be proven",
            _ => "this task has no outcome yet; wait for it",
        })
    })?;
    let proof = api.driver.reader().proof(place.height, place.index)?;
    let proof = proof.ok_or_else(|| conflict("no final block carries this result yet; try again in a moment"))?;
    Ok(cbor(codec::encode(&proof)))
}

/// Where the receipts of tasks' outcomes are, by index.
async fn places(api: &Api, id: JobId, from: u32, limit: usize) -> Result<Vec<(Height, u32)>, ApiError> {
    let live = api.driver.query(move |replica| {
        let ledger = replica.ledger();
        let count = ledger.job(id)?.count;
        let place = |index| match ledger.task(TaskId { job: id, index })?.state {
            TaskStateView::Done { height, receipt, .. } => Some((height, receipt)),
            _ => None,
        };
        Some((from..count).filter_map(place).take(limit).collect::<Vec<_>>())
    });
    if let Some(places) = live.await? {
        return Ok(places);
    }
    let job = api.driver.reader().ended_job(id)?.ok_or_else(|| no_such_job(&id))?;
    Ok(job.tasks.iter().skip(from as usize).filter_map(EndedTask::receipt).take(limit).collect())
}

/// The proofs of outcomes from an index on, as far as they can be proven now.
pub(super) async fn proofs(
    State(api): State<Api>,
    Path(job): Path<String>,
    Query(page): Query<Page>,
) -> Result<impl IntoResponse, ApiError> {
    let id = parse_job(&job)?;
    let places = places(&api, id, page.from.unwrap_or(0), page.limit(PROOFS_MAX)).await?;
    let proofs: Vec<Proof> = api.driver.reader().proofs(&places)?.into_iter().flatten().collect();
    Ok(cbor(codec::encode(&proofs)))
}

/// The accepted outcome in a receipt. Event streams use it too.
pub(super) fn outcome_of(receipt: &Receipt) -> Option<(TaskId, u32, PublicKey, TaskState, Option<String>)> {
    let Receipt::Outcome(outcome) = receipt else { return None };
    let (state, why) = match &outcome.verdict {
        Verdict::Failed(failure, ..) => (TaskState::Failed, Some(failure.to_string())),
        _ => (TaskState::Succeeded, None),
    };
    Some((outcome.attempt.task, outcome.attempt.number.0, outcome.worker, state, why))
}
