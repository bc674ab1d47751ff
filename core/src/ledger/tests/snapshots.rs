//! The state as bytes, and back.

use std::sync::Arc;

use proptest::prelude::*;

use super::mesh::*;
use crate::{
    ledger::{Ledger, RestoreError},
    types::*,
};

/// A ledger in the middle of everything: running, waiting, backing off, lost, done, cancelled, drained.
fn busy() -> Mesh {
    let mut mesh = Mesh::new(genesis());
    for worker in 1..=3 {
        mesh.claim(&key(worker), offer(2, 2));
    }
    let spec = TaskSpec { retry: Retry::of(2, 5_000), ..spec() };
    let job = mesh.submit(&key(100), 40, spec.clone());
    let cancelled = mesh.submit(&key(101), 5, spec);
    mesh.next();
    let leases = mesh.ledger.leases_of(&key(1).public());
    mesh.report(&key(1), leases[0].attempt, success());
    mesh.report(&key(1), leases[1].attempt, failure());
    mesh.report(&key(1), leases[2].attempt, Verdict::Returned);
    mesh.drain(&key(2));
    mesh.cancel(&key(101), cancelled);
    mesh.next();
    assert!(mesh.ledger.job(job).is_some_and(|job| job.counts.backing_off == 1 && job.counts.waiting > 0));
    mesh
}

#[test]
fn a_restored_ledger_is_the_same_and_has_the_same_future() {
    let mut mesh = busy();
    let snapshot = mesh.ledger.snapshot();
    let genesis = Arc::clone(mesh.ledger.genesis());
    let mut twin = Ledger::restore(genesis, &snapshot).expect("own snapshot");
    assert_eq!(twin.snapshot(), snapshot);
    assert_eq!(twin.state_digest(), mesh.ledger.state_digest());
    assert_eq!(twin.state_digest(), Ledger::snapshot_digest(&snapshot));
    assert_eq!(twin.receipts_root(), mesh.ledger.receipts_root());
    assert_eq!(twin.totals(), mesh.ledger.totals());
    // The last steps are long enough for everything to be forgotten.
    for later_ms in [1000; 90].into_iter().chain([400_000; 12]) {
        let block = mesh.block(later_ms);
        assert_eq!(twin.apply(&block), mesh.ledger.apply(&block));
        assert_eq!(twin.state_digest(), mesh.ledger.state_digest());
    }
    assert_eq!(mesh.ledger.last_sequence(&key(2).public()), None);
}

#[test]
fn a_ledger_may_be_sent_and_shared_between_threads() {
    fn takes<T: Send + Sync>(_: &T) {}
    takes(&busy().ledger);
}

#[test]
fn the_digest_tells_states_apart() {
    let mut mesh = busy();
    let before = mesh.ledger.state_digest();
    mesh.next();
    assert_ne!(mesh.ledger.state_digest(), before);
}

#[test]
fn a_snapshot_of_another_network_is_refused() {
    let mesh = busy();
    let mut other = genesis();
    other.name = "other".into();
    let error = Ledger::restore(Arc::new(other), &mesh.ledger.snapshot()).expect_err("another network");
    assert_eq!(error, RestoreError::OtherNetwork(mesh.ledger.network()));
}

#[test]
fn a_truncated_or_lengthened_snapshot_is_refused() {
    let mesh = busy();
    let snapshot = mesh.ledger.snapshot();
    let restore = |bytes: &[u8]| Ledger::restore(Arc::clone(mesh.ledger.genesis()), bytes);
    assert!(restore(&snapshot[..snapshot.len() - 1]).is_err());
    assert!(restore(&[&snapshot[..], &[0]].concat()).is_err());
    assert!(restore(&[]).is_err());
}

proptest! {
    #[test]
    fn a_hostile_snapshot_never_panics_neither_now_nor_later(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mesh = busy();
        let mut snapshot = mesh.ledger.snapshot();
        for (at, byte) in changes {
            let at = at.index(snapshot.len());
            snapshot[at] = byte;
        }
        if let Ok(ledger) = Ledger::restore(Arc::clone(mesh.ledger.genesis()), &snapshot) {
            let mut changed = Mesh::of(ledger);
            for worker in 1..=3 {
                changed.claim(&key(worker), Claim { sequence: 0, ..offer(3, 1) });
                for lease in changed.ledger.leases_of(&key(worker).public()) {
                    changed.report(&key(worker), lease.attempt, success());
                }
            }
            for _ in 0..30 {
                changed.pass(3_000);
            }
        }
    }
}
