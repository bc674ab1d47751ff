//! The checks after every fault, which ask every peer.

pub mod chain;
pub mod outcomes;
