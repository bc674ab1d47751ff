//! The I/O around Meshwork's core: the mesh (libp2p), the store (redb), blobs, the sandbox for tasks, the worker and
//! the local HTTP API.
//!
//! `docs/glossary.md` explains the words.
//!
//! No rule of the ledger or of consensus is here; those are in `meshwork-core`.
//!
//! Start at [`node::run`], which takes a [`config::NodeConfig`] and runs a node until it is told to stop.
#![deny(unsafe_code)]

pub mod alarms;
pub mod api;
pub mod blobs;
pub mod clock;
pub mod config;
pub mod disk_space;
pub mod driver;
mod frames;
pub mod load;
pub mod mesh;
pub mod metrics;
pub mod node;
pub mod store;
pub mod sync;
mod wire;
pub mod worker;
