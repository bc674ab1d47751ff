//! Whole networks in one thread, in virtual time, from one seed.
//!
//! The simulator drives the very [`meshwork_core::replica::Replica`] and [`meshwork_core::worker::Worker`] that a node runs. What a node does with threads,
//! sockets and redb is done here by a queue of events: who carries messages, keeps time and stores bytes is all that differs.
//! Nothing reads a clock or the system's randomness, so one seed gives one run, always.
//!
//! * [`scenario`]: what a seed draws: the network, its faults, its work. Plain data, so that a failure can be shrunk.
//! * [`directed`]: scenarios made for something that seeds come to seldom; [`governed`]: those whose authorities change;
//!   [`volunteers`]: those made for what workers do.
//! * [`world`]: the queue of events, and what each does.
//! * [`peer`], [`disk`], [`links`], [`rumours`], [`worker`], [`liar`]: the parts of a network.
//! * [`checks`]: what must hold after every step, and at the end.
//! * [`shrink`]: the least of a scenario that still fails.
//!
//! And apart from these:
//!
//! * [`explore`]: of the round alone, not some runs of a small network but all.
//! * [`scale`]: how a network without faults grows, up to ten thousand peers.
#![forbid(unsafe_code)]

pub mod checks;
pub mod directed;
pub mod disk;
pub mod explore;
pub mod governed;
pub mod liar;
pub mod links;
pub mod peer;
pub mod rumours;
pub mod scale;
pub mod scenario;
pub mod shrink;
pub mod summary;
pub mod volunteers;
pub mod worker;
pub mod world;

pub use checks::Violation;
pub use scenario::Scenario;
pub use summary::Summary;
pub use world::{Outcome, run};
