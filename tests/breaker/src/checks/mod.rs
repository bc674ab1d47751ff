//! The checks after every fault, which ask every peer.

pub(crate) mod chain;
pub(crate) mod outcomes;
