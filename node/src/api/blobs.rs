//! Blobs: uploads, which the worker that runs a task can then find, and downloads from whichever peer has the blob.

use std::sync::Arc;

use axum::{
    Extension, Json,
    body::Body,
    extract::{Path, Query, RawQuery, Request, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use futures::TryStreamExt;
use meshwork_api::{After, BlobView, VerifiedView};
use meshwork_core::{digest::Digest, identity::PublicKey, types::BlobRef};
use tokio_util::io::{ReaderStream, StreamReader};

use super::{
    Api,
    error::ApiError,
    serve::{Refused, TooSlow, Visit, broken, declared_bytes},
};
use crate::blobs::{BLOB_BYTES_MAX, FetchError, StoreError, Verified};

/// The most peers that a request may name as holders of a blob.
const HINTS_MAX: usize = 16;
/// About how many bytes of blobs one request has compared with their digests.
const VERIFY_BYTES_MAX: u64 = 256 << 20;

fn refuse(error: &StoreError) -> ApiError {
    let status = match error {
        StoreError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        StoreError::Full { .. } | StoreError::NoDiskSpace { .. } | StoreError::TooMany(_) => {
            StatusCode::INSUFFICIENT_STORAGE
        }
        StoreError::Mismatch { .. } | StoreError::Damaged(_) | StoreError::Io(_) | StoreError::Index(_) => {
            StatusCode::INTERNAL_SERVER_ERROR
        }
    };
    ApiError::new(status, error.to_string())
}

/// Stores a blob as it comes. One that is said to be larger than what there is space for is refused at once.
pub(super) async fn put(
    State(api): State<Api>,
    Extension(visit): Extension<Arc<Visit>>,
    request: Request,
) -> Result<Json<BlobView>, ApiError> {
    let refuse_blob = |error: StoreError| match &error {
        StoreError::TooLarge { bytes_max } => visit.refuse(Refused::LargeBody(*bytes_max)).into(),
        StoreError::Io(source) if TooSlow::caused(&**source) => broken(&visit, &**source),
        _ => refuse(&error),
    };
    if let Some(declared) = declared_bytes(&request) {
        api.blobs.make_room(&[declared]).await;
        api.blobs.store().check_space(declared).map_err(refuse_blob)?;
    }
    let bytes = StreamReader::new(request.into_body().into_data_stream().map_err(std::io::Error::other));
    let BlobRef { digest, bytes } = api.blobs.put_stream(bytes, BLOB_BYTES_MAX).await.map_err(refuse_blob)?;
    api.blobs.announce(digest).await;
    Ok(Json(BlobView { digest, bytes }))
}

/// Compares the next stored blobs with their digests.
pub(super) async fn verify(
    State(api): State<Api>,
    Query(After { after }): Query<After>,
) -> Result<Json<VerifiedView>, ApiError> {
    let verified = api.blobs.verify(after, VERIFY_BYTES_MAX).await.map_err(|error| refuse(&error))?;
    let Verified { blobs, bytes, damaged, last } = verified;
    let damaged = damaged.into_iter().map(|blob| blob.digest).collect();
    Ok(Json(VerifiedView { checked: blobs, bytes, damaged, next: last }))
}

/// The query of a download: `bytes=N`, and any number of `from=KEY`.
#[derive(Default)]
struct Wanted {
    bytes: Option<u64>,
    hints: Vec<PublicKey>,
}

fn wanted(query: &str) -> Result<Wanted, ApiError> {
    let mut wanted = Wanted::default();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let wrong = || ApiError::bad_request(format!("{pair:?} is neither bytes=NUMBER nor from=KEY"));
        match pair.split_once('=') {
            Some(("bytes", number)) => wanted.bytes = Some(number.parse().map_err(|_| wrong())?),
            Some(("from", key)) if wanted.hints.len() < HINTS_MAX => {
                wanted.hints.push(key.parse().map_err(|_| wrong())?);
            }
            _ => return Err(wrong()),
        }
    }
    Ok(wanted)
}

pub(super) async fn get(
    State(api): State<Api>,
    Path(digest): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let digest: Digest =
        digest.parse().map_err(|_| ApiError::bad_request(format!("{digest:?} is not a blob's digest")))?;
    let Wanted { bytes, hints } = wanted(query.as_deref().unwrap_or_default())?;
    let here = api.blobs.store().get(&digest);
    let blob = here.or_else(|| bytes.map(|bytes| BlobRef { digest, bytes })).ok_or_else(|| {
        ApiError::not_found(format!("{digest} is not on this node; say its size with ?bytes= and others are asked"))
    })?;
    let kept = api.blobs.fetch(blob, &hints).await.map_err(|error| match error {
        FetchError::Store(error) => refuse(&error),
        busy @ (FetchError::Busy | FetchError::Unanswered { .. }) => ApiError::busy(busy.to_string()),
        other => ApiError::not_found(other.to_string()),
    })?;
    let gone = |error: std::io::Error| ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string());
    let file = tokio::fs::File::open(kept.path()).await.map_err(gone)?;
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_LENGTH, blob.bytes.to_string()),
    ];
    Ok((headers, Body::from_stream(ReaderStream::new(file))).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_names_a_size_and_peers_and_nothing_else() {
        let key = "07".repeat(32);
        let good = wanted(&format!("bytes=12&from={key}&from={key}")).unwrap();
        assert_eq!((good.bytes, good.hints.len()), (Some(12), 2));
        assert!(wanted("").unwrap().bytes.is_none());
        for bad in ["bytes=x", "from=7", "else=1", "bytes"] {
            assert!(wanted(bad).is_err(), "{bad}");
        }
        assert!(wanted(&vec![format!("from={key}"); HINTS_MAX + 1].join("&")).is_err());
    }
}
