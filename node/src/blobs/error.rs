//! Errors of blobs.

use std::{io, sync::Arc};

use meshwork_core::{
    digest::Digest,
    identity::PublicKey,
    types::{AttemptId, BlobRef},
};
use thiserror::Error;

use crate::mesh::OpenError;

/// Why a blob was not stored or read.
#[derive(Clone, Debug, Error)]
pub enum StoreError {
    /// The blob is too large.
    #[error("a blob of more than {bytes_max} bytes is too large")]
    TooLarge {
        /// The most bytes that are allowed here.
        bytes_max: u64,
    },
    /// The quota is used up.
    #[error("{bytes} bytes more do not fit: {used} of {quota} are used. Remove blobs, or raise the quota")]
    Full {
        /// The bytes to be added.
        bytes: u64,
        /// The bytes in use or reserved.
        used: u64,
        /// The most bytes in use.
        quota: u64,
    },
    /// The disk is nearly full.
    #[error("the disk has {free} bytes left, which this peer keeps for its ledger. Make room on it")]
    NoDiskSpace {
        /// The free bytes.
        free: u64,
    },
    /// There are too many blobs.
    #[error("{0} blobs are as many as are kept. Remove some")]
    TooMany(usize),
    /// The bytes do not have the expected digest.
    #[error("the bytes have the digest {found}, not {expected}")]
    Mismatch {
        /// The expected digest.
        expected: Digest,
        /// The digest that they have.
        found: Digest,
    },
    /// The blob is damaged whenever it was stored.
    #[error("{0} is damaged as soon as it is stored. Check the disk")]
    Damaged(Digest),
    /// The disk, or the source of the bytes, failed.
    #[error("blobs cannot be read or written: {0}")]
    Io(Arc<io::Error>),
    /// The index failed.
    #[error("the index of blobs cannot be read: {0}")]
    Index(String),
}

impl StoreError {
    /// Whether there was no room for it. Room may be made.
    #[must_use]
    pub const fn is_lack_of_room(&self) -> bool {
        matches!(self, Self::Full { .. } | Self::TooMany(_) | Self::NoDiskSpace { .. })
    }
}

impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> Self {
        Self::Io(Arc::new(error))
    }
}

/// Why a blob was not fetched.
#[derive(Clone, Debug, Error)]
pub enum FetchError {
    /// It is said to be larger than a blob may be.
    #[error("{0:?} is larger than a blob may be")]
    TooLarge(BlobRef),
    /// The store has it, with a size other than the expected one.
    #[error("{digest} has {found} bytes, not {expected}")]
    WrongSize {
        /// The blob's digest.
        digest: Digest,
        /// The expected size.
        expected: u64,
        /// The size in the store.
        found: u64,
    },
    /// No peer that was asked gave it.
    #[error("{digest} was not to be had from any of {asked} peers; {wrong} of them gave something else")]
    NotFound {
        /// The blob's digest.
        digest: Digest,
        /// The number of peers asked.
        asked: usize,
        /// The number of peers that gave bytes of another digest.
        wrong: usize,
    },
    /// Peers that may have it were busy, too slow or broke off.
    #[error("{digest} was not to be had from any of {asked} peers, but {unanswered} of them may have it")]
    Unanswered {
        /// The blob's digest.
        digest: Digest,
        /// The number of peers asked.
        asked: usize,
        /// The number of peers that may have it.
        unanswered: usize,
    },
    /// It was received and could not be stored.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The node is stopping.
    #[error("the fetch was given up because the node stops")]
    Stopped,
    /// The most fetches at once are under way.
    #[error("as many blobs are being fetched as may be at once; try again later")]
    Busy,
}

/// Why an output was not delivered to a holder.
#[derive(Debug, Error)]
pub enum DeliverError {
    /// A part of it is not in the store.
    #[error("{0} is not here to be delivered")]
    Missing(Digest),
    /// The manifest cannot be read, or names a digest with two sizes.
    #[error("{0} is not a manifest: {1}")]
    Manifest(Digest, String),
    /// The holder cannot be reached.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The holder refuses it.
    #[error("{holder} does not take the output of {attempt}: {reason}")]
    Refused {
        /// The holder.
        holder: PublicKey,
        /// The attempt whose output it is.
        attempt: AttemptId,
        /// The holder's reason.
        reason: String,
    },
    /// The holder's answer makes no sense, or it signed something else.
    #[error("{0} gave an answer that is none")]
    Nonsense(PublicKey),
    /// The stream broke, or the holder went silent.
    #[error("the delivery to {holder} broke off: {source}")]
    Broken {
        /// The holder.
        holder: PublicKey,
        /// What happened to the stream.
        source: io::Error,
    },
    /// A part in the store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}
