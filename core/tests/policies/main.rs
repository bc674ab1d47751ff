//! Tests each scheduling policy against a plain reference, written separately and slow.

mod order;
mod placement;
