//! Each scheduling policy against a plain reference that is written separately, and slowly.

mod order;
mod placement;
