//! Keys and signatures: ed25519 over `domain ‖ network id ‖ content`. So nothing signed for one purpose or
//! network passes for another.
//!
//! There are two rules for checking a signature:
//!
//! * The *strict* rule ([`verify`]) refuses small-order keys and points. Votes, certificates, deliveries, the
//!   pool and a proposer use it.
//! * The *batch* rule ([`verify_batch`]) is three times as fast. It differs from the strict rule only on
//!   signatures that a key's owner crafted with torsion points. It may check only transactions inside a
//!   proposal. Once a block is final its certificate decides, and nobody checks again.

use ed25519_dalek::{Signer, SigningKey, VerifyingKey};

use crate::{
    codec::fixed_bytes,
    digest::Digest,
    fault::{Fault, is_planted},
};

fixed_bytes! {
    /// An ed25519 public key: the identity of a peer, submitter or authority.
    PublicKey, 32, "a public key"
}

fixed_bytes! {
    /// An ed25519 signature.
    Signature, 64, "a signature"
}

fixed_bytes! {
    /// The BLAKE3 digest of a network's genesis. It names the network in every signature, topic and protocol.
    NetworkId, 32, "a network id"
}

/// The purpose of a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Domain {
    /// A transaction's payload.
    Transaction,
    /// An authority's vote.
    Vote,
    /// A second holder's receipt for an attempt's output.
    Delivery,
}

impl Domain {
    const fn prefix(self) -> &'static [u8] {
        match self {
            Self::Transaction => b"meshwork/1/transaction\0",
            Self::Vote => b"meshwork/1/vote\0",
            Self::Delivery => b"meshwork/1/delivery\0",
        }
    }
}

fn message(domain: Domain, network: &NetworkId, content: &[u8]) -> Vec<u8> {
    [domain.prefix(), &network.0, content].concat()
}

/// A secret key. It is wiped from memory when dropped and never shown.
#[derive(Clone)]
pub struct SecretKey(SigningKey);

impl SecretKey {
    /// The key made from these 32 random bytes.
    #[must_use]
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self(SigningKey::from_bytes(&seed))
    }

    /// The bytes to store in a key file.
    #[must_use]
    pub fn to_seed(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    /// A secret that follows from this key and the content, and from which neither follows. `context` separates it from
    /// secrets for other purposes.
    #[must_use]
    pub fn derive(&self, context: &'static str, content: &[u8]) -> [u8; 32] {
        Digest::of_parts(context, &[&self.0.to_bytes(), content]).0
    }

    /// The signature of `content` for one purpose on one network.
    #[must_use]
    pub fn sign(&self, domain: Domain, network: &NetworkId, content: &[u8]) -> Signature {
        #[cfg(feature = "memo")]
        return memo::signed_once(self, domain, network, content);
        #[cfg(not(feature = "memo"))]
        return make(&self.0, &message(domain, network, content));
    }
}

impl std::fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "secret key of {:?}", self.public())
    }
}

impl PublicKey {
    /// Whether these bytes are a point that the strict rule could ever accept.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        VerifyingKey::from_bytes(&self.0).is_ok_and(|key| !key.is_weak())
    }
}

/// Whether `signature` is `signer`'s over the content, by the strict rule.
#[must_use]
pub fn verify(domain: Domain, network: &NetworkId, content: &[u8], signer: &PublicKey, signature: &Signature) -> bool {
    if is_planted(Fault::SignaturesUnchecked) {
        return true;
    }
    #[cfg(feature = "memo")]
    return memo::checked_once(domain, network, content, signer, signature);
    #[cfg(not(feature = "memo"))]
    return check(domain, network, content, signer, signature);
}

fn make(key: &SigningKey, message: &[u8]) -> Signature {
    Signature(key.sign(message).to_bytes())
}

fn check(domain: Domain, network: &NetworkId, content: &[u8], signer: &PublicKey, signature: &Signature) -> bool {
    VerifyingKey::from_bytes(&signer.0).is_ok_and(|key| {
        let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
        key.verify_strict(&message(domain, network, content), &signature).is_ok()
    })
}

/// Whether all signatures are good by the batch rule. It does not say which one is bad. `true` for no items.
#[must_use]
pub fn verify_batch<'a>(
    domain: Domain,
    network: &NetworkId,
    items: impl IntoIterator<Item = (&'a [u8], &'a PublicKey, &'a Signature)>,
) -> bool {
    let mut messages = Vec::new();
    let mut signatures = Vec::new();
    let mut keys = Vec::new();
    for (content, signer, signature) in items {
        // Whatever the strict rule accepts, the batch rule accepts too.
        #[cfg(feature = "memo")]
        if memo::is_known_good(domain, network, content, signer, signature) {
            continue;
        }
        let Ok(key) = VerifyingKey::from_bytes(&signer.0) else { return false };
        messages.push(message(domain, network, content));
        signatures.push(ed25519_dalek::Signature::from_bytes(&signature.0));
        keys.push(key);
    }
    let messages: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
    ed25519_dalek::verify_batch(&messages, &signatures, &keys).is_ok()
}

