//! What authorities settle: who may propose, what makes a change approved, and when it takes effect.

use std::sync::Arc;

use super::mesh::*;
use crate::{
    identity::SecretKey,
    ledger::{Ledger, PROPOSAL_LIFE_MS, PROPOSALS_MAX, RestoreError},
    types::*,
};

fn authority(seed: u8) -> Authority {
    Authority { name: format!("a{seed}"), key: key(seed).public(), addresses: Vec::new() }
}

/// Authorities 201 to 204, of which three are a quorum.
fn four() -> Genesis {
    Genesis { authorities: (201..=204).map(authority).collect(), ..genesis() }
}

fn propose(mesh: &mut Mesh, by: u8, change: Change) -> TransactionId {
    mesh.sign(&key(by), Action::Govern(Govern::Propose(change)))
}

fn approve(mesh: &mut Mesh, by: u8, proposal: TransactionId) -> TransactionId {
    mesh.sign(&key(by), Action::Govern(Govern::Approve(proposal)))
}

fn add(seed: u8) -> Change {
    Change::AddAuthority(authority(seed))
}

fn remove(seed: u8) -> Change {
    Change::RemoveAuthority(key(seed).public())
}

fn seeds(set: &AuthoritySet) -> Vec<u8> {
    set.keys().map(|known| (0..=255).find(|seed| key(*seed).public() == known).expect("one of the tests'")).collect()
}

/// Has a change proposed by 201 and approved by 202 and 203.
fn settle(mesh: &mut Mesh, change: Change) {
    let proposal = propose(mesh, 201, change);
    mesh.next();
    approve(mesh, 202, proposal);
    approve(mesh, 203, proposal);
    mesh.next();
}

#[test]
fn a_quorum_of_the_present_authorities_makes_a_change_approved_and_the_next_epoch_puts_it_in_force() {
    let mut mesh = Mesh::new(four());
    let proposal = propose(&mut mesh, 201, add(205));
    mesh.next();
    assert_eq!(
        mesh.ledger.proposals().map(|open| (open.id, open.proposer)).collect::<Vec<_>>(),
        [(proposal, key(201).public())]
    );
    approve(&mut mesh, 202, proposal);
    mesh.next();
    assert!(!mesh.ledger.change_waits(), "two of four are no quorum");
    approve(&mut mesh, 204, proposal);
    mesh.next();
    assert_eq!(mesh.ledger.change_approved_since(Epoch(0)), Some(Height(3)));
    assert_eq!((seeds(mesh.ledger.authorities()).len(), mesh.ledger.proposals().count()), (4, 0));
    assert_eq!(seeds(mesh.ledger.next_authorities()), [201, 202, 203, 204, 205]);
    assert_eq!(mesh.ledger.change_approved_since(Epoch(1)), None, "nothing of it is executed");
    mesh.epoch = Epoch(1);
    mesh.next();
    assert_eq!(seeds(mesh.ledger.authorities()), [201, 202, 203, 204, 205]);
    assert_eq!((mesh.ledger.epoch(), mesh.ledger.epoch_since()), (Epoch(1), Height(4)));
    assert_eq!((mesh.ledger.change_waits(), mesh.ledger.change_approved_since(Epoch(1))), (false, None));
}

#[test]
fn changes_of_one_epoch_add_up_and_each_is_held_against_those_before_it() {
    let mut mesh = Mesh::new(four());
    settle(&mut mesh, add(205));
    settle(&mut mesh, remove(204));
    assert_eq!(seeds(mesh.ledger.next_authorities()), [201, 202, 203, 205]);
    assert_eq!(mesh.ledger.change_approved_since(Epoch(0)), Some(Height(2)), "the first one's height");
    let (twice, absent) = (propose(&mut mesh, 201, add(205)), propose(&mut mesh, 201, remove(204)));
    let applied = mesh.next();
    assert_eq!(result_of(&applied, twice), Err(VoidReason::AuthorityPresent));
    assert_eq!(result_of(&applied, absent), Err(VoidReason::AuthorityAbsent));
}

#[test]
fn what_an_earlier_approval_made_impossible_cannot_be_approved_any_more() {
    let mut mesh = Mesh::new(four());
    let (one, other) = (propose(&mut mesh, 201, remove(204)), propose(&mut mesh, 202, remove(204)));
    mesh.next();
    for by in [202, 203] {
        approve(&mut mesh, by, one);
    }
    mesh.next();
    let late = approve(&mut mesh, 203, other);
    assert_eq!(result_of(&mesh.next(), late), Err(VoidReason::AuthorityAbsent));
}

#[test]
fn only_present_authorities_govern_each_once() {
    let mut mesh = Mesh::new(four());
    let stranger = propose(&mut mesh, 205, add(205));
    let proposal = propose(&mut mesh, 201, add(205));
    let applied = mesh.next();
    assert_eq!(result_of(&applied, stranger), Err(VoidReason::NotAuthority));
    let (own, unknown) = (approve(&mut mesh, 201, proposal), approve(&mut mesh, 202, stranger));
    let (first, again) = (approve(&mut mesh, 202, proposal), approve(&mut mesh, 202, proposal));
    let applied = mesh.next();
    assert_eq!(result_of(&applied, own), Err(VoidReason::ApprovedBefore), "the proposer counts already");
    assert_eq!(result_of(&applied, unknown), Err(VoidReason::UnknownProposal));
    assert_eq!((result_of(&applied, first), result_of(&applied, again)), (Ok(()), Err(VoidReason::ApprovedBefore)));
    assert!(!mesh.ledger.change_waits());
}

