//! Tests of the rules of votes and proposals, one by one.

use std::sync::Arc;

use super::{
    super::*,
    lone::{CLOCK, Lone, finalize, notarize},
    transaction,
};
use crate::types::{Block, BlockTime, Height, Proposal, Statement, View};

fn nullify(view: u64) -> Statement {
    Statement::Nullify(View(view))
}

#[test]
fn the_first_valid_proposal_is_notarized_and_no_other() {
    let mut lone = Lone::new();
    let (first, second) = (lone.proposal(1, None, |_| {}), lone.proposal(1, None, |block| block.header.time.0 += 1));
    assert_eq!(lone.tell(Input::Proposal(first.clone())), Judgement::Accept);
    assert_eq!(lone.said(), [notarize(&first)]);
    lone.tell(Input::Proposal(second));
    assert_eq!(lone.said(), []);
}

#[test]
fn a_notarization_is_answered_with_finalize_and_the_next_view() {
    let mut lone = Lone::new();
    let block = lone.proposal(1, None, |_| {});
    lone.tell(Input::Proposal(block.clone()));
    // The proposal is its leader's vote, and this authority has voted itself.
    lone.votes(&[2], notarize(&block));
    assert_eq!(lone.said(), [finalize(&block)]);
    assert_eq!(lone.round.view(), View(2));
    lone.votes(&[1, 2], finalize(&block));
    assert_eq!(lone.round.tip().height, Height(1));
}

#[test]
fn a_view_that_was_nullified_is_never_finalized_but_may_be_notarized() {
    let mut lone = Lone::new();
    lone.hurry();
    lone.tick_after_ms(300);
    assert_eq!(lone.said(), [nullify(1)]);
    let block = lone.proposal(1, None, |_| {});
    lone.tell(Input::Proposal(block.clone()));
    assert_eq!(lone.said(), [notarize(&block)], "also after nullify");
    lone.votes(&[2, 3], notarize(&block));
    assert_eq!((lone.said(), lone.round.view()), (vec![], View(2)));
}

#[test]
fn a_view_that_was_finalized_is_never_nullified() {
    let lone = Lone::new();
    let block = lone.proposal(1, None, |_| {});
    // A crash may keep the vote and lose the notarization. Then the view goes on.
    let journal = vec![Record::Voted(lone.vote(0, finalize(&block)))];
    let mut again = Lone::restored(journal, VotingStatus::Voting);
    assert_eq!(again.round.view(), View(1));
    for _ in 0..3 {
        again.tick_after_ms(60_000);
        assert_eq!(again.said(), []);
    }
}

#[test]
fn a_late_notarization_of_a_view_that_was_left_is_finalized_too() {
    let mut lone = Lone::new();
    lone.votes(&[1, 2, 3], nullify(1));
    assert_eq!(lone.round.view(), View(2));
    let block = lone.proposal(1, None, |_| {});
    let notarization = lone.certificate(&[1, 2, 3], notarize(&block));
    lone.told(notarization);
    assert_eq!((lone.said(), lone.round.view()), (vec![finalize(&block)], View(2)));
}

#[test]
fn a_certificate_ahead_is_jumped_to_and_never_back() {
    let mut lone = Lone::new();
    let ahead = lone.certificate(&[1, 2, 3], nullify(40));
    assert_eq!(lone.told(ahead), Judgement::Accept);
    assert_eq!(lone.round.view(), View(41));
    lone.votes(&[1, 2, 3], nullify(3));
    assert_eq!(lone.round.view(), View(41));
}

#[test]
fn a_leader_proposes_on_the_newest_notarized_block_at_once_when_there_is_a_reason() {
    let mut lone = Lone::new();
    let parent = lone.notarized(1, None);
    lone.votes(&[1, 2, 3], nullify(2));
    lone.hurry();
    lone.votes(&[1, 2, 3], nullify(3));
    let proposed = lone.effects.iter().find_map(|effect| match effect {
        Effect::GossipProposal(proposal) => Some(Arc::clone(proposal)),
        _ => None,
    });
    let block = proposed.expect("it leads view 4").block.clone();
    assert_eq!((block.header.parent, block.header.height), (parent.block.header.digest(), Height(2)));
    assert_eq!(block.transactions, [transaction(&lone.genesis, 1)]);
    let place = |wanted: fn(&Effect) -> bool| lone.effects.iter().position(wanted);
    let persisted = place(|effect| matches!(effect, Effect::Persist(Record::Notarized(..))));
    assert!(persisted < place(|effect| matches!(effect, Effect::GossipProposal(_))) && persisted.is_some());
}

