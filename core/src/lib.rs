//! The pure heart of Meshwork: what authorities agree on, what every peer computes from it, and nothing else.
//!
//! `docs/glossary.md` explains the words.
//!
//! This crate holds values and state machines. It opens no socket or file, starts no thread, reads no clock and
//! draws no randomness. Time and entropy come in as values; what to send, store or run goes out as values. The
//! same inputs give the same outputs, to the byte, on every machine.
//!
//! Start at [`replica::Replica`]. It joins three state machines ([`consensus`], [`ledger`] and, inside the
//! ledger, [`schedule`]) with a [`pool`] of waiting transactions. A driver calls it with the time and an event,
//! and it answers with actions. Beside it stands [`worker::Worker`], which decides what a volunteer does with what
//! the ledger gives it.
//!
//! [`types`], [`blobs`] and [`snapshot`] hold the data that travels and is stored. [`codec`], [`identity`] and
//! [`frames`] turn it into bytes.
#![forbid(unsafe_code)]

pub mod blobs;
pub mod codec;
pub mod consensus;
pub mod digest;
pub mod fault;
pub mod frames;
pub mod identity;
mod invariant;
pub mod ledger;
pub mod merkle;
pub mod pool;
pub mod proof;
pub mod replica;
pub mod schedule;
pub mod snapshot;
pub mod types;
pub mod worker;
