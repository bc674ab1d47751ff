//! The messages between replicas: by gossip to everyone, and directly over streams to one.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    codec::{self, DecodeError},
    consensus::{self, Evidence},
    types::{Block, Certificate, Epoch, Genesis, Height, Proposal, SignedTransaction, Vote},
};

/// A message to everyone. Gossip is not reliable: any message may be lost, and peers ask for what they miss.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Gossip {
    /// Transactions to order, in batches.
    Transactions(Vec<Arc<SignedTransaction>>),
    /// A leader's block.
    Proposal(Box<Proposal>),
    /// A block and all its ancestors are final.
    Finalization(Certificate),
    /// The proof that an authority broke a promise, with its signatures.
    Evidence(Box<Evidence>),
}

/// A message from one replica to another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Message {
    /// An authority's own votes.
    Votes(Vec<Vote>),
    /// What an authority has, and what it lacks.
    Ask(consensus::Ask),
    /// The answer to an ask.
    Tell(Box<consensus::Tell>),
    /// Transactions that gossip may have lost, offered to a leader.
    Transactions(Vec<Arc<SignedTransaction>>),
    /// Asks for final blocks from this height on. The sender is in this epoch; if the epoch is over, it asks
    /// for the closing blocks.
    BlocksFrom(Epoch, Height),
    /// Consecutive final blocks of one epoch, closing blocks among them, and the finalization of the last one.
    Blocks(Vec<Arc<Block>>, Box<Certificate>),
}

/// The most bytes of a message beyond the transactions of one block: headers, certificates, votes.
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
    /// Decodes a message that came by gossip.
    ///
    /// # Errors
    /// The bytes are too many, or not the canonical encoding of such a message.
    pub fn decode(bytes: &[u8], genesis: &Genesis) -> Result<Self, DecodeError> {
        codec::decode(bytes, gossip_bytes_max(genesis))
    }
}

impl Message {
    /// Decodes a message that came over a stream.
    ///
    /// # Errors
    /// The bytes are too many, or not the canonical encoding of such a message.
    pub fn decode(bytes: &[u8], genesis: &Genesis) -> Result<Self, DecodeError> {
        codec::decode(bytes, message_bytes_max(genesis))
    }
}
