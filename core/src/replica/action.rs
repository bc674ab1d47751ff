//! All that a replica can ask of its driver.

use super::{Executed, Gossip, Message};
use crate::{
    consensus::{Evidence, Record, Standing},
    identity::PublicKey,
    proof::Handover,
    types::{Closing, Epoch, Height, View},
};

/// What the driver is to do.
#[derive(Debug)]
pub enum Action {
    /// Make this durable before anything that comes after it.
    Persist(Record),
    /// Records whose place is below this are not needed any more, once what comes before this action is stored.
    Prune(Epoch, View),
    /// Store a final block and what came of it.
    Executed(Box<Executed>),
    /// Store closing blocks beside the block of this height, their epoch's last, instead of what was stored there before.
    Closed(Height, Box<Closing>),
    /// An epoch begins. Store how the one before it ended, for proofs; and be connected to these authorities.
    Epoch {
        /// Which begins.
        epoch: Epoch,
        /// How it came to be.
        handover: Box<Handover>,
    },
    /// Send this to one peer.
    Send {
        /// Whom.
        to: PublicKey,
        /// What.
        message: Message,
    },
    /// Send this to everyone.
    Gossip(Gossip),
    /// Send stored final blocks to a peer, as [`Message::Blocks`]: the closing blocks beside the block below this height,
    /// if there are any and they are of that epoch; else the blocks from this height on, to the end of their epoch at most,
    /// and then its closing blocks with them.
    ServeBlocks {
        /// Whom.
        to: PublicKey,
        /// The epoch in which the peer is.
        epoch: Epoch,
        /// The first height.
        from: Height,
    },
    /// Keep and show the proof that an authority broke a promise. At most one comes for each authority.
    Evidence(Box<Evidence>),
    /// Tell people that this authority has stopped voting, and why.
    Standing(Standing),
}
