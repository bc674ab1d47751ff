//! Everything that a replica asks of its driver.

use super::{Executed, Gossip, Message};
use crate::{
    consensus::{Evidence, Fork, Record, VotingStatus},
    identity::PublicKey,
    proof::Handover,
    types::{Closing, Epoch, Height, View},
};

/// What the driver is to do.
#[derive(Debug)]
pub enum Action {
    /// Make this durable before carrying out any later action.
    Persist(Record),
    /// Drop the journal's records below this epoch and view, once everything before this action is stored.
    Prune(Epoch, View),
    /// Store a final block and what its execution produced.
    Executed(Box<Executed>),
    /// Store closing blocks beside the block of this height, which is their epoch's last, in place of those
    /// stored there before.
    Closed(Height, Box<Closing>),
    /// An epoch begins. Store how the previous one ended, for proofs, and connect to the new authorities.
    Epoch {
        /// The epoch that begins.
        epoch: Epoch,
        /// The end of the one before.
        handover: Box<Handover>,
    },
    /// Send this to one peer.
    Send {
        /// The receiver.
        to: PublicKey,
        /// The message.
        message: Message,
    },
    /// Send this to everyone.
    Gossip(Gossip),
    /// Send stored final blocks to a peer, as [`Message::Blocks`]. If closing blocks of the peer's epoch are
    /// stored beside the block below `from`, send those. Otherwise send the blocks from `from` on, up to the
    /// end of their epoch at most, and then that epoch's closing blocks with them.
    ServeBlocks {
        /// The receiver.
        to: PublicKey,
        /// The epoch that the peer is in.
        epoch: Epoch,
        /// The first height.
        from: Height,
    },
    /// Keep and show the proof that an authority broke a promise. There is at most one for each authority.
    Evidence(Box<Evidence>),
    /// Keep and show the proof that a block is final elsewhere which conflicts with what is final here. There is at most
    /// one, the first.
    Fork(Box<Fork>),
    /// Tell people that this authority has stopped voting, and why.
    VotingStatus(VotingStatus),
}