#[test]
fn one_who_has_left_governs_no_more_and_one_who_has_joined_does() {
    let mut mesh = Mesh::new(four());
    settle(&mut mesh, add(205));
    settle(&mut mesh, remove(204));
    let open = propose(&mut mesh, 203, remove(202));
    mesh.next();
    mesh.epoch = Epoch(1);
    let (late, left, joined) =
        (approve(&mut mesh, 201, open), propose(&mut mesh, 204, add(204)), propose(&mut mesh, 205, add(206)));
    let applied = mesh.next();
    assert_eq!(result_of(&applied, late), Err(VoidReason::UnknownProposal), "it ended with its epoch");
    assert_eq!((result_of(&applied, left), result_of(&applied, joined)), (Err(VoidReason::NotAuthority), Ok(())));
}

#[test]
fn proposals_are_few_and_end_with_their_life() {
    let mut mesh = Mesh::new(four());
    let all: Vec<_> = (0..=PROPOSALS_MAX as u8).map(|seed| propose(&mut mesh, 201, add(100 + seed))).collect();
    let other = propose(&mut mesh, 202, add(100));
    let applied = mesh.next();
    let results: Vec<_> = all.iter().map(|id| result_of(&applied, *id)).collect();
    assert!(results[..PROPOSALS_MAX].iter().all(Result::is_ok));
    assert_eq!(results[PROPOSALS_MAX], Err(VoidReason::ProposalsFull));
    assert_eq!(result_of(&applied, other), Ok(()));
    mesh.pass(PROPOSAL_LIFE_MS);
    assert_eq!(mesh.ledger.proposals().count(), PROPOSALS_MAX + 1);
    let late = approve(&mut mesh, 203, other);
    assert_eq!(result_of(&mesh.next(), late), Err(VoidReason::UnknownProposal));
    assert_eq!(mesh.ledger.proposals().count(), 0);
}

#[test]
fn a_change_that_would_break_a_rule_of_the_genesis_is_void() {
    let mut mesh = Mesh::new(genesis());
    let alone = SecretKey::from_seed([200; 32]);
    let wordy = Authority { name: "x".repeat(Authority::NAME_BYTES_MAX + 1), ..authority(201) };
    let weak = Authority { key: crate::identity::PublicKey([0; 32]), ..authority(201) };
    let mut say = |change| {
        let id = mesh.sign(&alone, Action::Govern(Govern::Propose(change)));
        result_of(&mesh.next(), id)
    };
    assert_eq!(say(remove(200)), Err(VoidReason::AuthorityCount));
    assert_eq!(say(Change::AddAuthority(wordy)), Err(VoidReason::Malformed));
    assert_eq!(say(Change::AddAuthority(weak)), Err(VoidReason::Malformed));
    // Claims must stand for three thresholds of four authorities, and may stand for a little less.
    let mut tight = Genesis { authorities: (201..=203).map(authority).collect(), ..genesis() };
    tight.ledger.claim_stands_ms_max = 3 * tight.consensus.stall_threshold_ms(1) - 1;
    assert!(tight.check().is_ok());
    let mut mesh = Mesh::new(tight);
    let fourth = propose(&mut mesh, 201, add(204));
    assert_eq!(result_of(&mesh.next(), fourth), Err(VoidReason::LeasesTooShort));
}

#[test]
fn the_stall_threshold_is_that_of_the_authorities_in_force() {
    let mut mesh = Mesh::new(Genesis { authorities: (201..=203).map(authority).collect(), ..genesis() });
    settle(&mut mesh, add(204));
    let parameters = mesh.ledger.genesis().consensus.clone();
    let (few, more) = (parameters.stall_threshold_ms(0), parameters.stall_threshold_ms(1));
    let counted = |mesh: &mut Mesh| {
        let before = mesh.ledger.lease_time();
        mesh.pass(3_600_000);
        (mesh.ledger.lease_time().0 - before.0) / 1000
    };
    assert_eq!(counted(&mut mesh), few);
    mesh.epoch = Epoch(1);
    assert_eq!((counted(&mut mesh), counted(&mut mesh)), (more, more));
    let restored = Ledger::restore(Arc::clone(mesh.ledger.genesis()), &mesh.ledger.snapshot()).expect("own snapshot");
    let mut mesh = Mesh::of(restored);
    assert_eq!(counted(&mut mesh), more);
}

#[test]
fn what_is_proposed_and_approved_survives_a_snapshot() {
    let mut mesh = Mesh::new(four());
    settle(&mut mesh, add(205));
    propose(&mut mesh, 204, remove(201));
    mesh.next();
    let mut twin = Ledger::restore(Arc::clone(mesh.ledger.genesis()), &mesh.ledger.snapshot()).expect("own snapshot");
    mesh.epoch = Epoch(1);
    let block = mesh.block(1);
    assert_eq!(twin.apply(&block), mesh.ledger.apply(&block));
    assert_eq!(twin.state_digest(), mesh.ledger.state_digest());
    assert_eq!(seeds(twin.authorities()), [201, 202, 203, 204, 205]);
}

#[test]
fn a_snapshot_that_contradicts_itself_about_authorities_is_refused() {
    let mut mesh = Mesh::new(four());
    settle(&mut mesh, add(205));
    let bytes = mesh.ledger.snapshot();
    let own = codec_of(&key(203).public());
    let places: Vec<usize> =
        bytes.windows(own.len()).enumerate().filter(|(_, at)| **at == own[..]).map(|(at, _)| at).collect();
    assert_eq!(places.len(), 2, "in the present set and in the next");
    let mut forged = bytes;
    forged[places[0] + own.len() - 1] ^= 1;
    let error = Ledger::restore(Arc::clone(mesh.ledger.genesis()), &forged).expect_err("another set than the genesis'");
    assert_eq!(error, RestoreError::Inconsistent("what authorities have settled"));
}

fn codec_of(key: &crate::identity::PublicKey) -> Vec<u8> {
    crate::codec::encode(key)
}
