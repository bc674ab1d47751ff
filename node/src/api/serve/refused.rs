//! What the API refuses to clients, as its metrics and its answers say it.

use std::fmt;

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};

use super::{admit::Kind, places::Full};
use crate::api::error::ApiError;

/// Why a client was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::api) enum Refused {
    /// The request does not name this machine.
    Host,
    /// The request comes from a web page that this API does not serve.
    Origin,
    /// There are as many requests of the kind as there may be.
    Requests(Kind, Full),
    /// There are as many bytes of transactions as there may be.
    TransactionBytes(Full),
    /// There are as many bytes of answers as there may be.
    AnswerBytes(Full),
    /// The connection waited longest, and there were too many.
    Waiting,
    /// A head took too long.
    SlowHead,
    /// A head was too large, or none.
    WrongHead,
    /// A body came too slowly.
    SlowBody,
    /// A body has more bytes than this.
    LargeBody(u64),
    /// An answer, or events, were read too slowly.
    SlowReader,
}

impl Refused {
    /// The reason in the metrics.
    pub(super) const fn reason(self) -> &'static str {
        match self {
            Self::Host => "API: not a name of this machine",
            Self::Origin => "API: a web page from elsewhere",
            Self::Requests(kind, _) => kind.reason(),
            Self::TransactionBytes(_) => "API: too many bytes of transactions",
            Self::AnswerBytes(_) => "API: too many bytes of answers",
            Self::Waiting => "API: too many waiting connections",
            Self::SlowHead => "API: a slow head",
            Self::WrongHead => "API: a wrong head",
            Self::SlowBody => "API: a slow body",
            Self::LargeBody(_) => "API: a large body",
            Self::SlowReader => "API: a slow reader",
        }
    }
}

/// A bound in words.
struct AtOnce(Full, &'static str);

impl fmt::Display for AtOnce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self(Full::All(most), what) => write!(f, "this node takes at most {most} {what} at once"),
            Self(Full::Address(most), what) => {
                write!(f, "this node takes at most {most} {what} at once from one address")
            }
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Host => f.write_str(
                "this API answers only requests whose Host is localhost or the address of this machine at which they \
                 arrive; use such an address",
            ),
            Self::Origin => f.write_str("this API answers no requests of web pages from elsewhere; use a program"),
            Self::Requests(kind, full) => write!(f, "{}; try again in a moment", AtOnce(full, kind.plural())),
            Self::TransactionBytes(full) => {
                write!(f, "{}; try again in a moment", AtOnce(full, "bytes of transactions"))
            }
            Self::AnswerBytes(full) => {
                write!(
                    f,
                    "{}; read the answers that you have asked for, or ask for less",
                    AtOnce(full, "bytes of unread answers")
                )
            }
            Self::Waiting => f.write_str("too many connections sent no request; send one at once"),
            Self::SlowHead => f.write_str("the request's head came too slowly; send it at once"),
            Self::WrongHead => f.write_str("this is no HTTP request, or its head is too large; send another"),
            Self::SlowBody => f.write_str("the body came too slowly; send it over a faster line, or in parts"),
            Self::LargeBody(bytes_max) => write!(f, "send at most {bytes_max} bytes at a time"),
            Self::SlowReader => f.write_str("the answer was read too slowly; read it as it comes"),
        }
    }
}

impl From<Refused> for ApiError {
    fn from(refused: Refused) -> Self {
        let sentence = refused.to_string();
        match refused {
            Refused::Host | Refused::Origin => Self::new(StatusCode::FORBIDDEN, sentence),
            Refused::Requests(..) | Refused::TransactionBytes(_) | Refused::AnswerBytes(_) => Self::busy(sentence),
            Refused::LargeBody(_) => Self::new(StatusCode::PAYLOAD_TOO_LARGE, sentence),
            Refused::WrongHead => Self::bad_request(sentence),
            Refused::Waiting | Refused::SlowHead | Refused::SlowBody | Refused::SlowReader => {
                Self::new(StatusCode::REQUEST_TIMEOUT, sentence)
            }
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        ApiError::from(self).into_response()
    }
}
