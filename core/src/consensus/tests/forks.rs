//! A finalization that conflicts with what is final here.

use std::sync::Arc;

use super::{
    super::*,
    lone::{Lone, finalize, notarize},
};
use crate::types::{AuthorityIndex, Proposal};

/// The fork that the last input showed.
fn fork(lone: &Lone) -> Option<&Fork> {
    lone.effects.iter().find_map(|effect| match effect {
        Effect::Fork(fork) => Some(&**fork),
        _ => None,
    })
}

/// An authority to whom a block of view 1 is final, and that block.
fn with_a_final_block() -> (Lone, Proposal) {
    let mut lone = Lone::new();
    let block = lone.proposal(1, None, |_| {});
    lone.tell(Input::Proposal(block.clone()));
    lone.votes(&[1, 2, 3], notarize(&block));
    lone.votes(&[1, 2, 3], finalize(&block));
    assert_eq!(lone.round.tip().top, block.block.header.digest());
    (lone, block)
}

#[test]
fn two_finalizations_of_one_view_show_who_signed_both() {
    let (mut lone, block) = with_a_final_block();
    let other = lone.proposal(1, None, |block| block.header.time.0 += 1);
    let there = lone.certificate(&[0, 2, 3], finalize(&other));
    let forged = Certificate { signatures: there.signatures.iter().rev().copied().collect(), ..there.clone() };
    assert!(matches!(lone.tell(Input::Certificate(forged)), Judgement::Reject(_)));
    assert_eq!(fork(&lone), None);
    let judged = lone.tell(Input::Certificate(there.clone()));
    assert!(matches!(judged, Judgement::Ignore(why) if why.contains("conflicts")), "{judged:?}");
    let found = fork(&lone).expect("a fork").clone();
    assert_eq!((found.here.statement, &found.there), (finalize(&block), &there));
    let tells = |effect: &Effect| matches!(effect, Effect::GossipFinalization(here) if *here == found.here);
    assert!(lone.effects.iter().any(tells), "the others see it too");
    // Its own finalization is by 0, 1 and 2: this authority, too, has signed both.
    assert_eq!(found.signed_both(), [0, 2].map(AuthorityIndex));
    assert_eq!(lone.round.voting_status(), VotingStatus::VoteUnknown);
    // Once is enough.
    lone.told(there);
    assert_eq!(fork(&lone), None);
}

#[test]
fn a_certified_chain_that_passes_the_final_block_by_is_a_fork() {
    let (mut lone, block) = with_a_final_block();
    let beside = lone.proposal(2, None, |_| {});
    let above = lone.proposal(3, Some(&beside), |_| {});
    let top = lone.proposal(4, Some(&above), |_| {});
    let there = lone.certificate(&[1, 2, 3], finalize(&top));
    let blocks = |chain: &[&Proposal]| chain.iter().map(|proposal| Arc::clone(&proposal.block)).collect();
    for chain in [&[&above, &top][..], &[&beside, &above, &top]] {
        let (mut lone, _) = with_a_final_block();
        let judged = lone.tell(Input::Blocks { blocks: blocks(chain), finalization: there.clone() });
        assert!(matches!(judged, Judgement::Ignore(why) if why.contains("conflicts")), "{judged:?}");
        let found = fork(&lone).expect("a fork");
        assert_eq!((found.here.statement, &found.there), (finalize(&block), &there));
        assert_eq!(found.headers, [&above, &top].map(|proposal| proposal.block.header.clone()));
        assert_eq!(found.signed_both(), [1, 2].map(AuthorityIndex));
    }
    // What does not hang together, or is not certified, shows nothing.
    let other = lone.certificate(&[1, 2, 3], finalize(&above));
    lone.tell(Input::Blocks { blocks: blocks(&[&above, &top]), finalization: other });
    assert_eq!(fork(&lone), None);
    let few = lone.certificate(&[1, 2], finalize(&top));
    lone.tell(Input::Blocks { blocks: blocks(&[&above, &top]), finalization: few });
    assert_eq!(fork(&lone), None);
    // What stands on the final block is no fork.
    let next = lone.proposal(2, Some(&block), |_| {});
    let there = lone.certificate(&[1, 2, 3], finalize(&next));
    lone.tell(Input::Blocks { blocks: blocks(&[&next]), finalization: there });
    assert_eq!((fork(&lone), lone.round.tip().top), (None, next.block.header.digest()));
}
