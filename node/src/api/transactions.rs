//! Signed transactions come in.

use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, header},
};
use meshwork_core::{codec, types::SignedTransaction};

use super::{Api, TRANSACTIONS_BYTES_MAX, error::ApiError, views::AdmissionView};

/// The most transactions in one request.
const TRANSACTIONS_MAX: usize = 1024;

pub(super) async fn submit(
    State(api): State<Api>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Vec<AdmissionView>>, ApiError> {
    // A web page cannot send this content type without asking first, and it is not answered when it asks.
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
    let ids: Vec<_> = transactions.iter().map(|transaction| transaction.id()).collect();
    let answers = api.driver.submit(transactions).await?;
    let view = |(id, answer): (_, Result<_, meshwork_core::pool::Refusal>)| AdmissionView {
        id,
        refused: answer.err().map(|refusal| refusal.to_string()),
    };
    Ok(Json(ids.into_iter().zip(answers).map(view).collect()))
}
