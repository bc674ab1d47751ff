//! Whole networks in one thread, in virtual time, from one seed.
//!
//! The simulator drives the same [`meshwork_core::replica::Replica`] and [`meshwork_core::worker::Worker`] as a
//! node. A queue of events replaces the node's threads, sockets and redb: it carries messages, keeps time and stores
//! bytes. Nothing reads a clock or the system's randomness, so one seed always gives the same run.
//!
//! * [`scenario`]: what a seed draws: the network, its faults, its work. Plain data, so that a failing scenario
//!   can be shrunk.
//! * [`directed`]: scenarios made for one situation that seeds rarely reach; [`governed`]: those whose
//!   authorities change; [`volunteers`]: those made for what workers do.
//! * [`world`]: the queue of events, and what each does.
//! * [`peer`], [`disk`], [`links`], [`rumours`], [`worker`], [`liar`]: the parts of a network.
//! * [`checks`]: the rules that must hold after every step, and at the end.
//! * [`shrink`]: finds the smallest scenario that still fails.
//!
//! Two further tools are separate:
//!
//! * [`explore`]: all runs of a small network, instead of some, for the round alone.
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
pub use scenario::{Manner, Scenario, Work};
pub use summary::Summary;
pub use world::{Outcome, run};
