//! Proof that a receipt is on a network's ledger. Checking it needs nothing but the genesis.
//!
//! The receipt is a leaf under its block's receipts root. That root is a leaf of the history. A header carries
//! the root of the history up to its R. A quorum of authorities finalized that header or a descendant of it. An
//! authority notarizes only headers whose root agrees with its own execution, so the finalization vouches for
//! the result and not merely for the order. (The block that holds a report proves nothing by itself: the report
//! may be void.)
//!
//! The handovers since the genesis show who the authorities of a later epoch are; each is finalized by the
//! authorities before. A handover's own header carries the root over all receipts of its epoch, and may be the
//! header that carries the proof's root.
//!
//! A proof is sound as long as in every epoch up to its own at most f authorities ever lie, including those
//! that have left since. Anyone who holds q keys of a past epoch can make up another history from there.

use serde_tuple::{Deserialize_tuple, Serialize_tuple};
use thiserror::Error;

use crate::{
    codec::{self, DecodeError},
    digest::Digest,
    identity::NetworkId,
    merkle,
    types::{AuthoritySet, Certificate, Epoch, Genesis, Header, Height, Receipt, Role, Statement},
};

/// A receipt, and why to believe it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Proof {
    /// The receipt.
    pub receipt: Receipt,
    /// Its height.
    pub height: Height,
    /// Its index among that block's receipts, from 0.
    pub index: u32,
    /// The number of that block's receipts.
    pub count: u32,
    /// The path from the receipt to the root of that block's receipts.
    pub block_path: Vec<Digest>,
    /// The path from that root to the history's root that the first header carries.
    pub history_path: Vec<Digest>,
    /// The header that carries the history's root, and its descendants up to one that is final.
    pub headers: Vec<Header>,
    /// The finalization of the last header.
    pub finalization: Certificate,
    /// The end of each epoch before the last header's, from the first on.
    pub handovers: Vec<Handover>,
}

/// The end of an epoch: the finalization of a closing block that names the next authorities.
#[derive(Clone, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Handover {
    /// The closing block's header.
    pub header: Header,
    /// The authorities that it names.
    pub authorities: AuthoritySet,
    /// Its finalization, by the authorities of the epoch that ended.
    pub finalization: Certificate,
}

impl Handover {
    /// Whether this ends this epoch of these authorities.
    #[must_use]
    pub fn verify(&self, epoch: Epoch, authorities: &AuthoritySet, network: &NetworkId) -> bool {
        self.header.epoch == epoch
            && self.header.role == Role::Closing(Some(self.authorities.digest()))
            && is_finalization_of(&self.finalization, &self.header)
            && self.finalization.verify(authorities, network)
    }
}

/// Whether a certificate says that a header's block is final. Its signatures are not checked.
pub(crate) fn is_finalization_of(certificate: &Certificate, header: &Header) -> bool {
    certificate.epoch == header.epoch && certificate.statement == Statement::Finalize(header.view, header.digest())
}

/// Whether each of these headers is the child of the one before.
pub(crate) fn is_chain(headers: &[Header]) -> bool {
    headers.windows(2).all(|pair| pair[1].parent == pair[0].digest() && pair[1].stands_at(pair[0].height))
}

/// The authorities of an epoch, from the genesis and the end of each epoch before it. `None` if the handovers
/// do not show them.
pub(crate) fn authorities_of(epoch: Epoch, handovers: &[Handover], genesis: &Genesis) -> Option<AuthoritySet> {
    if handovers.len() as u64 != epoch.0 {
        return None;
    }
    let network = genesis.network_id();
    let mut authorities = genesis.authority_set();
    for (past, handover) in (0..).map(Epoch).zip(handovers) {
        if !handover.verify(past, &authorities, &network) {
            return None;
        }
        authorities = handover.authorities.clone();
    }
    Some(authorities)
}

/// Why a proof is refused.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum ProofError {
    /// It has no header.
    #[error("it holds no header")]
    NoHeader,
    /// Its paths do not lead from the receipt to the root that the header carries.
    #[error("its receipt does not stand under the root that its header carries")]
    Path,
    /// A header is not the child of the one before.
    #[error("its headers are not a chain")]
    Chain,
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

impl Proof {
    /// The most bytes that an encoded proof may have.
    pub const BYTES_MAX: usize = 1 << 20;

