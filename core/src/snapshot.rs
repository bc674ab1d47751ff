//! Snapshots between peers: the chunks in which a snapshot travels, and the proof that makes it credible before
//! the first chunk has come.
//!
//! A header carries the digest of the list of the snapshot's chunks as its state digest. So each chunk can be
//! checked by itself, whichever peer sends it. A peer asks others for what they have ([`SnapshotRequest::Newest`]) and
//! checks the [`Certified`] against nothing but the genesis. Then it fetches chunks from all peers that offer
//! the same snapshot, and the few blocks between the snapshot and the header that vouches for it.
//! [`Installation`](crate::replica::Installation) makes records of them.

use serde::{Deserialize, Serialize};
use serde_tuple::{Deserialize_tuple, Serialize_tuple};
use thiserror::Error;

use crate::{
    digest::Digest,
    proof::{self, Handover},
    types::{Block, Certificate, Genesis, Header, Height, SnapshotDigest},
};

/// Bytes of a chunk. The last chunk of a snapshot may have fewer, but at least one.
pub const CHUNK_BYTES: usize = 1 << 20;
/// The most bytes of an encoded [`SnapshotOffer`].
pub const OFFER_BYTES_MAX: usize = 8 << 20;
/// The most bytes of an encoded [`SnapshotRequest`].
pub const SNAPSHOT_REQUEST_BYTES_MAX: usize = 64;

/// The list of a snapshot's chunks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Chunks {
    /// The bytes of all chunks together.
    bytes: u64,
    /// The digest of each chunk, in order.
    digests: Vec<Digest>,
}

impl Chunks {
    /// The chunks of a snapshot.
    #[must_use]
    pub fn of(snapshot: &[u8]) -> Self {
        Self { bytes: snapshot.len() as u64, digests: snapshot.chunks(CHUNK_BYTES).map(chunk_digest).collect() }
    }

    /// The state digest of the snapshot, as headers carry it.
    #[must_use]
    pub fn state(&self) -> Digest {
        Digest::of_value("meshwork 1 ledger state", self)
    }

    /// The bytes of all chunks together.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The number of chunks.
    #[must_use]
    pub fn count(&self) -> u32 {
        u32::try_from(self.digests.len()).unwrap_or(u32::MAX)
    }

    /// Whether these bytes are the chunk with this index, from 0.
    #[must_use]
    pub fn is_chunk(&self, place: u32, bytes: &[u8]) -> bool {
        self.digests.get(place as usize).is_some_and(|digest| *digest == chunk_digest(bytes))
    }

    fn is_sound(&self) -> bool {
        self.bytes.div_ceil(CHUNK_BYTES as u64) == self.digests.len() as u64
    }
}

fn chunk_digest(chunk: &[u8]) -> Digest {
    Digest::of_parts("meshwork 1 snapshot chunk", &[chunk])
}

/// A snapshot's chunks, and the proof that they are the state of a height.
#[derive(Clone, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Certified {
    /// The chunks.
    pub chunks: Chunks,
    /// The header of the snapshot's height and its descendants, up to one that is final. One of these carries
    /// the state's digest.
    pub headers: Vec<Header>,
    /// The finalization of the last header.
    pub finalization: Certificate,
    /// The end of each epoch before the last header's, from the first on.
    pub handovers: Vec<Handover>,
}

/// Why a snapshot is refused.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum NotCertified {
    /// There is no header, or only that of the snapshot's height.
    #[error("it holds no header that could carry its digest")]
    NoHeader,
    /// A header is not the child of the one before, or is of a closing block.
    #[error("its headers are not a chain of blocks")]
    Chain,
    /// No header carries the digest, or the last one does not know the snapshot's height to be final.
    #[error("no header carries the digest of these chunks for its height")]
    NotCarried,
    /// The number of chunks does not fit the number of bytes.
    #[error("its chunks do not hold its bytes")]
    Chunks,
    /// The certificate is not a finalization of the last header.
    #[error("its certificate does not finalize its last header")]
    Finalization,
    /// The handovers do not lead from the genesis to the last header's epoch.
    #[error("its handovers do not lead from the genesis' authorities to those who finalized its last header")]
    Handovers,
    /// The certificate's signatures are not those of a quorum of that epoch's authorities.
    #[error("its finalization is not signed by a quorum of this network's authorities")]
    Signatures,
}

impl Certified {
    /// The height of the state; 0 without a header.
    #[must_use]
    pub fn height(&self) -> Height {
        self.headers.first().map_or(Height(0), |header| header.height)
    }

