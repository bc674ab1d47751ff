//! What must hold after every fault, asked of every peer.

pub mod chain;
pub mod outcomes;
