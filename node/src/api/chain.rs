//! Final blocks.

use axum::{
    Json,
    extract::{Path, Query, State},
};
use meshwork_api::{AcceptedView, BLOCKS_DEFAULT, BLOCKS_MAX, BlockRange, BlockView};
use meshwork_core::types::{AttemptId, Height, Receipt};

use super::{Api, error::ApiError};
use crate::store::StoredBlock;

fn view(api: &Api, stored: &StoredBlock) -> Result<BlockView, ApiError> {
    let header = &stored.block.header;
    let authorities = api.driver.reader().authorities(header.epoch, &api.genesis)?;
    let proposer = authorities.as_ref().and_then(|set| set.authorities().get(usize::from(set.leader(header.view).0)));
    let (root, state) = api.driver.reader().result(header.height)?;
    let outcomes = stored.receipts.iter().filter_map(|receipt| match receipt {
        Receipt::Outcome(outcome) => Some(accepted(outcome.attempt)),
        _ => None,
    });
    Ok(BlockView {
        height: header.height,
        view: header.view.0,
        digest: header.digest(),
        proposer: proposer.map_or_else(String::new, |authority| authority.name.clone()),
        time_us: header.time.0,
        transactions: stored.block.transactions.iter().map(|transaction| transaction.id()).collect(),
        bytes: stored.block.transaction_bytes(),
        root,
        state,
        outcomes: outcomes.collect(),
    })
}

fn accepted(attempt: AttemptId) -> AcceptedView {
    AcceptedView { job: attempt.task.job, index: attempt.task.index, attempt: attempt.number.0 }
}

/// The newest blocks, or those from a height on.
pub(super) async fn list(
    State(api): State<Api>,
    Query(range): Query<BlockRange>,
) -> Result<Json<Vec<BlockView>>, ApiError> {
    let limit = range.limit.unwrap_or(BLOCKS_DEFAULT).min(BLOCKS_MAX);
    let height = api.driver.query(|replica| replica.ledger().height()).await?;
    let from = range.from.unwrap_or_else(|| (height.0 + 1).saturating_sub(limit)).max(1);
    let mut views = Vec::new();
    for at in from..from.saturating_add(limit).min(height.0 + 1) {
        if let Some(stored) = api.driver.reader().block(Height(at))? {
            views.push(view(&api, &stored)?);
        }
    }
    Ok(Json(views))
}

pub(super) async fn one(State(api): State<Api>, Path(height): Path<u64>) -> Result<Json<BlockView>, ApiError> {
    let stored = api.driver.reader().block(Height(height))?;
    let stored = stored.ok_or_else(|| ApiError::not_found(format!("no block at height {height} is final here")))?;
    Ok(Json(view(&api, &stored)?))
}
