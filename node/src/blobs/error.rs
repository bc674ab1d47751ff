//! What can go wrong with blobs.

use std::{io, sync::Arc};

use meshwork_core::{
    digest::Digest,
    identity::PublicKey,
    types::{AttemptId, BlobRef},
};
use thiserror::Error;

use crate::mesh::OpenError;

/// Why something was not stored or read.
#[derive(Clone, Debug, Error)]
pub enum StoreError {
    /// One blob may have only so many bytes.
    #[error("a blob of more than {bytes_max} bytes is too large")]
    TooLarge {
        /// How many are allowed here.
        bytes_max: u64,
    },
    /// The quota is used up.
    #[error("{bytes} bytes more do not fit: {used} of {quota} are used. Remove blobs, or raise the quota")]
    Full {
        /// How many were to be added.
        bytes: u64,
        /// How many are there or promised.
        used: u64,
        /// How many there may be.
        quota: u64,
    },
    /// The disk is nearly full.
    #[error("the disk has {free} bytes left, which this peer keeps for its ledger. Make room on it")]
    NoRoom {
        /// How many are free.
        free: u64,
    },
    /// There are too many blobs.
    #[error("{0} blobs are as many as are kept. Remove some")]
    TooMany(usize),
    /// The bytes are not those that the digest names.
    #[error("the bytes have the digest {found}, not {expected}")]
    Mismatch {
        /// What they were to have.
        expected: Digest,
        /// What they have.
        found: Digest,
    },
    /// The disk, or whoever gives the bytes.
    #[error("blobs cannot be read or written: {0}")]
    Io(Arc<io::Error>),
    /// The index.
    #[error("the index of blobs cannot be read: {0}")]
    Index(String),
}

impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> Self {
        Self::Io(Arc::new(error))
    }
}

/// Why a blob was not fetched.
#[derive(Clone, Debug, Error)]
pub enum FetchError {
    /// It says that it is larger than a blob may be.
    #[error("{0:?} is larger than a blob may be")]
    TooLarge(BlobRef),
    /// It is here, and has another size than was said.
    #[error("{digest} has {found} bytes, not {expected}")]
    WrongSize {
        /// Which.
        digest: Digest,
        /// What was said.
        expected: u64,
        /// What it has.
        found: u64,
    },
    /// Nobody who was asked gave it.
    #[error("{digest} was not to be had from any of {asked} peers; {wrong} of them gave something else")]
    NotFound {
        /// Which.
        digest: Digest,
        /// How many were asked.
        asked: usize,
        /// How many gave bytes of another digest.
        wrong: usize,
    },
    /// It came and could not be stored.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The node stops.
    #[error("the fetch was given up because the node stops")]
    Stopped,
    /// As many blobs are being fetched as may be.
    #[error("as many blobs are being fetched as may be at once; try again later")]
    Busy,
}

/// Why an output was not delivered to a holder.
#[derive(Debug, Error)]
pub enum DeliverError {
    /// Part of it is not here.
    #[error("{0} is not here to be delivered")]
    Missing(Digest),
    /// The manifest is none, or names a digest with two sizes.
    #[error("{0} is not a manifest: {1}")]
    Manifest(Digest, String),
    /// The holder cannot be reached.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The holder does not take it.
    #[error("{holder} does not take the output of {attempt}: {reason}")]
    Refused {
        /// Who.
        holder: PublicKey,
        /// Of which attempt.
        attempt: AttemptId,
        /// Its words.
        reason: String,
    },
    /// The holder answered something that makes no sense, or signed something else.
    #[error("{0} gave an answer that is none")]
    Nonsense(PublicKey),
    /// The line broke, or the holder went silent.
    #[error("the delivery to {holder} broke off: {source}")]
    Broken {
        /// Who.
        holder: PublicKey,
        /// How.
        source: io::Error,
    },
    /// What is here cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}