    /// Checks everything, by the strict signature rule.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn verify(&self, genesis: &Genesis) -> Result<(), NotCertified> {
        let (Some((own, later)), Some(last)) = (self.headers.split_first(), self.headers.last()) else {
            return Err(NotCertified::NoHeader);
        };
        if later.is_empty() {
            return Err(NotCertified::NoHeader);
        }
        if self.headers.iter().any(|header| header.role.is_closing()) || !proof::is_chain(&self.headers) {
            return Err(NotCertified::Chain);
        }
        if !self.chunks.is_sound() {
            return Err(NotCertified::Chunks);
        }
        let digest = SnapshotDigest { height: own.height, state: self.chunks.state() };
        // Future headers carry results of heights that the last header knows to be final, or of later ones. A
        // peer that starts from here has all of these.
        if !later.iter().any(|header| header.snapshots.contains(&digest)) || last.final_height < own.height {
            return Err(NotCertified::NotCarried);
        }
        if !proof::is_finalization_of(&self.finalization, last) {
            return Err(NotCertified::Finalization);
        }
        let authorities = proof::authorities_of(last.epoch, &self.handovers, genesis).ok_or(NotCertified::Handovers)?;
        let signed = self.finalization.verify(&authorities, &genesis.network_id());
        if signed { Ok(()) } else { Err(NotCertified::Signatures) }
    }

    /// Whether this is the block with this index after the snapshot, from 0.
    #[must_use]
    pub fn is_block(&self, place: usize, block: &Block) -> bool {
        self.headers.get(place + 1).is_some_and(|header| *header == block.header) && block.is_whole()
    }
}

/// What a peer offers to peers that are far behind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct SnapshotOffer {
    /// Its newest snapshot that it can prove.
    pub certified: Certified,
    /// The lowest height whose block it has. It has all blocks from there on.
    pub blocks_from: Height,
}

impl SnapshotOffer {
    /// Whether the snapshot serves a peer that has executed this height better than blocks do: it is an
    /// interval ahead, or the blocks are gone.
    #[must_use]
    pub fn is_worth(&self, executed: Height, snapshot_interval: u64) -> bool {
        let height = self.certified.height();
        height > executed
            && (height.0 >= executed.0.saturating_add(snapshot_interval) || self.blocks_from > executed.next())
    }
}

