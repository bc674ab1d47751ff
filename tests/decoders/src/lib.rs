//! Every decoder of bytes that come from a stranger or from a disk, each as one function from bytes. The
//! function decodes as a peer would, and then checks the rules for whatever decodes:
//!
//! * Nothing panics: neither decoding, nor what a peer does next with the value.
//! * A value encodes again to the very same bytes.
//! * Decoding takes memory in proportion to the bytes, see [`memory`].
//! * A state restored from its bytes is the same state, and goes on in the same way.
//!
//! [`TARGETS`] lists them. `tests/fuzz` fuzzes each, guided by coverage. `corpus/` beside this crate's sources
//! keeps the useful inputs that fuzzing found, and this crate's tests replay it. [`seeds::seeds`] makes the
//! values that fuzzing starts from.

pub mod memory;
pub mod network;
pub mod seeds;
mod targets;

pub use targets::{TARGETS, Target};