#[cfg(feature = "memo")]
mod memo {
    //! Remembers the verdict on each signature, and the signatures made here, by everything that they depend
    //! on. A signature made here needs no check.

    use std::{cell::RefCell, collections::HashMap};

    use super::{Domain, NetworkId, PublicKey, SecretKey, Signature, check, make, message};

    /// How many signatures are remembered. Beyond that, all are forgotten.
    const REMEMBERED_MAX: usize = 1 << 16;

    thread_local! {
        static FOUND: RefCell<HashMap<[u8; 32], bool>> = RefCell::default();
        static SIGNED: RefCell<HashMap<[u8; 32], Signature>> = RefCell::default();
    }

    /// Signs, unless this was signed before: signatures are deterministic. The signature is remembered as good.
    pub(super) fn signed_once(secret: &SecretKey, domain: Domain, network: &NetworkId, content: &[u8]) -> Signature {
        let (signer, message) = (secret.public(), message(domain, network, content));
        let name = *blake3::Hasher::new().update(&signer.0).update(&message).finalize().as_bytes();
        if let Some(known) = SIGNED.with_borrow(|signed| signed.get(&name).copied()) {
            return known;
        }
        let signature = make(&secret.0, &message);
        remember(key(domain, network, content, &signer, &signature), true);
        SIGNED.with_borrow_mut(|signed| {
            if signed.len() >= REMEMBERED_MAX {
                signed.clear();
            }
            signed.insert(name, signature);
        });
        signature
    }

    pub(super) fn checked_once(
        domain: Domain,
        network: &NetworkId,
        content: &[u8],
        signer: &PublicKey,
        signature: &Signature,
    ) -> bool {
        let key = key(domain, network, content, signer, signature);
        if let Some(found) = FOUND.with_borrow(|found| found.get(&key).copied()) {
            return found;
        }
        let good = check(domain, network, content, signer, signature);
        remember(key, good);
        good
    }

    pub(super) fn is_known_good(
        domain: Domain,
        network: &NetworkId,
        content: &[u8],
        signer: &PublicKey,
        signature: &Signature,
    ) -> bool {
        let key = key(domain, network, content, signer, signature);
        FOUND.with_borrow(|found| found.get(&key) == Some(&true))
    }

    fn key(domain: Domain, network: &NetworkId, content: &[u8], signer: &PublicKey, signature: &Signature) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&signer.0).update(&signature.0).update(&message(domain, network, content));
        *hasher.finalize().as_bytes()
    }

    fn remember(key: [u8; 32], good: bool) {
        FOUND.with_borrow_mut(|found| {
            if found.len() >= REMEMBERED_MAX {
                found.clear();
            }
            found.insert(key, good);
        });
    }
}

impl From<Digest> for NetworkId {
    fn from(digest: Digest) -> Self {
        Self(digest.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NETWORK: NetworkId = NetworkId([1; 32]);

    #[test]
    fn a_signature_holds_for_its_domain_network_and_content_only() {
        let key = SecretKey::from_seed([7; 32]);
        let signature = key.sign(Domain::Vote, &NETWORK, b"content");
        let holds =
            |domain, network: &NetworkId, content: &[u8]| verify(domain, network, content, &key.public(), &signature);
        assert!(holds(Domain::Vote, &NETWORK, b"content"));
        assert!(!holds(Domain::Transaction, &NETWORK, b"content"));
        assert!(!holds(Domain::Vote, &NetworkId([2; 32]), b"content"));
        assert!(!holds(Domain::Vote, &NETWORK, b"other"));
    }

    #[test]
    fn a_batch_holds_only_if_every_signature_does() {
        let key = SecretKey::from_seed([7; 32]);
        let public = key.public();
        let contents: Vec<Vec<u8>> = (0..9u8).map(|byte| vec![byte; 40]).collect();
        let mut signatures: Vec<Signature> =
            contents.iter().map(|content| key.sign(Domain::Transaction, &NETWORK, content)).collect();
        let items = |signatures: &[Signature]| {
            let items: Vec<_> = contents.iter().map(Vec::as_slice).zip(signatures.to_vec()).collect();
            verify_batch(Domain::Transaction, &NETWORK, items.iter().map(|(c, s)| (*c, &public, s)))
        };
        assert!(items(&signatures));
        signatures[4].0[3] ^= 1;
        assert!(!items(&signatures));
    }

    #[test]
    fn weak_keys_are_known() {
        assert!(!PublicKey([0; 32]).is_valid());
        assert!(SecretKey::from_seed([3; 32]).public().is_valid());
    }
}
