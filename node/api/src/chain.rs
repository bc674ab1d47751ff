//! Blocks, and the transactions and blobs that are handed in.

use meshwork_core::{
    digest::Digest,
    ledger::bounds::Unsound,
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
    /// The name of the authority that proposed it.
    pub proposer: String,
    /// Its time, in microseconds since the Unix epoch.
    pub time_us: u64,
    /// The transactions that it orders.
    pub transactions: Vec<TransactionId>,
    /// The transactions' size in bytes, approximately.
    pub bytes: usize,
    /// The root over all receipts up to this height, from this node's own execution.
    pub root: Option<Digest>,
    /// The digest of the ledger's state after the block, from this node's own execution; only at a snapshot height.
    pub state: Option<Digest>,
    /// The attempts whose outcomes were accepted in it.
    pub outcomes: Vec<AcceptedView>,
}

/// An attempt whose outcome was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AcceptedView {
    /// Its job.
    pub job: JobId,
    /// The task's index in the job.
    pub index: u32,
    /// The attempt's number, from 0.
    pub attempt: u32,
}

/// `POST /v1/transactions` takes the canonical CBOR of an array of envelopes, and answers with one of these for each.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AdmissionView {
    /// The transaction's id. A submit's id is also its job's.
    pub id: TransactionId,
    /// Why the node refused it; nothing if it is now in the node's pool and on its way to other peers.
    pub refused: Option<String>,
    /// Why it would be void, for scripts.
    pub reason: Option<VoidReason>,
    /// The field that exceeds a bound or makes no sense, if that is why.
    pub unsound: Option<Unsound>,
    /// The earliest possible end of the job that it submits, as far as can be known, in microseconds since the Unix
    /// epoch. Nothing if that is not after the job's deadline.
    pub misses_deadline_us: Option<u64>,
}

/// `GET /v1/transactions/{id}`: the fate of a transaction. There is none before it is executed, and none long after its
/// expiry.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TransactionView {
    /// Its id.
    pub id: TransactionId,
    /// Why it was void; nothing if it took effect.
    pub void: Option<String>,
    /// Why it was void, for scripts.
    pub reason: Option<VoidReason>,
}

/// `PUT /v1/blobs` (the body is the content) answers with this.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct BlobView {
    /// The blob's digest.
    pub digest: Digest,
    /// The blob's size.
    pub bytes: u64,
}

/// `POST /v1/blobs/verify?after=DIGEST` answers with this: what came of comparing the next stored blobs, in the order of
/// their digests, with their digests.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct VerifiedView {
    /// How many blobs were read.
    pub checked: u64,
    /// Their sizes together.
    pub bytes: u64,
    /// Those that were damaged and are set aside.
    pub damaged: Vec<Digest>,
    /// The digest after which to go on; nothing if these were the last.
    pub next: Option<Digest>,
}

/// Every refusal, with a status of 400 or more.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ErrorView {
    /// One sentence: what happened, to what, and what to do next.
    pub error: String,
}
