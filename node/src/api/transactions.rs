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
    ledger::bounds::{self, Unsound},
    pool::Refusal,
    types::{Action, BlockTime, SignedTransaction, TransactionId, VoidReason},
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
    let answers = api.driver.submit(transactions.clone()).await?;
    let view = |(transaction, answer): (&Arc<SignedTransaction>, Result<_, Refusal>)| {
        let reason = match &answer {
            Err(Refusal::Void(reason)) => Some(*reason),
            _ => None,
        };
        let unsound = reason.and_then(|reason| unsound(&api, transaction, reason));
        let refused = answer.err().map(|refusal| match &unsound {
            Some(unsound) => format!("{refusal}: {unsound}"),
            None => refusal.to_string(),
        });
        let misses_deadline_us = misses.get(&transaction.id()).map(|end| end.0);
        AdmissionView { id: transaction.id(), misses_deadline_us, reason, unsound, refused }
    };
    Ok(Json(transactions.iter().zip(answers).map(view).collect()))
}

/// The field that makes a transaction void, where the reason does not name it.
fn unsound(api: &Api, transaction: &SignedTransaction, reason: VoidReason) -> Option<Unsound> {
    match reason {
        VoidReason::Malformed | VoidReason::TooManyTasks => bounds::explain(&api.genesis.ledger, transaction),
        _ => None,
    }
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
