//! Admits requests within the bounds of their kind, and answers them where they do not hold up others.

use std::sync::Arc;

use axum::{
    Extension,
    body::HttpBody,
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use tokio_util::task::AbortOnDropHandle;

use super::{Bounds, refused::Refused, visit::Visit};

/// A kind of requests, with bounds of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::api) enum Kind {
    /// They look something up in the ledger or the store.
    Answer,
    /// They hand in transactions.
    Transactions,
    /// They upload a blob.
    Upload,
    /// They download a blob.
    Download,
    /// They listen to events.
    Events,
}

impl Kind {
    pub(super) const ALL: [Self; 5] = [Self::Answer, Self::Transactions, Self::Upload, Self::Download, Self::Events];

    pub(super) const fn reason(self) -> &'static str {
        match self {
            Self::Answer => "API: too many requests",
            Self::Transactions => "API: too many submissions",
            Self::Upload => "API: too many uploads",
            Self::Download => "API: too many downloads",
            Self::Events => "API: too many event streams",
        }
    }

    pub(super) const fn plural(self) -> &'static str {
        match self {
            Self::Answer => "requests of this kind",
            Self::Transactions => "requests with transactions",
            Self::Upload => "uploads",
            Self::Download => "downloads",
            Self::Events => "event streams",
        }
    }
}

/// Answers a request if there is a place for it. The connection holds the place until the answer is out.
pub(in crate::api) async fn within_bounds(
    State(kind): State<Kind>,
    Extension(visit): Extension<Arc<Visit>>,
    request: Request,
    next: Next,
) -> Response {
    let bounds = visit.bounds();
    match bounds.requests(kind).take(visit.address(), 1) {
        Ok(place) => visit.hold(place),
        Err(full) => return visit.refuse(Refused::Requests(kind, full)).into_response(),
    }
    let response = match kind {
        Kind::Answer => in_turn(bounds, request, next).await,
        Kind::Transactions | Kind::Upload | Kind::Download | Kind::Events => {
            elsewhere(bounds.main.spawn(next.run(request))).await
        }
    };
    // What is streamed has no size yet, and is never in memory as a whole.
    let Some(bytes) = response.body().size_hint().exact() else { return response };
    let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
    match bounds.answer_bytes.take_or_be_alone(visit.address(), bytes) {
        Ok(place) => {
            visit.hold(place);
            response
        }
        Err(full) => visit.refuse(Refused::AnswerBytes(full)).into_response(),
    }
}

/// Answers a request when it is its turn, on a thread where it may wait for the disk. So requests by the hundred take
/// no more of the replica and the disk than a few do.
async fn in_turn(bounds: &Bounds, request: Request, next: Next) -> Response {
    // The semaphore is never closed.
    let Ok(turn) = Arc::clone(&bounds.turns).acquire_owned().await else { return stopping() };
    let main = bounds.main.clone();
    let answers = bounds.main.spawn_blocking(move || {
        let response = main.block_on(next.run(request));
        drop(turn);
        response
    });
    elsewhere(answers).await
}

/// The response of a task on the node's main runtime. The task ends if nobody waits for it any more.
async fn elsewhere(task: tokio::task::JoinHandle<Response>) -> Response {
    AbortOnDropHandle::new(task).await.unwrap_or_else(|error| {
        tracing::error!(%error, "a request was not answered");
        stopping()
    })
}

fn stopping() -> Response {
    StatusCode::INTERNAL_SERVER_ERROR.into_response()
}

/// Answers without a bound: for what is small and waits for nothing. Such an answer fits into the socket's buffer, and
/// the connection closes after it, so a client that does not read it holds nothing.
pub(in crate::api) async fn always(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}
