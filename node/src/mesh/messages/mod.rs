//! Direct messages: one long-lived stream in each direction between two peers that have something to say to each
//! other.
//!
//! A stream carries the frames of [`meshwork_core::frames`].

mod outbox;
mod reader;
mod writer;

pub(super) use outbox::Outbox;
pub(super) use reader::{Reader, take_incoming};

/// The word of direct messages in protocol names.
pub(super) const KIND: &str = "message";
