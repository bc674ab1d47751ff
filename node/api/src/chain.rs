//! Blocks, and the transactions and blobs that are handed in.

use meshwork_core::{
    digest::Digest,
    types::{Height, JobId, TransactionId, VoidReason},
};
use serde::{Deserialize, Serialize};

/// `GET /v1/blocks?from=HEIGHT&limit=N` (an array by height) and `GET /v1/blocks/{height}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BlockView {
    /// Its height.
    pub height: Height,
    /// Its view.
    pub view: u64,
    /// Its digest.
    pub digest: Digest,
    /// What people call the authority that proposed it.
    pub proposer: String,
    /// Its time, in microseconds since the Unix epoch.
    pub time_us: u64,
    /// The transactions that it orders.
    pub transactions: Vec<TransactionId>,
    /// Bytes of transactions, about.
    pub bytes: usize,
    /// The root over all receipts up to this height, by this node's own execution.
    pub root: Option<Digest>,
    /// The digest of the ledger's state after it, by this node's own execution: at a snapshot height.
    pub state: Option<Digest>,
    /// The attempts whose outcomes were accepted in it.
    pub outcomes: Vec<AcceptedView>,
}

/// An attempt whose outcome was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AcceptedView {
    /// Its job.
    pub job: JobId,
    /// Its task's place in the job.
    pub index: u32,
    /// Which attempt of the task, from 0.
    pub attempt: u32,
}

/// `POST /v1/transactions` takes the canonical CBOR of an array of envelopes and answers with one of these for each.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AdmissionView {
    /// The transaction; a submit's id is its job's.
    pub id: TransactionId,
    /// Why it was refused; nothing if it is now in this node's pool and on its way to the others.
    pub refused: Option<String>,
    /// The same for scripts, if it would be void.
    pub reason: Option<VoidReason>,
    /// When the job that it submits ends at the earliest, as far as can be known, if that is after its deadline. In
    /// microseconds since the Unix epoch.
    pub misses_deadline_us: Option<u64>,
}

/// `GET /v1/transactions/{id}`: what came of a transaction. There is none before it is executed, and none long after
/// its expiry.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TransactionView {
    /// Its id.
    pub id: TransactionId,
    /// Why it was void; nothing if it did what it says.
    pub void: Option<String>,
    /// The same for scripts.
    pub reason: Option<VoidReason>,
}

/// `PUT /v1/blobs` (the body is the content) answers with this.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct BlobView {
    /// Its name.
    pub digest: Digest,
    /// Its size.
    pub bytes: u64,
}

/// What any refusal looks like, with a status of 400 or more.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ErrorView {
    /// One sentence: what happened, to what, and what to do next.
    pub error: String,
}
