//! Stored values, and values that prove something to a stranger: blocks, receipts, proofs, snapshots, the
//! journal.

use std::sync::Arc;

use meshwork_core::{
    consensus::Record,
    ledger::Ledger,
    proof::{Handover, Proof},
    snapshot::{OFFER_BYTES_MAX, SNAPSHOT_REQUEST_BYTES_MAX, SnapshotOffer, SnapshotRequest},
    types::{Block, Epoch, Header, Height, Receipt, Statement, TaskId},
};

use super::{canonical, round::go_on, transactions::goes_on_alike};
use crate::{memory::bounded, network::network};

/// A final block.
pub(super) fn block(bytes: &[u8]) -> bool {
    let Some(block) = canonical::<Block>(bytes, bytes.len()) else { return false };
    let _ = (block.is_whole(), block.transaction_bytes(), block.header.digest());
    true
}

/// The events of one height.
pub(super) fn receipts(bytes: &[u8]) -> bool {
    let Some(receipts) = canonical::<Vec<Receipt>>(bytes, bytes.len()) else { return false };
    for receipt in &receipts {
        let _ = receipt.digest();
    }
    true
}

/// A receipt's proof. Whatever it looks like, it holds only of what happened.
pub(super) fn proof(bytes: &[u8]) -> bool {
    let Some(proof) = canonical::<Proof>(bytes, Proof::BYTES_MAX) else { return false };
    // An older corpus may hold proofs from an earlier form of the network in miniature, with the same keys.
    let is_final = |header: &Header| network().blocks().any(|block| block.header == *header);
    if proof.verify(&network().genesis).is_ok() && proof.headers.last().is_some_and(is_final) {
        let receipts = network().receipts().get(&proof.height).map_or(&[][..], Vec::as_slice);
        let real = receipts.get(proof.index as usize);
        assert_eq!(real, Some(&proof.receipt), "a proof holds of something that did not happen");
        assert_eq!(proof.count as usize, receipts.len());
    }
    true
}

/// The handover at the end of an epoch. It holds only if a quorum of the epoch's authorities says so.
pub(super) fn handover(bytes: &[u8]) -> bool {
    let Some(handover) = canonical::<Handover>(bytes, bytes.len()) else { return false };
    let holds = handover.verify(Epoch(0), &network().genesis.authority_set(), &network().id);
    assert!(!holds || network().handover() == Some(handover), "a handover holds that nobody has signed");
    true
}

/// A ledger's whole state.
pub(super) fn snapshot(bytes: &[u8]) -> bool {
    let genesis = Arc::clone(&network().genesis);
    let Ok(ledger) = bounded(bytes, || Ledger::restore(genesis, bytes)) else { return false };
    assert!(ledger.snapshot() == bytes, "a restored snapshot is the same snapshot");
    for job in ledger.jobs() {
        for index in [0, 1, u32::MAX] {
            let _ = ledger.task(TaskId { job: job.id, index });
        }
        assert_eq!(job.counts.all(), u64::from(job.count), "every task of a job is in one state");
    }
    for worker in ledger.workers() {
        let held = (worker.running + worker.waiting) as usize;
        assert_eq!(ledger.leases_of(&worker.key).len(), held, "what a worker holds is what tasks say that it does");
    }
    goes_on_alike(ledger);
    true
}

/// The request of a peer that is far behind.
pub(super) fn ask(bytes: &[u8]) -> bool {
    canonical::<SnapshotRequest>(bytes, SNAPSHOT_REQUEST_BYTES_MAX).is_some()
}

/// An offer of a snapshot. A peer believes it only of a state that existed.
pub(super) fn offer(bytes: &[u8]) -> bool {
    let Some(offer) = canonical::<SnapshotOffer>(bytes, OFFER_BYTES_MAX) else { return false };
    let certified = &offer.certified;
    let _ = (offer.is_worth(Height(1), 4), certified.chunks.is_chunk(0, bytes));
    if let Some(block) = network().blocks().next() {
        let _ = certified.is_block(0, block);
    }
    // An older corpus may hold offers of an earlier form of the network in miniature.
    let is_final = |header: &Header| network().blocks().any(|block| block.header == *header);
    if certified.verify(&network().genesis).is_ok() && certified.headers.last().is_some_and(is_final) {
        let real = network().snapshot_digest(certified.height());
        assert_eq!(real, Some(certified.chunks.state()), "a snapshot is believed of a state that never was");
    }
    true
}

/// A record of an authority's journal.
pub(super) fn record(bytes: &[u8]) -> bool {
    let Some(record) = canonical::<Record>(bytes, bytes.len()) else { return false };
    // An authority stores a proposal together with its own vote for it, and nothing else.
    if let Record::Notarized(vote, proposal) = &record {
        let header = &proposal.block.header;
        if vote.statement != Statement::Notarize(header.view, header.digest()) {
            return true;
        }
    }
    let (replica, now) = network().replica_with(vec![record]);
    go_on(replica, now);
    true
}
