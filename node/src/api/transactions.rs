//! Accepts signed transactions.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json,
    body::Bytes,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
};
use meshwork_api::{AdmissionView, TransactionView};
use meshwork_core::{
    codec,
    pool::Refusal,
    types::{Action, BlockTime, SignedTransaction, TransactionId},
};

use super::{Api, TRANSACTIONS_BYTES_MAX, error::ApiError};

/// The most transactions in one request.
const TRANSACTIONS_MAX: usize = 1024;

pub(super) async fn submit(
    State(api): State<Api>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Vec<AdmissionView>>, ApiError> {
    // A web page may not send this content type without asking first, and gets no answer when it asks.
    if headers.get(header::CONTENT_TYPE).is_none_or(|kind| kind != "application/cbor") {
        let sentence = "send the canonical CBOR of an array of envelopes, as application/cbor";
        return Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, sentence));
    }
    let decoded: Result<Vec<Arc<SignedTransaction>>, _> = codec::decode(&body, TRANSACTIONS_BYTES_MAX);
    let transactions = decoded.map_err(|error| {
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
