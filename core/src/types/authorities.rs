//! The authorities of one epoch.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Authority, AuthorityIndex, Genesis, View};
use crate::{digest::Digest, identity::PublicKey};

/// The authorities of one epoch, in the order in which they lead. They order transactions. Epoch 0 has the
/// genesis' authorities; each later epoch has those that were approved in the one before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AuthoritySet(Vec<Authority>);

/// Why a set of authorities is refused.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum AuthoritySetError {
    /// It is empty, or larger than it may be.
    #[error("there must be 1 to {} authorities", Genesis::AUTHORITIES_MAX)]
    Count,
    /// Two authorities have the same key.
    #[error("two authorities have the same key")]
    SameKey,
    /// A key is not a usable ed25519 public key.
    #[error("a key is not a usable ed25519 public key")]
    Key,
    /// A name or address is too long, or there are too many addresses.
    #[error("an authority's name or addresses are too long or too many")]
    Text,
    /// With this many authorities, stalls could outlast claims, or exceed what attempts are allowed for them.
    #[error("the genesis' ledger.claim_stands_ms_max or allowance_ms is too short for so many authorities")]
    LeasesTooShort,
}

impl Authority {
    /// The most bytes of an authority's name in a proposal.
    pub const NAME_BYTES_MAX: usize = 128;
    /// The most addresses of an authority in a proposal.
    pub const ADDRESSES_MAX: usize = 8;
    /// The most bytes of each such address.
    pub const ADDRESS_BYTES_MAX: usize = 256;

    /// Whether names and addresses are short enough for a proposal. (A genesis may have longer ones.)
    #[must_use]
    pub fn is_brief(&self) -> bool {
        self.name.len() <= Self::NAME_BYTES_MAX
            && self.addresses.len() <= Self::ADDRESSES_MAX
            && self.addresses.iter().all(|address| address.len() <= Self::ADDRESS_BYTES_MAX)
    }
}

impl AuthoritySet {
    /// The set of these authorities, not yet checked: see [`AuthoritySet::check`].
    #[must_use]
    pub const fn of(authorities: Vec<Authority>) -> Self {
        Self(authorities)
    }

    /// Whether a network of this genesis can have these authorities: their number, their keys, and the stall
    /// threshold, which depends on how many of them may lie.
    ///
    /// # Errors
    /// Why it cannot.
    pub fn check(&self, genesis: &Genesis) -> Result<(), AuthoritySetError> {
        if !(1..=Genesis::AUTHORITIES_MAX).contains(&self.0.len()) {
            return Err(AuthoritySetError::Count);
        }
        if self.keys().collect::<BTreeSet<_>>().len() != self.0.len() {
            return Err(AuthoritySetError::SameKey);
        }
        if !self.keys().all(|key| key.is_valid()) {
            return Err(AuthoritySetError::Key);
        }
        let threshold_ms = genesis.consensus.stall_threshold_ms(self.faulty_max());
        let ledger = &genesis.ledger;
        let outlasts = ledger.claim_stands_ms_max >= threshold_ms.saturating_mul(3);
        if outlasts && ledger.allowance_ms >= threshold_ms.saturating_mul(2) {
            Ok(())
        } else {
            Err(AuthoritySetError::LeasesTooShort)
        }
    }

    /// All authorities, in order.
    #[must_use]
    pub fn authorities(&self) -> &[Authority] {
        &self.0
    }

    /// n: the number of authorities.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.0.len()
    }

    /// f: how many authorities may lie.
    #[must_use]
    pub const fn faulty_max(&self) -> usize {
        self.0.len().saturating_sub(1) / 3
    }

    /// q: how many authorities make a certificate.
    #[must_use]
    pub const fn quorum(&self) -> usize {
        self.0.len() - self.faulty_max()
    }

    /// The leader of a view: `authorities[v mod n]`.
    #[must_use]
    pub fn leader(&self, view: View) -> AuthorityIndex {
        AuthorityIndex((view.0 % self.0.len().max(1) as u64) as u16)
    }

    /// The authorities' keys, in order.
    pub fn keys(&self) -> impl Iterator<Item = PublicKey> + '_ {
        self.0.iter().map(|authority| authority.key)
    }

    /// The key of the authority with this index.
    #[must_use]
    pub fn key(&self, index: AuthorityIndex) -> Option<PublicKey> {
        self.0.get(usize::from(index.0)).map(|authority| authority.key)
    }

    /// The index of the authority with this key, if there is one.
    #[must_use]
    pub fn index_of(&self, key: &PublicKey) -> Option<AuthorityIndex> {
        let place = self.0.iter().position(|authority| authority.key == *key)?;
        u16::try_from(place).ok().map(AuthorityIndex)
    }

    /// Whether a key is an authority's.
    #[must_use]
    pub fn contains(&self, key: &PublicKey) -> bool {
        self.0.iter().any(|authority| authority.key == *key)
    }

    /// The digest of the set, names and addresses included.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of_value("meshwork 1 authorities", self)
    }

    /// This set with one more authority, which comes last.
    #[must_use]
    pub fn with(&self, authority: Authority) -> Self {
        Self(self.0.iter().cloned().chain([authority]).collect())
    }

    /// This set without the authority of that key.
    #[must_use]
    pub fn without(&self, key: &PublicKey) -> Self {
        Self(self.0.iter().filter(|authority| authority.key != *key).cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{codec, identity::SecretKey};

    fn set(count: u8) -> AuthoritySet {
        let authority = |seed: u8| Authority {
            name: format!("a{seed}"),
            key: SecretKey::from_seed([seed + 1; 32]).public(),
            addresses: vec!["/ip4/127.0.0.1/tcp/4001".into()],
        };
        AuthoritySet((0..count).map(authority).collect())
    }

    #[test]
    fn quorums_and_leaders_are_those_of_the_protocol() {
        for (count, faulty, quorum) in [(1, 0, 1), (2, 0, 2), (3, 0, 3), (4, 1, 3), (7, 2, 5), (10, 3, 7), (13, 4, 9)] {
            let set = set(count);
            assert_eq!((set.faulty_max(), set.quorum()), (faulty, quorum), "{count}");
            assert_eq!(set.leader(View(u64::from(count) + 1)).0, u16::from(count > 1));
        }
    }

    #[test]
    fn a_set_survives_its_encoding_and_its_digest_tells_it_from_others() {
        let set = set(4);
        let bytes = codec::encode(&set);
        assert_eq!(codec::decode::<AuthoritySet>(&bytes, bytes.len()), Ok(set.clone()));
        let without = set.without(&set.0[1].key);
        assert_eq!(without.count(), 3);
        assert_ne!(without.digest(), set.digest());
        assert_ne!(without.with(set.0[1].clone()).digest(), set.digest(), "the order counts");
    }
}
