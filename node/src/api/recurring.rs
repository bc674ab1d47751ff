//! Recurring jobs: their state, and what happened to their last occurrences.

use axum::{
    Json,
    extract::{Path, Query, State},
};
use meshwork_api::{LIST_MAX, OccurrencesView, Page, RecurringState, RecurringView};
use meshwork_core::{
    ledger::{self, PastOccurrences},
    types::{BlockTime, RecurringId, SkipReason},
};

use super::{Api, error::ApiError};

/// The most coming occurrences in each answer.
const UPCOMING: usize = 5;

fn in_words(why: SkipReason) -> String {
    match why {
        SkipReason::Overlap => "the job of an earlier occurrence had not ended".into(),
        SkipReason::Missed => "missed: the network stood still, or it was paused".into(),
        SkipReason::TooManyOccurrences => "as many of its jobs as may be there had not ended".into(),
        SkipReason::Void(why) => why.to_string(),
    }
}

pub(super) fn occurrences(past: &PastOccurrences) -> OccurrencesView {
    OccurrencesView {
        first_us: past.first.0,
        last_us: past.last.0,
        occurrences: past.occurrences,
        job: past.became.ok(),
        skipped: past.became.err().map(in_words),
    }
}

fn view(view: &ledger::RecurringView<'_>, now: BlockTime) -> RecurringView {
    let recurring = view.recurring;
    RecurringView {
        id: view.id,
        name: recurring.job.name.clone(),
        submitter: view.submitter,
        height: view.height,
        submitted_us: view.submitted.0,
        state: match view.state {
            ledger::RecurringState::Active => RecurringState::Active,
            ledger::RecurringState::Paused => RecurringState::Paused,
            ledger::RecurringState::Ended => RecurringState::Ended,
            ledger::RecurringState::Deleted => RecurringState::Deleted,
            ledger::RecurringState::Barred => RecurringState::Barred,
        },
        cron: recurring.cron.to_string(),
        catch_up: recurring.catch_up,
        overlap: recurring.overlap,
        from_us: recurring.from.map(|time| time.0),
        until_us: recurring.until.map(|time| time.0),
        runs_max: recurring.runs_max,
        deadline_ms: recurring.deadline_ms,
        tasks: u32::try_from(recurring.job.count()).unwrap_or(u32::MAX),
        upcoming_us: view.upcoming(now, UPCOMING).into_iter().map(|time| time.0).collect(),
        ran: view.ran,
        skipped: view.skipped,
        live: view.live_jobs.clone(),
        past: view.past.iter().map(occurrences).collect(),
        ended_us: view.ended.map(|time| time.0),
    }
}

pub(super) async fn list(
    State(api): State<Api>,
    Query(page): Query<Page>,
) -> Result<Json<Vec<RecurringView>>, ApiError> {
    let limit = page.limit(LIST_MAX);
    let views = api.driver.query(move |replica| {
        let ledger = replica.ledger();
        ledger.recurring().rev().take(limit).map(|recurring| view(&recurring, ledger.time())).collect()
    });
    Ok(Json(views.await?))
}

pub(super) async fn one(
    State(api): State<Api>,
    Path(recurring): Path<String>,
) -> Result<Json<RecurringView>, ApiError> {
    let id: RecurringId = recurring.parse().map_err(|_| {
        ApiError::bad_request(format!("{recurring:?} is not a recurring job's id, which has 64 hexadecimal digits"))
    })?;
    let found = api.driver.query(move |replica| {
        let ledger = replica.ledger();
        ledger.recurring_job(id).map(|recurring| view(&recurring, ledger.time()))
    });
    let absent = || {
        let sentence =
            format!("no recurring job {id} is known here; if it was just submitted, wait for the next block");
        ApiError::not_found(sentence)
    };
    found.await?.map(Json).ok_or_else(absent)
}