#[test]
fn a_leader_without_the_parents_block_waits_for_it() {
    let mut lone = Lone::new();
    lone.hurry();
    let parent = lone.proposal(3, None, |_| {});
    lone.votes(&[1, 2, 3], nullify(1));
    lone.votes(&[1, 2, 3], nullify(2));
    lone.votes(&[1, 2, 3], notarize(&parent));
    assert_eq!(lone.round.view(), View(4));
    let proposes = |lone: &Lone| lone.effects.iter().any(|effect| matches!(effect, Effect::GossipProposal(_)));
    assert!(!proposes(&lone));
    lone.tick_after_ms(100);
    let asks = lone.effects.iter().any(|effect| {
        matches!(effect, Effect::Send { message: Message::Ask(ask), .. } if ask.blocks == [parent.block.header.digest()])
    });
    assert!(asks, "it asks Δ later");
    lone.tell(Input::Tell(Tell { proposals: vec![Arc::new(parent)], ..Tell::default() }));
    assert!(proposes(&lone));
}

type Edit = fn(&mut Block);

/// Judges a second block. Returns the judgement, and whether the block was voted for.
fn second(edit: impl FnOnce(&mut Block)) -> (Judgement, bool) {
    let mut lone = Lone::new();
    let parent = lone.notarized(1, None);
    let block = lone.proposal(2, Some(&parent), edit);
    let judgement = lone.tell(Input::Proposal(block.clone()));
    (judgement, lone.said().contains(&notarize(&block)))
}

#[test]
fn a_header_that_does_not_follow_from_its_parent_is_refused() {
    assert_eq!(second(|_| {}), (Judgement::Accept, true));
    let refused: [(&str, Edit); 8] = [
        ("height", |block| block.header.height.0 += 1),
        ("time", |block| block.header.time.0 = CLOCK + 10),
        ("own F", |block| block.header.final_height = block.header.height),
        ("R above F", |block| block.header.result_height = Height(1)),
        ("R that is not the parent's F", |block| {
            block.header.final_height = Height(1);
            block.header.result_height = Height(1);
        }),
        ("other transactions", |block| block.header.transactions = Digest::ZERO),
        ("another result", |block| block.header.result = Digest([1; 32])),
        ("a repeat", |block| {
            let repeated = transaction(&super::genesis(4), 1);
            block.transactions = vec![Arc::clone(&repeated), repeated];
            block.header.transactions = Block::transactions_digest(&block.transactions);
        }),
    ];
    for (what, edit) in refused {
        let (judgement, voted) = second(edit);
        let refused = matches!(judgement, Judgement::Reject(_) | Judgement::Ignore(_));
        assert!(refused && !voted, "{what}: {judgement:?}");
    }
}

#[test]
fn a_block_that_is_too_large_or_piles_transactions_too_high_is_refused() {
    let fill = |count: usize, height: u64| {
        second(move |block| {
            block.transactions = vec![transaction(&super::genesis(4), 1); count];
            block.header.transactions = Block::transactions_digest(&block.transactions);
            block.header.height = Height(height);
        })
    };
    for (count, height, why) in [(4097, 2, "too many transactions"), (1, 65, "too far above what is final")] {
        let (judgement, _) = fill(count, height);
        assert!(matches!(judgement, Judgement::Reject(reason) if reason.contains(why)), "{judgement:?}");
    }
    assert!(matches!(fill(1, 64), (Judgement::Ignore(reason), _) if reason.contains("height")));
}

#[test]
fn a_proposal_that_its_leader_did_not_sign_is_refused() {
    let mut lone = Lone::new();
    let mut block = lone.proposal(1, None, |_| {});
    block.signature = lone.vote(2, notarize(&block)).signature;
    assert!(matches!(lone.tell(Input::Proposal(block)), Judgement::Reject(_)));
}

#[test]
fn a_block_ahead_of_the_clock_is_held_until_its_time_comes() {
    let mut lone = Lone::new();
    let ahead_us = 900_000;
    let block = lone.proposal(1, None, |block| block.header.time = BlockTime(CLOCK + ahead_us));
    assert!(matches!(lone.tell(Input::Proposal(block.clone())), Judgement::Deferred(_)));
    // The bound is 500 ms.
    let wake = lone.round.next_wake().expect("it waits");
    assert_eq!(wake.0, ahead_us - 500_000);
    lone.now_us = wake.0;
    lone.tell(Input::Tick);
    assert_eq!(lone.said(), [notarize(&block)]);
}

#[test]
fn a_leader_with_a_fast_clock_cannot_stop_those_who_follow() {
    let mut lone = Lone::new();
    let fast = lone.proposal(1, None, |block| block.header.time = BlockTime(CLOCK * 2));
    lone.tell(Input::Proposal(fast.clone()));
    lone.votes(&[1, 2, 3], notarize(&fast));
    let next = lone.proposal(2, Some(&fast), |block| block.header.time = BlockTime(CLOCK * 2 + 1));
    lone.tell(Input::Proposal(next.clone()));
    assert_eq!(lone.said(), [notarize(&next)]);
    let mut other = Lone::new();
    other.tell(Input::Proposal(fast.clone()));
    other.votes(&[1, 2, 3], notarize(&fast));
    let worse = other.proposal(2, Some(&fast), |block| block.header.time = BlockTime(CLOCK * 2 + 2));
    assert!(matches!(other.tell(Input::Proposal(worse)), Judgement::Deferred(_)));
}