/// What one peer asks of another, over a stream. The answer is one [frame](crate::frames).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SnapshotRequest {
    /// The newest snapshot. The answer is a [`SnapshotOffer`] or nothing.
    Newest,
    /// A chunk of the snapshot of a height, by its index from 0. The answer is its bytes, or nothing.
    Chunk(Height, u32),
    /// The block of a height. The answer is the block, or nothing.
    Block(Height),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        codec,
        identity::{NetworkId, SecretKey},
        types::{AuthorityIndex, BlockTime, Epoch, Role, Signers, Statement, View, Vote},
    };

    fn keys() -> Vec<SecretKey> {
        (1..=4).map(|seed| SecretKey::from_seed([seed; 32])).collect()
    }

    fn genesis() -> Genesis {
        let of = |(index, key): (usize, &SecretKey)| {
            format!("[[authorities]]\nname = \"a{index}\"\nkey = \"{}\"\n", key.public())
        };
        let authorities: String = keys().iter().enumerate().map(of).collect();
        Genesis::from_toml(&format!("name = \"t\"\ntime_us = 1\n{authorities}")).expect("good")
    }

    fn finalize(header: &Header, network: &NetworkId) -> Certificate {
        let (epoch, statement) = (header.epoch, Statement::Finalize(header.view, header.digest()));
        let keys = keys();
        let voters = keys.iter().take(3).zip((0..).map(AuthorityIndex));
        let votes: Vec<Vote> = voters.map(|(key, voter)| Vote::sign(epoch, statement, voter, key, network)).collect();
        Certificate {
            epoch,
            statement,
            signers: Signers::of(votes.iter().map(|vote| vote.voter)),
            signatures: votes.iter().map(|vote| vote.signature).collect(),
        }
    }

    fn header(height: u64, parent: &Header) -> Header {
        Header {
            height: Height(height),
            view: View(height),
            parent: parent.digest(),
            time: BlockTime(height),
            final_height: Height(height - 1),
            result_height: Height(height - 2),
            ..parent.clone()
        }
    }

    /// A snapshot of three chunks at height 8. Header 10 carries its digest, and header 11 is final.
    fn certified(genesis: &Genesis) -> (Vec<u8>, Certified) {
        let bytes: Vec<u8> = (0..2 * CHUNK_BYTES + 77).map(|at| (at % 251) as u8).collect();
        let chunks = Chunks::of(&bytes);
        let own = Header {
            epoch: Epoch(0),
            view: View(8),
            role: Role::Inner,
            height: Height(8),
            parent: Digest::ZERO,
            time: BlockTime(8),
            transactions: Block::transactions_digest(&[]),
            final_height: Height(7),
            result_height: Height(6),
            result: Digest::ZERO,
            snapshots: Vec::new(),
        };
        let next = header(9, &own);
        let mut carrier = header(10, &next);
        carrier.snapshots = vec![SnapshotDigest { height: Height(8), state: chunks.state() }];
        let mut last = header(11, &carrier);
        last.snapshots.clear();
        let finalization = finalize(&last, &genesis.network_id());
        (bytes, Certified { chunks, headers: vec![own, next, carrier, last], finalization, handovers: Vec::new() })
    }

    #[test]
    fn a_snapshot_that_a_final_header_vouches_for_is_believed_and_its_chunks_one_by_one() {
        let genesis = genesis();
        let (bytes, certified) = certified(&genesis);
        assert_eq!(certified.verify(&genesis), Ok(()));
        assert_eq!((certified.height(), certified.chunks.count()), (Height(8), 3));
        for (place, chunk) in (0..).zip(bytes.chunks(CHUNK_BYTES)) {
            assert!(certified.chunks.is_chunk(place, chunk));
            assert!(!certified.chunks.is_chunk(place + 1, chunk) && !certified.chunks.is_chunk(place, &chunk[1..]));
        }
        let offer = SnapshotOffer { certified, blocks_from: Height(3) };
        assert_eq!(codec::decode(&codec::encode(&offer), OFFER_BYTES_MAX), Ok(offer));
    }

    #[test]
    fn whatever_is_changed_is_not_believed() {
        let genesis = genesis();
        let (bytes, good) = certified(&genesis);
        let broken = |change: &dyn Fn(&mut Certified)| {
            let mut certified = good.clone();
            change(&mut certified);
            certified.verify(&genesis)
        };
        let finalize_anew = |c: &mut Certified| {
            c.finalization = finalize(c.headers.last().expect("one"), &genesis.network_id());
        };
        assert_eq!(broken(&|c| c.headers.clear()), Err(NotCertified::NoHeader));
        assert_eq!(broken(&|c| c.headers.truncate(1)), Err(NotCertified::NoHeader));
        assert_eq!(broken(&|c| c.headers[0].time = BlockTime(1)), Err(NotCertified::Chain));
        assert_eq!(broken(&|c| drop(c.headers.remove(1))), Err(NotCertified::Chain));
        assert_eq!(broken(&|c| c.headers[3].role = Role::Closing(None)), Err(NotCertified::Chain));
        assert_eq!(broken(&|c| c.chunks = Chunks::of(&bytes[1..])), Err(NotCertified::NotCarried));
        assert_eq!(broken(&|c| c.chunks.digests.truncate(2)), Err(NotCertified::Chunks));
        // Without the snapshot's header, the digest is of another height.
        assert_eq!(broken(&|c| drop(c.headers.remove(0))), Err(NotCertified::NotCarried));
        let too_early = |c: &mut Certified| {
            c.headers.truncate(2);
            finalize_anew(c);
        };
        assert_eq!(broken(&too_early), Err(NotCertified::NotCarried), "the carrier is not among them");
        assert_eq!(broken(&|c| drop(c.headers.pop())), Err(NotCertified::Finalization));
        assert_eq!(broken(&|c| c.finalization.signatures[0].0[0] ^= 1), Err(NotCertified::Signatures));
        assert_eq!(broken(&|c| c.finalization.signatures.truncate(2)), Err(NotCertified::Signatures));
        let later = |c: &mut Certified| {
            c.headers[3].epoch = Epoch(1);
            finalize_anew(c);
        };
        assert_eq!(broken(&later), Err(NotCertified::Handovers));
    }

    #[test]
    fn a_snapshot_is_worth_it_if_it_is_far_ahead_or_blocks_are_gone() {
        let genesis = genesis();
        let offer = |blocks_from| SnapshotOffer { certified: certified(&genesis).1, blocks_from: Height(blocks_from) };
        assert!(offer(1).is_worth(Height(0), 8));
        assert!(!offer(1).is_worth(Height(1), 8), "seven blocks are sooner had");
        assert!(offer(4).is_worth(Height(2), 8), "the blocks are there no more");
        assert!(!offer(4).is_worth(Height(3), 8));
        assert!(!offer(9).is_worth(Height(8), 8), "it has that state itself");
    }
}
