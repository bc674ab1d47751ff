//! What replicas say to each other: over gossip to everyone, and directly over streams to one.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    codec::{self, DecodeError},
    consensus::{self, Evidence},
    types::{Block, Certificate, Epoch, Genesis, Height, Proposal, SignedTransaction, Vote},
};

/// What everyone may hear. Gossip is never the truth: any of it may be lost, and whatever is missing is asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Gossip {
    /// Transactions that are to be ordered, in batches.
    Transactions(Vec<Arc<SignedTransaction>>),
    /// A leader's block.
    Proposal(Box<Proposal>),
    /// A block and all its ancestors are final.
    Finalization(Certificate),
    /// An authority broke a promise, and signed the proof.
    Evidence(Box<Evidence>),
}

/// What one replica says to another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Message {
    /// An authority's own votes.
    Votes(Vec<Vote>),
    /// What an authority has, and what it lacks.
    Ask(consensus::Ask),
    /// The answer.
    Tell(Box<consensus::Tell>),
    /// Transactions that gossip may have lost, offered to a leader.
    Transactions(Vec<Arc<SignedTransaction>>),
    /// Asks for final blocks from this height on, by one who is in this epoch: perhaps it is over, and what closed it is asked
    /// for.
    BlocksFrom(Epoch, Height),
    /// Consecutive final blocks of one epoch, closing blocks among them, and the finalization of the last one.
    Blocks(Vec<Arc<Block>>, Box<Certificate>),
}

/// Bytes that a message may have beyond the transactions of one block: headers, certificates, votes.
const OVERHEAD_BYTES: usize = 1 << 20;
/// The most bytes of blocks in one answer, beyond the one block that is always sent.
pub const BLOCKS_BYTES_MAX: usize = consensus::RUN_BYTES;

/// The most bytes of one gossiped message on this network.
#[must_use]
pub fn gossip_bytes_max(genesis: &Genesis) -> usize {
    genesis.consensus.block_bytes_max + OVERHEAD_BYTES
}

/// The most bytes of one direct message on this network.
#[must_use]
pub fn message_bytes_max(genesis: &Genesis) -> usize {
    BLOCKS_BYTES_MAX + genesis.consensus.block_bytes_max + OVERHEAD_BYTES
}

impl Gossip {
    /// Reads what came by gossip.
    ///
    /// # Errors
    /// The bytes are too many, or not the canonical encoding of such a message.
    pub fn decode(bytes: &[u8], genesis: &Genesis) -> Result<Self, DecodeError> {
        codec::decode(bytes, gossip_bytes_max(genesis))
    }
}

impl Message {
    /// Reads what came over a stream.
    ///
    /// # Errors
    /// The bytes are too many, or not the canonical encoding of such a message.
    pub fn decode(bytes: &[u8], genesis: &Genesis) -> Result<Self, DecodeError> {
        codec::decode(bytes, message_bytes_max(genesis))
    }
}
