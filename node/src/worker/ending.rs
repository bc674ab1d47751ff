//! What there is to say of an attempt that has run, and what it left, until another peer holds it.

use std::sync::Arc;

use meshwork_core::{
    codec::ByteString,
    digest::Digest,
    types::{Answer, BlobRef, Failure, InlineOutput, Output, Remains, Spawn, Usage, Verdict},
};

use crate::blobs::{Delivered, Seal};

/// The names of an output that is stored here.
#[derive(Clone, Copy, Debug)]
pub struct StoredOutput {
    /// The manifest.
    pub manifest: BlobRef,
    /// Standard error, if there is any.
    pub stderr: Option<BlobRef>,
}

impl StoredOutput {
    /// The output with its second holder's receipt.
    pub(super) fn at(self, Delivered { bytes, delivery }: Delivered) -> Output {
        let Self { manifest, stderr } = self;
        Output::Stored { manifest, stderr, bytes, delivery }
    }
}

/// The answer of a replica, which stays here until the ledger asks for it.
#[derive(Clone, Debug)]
pub enum Unrevealed {
    /// There is nothing to deliver.
    Whole(Answer),
    /// Its output is stored here and not delivered yet.
    Stored(StoredOutput, Ending, Arc<Seal>),
}

impl Unrevealed {
    /// The answer's digest.
    pub fn digest(&self) -> Digest {
        match self {
            Self::Whole(answer) => answer.digest(),
            // What names an output is its manifest.
            Self::Stored(stored, Ending::Succeeded(status, ..), _) => {
                Answer::digest_of_success(*status, &stored.manifest)
            }
            Self::Stored(stored, Ending::Failed(failure, ..), _) => {
                Answer::digest_of_failure(failure, Some(&stored.manifest))
            }
        }
    }
}

/// What there is to say of an attempt besides where its output is.
#[derive(Clone, Debug)]
pub enum Ending {
    /// The status of a success, what it used, and the tasks that it spawns.
    Succeeded(i32, Usage, Vec<Spawn>),
    /// A failure, with the end of standard error.
    Failed(Failure, ByteString, Usage),
}

impl Ending {
    /// Whether workers can agree on it.
    pub(super) const fn is_answer(&self) -> bool {
        match self {
            Self::Succeeded(..) => true,
            Self::Failed(failure, ..) => !failure.setback().is_of_machine(),
        }
    }

    /// The verdict with an output that another peer holds.
    pub(super) fn with_stored(self, output: Output) -> Verdict {
        match self {
            Self::Succeeded(status, usage, spawns) => Verdict::Succeeded(status, output, usage, spawns),
            Self::Failed(failure, stderr_tail, usage) => {
                Verdict::Failed(failure, Remains { output: Some(output), stderr_tail }, usage)
            }
        }
    }

    /// The verdict with an output that goes onto the ledger itself.
    pub(super) fn with_inline(self, output: InlineOutput) -> Verdict {
        match self {
            Self::Succeeded(status, usage, spawns) => Verdict::Succeeded(status, Output::Inline(output), usage, spawns),
            Self::Failed(failure, _, usage) => Verdict::Failed(failure, Remains::whole(Output::Inline(output)), usage),
        }
    }

    /// The verdict if the output is lost. A success is worth nothing without it, and its task runs again elsewhere.
    pub(super) fn without_output(self) -> Verdict {
        match self {
            Self::Succeeded(..) => Verdict::Undelivered,
            Self::Failed(failure, stderr_tail, usage) => Verdict::Failed(failure, Remains::tail(stderr_tail), usage),
        }
    }
}
