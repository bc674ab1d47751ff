//! Accepts signed transactions.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Extension, Json,
    extract::{Path, Request, State},
    http::{StatusCode, header},
};
use meshwork_api::{AdmissionView, TransactionView};
use meshwork_core::{
    codec,
    pool::Refusal,
    types::{Action, BlockTime, SignedTransaction, TransactionId},
};
use tokio::task::spawn_blocking;

use super::{
    Api,
    error::ApiError,
    serve::{GATHERED_BYTES_MAX, Gathered, Visit},
};

/// The most transactions in one request.
const TRANSACTIONS_MAX: usize = 1024;

pub(super) async fn submit(
    State(api): State<Api>,
    Extension(visit): Extension<Arc<Visit>>,
    request: Request,
) -> Result<Json<Vec<AdmissionView>>, ApiError> {
    // A web page may not send this content type without asking first, and gets no answer when it asks.
    if request.headers().get(header::CONTENT_TYPE).is_none_or(|kind| kind != "application/cbor") {
        let sentence = "send the canonical CBOR of an array of envelopes, as application/cbor";
        return Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, sentence));
    }
    // The place counts for the transactions too, until they are handed on.
    let Gathered { bytes, place: _place } = Gathered::of(&visit, request).await?;
    let transactions = decode(bytes).await?.map_err(|error| {
        api.metrics.refuse(error.reason());
        ApiError::bad_request(format!("these are not signed transactions: {error}"))
    })?;
    if transactions.len() > TRANSACTIONS_MAX {
        return Err(ApiError::bad_request(format!("send at most {TRANSACTIONS_MAX} transactions at a time")));
    }
    let misses = misses_deadlines(&api, &transactions).await?;
    let ids: Vec<_> = transactions.iter().map(|transaction| transaction.id()).collect();
    let answers = api.driver.submit(transactions).await?;
    let view = |(id, answer): (_, Result<_, Refusal>)| AdmissionView {
        id,
        misses_deadline_us: misses.get(&id).map(|end| end.0),
        reason: match &answer {
            Err(Refusal::Void(reason)) => Some(*reason),
            _ => None,
        },
        refused: answer.err().map(|refusal| refusal.to_string()),
    };
    Ok(Json(ids.into_iter().zip(answers).map(view).collect()))
}

/// Decodes transactions on a thread of its own: megabytes of them take long.
async fn decode(bytes: Vec<u8>) -> Result<Result<Vec<Arc<SignedTransaction>>, codec::DecodeError>, ApiError> {
    let decoded = spawn_blocking(move || codec::decode(&bytes, GATHERED_BYTES_MAX)).await;
    decoded.map_err(|error| ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, format!("they were not decoded: {error}")))
}

/// The earliest possible end of each submitted job that cannot meet its deadline, by the present ledger.
async fn misses_deadlines(
    api: &Api,
    transactions: &[Arc<SignedTransaction>],
) -> Result<BTreeMap<TransactionId, BlockTime>, ApiError> {
    let has_deadline = |signed: &&Arc<SignedTransaction>| matches!(&signed.transaction().action, Action::Submit(submit) if submit.times.deadline.is_some());
    let submits: Vec<_> = transactions.iter().filter(has_deadline).cloned().collect();
    if submits.is_empty() {
        return Ok(BTreeMap::new());
    }
    let misses = api.driver.query(move |replica| {
        let end = |signed: &Arc<SignedTransaction>| {
            let Action::Submit(submit) = &signed.transaction().action else { return None };
            Some((signed.id(), replica.ledger().misses_deadline(submit)?))
        };
        submits.iter().filter_map(end).collect()
    });
    Ok(misses.await?)
}

pub(super) async fn one(State(api): State<Api>, Path(id): Path<String>) -> Result<Json<TransactionView>, ApiError> {
    let id: TransactionId =
        id.parse().map_err(|_| ApiError::bad_request(format!("{id:?} is not a transaction's id")))?;
    let result = api.driver.query(move |replica| replica.ledger().result_of(id)).await?;
    let result = result.ok_or_else(|| {
        ApiError::not_found(format!("transaction {id} is not executed yet, or its expiry has passed since"))
    })?;
    Ok(Json(TransactionView { id, void: result.err().map(|why| why.to_string()), reason: result.err() }))
}