#[test]
fn a_proposal_waits_for_its_parents_notarization_and_for_the_views_between() {
    let mut lone = Lone::new();
    let parent = lone.proposal(1, None, |_| {});
    let block = lone.proposal(3, Some(&parent), |_| {});
    assert!(matches!(lone.tell(Input::Proposal(block.clone())), Judgement::Deferred(_)));
    let jump = lone.certificate(&[1, 2, 3], nullify(2));
    lone.told(jump);
    assert_eq!((lone.round.view(), lone.said()), (View(3), vec![]));
    lone.tell(Input::Proposal(parent.clone()));
    assert_eq!(lone.said(), [], "the parent is not notarized");
    lone.votes(&[1, 2, 3], notarize(&parent));
    assert!(lone.said().contains(&notarize(&block)));

    let mut lone = Lone::new();
    let parent = lone.notarized(1, None);
    let jump = lone.certificate(&[1, 2, 3], nullify(3));
    lone.told(jump);
    let block = lone.proposal(4, Some(&parent), |block| block.header.view = View(5));
    let jump = lone.certificate(&[1, 2, 3], nullify(4));
    lone.told(jump);
    assert!(matches!(lone.tell(Input::Proposal(block.clone())), Judgement::Deferred(_)), "view 2 is open");
    lone.tick_after_ms(100);
    let named = lone
        .effects
        .iter()
        .any(|effect| matches!(effect, Effect::Send { message: Message::Ask(ask), .. } if ask.views == [View(2)]));
    assert!(named, "what is missing is asked for by name");
    lone.votes(&[1, 2, 3], nullify(2));
    assert!(lone.said().contains(&notarize(&block)));
}

/// Blocks 1 and 2 notarized, and a block in view 3 that calls the first final.
fn third_with_f(lone: &mut Lone) -> (Proposal, Proposal) {
    let first = lone.notarized(1, None);
    let parent = lone.notarized(2, Some(&first));
    let third = lone.proposal(3, Some(&parent), |block| block.header.final_height = Height(1));
    (first, third)
}

#[test]
fn an_f_above_the_parents_is_believed_only_when_shown() {
    let mut lone = Lone::new();
    let (first, mut third) = third_with_f(&mut lone);
    assert!(matches!(lone.tell(Input::Proposal(third.clone())), Judgement::Deferred(_)), "a copy that shows nothing");
    third.finalization = Some(lone.certificate(&[1, 2, 3], nullify(1)));
    assert!(
        !matches!(lone.tell(Input::Proposal(third.clone())), Judgement::Accept),
        "a copy that shows something else"
    );
    // The version that shows it is as good as if the others had never come.
    third.finalization = Some(lone.certificate(&[1, 2, 3], finalize(&first)));
    lone.tell(Input::Proposal(third.clone()));
    assert!(lone.said().contains(&notarize(&third)));
    assert_eq!(lone.round.tip().height, Height(1));

    let mut lone = Lone::new();
    let (first, mut third) = third_with_f(&mut lone);
    third.finalization = Some(lone.certificate(&[1, 2], finalize(&first)));
    assert!(matches!(lone.tell(Input::Proposal(third)), Judgement::Reject(_)), "two of four are no quorum");
    assert_eq!((lone.said(), lone.round.tip().height), (vec![], Height(0)));
}

#[test]
fn a_block_whose_result_is_not_executed_here_is_held_until_it_is() {
    let mut lone = Lone::new();
    let (first, mut third) = third_with_f(&mut lone);
    third.finalization = Some(lone.certificate(&[1, 2, 3], finalize(&first)));
    lone.tell(Input::Proposal(third.clone()));
    lone.votes(&[1, 2, 3], notarize(&third));
    lone.votes(&[1, 2, 3], nullify(4));
    let expected = Digest::of_parts("test result", &[&Digest::ZERO.0, &first.block.header.digest().0]);
    let block = lone.proposal(5, Some(&third), |block| block.header.result = expected);
    assert!(matches!(lone.tell(Input::Proposal(block.clone())), Judgement::Deferred(_)));
    lone.app.execute(&first.block);
    lone.tell(Input::Executed(Height(1)));
    assert!(lone.said().contains(&notarize(&block)));
}

#[test]
fn a_finalization_makes_the_block_and_all_its_ancestors_final_once() {
    let mut lone = Lone::new();
    let first = lone.notarized(1, None);
    let second = lone.notarized(2, Some(&first));
    let finalization = lone.certificate(&[1, 2, 3], finalize(&second));
    lone.tell(Input::Certificate(finalization.clone()));
    let heights: Vec<Height> = lone
        .effects
        .iter()
        .flat_map(|effect| match effect {
            Effect::Finalized { blocks, .. } => blocks.iter().map(|block| block.header.height).collect(),
            _ => Vec::new(),
        })
        .collect();
    assert_eq!(heights, [Height(1), Height(2)]);
    lone.tell(Input::Certificate(finalization));
    assert!(!lone.effects.iter().any(|effect| matches!(effect, Effect::Finalized { .. })));
}
