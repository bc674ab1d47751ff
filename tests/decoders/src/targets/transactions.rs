//! Transactions of submitters and workers: as they travel, and each kind by itself, signed by a suitable key
//! and executed.

use std::{fmt::Debug, sync::Arc};

use meshwork_core::{
    codec,
    identity::SecretKey,
    ledger::Ledger,
    types::{
        Action, Block, Claim, Control, Drain, Extend, Govern, Receipt, Recur, Report, SignedTransaction, Submit,
        Transaction,
    },
};
use serde::{Serialize, de::DeserializeOwned};

use super::canonical;
use crate::network::{Network, network};

/// A signed transaction.
pub(super) fn envelope(bytes: &[u8]) -> bool {
    let Some(signed) = canonical::<SignedTransaction>(bytes, bytes.len()) else { return false };
    travels(&signed);
    execute(Arc::new(signed));
    true
}

/// What a submitter's client posts and a pool offers: many transactions.
pub(super) fn transactions(bytes: &[u8]) -> bool {
    let Some(all) = canonical::<Vec<Arc<SignedTransaction>>>(bytes, bytes.len()) else { return false };
    let strictly = all.iter().all(|signed| signed.verify(&network().id));
    let in_batch = SignedTransaction::verify_all(all.iter().map(Arc::as_ref), &network().id);
    assert!(in_batch || !strictly, "the batch rule takes whatever the strict rule does");
    true
}

/// A transaction as it is signed, by whoever signs it.
pub(super) fn transaction(bytes: &[u8]) -> bool {
    let Some(transaction) = canonical::<Transaction>(bytes, bytes.len()) else { return false };
    let signer = match transaction.action {
        Action::Submit(_) | Action::Extend(_) | Action::Control(_) | Action::Recur(_) => &network().submitter,
        Action::Claim(_) | Action::Report(_) | Action::Drain(_) => &network().worker,
        Action::Govern(_) => &network().authorities[0],
    };
    sign_and_execute(transaction, signer);
    true
}

pub(super) fn submit(bytes: &[u8]) -> bool {
    kind::<Submit>(bytes, &network().submitter, Action::Submit)
}

pub(super) fn extend(bytes: &[u8]) -> bool {
    kind::<Extend>(bytes, &network().submitter, Action::Extend)
}

pub(super) fn control(bytes: &[u8]) -> bool {
    kind::<Control>(bytes, &network().submitter, Action::Control)
}

pub(super) fn recur(bytes: &[u8]) -> bool {
    kind::<Recur>(bytes, &network().submitter, Action::Recur)
}

pub(super) fn claim(bytes: &[u8]) -> bool {
    kind::<Claim>(bytes, &network().worker, Action::Claim)
}

pub(super) fn report(bytes: &[u8]) -> bool {
    kind::<Report>(bytes, &network().worker, Action::Report)
}

pub(super) fn drain(bytes: &[u8]) -> bool {
    kind::<Drain>(bytes, &network().worker, Action::Drain)
}

/// A proposal of one authority that all others approve.
pub(super) fn govern(bytes: &[u8]) -> bool {
    let Some(govern) = canonical::<Govern>(bytes, bytes.len()) else { return false };
    let (network, mut ledger) = (network(), network().ledger.clone());
    let expires = ledger.time().plus_ms(60_000);
    let sign = |by: &SecretKey, govern: Govern| {
        let transaction = Transaction { nonce: u64::MAX, expires, action: Action::Govern(govern) };
        Arc::new(SignedTransaction::sign(transaction, by, &network.id))
    };
    let Some((first, others)) = network.authorities.split_first() else { return true };
    let said = sign(first, govern.clone());
    let proposal = said.id();
    execute(Arc::clone(&said));
    let approvals = others.iter().map(|other| sign(other, Govern::Approve(proposal)));
    let block = Network::block(&ledger, 1, [said].into_iter().chain(approvals).collect());
    ledger.apply(&block);
    if let Govern::Propose(change) = &govern
        && ledger.proposals().all(|open| open.id != proposal)
    {
        assert!(ledger.check_change(change).is_err(), "what a quorum has approved is so");
    }
    goes_on_alike(ledger);
    true
}

fn kind<T>(bytes: &[u8], signer: &SecretKey, action: fn(T) -> Action) -> bool
where
    T: Serialize + DeserializeOwned + Debug,
{
    let Some(body) = canonical::<T>(bytes, bytes.len()) else { return false };
    let expires = network().ledger.time().plus_ms(60_000);
    sign_and_execute(Transaction { nonce: u64::MAX, expires, action: action(body) }, signer);
    true
}

fn sign_and_execute(transaction: Transaction, signer: &SecretKey) {
    let signed = SignedTransaction::sign(transaction, signer, &network().id);
    let wire = codec::encode(&signed);
    let read: SignedTransaction = canonical(&wire, wire.len()).expect("what this peer signs can be read");
    assert_eq!(read, signed);
    assert!(travels(&read), "what this peer signs is signed");
    execute(Arc::new(read));
}

/// A peer's checks before it executes a transaction. Returns whether the signature is good.
fn travels(signed: &SignedTransaction) -> bool {
    let good = signed.verify(&network().id);
    let wire_bytes = codec::encode(signed).len();
    assert!(wire_bytes <= signed.wire_bytes(), "{wire_bytes} bytes are more than was counted");
    good
}

/// Executes the transaction in a block, and some blocks after it, on the ledger and on a ledger restored from
/// its snapshot.
fn execute(signed: Arc<SignedTransaction>) {
    let mut ledger = network().ledger.clone();
    let checked = ledger.check(&signed, ledger.time().plus_ms(1));
    let id = signed.id();
    let block = Network::block(&ledger, 1, vec![signed]);
    let applied = ledger.apply(&block);
    let Some(Receipt::Transaction(receipt)) = applied.receipts.first() else { panic!("a transaction has a receipt") };
    assert_eq!((receipt.id, receipt.result), (id, checked), "what the pool was told is what happens");
    goes_on_alike(ledger);
}

/// A ledger restored from its snapshot is the same, and goes on in the same way.
pub(super) fn goes_on_alike(mut ledger: Ledger) {
    let snapshot = ledger.snapshot();
    let mut restored = Ledger::restore(Arc::clone(ledger.genesis()), &snapshot).expect("its own snapshot restores");
    assert!(restored.snapshot() == snapshot, "a restored snapshot is the same snapshot");
    // First nothing has expired yet. Then back-offs end, attempts and claims run out, and ended jobs are
    // forgotten.
    for later_ms in [1, 20_000, 70_000, 4_000_000] {
        let _ = (ledger.next_due(), ledger.totals());
        let block: Block = Network::block(&ledger, later_ms, Vec::new());
        assert_eq!(ledger.apply(&block), restored.apply(&block), "a restored ledger goes on in the same way");
    }
    assert!(ledger.snapshot() == restored.snapshot(), "and becomes the same");
}
