//! The table of targets, one function each, and their common parts.

mod blobs;
mod genesis;
mod round;
mod stored;
mod transactions;

use std::fmt::Debug;

use meshwork_core::codec;
use serde::{Serialize, de::DeserializeOwned};

use crate::memory::bounded;

/// One decoder.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, which is also the name of its folder in the corpus.
    pub name: &'static str,
    /// The largest input that is useful in fuzzing, in bytes: larger ones only make it slower.
    pub bytes_max: usize,
    decode: fn(&[u8]) -> bool,
}

const fn target(name: &'static str, bytes_max: usize, decode: fn(&[u8]) -> bool) -> Target {
    Target { name, bytes_max, decode }
}

/// Every target, by name.
pub const TARGETS: [Target; 33] = [
    target("blob-answer", 512, blobs::answer),
    target("blob-head", 16, blobs::head),
    target("blob-manifest", 2048, blobs::manifest),
    target("blob-offer", 2048, blobs::offer),
    target("blob-request", 64, blobs::request),
    target("block", 4096, stored::block),
    target("certificate", 1024, round::certificate),
    target("claim", 1024, transactions::claim),
    target("control", 1024, transactions::control),
    target("drain", 16, transactions::drain),
    target("envelope", 2048, transactions::envelope),
    target("evidence", 512, round::evidence),
    target("extend", 2048, transactions::extend),
    target("frames", 1024, blobs::frames),
    target("genesis", 4096, genesis::genesis),
    target("gossip", 4096, round::gossip),
    target("govern", 2048, transactions::govern),
    target("handover", 2048, stored::handover),
    target("message", 8192, round::message),
    target("proof", 2048, stored::proof),
    target("proposal", 4096, round::proposal),
    target("receipts", 1024, stored::receipts),
    target("record", 4096, stored::record),
    target("recur", 2048, transactions::recur),
    target("report", 1024, transactions::report),
    target("snapshot", 4096, stored::snapshot),
    target("snapshot-ask", 64, stored::ask),
    target("snapshot-offer", 4096, stored::offer),
    target("submit", 2048, transactions::submit),
    target("transaction", 2048, transactions::transaction),
    target("transactions", 4096, transactions::transactions),
    target("vote", 256, round::vote),
    target("votes", 1024, round::votes),
];

impl Target {
    /// The target of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        TARGETS.iter().find(|target| target.name == name)
    }

    /// Decodes these bytes and checks the rules. Returns whether they decode.
    ///
    /// # Panics
    /// If a rule does not hold. Only one thread may call this at a time, see [`crate::memory::bounded`].
    #[must_use]
    pub fn run(&self, bytes: &[u8]) -> bool {
        (self.decode)(bytes)
    }
}

/// The value of these bytes, if they are its one encoding.
fn canonical<T: Serialize + DeserializeOwned + Debug>(bytes: &[u8], bytes_max: usize) -> Option<T> {
    let value: T = bounded(bytes, || codec::decode(bytes, bytes_max)).ok()?;
    assert!(bytes.len() <= bytes_max, "more bytes than are allowed");
    assert_eq!(codec::encode(&value), bytes, "what decodes encodes to the same bytes: {value:?}");
    Some(value)
}
