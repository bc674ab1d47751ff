//! Refusals.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use meshwork_api::ErrorView;

use crate::{driver::Stopped, store::StoreError};

/// A refusal: a status and a sentence.
#[derive(Debug)]
pub(super) struct ApiError(StatusCode, String);

impl ApiError {
    pub(super) fn new(status: StatusCode, sentence: impl Into<String>) -> Self {
        Self(status, sentence.into())
    }

    pub(super) fn not_found(sentence: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, sentence)
    }

    pub(super) fn bad_request(sentence: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, sentence)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        (self.0, Json(ErrorView { error: self.1 })).into_response()
    }
}

impl From<Stopped> for ApiError {
    fn from(stopped: Stopped) -> Self {
        Self(StatusCode::SERVICE_UNAVAILABLE, stopped.to_string())
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        Self(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
    }
}