    /// Decodes a proof.
    ///
    /// # Errors
    /// The bytes are not a proof.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        codec::decode(bytes, Self::BYTES_MAX)
    }

    /// Checks everything, by the strict signature rule.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn verify(&self, genesis: &Genesis) -> Result<(), ProofError> {
        let first = self.headers.first().ok_or(ProofError::NoHeader)?;
        let last = self.headers.last().ok_or(ProofError::NoHeader)?;
        self.check_paths(first)?;
        if !is_chain(&self.headers) {
            return Err(ProofError::Chain);
        }
        if !is_finalization_of(&self.finalization, last) {
            return Err(ProofError::Finalization);
        }
        let network = genesis.network_id();
        let authorities = authorities_of(last.epoch, &self.handovers, genesis).ok_or(ProofError::Handovers)?;
        let signed = self.finalization.verify(&authorities, &network);
        if signed { Ok(()) } else { Err(ProofError::Signatures) }
    }

    fn check_paths(&self, carrier: &Header) -> Result<(), ProofError> {
        let leaf = self.receipt.digest();
        let block_root = merkle::root_from_path(&leaf, u64::from(self.index), u64::from(self.count), &self.block_path);
        let place = self.height.0.checked_sub(1).ok_or(ProofError::Path)?;
        let root = block_root
            .and_then(|root| merkle::root_from_path(&root, place, carrier.result_height.0, &self.history_path));
        if root == Some(carrier.result) { Ok(()) } else { Err(ProofError::Path) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        identity::SecretKey,
        types::{
            Agreement, Answer, Answered, AttemptId, AttemptNumber, Authority, AuthorityIndex, Basis, BlockTime,
            InlineOutput, JobId, OutcomeReceipt, Output, Signers, TaskId, TransactionId, TransactionReceipt, Usage,
            View, Vote,
        },
    };

    fn receipt(byte: u8) -> Receipt {
        Receipt::Transaction(TransactionReceipt { id: TransactionId(Digest([byte; 32])), result: Ok(()) })
    }

    fn header(height: u64, parent: Digest, result_height: u64, result: Digest) -> Header {
        Header {
            epoch: Epoch(0),
            role: Role::Inner,
            view: View(height),
            height: Height(height),
            parent,
            time: BlockTime(height),
            transactions: Digest::ZERO,
            final_height: Height(result_height),
            result_height: Height(result_height),
            result,
            snapshots: Vec::new(),
        }
    }

    fn keys(seeds: std::ops::RangeInclusive<u8>) -> Vec<SecretKey> {
        seeds.map(|seed| SecretKey::from_seed([seed; 32])).collect()
    }

    /// The finalization of a header, signed by all but the last of these keys.
    fn finalize(header: &Header, keys: &[SecretKey], network: &NetworkId) -> Certificate {
        let (epoch, statement) = (header.epoch, Statement::Finalize(header.view, header.digest()));
        let voters = keys.iter().take(keys.len() - 1).zip((0..).map(AuthorityIndex));
        let votes: Vec<Vote> = voters.map(|(key, voter)| Vote::sign(epoch, statement, voter, key, network)).collect();
        Certificate {
            epoch,
            statement,
            signers: Signers::of(votes.iter().map(|vote| vote.voter)),
            signatures: votes.iter().map(|vote| vote.signature).collect(),
        }
    }

    /// Four authorities, receipts at heights 1 to 3, the second receipt of height 2 proved by header 5 and its child 6.
    fn proof() -> (Genesis, Proof) {
        let keys = keys(1..=4);
        let authorities: String = keys
            .iter()
            .enumerate()
            .map(|(index, key)| format!("[[authorities]]\nname = \"a{index}\"\nkey = \"{}\"\n", key.public()))
            .collect();
        let genesis = Genesis::from_toml(&format!("name = \"t\"\ntime_us = 1\n{authorities}")).expect("good");
        let blocks: Vec<Vec<Digest>> = [vec![receipt(1)], vec![receipt(2), receipt(3), receipt(4)], vec![]]
            .iter()
            .map(|receipts| receipts.iter().map(Receipt::digest).collect())
            .collect();
        let roots: Vec<Digest> = blocks.iter().map(|leaves| merkle::root(leaves)).collect();
        let first = header(5, Digest::ZERO, 3, merkle::root(&roots));
        let last = header(6, first.digest(), 3, merkle::root(&roots));
        let finalization = finalize(&last, &keys, &genesis.network_id());
        let proof = Proof {
            receipt: receipt(3),
            height: Height(2),
            index: 1,
            count: 3,
            block_path: merkle::path_of(&blocks[1], 1).expect("a leaf"),
            history_path: merkle::path_of(&roots, 1).expect("a leaf"),
            headers: vec![first, last],
            finalization,
            handovers: Vec::new(),
        };
        (genesis, proof)
    }

    /// The handover of an epoch from these authorities to those.
    fn hand_over(epoch: u64, from: &[SecretKey], to: &[SecretKey], network: &NetworkId) -> Handover {
        let authority = |key: &SecretKey| Authority { name: String::new(), key: key.public(), addresses: Vec::new() };
        let authorities = AuthoritySet::of(to.iter().map(authority).collect());
        let role = Role::Closing(Some(authorities.digest()));
        let header = Header { epoch: Epoch(epoch), role, ..header(9, Digest::ZERO, 9, Digest::ZERO) };
        let finalization = finalize(&header, from, network);
        Handover { header, authorities, finalization }
    }

    /// The same proof with headers of epoch 2: authorities 1 to 4 handed over to 2 to 5, and these to 3 to 7.
    fn later() -> (Genesis, Proof) {
        let (genesis, mut proof) = proof();
        let network = genesis.network_id();
        let (first, second, third) = (keys(1..=4), keys(2..=5), keys(3..=7));
        proof.handovers = vec![hand_over(0, &first, &second, &network), hand_over(1, &second, &third, &network)];
        proof.headers[0].epoch = Epoch(2);
        proof.headers[1].epoch = Epoch(2);
        proof.headers[1].parent = proof.headers[0].digest();
        proof.finalization = finalize(&proof.headers[1], &third, &network);
        (genesis, proof)
    }

    #[test]
    fn a_receipt_of_a_later_epoch_is_proven_by_the_handovers_since_the_genesis() {
        let (genesis, proof) = later();
        let read = Proof::decode(&codec::encode(&proof)).expect("canonical");
        assert_eq!(read.verify(&genesis), Ok(()));
    }

    #[test]
    fn a_chain_of_handovers_that_is_cut_swapped_or_made_by_others_proves_nothing() {
        let (genesis, good) = later();
        let network = genesis.network_id();
        let broken = |change: &dyn Fn(&mut Proof)| {
            let mut proof = good.clone();
            change(&mut proof);
            proof.verify(&genesis)
        };
        let wrong = Err(ProofError::Handovers);
        assert_eq!(broken(&|p| p.handovers.clear()), wrong);
        assert_eq!(broken(&|p| drop(p.handovers.pop())), wrong);
        assert_eq!(broken(&|p| p.handovers.swap(0, 1)), wrong);
        assert_eq!(broken(&|p| p.handovers.push(p.handovers[1].clone())), wrong);
        let (first, second, third) = (keys(1..=4), keys(2..=5), keys(3..=7));
        assert_eq!(broken(&|p| p.handovers[1] = hand_over(1, &first, &third, &network)), wrong, "those who left");
        assert_eq!(broken(&|p| p.handovers[1] = hand_over(0, &second, &third, &network)), wrong, "another epoch's");
        assert_eq!(broken(&|p| p.handovers[1].authorities = p.handovers[0].authorities.clone()), wrong);
        assert_eq!(broken(&|p| p.handovers[1].finalization.signatures.truncate(2)), wrong);
        // A closing block that names no authorities is no handover.
        let unnamed = |p: &mut Proof| {
            let handover = &mut p.handovers[1];
            handover.header.role = Role::Closing(None);
            handover.finalization = finalize(&handover.header, &second, &network);
        };
        assert_eq!(broken(&unnamed), wrong);
        let of_others = |p: &mut Proof| p.finalization = finalize(&p.headers[1], &second, &network);
        assert_eq!(broken(&of_others), Err(ProofError::Signatures));
    }

    #[test]
    fn a_handovers_own_header_proves_what_stands_up_to_its_epochs_end() {
        let (genesis, mut proof) = proof();
        let network = genesis.network_id();
        let carrier = &mut proof.headers[0];
        carrier.role = Role::Closing(Some(Digest::ZERO));
        (carrier.height, carrier.final_height) = (Height(3), Height(3));
        proof.finalization = finalize(carrier, &keys(1..=4), &network);
        proof.headers.truncate(1);
        assert_eq!(proof.verify(&genesis), Ok(()));
    }

    #[test]
    fn a_good_proof_survives_its_encoding_and_holds() {
        let (genesis, proof) = proof();
        let read = Proof::decode(&codec::encode(&proof)).expect("canonical");
        assert_eq!(read.verify(&genesis), Ok(()));
    }

    /// The proof of an outcome on which two of three workers agreed.
    fn agreed() -> (Genesis, Proof) {
        let (genesis, mut proof) = proof();
        let answer = Answer::Succeeded(0, Output::Inline(InlineOutput::default()), Usage::default());
        let answered = |number: u32, digest| Answered {
            attempt: AttemptNumber(number),
            worker: SecretKey::from_seed([number as u8 + 50; 32]).public(),
            answer: digest,
        };
        let answers = vec![answered(0, answer.digest()), answered(1, Digest([9; 32])), answered(2, answer.digest())];
        let outcome = OutcomeReceipt {
            attempt: AttemptId { task: TaskId { job: JobId(Digest([4; 32])), index: 7 }, number: AttemptNumber(0) },
            worker: answers[0].worker,
            height: Height(2),
            verdict: answer.into(),
            agreement: Some(Agreement { basis: Basis::Quorum(2), answers }),
        };
        assert!(outcome.agreement.as_ref().is_some_and(|agreement| agreement.supports(&outcome)));
        proof.receipt = Receipt::Outcome(outcome);
        let leaves: Vec<Digest> = [receipt(2), proof.receipt.clone(), receipt(4)].iter().map(Receipt::digest).collect();
        let roots = [merkle::root(&[receipt(1).digest()]), merkle::root(&leaves), merkle::root(&[])];
        proof.block_path = merkle::path_of(&leaves, 1).expect("a leaf");
        proof.history_path = merkle::path_of(&roots, 1).expect("a leaf");
        proof.headers = vec![header(5, Digest::ZERO, 3, merkle::root(&roots))];
        proof.finalization = finalize(&proof.headers[0], &keys(1..=4), &genesis.network_id());
        (genesis, proof)
    }

    #[test]
    fn a_proof_with_any_one_bit_changed_is_refused() {
        let (genesis, proof) = agreed();
        let good = codec::encode(&proof);
        assert_eq!(Proof::decode(&good).expect("canonical").verify(&genesis), Ok(()));
        for bit in 0..good.len() * 8 {
            let mut changed = good.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let holds = Proof::decode(&changed).is_ok_and(|proof| proof.verify(&genesis).is_ok());
            assert!(!holds, "bit {} of byte {} of {}", bit % 8, bit / 8, good.len());
        }
    }

    #[test]
    fn whatever_is_changed_breaks_it() {
        let (genesis, good) = proof();
        let broken = |change: &dyn Fn(&mut Proof)| {
            let mut proof = good.clone();
            change(&mut proof);
            proof.verify(&genesis)
        };
        assert_eq!(broken(&|p| p.receipt = receipt(9)), Err(ProofError::Path));
        assert_eq!(broken(&|p| p.height = Height(3)), Err(ProofError::Path));
        assert_eq!(broken(&|p| p.height = Height(0)), Err(ProofError::Path));
        assert_eq!(broken(&|p| p.index = 0), Err(ProofError::Path));
        assert_eq!(broken(&|p| p.headers[0].result = Digest::ZERO), Err(ProofError::Path));
        assert_eq!(broken(&|p| p.headers[0].time = BlockTime(77)), Err(ProofError::Chain));
        assert_eq!(broken(&|p| p.headers[1].time = BlockTime(77)), Err(ProofError::Finalization));
        assert_eq!(broken(&|p| p.headers.clear()), Err(ProofError::NoHeader));
        assert_eq!(broken(&|p| p.finalization.signatures[0].0[0] ^= 1), Err(ProofError::Signatures));
        assert_eq!(broken(&|p| p.finalization.signatures.truncate(2)), Err(ProofError::Signatures));
        let mut other = genesis.clone();
        other.name.push('x');
        assert_eq!(good.verify(&other), Err(ProofError::Signatures));
    }
}
