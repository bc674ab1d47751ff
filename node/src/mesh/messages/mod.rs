//! Direct messages: one long-lived stream in each direction between two peers that have something to say to each other.
//!
//! On the stream: for each message its length, four bytes, least significant first, then the message.

mod frames;
mod outbox;
mod reader;
mod writer;

pub(super) use outbox::Outbox;
pub(super) use reader::{Reader, take_incoming};

/// The word for direct messages in protocol names.
pub(super) const KIND: &str = "message";
