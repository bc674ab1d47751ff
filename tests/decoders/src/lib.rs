//! Every decoder of bytes that come from a stranger or from a disk, each as one function from bytes: it decodes as a peer
//! would, and then checks what must hold of whatever decodes.
//!
//! * Nothing panics: neither decoding, nor what a peer does next with what it decoded.
//! * What decodes encodes again to the very same bytes.
//! * Decoding takes memory in proportion to the bytes, see [`memory`].
//! * What a state comes back from is that state again, and goes on in the same way.
//!
//! [`TARGETS`] is the table of them. `tests/fuzz` fuzzes each, guided by coverage; `corpus/` beside this crate's sources
//! keeps what that found worth keeping, and this crate's tests replay it. [`seeds::seeds`] makes the values that fuzzing
//! starts from.

pub mod memory;
pub mod network;
pub mod seeds;
mod targets;

pub use targets::{TARGETS, Target};
