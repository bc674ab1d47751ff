//! Votes of authorities, and certificates: a quorum of votes on one statement.

use serde::{Deserialize, Serialize};
use serde_tuple::{Deserialize_tuple, Serialize_tuple};

use super::{AuthorityIndex, AuthoritySet, Epoch, View};
use crate::{
    codec::{self, ByteString},
    digest::Digest,
    identity::{self, Domain, NetworkId, PublicKey, SecretKey, Signature},
};

/// An authority's statement about a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Statement {
    /// This block is valid in this view. At most one in a view.
    Notarize(View, Digest),
    /// This view has taken too long. Never together with `Finalize`.
    Nullify(View),
    /// This block was notarized while the view was not given up. Never together with `Nullify`.
    Finalize(View, Digest),
}

impl Statement {
    /// The view that the statement is about.
    #[must_use]
    pub const fn view(&self) -> View {
        match self {
            Self::Notarize(view, _) | Self::Nullify(view) | Self::Finalize(view, _) => *view,
        }
    }

    /// The block that the statement is about, unless it nullifies the view.
    #[must_use]
    pub const fn block(&self) -> Option<Digest> {
        match self {
            Self::Notarize(_, block) | Self::Finalize(_, block) => Some(*block),
            Self::Nullify(_) => None,
        }
    }

    fn signed_bytes(&self, epoch: Epoch) -> Vec<u8> {
        codec::encode(&(epoch, self))
    }
}

/// One authority's signed statement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Vote {
    /// The epoch, which says whose votes count.
    pub epoch: Epoch,
    /// The statement.
    pub statement: Statement,
    /// The authority that votes.
    pub voter: AuthorityIndex,
    /// Its signature over epoch and statement.
    pub signature: Signature,
}

impl Vote {
    /// Signs a statement.
    #[must_use]
    pub fn sign(
        epoch: Epoch,
        statement: Statement,
        voter: AuthorityIndex,
        key: &SecretKey,
        network: &NetworkId,
    ) -> Self {
        let signature = key.sign(Domain::Vote, network, &statement.signed_bytes(epoch));
        Self { epoch, statement, voter, signature }
    }

    /// Whether the signature is that of `key`, by the strict rule.
    #[must_use]
    pub fn verify(&self, key: &PublicKey, network: &NetworkId) -> bool {
        let content = self.statement.signed_bytes(self.epoch);
        identity::verify(Domain::Vote, network, &content, key, &self.signature)
    }
}

/// A set of authorities as a bitmap: bit `i % 8` of byte `i / 8` is authority `i`. It has no trailing zero bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Signers(ByteString);

impl Signers {
    /// The set of these authorities.
    #[must_use]
    pub fn of(indices: impl IntoIterator<Item = AuthorityIndex>) -> Self {
        let mut bytes = Vec::new();
        for AuthorityIndex(index) in indices {
            let place = usize::from(index / 8);
            if bytes.len() <= place {
                bytes.resize(place + 1, 0);
            }
            bytes[place] |= 1 << (index % 8);
        }
        Self(bytes.into())
    }

    /// The authorities in rising order.
    pub fn iter(&self) -> impl Iterator<Item = AuthorityIndex> + '_ {
        let bits = self.0.iter().take(8192).enumerate();
        bits.flat_map(|(place, byte)| {
            (0..8).filter(move |bit| byte & (1 << bit) != 0).map(move |bit| AuthorityIndex((place * 8 + bit) as u16))
        })
    }
}

/// A quorum's signatures on one statement: a notarization, a nullification or a finalization.
#[derive(Clone, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Certificate {
    /// The epoch, which says whose votes count.
    pub epoch: Epoch,
    /// The statement that they all made.
    pub statement: Statement,
    /// The authorities that signed.
    pub signers: Signers,
    /// Their signatures, in the order of the signers.
    pub signatures: Vec<Signature>,
}

impl Certificate {
    /// The votes that make up the certificate, unchecked.
    pub fn votes(&self) -> impl Iterator<Item = Vote> + '_ {
        let signers = self.signers.iter().zip(&self.signatures);
        signers.map(|(voter, signature)| Vote {
            epoch: self.epoch,
            statement: self.statement,
            voter,
            signature: *signature,
        })
    }

    /// Whether this could be a certificate among this many authorities if its signatures were good: each signer
    /// is one of them, there is one signature for each, and there are at least `quorum`.
    #[must_use]
    pub fn has_shape(&self, authorities: usize, quorum: usize) -> bool {
        let count = self.signers.iter().count();
        count >= quorum
            && count == self.signatures.len()
            && self.signers.iter().all(|signer| usize::from(signer.0) < authorities)
            && self.signers == Signers::of(self.signers.iter())
    }

    /// Whether at least `quorum` of `authorities` signed it, each by the strict rule. A vote for which `known`
    /// holds is not checked again.
    #[must_use]
    pub fn verify_with(
        &self,
        authorities: &[PublicKey],
        quorum: usize,
        network: &NetworkId,
        known: impl Fn(&Vote) -> bool,
    ) -> bool {
        self.has_shape(authorities.len(), quorum)
            && self.votes().all(|vote| {
                let key = authorities.get(usize::from(vote.voter.0));
                key.is_some_and(|key| known(&vote) || vote.verify(key, network))
            })
    }

    /// Whether a quorum of `authorities` signed it, each by the strict rule.
    #[must_use]
    pub fn verify(&self, authorities: &AuthoritySet, network: &NetworkId) -> bool {
        let keys: Vec<PublicKey> = authorities.keys().collect();
        self.verify_with(&keys, authorities.quorum(), network, |_| false)
    }
}
