//! The bodies of requests: those that come too slowly are given up, and what is gathered is bounded.

use std::{
    error::Error,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use axum::{body::Body, extract::Request, http::header};
use futures::StreamExt;
use hyper::body::{Body as HttpBody, Bytes, Frame, Incoming, SizeHint};
use thiserror::Error;

use super::{pace::PaceWatch, places::Place, refused::Refused, visit::Visit};
use crate::api::error::ApiError;

/// The most bytes that are gathered of one request.
pub(in crate::api) const GATHERED_BYTES_MAX: usize = 16 << 20;

/// The bytes of a piece of a body that is gathered.
const PIECE_BYTES: usize = 64 << 10;

/// A body came too slowly.
#[derive(Clone, Copy, Debug, Error)]
#[error("the body came too slowly")]
pub(in crate::api) struct TooSlow;

impl TooSlow {
    /// Whether this is what an error is about.
    pub(in crate::api) fn caused(error: &(dyn Error + 'static)) -> bool {
        error.is::<Self>() || error.source().is_some_and(Self::caused)
    }
}

/// A request's body, which ends with [`TooSlow`] if it comes too slowly.
pub(super) struct PacedBody {
    body: Incoming,
    watch: PaceWatch,
}

impl PacedBody {
    pub(super) fn new(body: Incoming, watch: PaceWatch) -> Self {
        Self { body, watch }
    }
}

impl HttpBody for PacedBody {
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = &mut *self;
        match Pin::new(&mut this.body).poll_frame(context) {
            Poll::Ready(frame) => {
                let bytes = frame.as_ref().and_then(|frame| frame.as_ref().ok()).and_then(Frame::data_ref);
                this.watch.moved(bytes.map_or(0, Bytes::len));
                Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
            }
            Poll::Pending => {
                ready!(this.watch.poll_too_slow(context));
                Poll::Ready(Some(Err(TooSlow.into())))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A response's body, which tells the connection when the HTTP library has all of it.
pub(super) struct HandedOver {
    body: Body,
    visit: Arc<Visit>,
}

impl HandedOver {
    pub(super) fn new(body: Body, visit: Arc<Visit>) -> Self {
        Self { body, visit }
    }
}

impl HttpBody for HandedOver {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for HandedOver {
    fn drop(&mut self) {
        self.visit.said_all();
    }
}

/// A whole body, for a route that needs it whole. Its bytes count as long as this lives.
pub(in crate::api) struct Gathered {
    /// The bytes.
    pub(in crate::api) bytes: Vec<u8>,
    /// Their places.
    pub(in crate::api) place: Place,
}

impl Gathered {
    /// The whole body of a request.
    pub(in crate::api) async fn of(visit: &Visit, request: Request) -> Result<Self, ApiError> {
        let too_large = || visit.refuse(Refused::LargeBody(GATHERED_BYTES_MAX as u64));
        let full = |full| visit.refuse(Refused::TransactionBytes(full));
        if declared_bytes(&request).is_some_and(|declared| declared > GATHERED_BYTES_MAX as u64) {
            return Err(too_large().into());
        }
        let mut place = visit.bounds().transaction_bytes.take(visit.address(), 0).map_err(full)?;
        let mut pieces = Pieces::default();
        let mut chunks = request.into_body().into_data_stream();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|error| broken(visit, &error))?;
            if pieces.bytes + chunk.len() > GATHERED_BYTES_MAX {
                return Err(too_large().into());
            }
            place.grow(chunk.len()).map_err(full)?;
            pieces.push(&chunk);
        }
        Ok(Self { bytes: pieces.join(), place })
    }
}

/// Bytes in pieces of one size. Many growing buffers at once would leave holes that the system does not get back.
#[derive(Default)]
struct Pieces {
    pieces: Vec<Vec<u8>>,
    bytes: usize,
}

impl Pieces {
    fn push(&mut self, mut bytes: &[u8]) {
        self.bytes += bytes.len();
        while !bytes.is_empty() {
            let mut piece = self.pieces.pop_if(|last| last.len() < PIECE_BYTES);
            let piece = piece.get_or_insert_with(|| Vec::with_capacity(PIECE_BYTES));
            let (now, later) = bytes.split_at(bytes.len().min(PIECE_BYTES - piece.len()));
            piece.extend_from_slice(now);
            self.pieces.push(std::mem::take(piece));
            bytes = later;
        }
    }

    fn join(self) -> Vec<u8> {
        let mut joined = Vec::with_capacity(self.bytes);
        for piece in self.pieces {
            joined.extend_from_slice(&piece);
        }
        joined
    }
}

/// The length that a request says its body has.
pub(in crate::api) fn declared_bytes(request: &Request) -> Option<u64> {
    request.headers().get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The refusal of a request whose body did not come whole.
pub(in crate::api) fn broken(visit: &Visit, error: &(dyn Error + 'static)) -> ApiError {
    if TooSlow::caused(error) {
        return visit.refuse(Refused::SlowBody).into();
    }
    ApiError::bad_request(format!("the body broke off: {error}; send it again"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_joined_to_what_came() {
        let bytes: Vec<u8> = (0..3 * PIECE_BYTES + 7).map(|at| (at % 251) as u8).collect();
        for chunk_bytes in [1000, PIECE_BYTES - 1, PIECE_BYTES, 2 * PIECE_BYTES + 1, bytes.len()] {
            let mut pieces = Pieces::default();
            for chunk in bytes.chunks(chunk_bytes) {
                pieces.push(chunk);
            }
            assert!(pieces.pieces.len() == 4 && pieces.bytes == bytes.len());
            assert!(pieces.join() == bytes, "in chunks of {chunk_bytes}");
        }
    }
}
