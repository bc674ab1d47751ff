//! Transactions: what people and workers sign, and the envelope that it travels in.

use std::collections::BTreeSet;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_tuple::{Deserialize_tuple, Serialize_tuple};

use super::{
    AttemptId, BlockTime, Control, Extend, Govern, Incarnation, Labels, Permission, Recur, Resources, Submit,
    TransactionId, Verdict,
};
use crate::{
    codec::{self, ByteString, DecodeError},
    digest::Digest,
    fault::{Fault, is_planted},
    identity::{self, Domain, NetworkId, PublicKey, SecretKey, Signature},
};

/// A signed payload, as it travels. The payload's bytes stay as they came, so that the signature stays valid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Envelope {
    /// The canonical encoding of a [`Transaction`].
    pub payload: ByteString,
    /// The key that signed.
    pub signer: PublicKey,
    /// The signature over `domain ‖ network id ‖ payload`.
    pub signature: Signature,
}

/// The signed content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Transaction {
    /// Random, so that a signer can sign the same action twice.
    pub nonce: u64,
    /// The last block time at which it may be executed.
    pub expires: BlockTime,
    /// What the signer wants.
    pub action: Action,
}

/// What a transaction does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// A submitter admits a job.
    Submit(Submit),
    /// A submitter adds to a job of its own that is open.
    Extend(Extend),
    /// A submitter holds, releases, amends or cancels tasks of its own.
    Control(Control),
    /// A submitter has a job recur, or no longer recur.
    Recur(Recur),
    /// A worker offers to hold tasks.
    Claim(Claim),
    /// A worker reports how attempts ended.
    Report(Report),
    /// A worker leaves.
    Drain(Drain),
    /// Authorities change what the genesis settled.
    Govern(Govern),
}

impl Action {
    /// What its signer has to be permitted to do. `None` if only authorities may do it.
    #[must_use]
    pub const fn permission(&self) -> Option<Permission> {
        match self {
            Self::Submit(_) | Self::Extend(_) | Self::Control(_) | Self::Recur(_) => Some(Permission::Submit),
            Self::Claim(_) | Self::Report(_) | Self::Drain(_) => Some(Permission::Work),
            Self::Govern(_) => None,
        }
    }
}

/// A worker's standing offer. It is its heartbeat, too.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Claim {
    /// Larger than in every claim and drain of this key that was executed before.
    pub sequence: u64,
    /// The life of the worker's process.
    pub incarnation: Incarnation,
    /// How many attempts may run at once.
    pub slots: u32,
    /// The resources that these may take together.
    pub resources: Resources,
    /// How many more attempts may wait at the worker for resources.
    pub waiting: u32,
    /// How busy the machine is, from 0, idle, to 1000, full.
    pub load: u16,
    /// Labels that the machine offers.
    pub labels: Labels,
    /// Large blobs that the worker has, at most [`Claim::BLOBS_MAX`], each once and in order. Tasks that need
    /// one may be placed here rather than elsewhere.
    pub blobs: BTreeSet<Digest>,
    /// How long the claim stands from the block that executes it, in milliseconds of lease time, within the
    /// genesis' bounds.
    pub stands_ms: u64,
}

impl Claim {
    /// The largest load score: a full machine.
    pub const LOAD_MAX: u16 = 1000;
    /// The most blobs in a claim.
    pub const BLOBS_MAX: usize = 64;
    /// The fewest bytes of a blob that a claim lists. A smaller one is fetched so soon that it does not matter
    /// who has it.
    pub const BLOB_BYTES_MIN: u64 = 1 << 20;

    /// The sequence number of a key's next claim or drain, after the last one known here. As long as the clock
    /// rises, it rises over restarts, even if the last one known here is old.
    #[must_use]
    pub fn next_sequence(last: u64, clock: BlockTime) -> u64 {
        let next = last.saturating_add(1);
        if is_planted(Fault::SequenceRestarts) { next } else { next.max(clock.0) }
    }
}

/// A worker's reports on attempts that it was given. The ledger judges each item by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Report {
    /// At most the genesis' bound on items.
    pub items: Vec<ReportItem>,
}

/// A worker's report on one attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct ReportItem {
    /// The attempt.
    pub attempt: AttemptId,
    /// How it ended.
    pub verdict: Verdict,
}

/// A worker leaves. Its claim ends, and its attempts go back at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Drain {
    /// Larger than in every claim and drain of this key that was executed before.
    pub sequence: u64,
}

/// A transaction with the envelope that it came in. It is decoded once and never changes. Its payload is
/// well-formed, but its signature need not be good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedTransaction {
    envelope: Envelope,
    transaction: Transaction,
    id: TransactionId,
}

impl SignedTransaction {
    /// The most bytes of an envelope besides its payload.
    pub const ENVELOPE_BYTES: usize = 128;

    /// Signs a transaction for a network.
    #[must_use]
    pub fn sign(transaction: Transaction, key: &SecretKey, network: &NetworkId) -> Self {
        let payload = ByteString::from(codec::encode(&transaction));
        let signature = key.sign(Domain::Transaction, network, &payload);
        let envelope = Envelope { payload, signer: key.public(), signature };
        Self { id: Self::id_of(&envelope), envelope, transaction }
    }

    /// Decodes the transaction in an envelope.
    ///
    /// # Errors
    /// The payload is not the canonical encoding of a transaction.
    pub fn open(envelope: Envelope) -> Result<Self, DecodeError> {
        let transaction = codec::decode(&envelope.payload, envelope.payload.len())?;
        Ok(Self { id: Self::id_of(&envelope), envelope, transaction })
    }

    fn id_of(envelope: &Envelope) -> TransactionId {
        const CONTEXT: &str = "meshwork 1 transaction id";
        TransactionId(Digest::of_parts(CONTEXT, &[&envelope.signer.0, &envelope.payload]))
    }

    /// Whether the signature is good by the strict rule.
    #[must_use]
    pub fn verify(&self, network: &NetworkId) -> bool {
        let Envelope { payload, signer, signature } = &self.envelope;
        identity::verify(Domain::Transaction, network, payload, signer, signature)
    }

    /// Whether all signatures are good by the batch rule.
    #[must_use]
    pub fn verify_all<'a>(transactions: impl IntoIterator<Item = &'a Self>, network: &NetworkId) -> bool {
        let items = transactions.into_iter().map(|t| (&*t.envelope.payload, &t.envelope.signer, &t.envelope.signature));
        identity::verify_batch(Domain::Transaction, network, items)
    }

    /// The transaction's id.
    #[must_use]
    pub const fn id(&self) -> TransactionId {
        self.id
    }

    /// The key that signed it.
    #[must_use]
    pub const fn signer(&self) -> PublicKey {
        self.envelope.signer
    }

    /// The transaction that was signed.
    #[must_use]
    pub const fn transaction(&self) -> &Transaction {
        &self.transaction
    }

    /// The envelope, as it travels.
    #[must_use]
    pub const fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    /// The most bytes that the transaction takes in a block.
    #[must_use]
    pub fn wire_bytes(&self) -> usize {
        self.envelope.payload.len() + Self::ENVELOPE_BYTES
    }
}

impl Serialize for SignedTransaction {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.envelope.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for SignedTransaction {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::open(Envelope::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}
