//! Tests of what strangers, liars and a node's own past may do.

use std::sync::Arc;

use super::{
    super::*,
    lone::{Lone, finalize, notarize},
};
use crate::types::{AuthorityIndex, Certificate, Epoch, Height, Signers, Statement, View};

fn nullify(view: u64) -> Statement {
    Statement::Nullify(View(view))
}

#[test]
fn a_certificate_of_too_few_of_strangers_or_of_one_signer_twice_is_refused() {
    let mut lone = Lone::new();
    let good = lone.certificate(&[1, 2, 3], nullify(1));
    let few = lone.certificate(&[1, 2], nullify(1));
    let mut twice = lone.certificate(&[1, 2], nullify(1));
    twice.signatures.push(twice.signatures[1]);
    let mut stranger = lone.certificate(&[1, 2], nullify(1));
    stranger.signers = Signers::of([1, 2, 7].map(AuthorityIndex));
    stranger.signatures.push(lone.vote(7, nullify(1)).signature);
    let mut forged = good.clone();
    forged.signatures[2] = forged.signatures[1];
    let mut padded = good.clone();
    padded.signers = crate::codec::decode(&[0x42, 0b1110, 0], 8).expect("a bitmap with a trailing zero byte");
    for bad in [few, twice, stranger, forged, padded] {
        assert!(matches!(lone.told(bad.clone()), Judgement::Reject(_)), "{bad:?}");
        assert_eq!(lone.round.view(), View(1));
    }
    assert_eq!(lone.told(good), Judgement::Accept);
    assert_eq!(lone.round.view(), View(2));
}

#[test]
fn votes_of_another_epoch_of_nobody_too_far_ahead_or_badly_signed_do_not_count() {
    let mut lone = Lone::new();
    let mut other = lone.vote(1, nullify(1));
    other.epoch = Epoch(1);
    let mut forged = lone.vote(1, nullify(1));
    forged.voter = AuthorityIndex(2);
    let far = lone.vote(1, nullify(2000));
    let nobody = lone.vote(9, nullify(1));
    assert!(matches!(lone.tell(Input::Votes(vec![other])), Judgement::Ignore(_)));
    assert!(matches!(lone.tell(Input::Votes(vec![forged])), Judgement::Reject(_)));
    assert!(matches!(lone.tell(Input::Votes(vec![far])), Judgement::Ignore(_)));
    assert!(matches!(lone.tell(Input::Votes(vec![nobody])), Judgement::Reject(_)));
    assert!(lone.round.rounds.values().all(|round| round.votes.is_empty()));
}

#[test]
fn whoever_votes_twice_or_nullifies_and_finalizes_has_signed_the_proof() {
    let mut lone = Lone::new();
    let one = lone.proposal(1, None, |_| {});
    let other = lone.proposal(1, None, |block| block.header.time.0 += 1);
    lone.votes(&[2], notarize(&one));
    lone.votes(&[2], notarize(&other));
    let proven = |lone: &Lone| {
        lone.effects.iter().find_map(|effect| match effect {
            Effect::Evidence(evidence) => Some(evidence.clone()),
            _ => None,
        })
    };
    let evidence = proven(&lone).expect("two notarize votes");
    let (keys, network) = (lone.genesis.authority_set(), lone.genesis.network_id());
    assert_eq!(evidence.culprit(), AuthorityIndex(2));
    assert!(evidence.verify(&keys, &network));
    assert!(matches!(lone.tell(Input::Evidence(evidence.clone())), Judgement::Ignore(_)), "it is known");
    let mut third = Lone::new();
    assert_eq!(third.tell(Input::Evidence(evidence.clone())), Judgement::Accept);
    assert_eq!(proven(&third), Some(evidence.clone()));
    let nothing = Evidence { second: lone.vote(3, notarize(&one)), first: lone.vote(3, notarize(&one)) };
    assert!(matches!(third.tell(Input::Evidence(nothing)), Judgement::Reject(_)));
    assert!(!Evidence { second: evidence.first.clone(), ..evidence.clone() }.verify(&keys, &network));
    assert!(!Evidence { second: lone.vote(3, notarize(&other)), ..evidence }.verify(&keys, &network));
    lone.votes(&[3], nullify(1));
    lone.votes(&[3], finalize(&one));
    assert_eq!(proven(&lone).map(|evidence| evidence.culprit()), Some(AuthorityIndex(3)));
    // One proof is enough for each liar.
    lone.votes(&[3], nullify(5));
    lone.votes(&[3], finalize(&lone.proposal(5, None, |_| {})));
    assert_eq!((proven(&lone), lone.round.evidence().count()), (None, 2));
    // Two proposals of one leader are two votes.
    let one = lone.proposal(1, None, |block| block.header.time.0 += 2);
    lone.tell(Input::Proposal(one));
    let other = lone.proposal(1, None, |block| block.header.time.0 += 3);
    lone.tell(Input::Proposal(other));
    assert_eq!(proven(&lone).map(|evidence| evidence.culprit()), Some(AuthorityIndex(1)));
}

#[test]
fn a_vote_that_counted_nowhere_does_not_make_a_quorum_with_its_opposite() {
    let mut lone = Lone::new();
    let one = lone.proposal(1, None, |_| {});
    let other = lone.proposal(1, None, |block| block.header.time.0 += 1);
    lone.votes(&[1, 2], notarize(&one));
    lone.votes(&[1, 2, 3], notarize(&other));
    assert_eq!(lone.round.view(), View(1), "1 and 2 have each one vote in this view, which the first got");
}

#[test]
fn an_authority_that_is_shown_a_vote_of_its_own_that_its_journal_lacks_stops_voting_for_good() {
    let mut lone = Lone::new();
    let forgotten = lone.vote(0, nullify(3));
    let mut forged = forgotten.clone();
    forged.signature = lone.vote(0, nullify(4)).signature;
    assert!(matches!(lone.tell(Input::Votes(vec![forged])), Judgement::Reject(_)));
    assert_eq!(lone.round.voting_status(), VotingStatus::Voting);
    lone.tell(Input::Votes(vec![forgotten]));
    assert_eq!(lone.round.voting_status(), VotingStatus::VoteUnknown);
    assert!(lone.effects.iter().any(|effect| matches!(effect, Effect::VotingStatus(VotingStatus::VoteUnknown))));
    let block = lone.proposal(1, None, |_| {});
    lone.tell(Input::Proposal(block));
    lone.tick_after_ms(60_000);
    assert_eq!(lone.said(), []);
    let again = Lone::restored(lone.journal, VotingStatus::Voting);
    assert_eq!(again.round.voting_status(), VotingStatus::VoteUnknown);
}

#[test]
fn it_stops_for_a_certificate_with_its_own_unknown_signature_too() {
    let mut lone = Lone::new();
    let certificate = lone.certificate(&[0, 1, 2], nullify(7));
    lone.told(certificate);
    assert_eq!((lone.round.voting_status(), lone.round.view()), (VotingStatus::VoteUnknown, View(8)));
    assert_eq!(lone.said(), []);
}

#[test]
fn its_own_votes_that_it_knows_are_no_news() {
    let mut lone = Lone::new();
    let block = lone.notarized(1, None);
    let own = [notarize(&block), finalize(&block)].map(|statement| lone.vote(0, statement));
    assert!(matches!(lone.tell(Input::Votes(own.to_vec())), Judgement::Ignore(_)));
    assert_eq!(lone.round.voting_status(), VotingStatus::Voting);
}

#[test]
fn a_restart_keeps_every_promise_its_view_and_what_it_has_to_show() {
    let mut lone = Lone::new();
    let first = lone.notarized(1, None);
    let second = lone.proposal(2, Some(&first), |_| {});
    lone.tell(Input::Proposal(second.clone()));
    let mut again = Lone::restored(lone.journal.clone(), VotingStatus::Voting);
    assert_eq!((again.round.view(), again.said()), (View(2), vec![]));
    let rival = again.proposal(2, Some(&first), |block| block.header.time.0 += 1);
    again.tell(Input::Proposal(rival));
    assert_eq!(again.said(), [], "it has voted in view 2");
    again.tick_after_ms(3_000);
    assert_eq!(again.said(), [nullify(2)], "it has not said finalize there yet");
    // The node's own vote counts again, and it still has the block that it voted for.
    again.votes(&[2, 3], notarize(&second));
    assert_eq!((again.round.view(), again.said()), (View(3), vec![]));
    again.votes(&[1, 2, 3], finalize(&second));
    assert_eq!(again.round.tip().height, Height(2));
}

#[test]
fn a_restart_with_a_finalization_in_its_journal_goes_on_from_there() {
    let mut lone = Lone::new();
    let block = lone.proposal(1, None, |_| {});
    let finalization = lone.certificate(&[1, 2, 3], finalize(&block));
    lone.tell(Input::Certificate(finalization));
    let mut again = Lone::restored(lone.journal, VotingStatus::Voting);
    assert_eq!((again.round.view(), again.round.tip().height), (View(2), Height(0)));
    again.tell(Input::Proposal(block));
    assert_eq!(again.round.tip().height, Height(1));
}

#[test]
fn a_journal_of_another_key_makes_it_follow() {
    let lone = Lone::new();
    let other = Record::Voted(lone.vote(1, nullify(1)));
    assert_eq!(Lone::restored(vec![other], VotingStatus::Voting).round.voting_status(), VotingStatus::JournalLost);
}

#[test]
fn a_peer_is_answered_once_an_interval_and_never_more_than_is_bounded() {
    let mut lone = Lone::new();
    lone.notarized(1, None);
    let ask = Ask {
        epoch: Epoch(0),
        view: View(1),
        final_view: View(0),
        final_height: Height(0),
        proposal: true,
        views: Vec::new(),
        blocks: Vec::new(),
    };
    let from = AuthorityIndex(2);
    assert_eq!(lone.tell(Input::Ask { from, ask: ask.clone() }), Judgement::Accept);
    let Some(Effect::Send { to, message: Message::Tell(told) }) = lone.effects.first() else { panic!("no answer") };
    assert_eq!((*to, told.certificates.len(), told.proposals.len(), told.votes.len()), (from, 1, 1, 2));
    lone.tell(Input::Ask { from, ask: ask.clone() });
    assert!(lone.effects.is_empty());
    lone.now_us += 50_000;
    lone.tell(Input::Ask { from, ask: ask.clone() });
    assert_eq!(lone.effects.len(), 1);
    let greedy = Ask { views: (0..33).map(View).collect(), ..ask };
    assert!(matches!(lone.tell(Input::Ask { from, ask: greedy }), Judgement::Reject(_)));
}

#[test]
fn an_asker_far_behind_is_told_what_leads_it_here_and_no_more_than_a_tell_may_hold() {
    let mut lone = Lone::new();
    for view in 1..200 {
        lone.votes(&[1, 2, 3], nullify(view));
    }
    let ask = Ask {
        epoch: Epoch(0),
        view: View(1),
        final_view: View(0),
        final_height: Height(0),
        proposal: true,
        views: Vec::new(),
        blocks: Vec::new(),
    };
    lone.tell(Input::Ask { from: AuthorityIndex(3), ask });
    let Some(Effect::Send { message: Message::Tell(told), .. }) = lone.effects.pop() else { panic!("no answer") };
    assert_eq!(told.certificates.len(), 64);
    let mut other = Lone::new();
    assert_eq!(other.tell(Input::Tell(told)), Judgement::Accept);
    assert_eq!(other.round.view(), View(200));
}

#[test]
fn a_late_vote_is_checked_only_if_its_sender_would_count_as_silent() {
    let mut lone = Lone::new();
    let junk = |lone: &Lone, view| {
        let mut vote = lone.vote(3, nullify(view));
        vote.signature.0[5] ^= 1;
        Input::Votes(vec![vote])
    };
    let certificate = |lone: &Lone, view| lone.certificate(&[0, 1, 2], nullify(view));
    lone.hurry();
    lone.tick_after_ms(300);
    lone.told(certificate(&lone, 1));
    assert!(matches!(lone.tell(junk(&lone, 1)), Judgement::Ignore(_)));
    for view in 2..=4 {
        lone.now_us += 30_000_000;
        lone.tell(Input::Tick);
        lone.told(certificate(&lone, view));
    }
    assert_eq!(lone.round.silent().collect::<Vec<_>>(), [AuthorityIndex(3)]);
    assert!(matches!(lone.tell(junk(&lone, 1)), Judgement::Reject(_)));
    lone.votes(&[3], nullify(1));
    assert_eq!(lone.round.silent().count(), 0, "it lives");
}

#[test]
fn blocks_by_range_are_taken_only_as_one_chain_with_its_finalization() {
    let make = || {
        let lone = Lone::new();
        let first = lone.proposal(1, None, |_| {});
        let second = lone.proposal(3, Some(&first), |_| {});
        (lone, first, second)
    };
    let (mut lone, first, second) = make();
    let finalization = lone.certificate(&[1, 2, 3], finalize(&second));
    let both = vec![Arc::clone(&first.block), Arc::clone(&second.block)];
    let take = |lone: &mut Lone, blocks: &[Arc<crate::types::Block>], finalization: &Certificate| {
        lone.tell(Input::Blocks { blocks: blocks.to_vec(), finalization: finalization.clone() })
    };
    assert!(matches!(take(&mut lone, &both[1..], &finalization), Judgement::Ignore(_)), "a gap");
    assert!(matches!(take(&mut lone, &both[..1], &finalization), Judgement::Reject(_)), "of another block");
    let weak = lone.certificate(&[1, 2], finalize(&second));
    assert!(matches!(take(&mut lone, &both, &weak), Judgement::Reject(_)), "no quorum");
    let mut forged = (*both[0]).clone();
    forged.header.time.0 += 1;
    let forged = [Arc::new(forged), Arc::clone(&both[1])];
    assert!(matches!(take(&mut lone, &forged, &finalization), Judgement::Reject(_)), "another first block");
    assert_eq!(lone.round.tip().height, Height(0));
    assert_eq!(take(&mut lone, &both, &finalization), Judgement::Accept);
    assert_eq!((lone.round.tip().height, lone.round.view()), (Height(2), View(4)));
    assert!(matches!(take(&mut lone, &both, &finalization), Judgement::Ignore(_)));
}

#[test]
fn a_leader_fills_no_more_than_its_share_of_memory() {
    let mut lone = Lone::new();
    for spread in 0..50 {
        let block = lone.proposal(2, None, |block| block.header.time.0 += spread);
        lone.tell(Input::Proposal(block));
    }
    let far = lone.proposal(18, None, |_| {});
    assert!(matches!(lone.tell(Input::Proposal(far)), Judgement::Ignore(_)));
    assert_eq!((lone.round.index.len(), lone.round.rounds.len()), (2, 1));
    // A block that a quorum votes for finds its place all the same.
    let block = lone.proposal(2, None, |block| block.header.time.0 += 77);
    lone.votes(&[1, 3], notarize(&block));
    let notarization = lone.certificate(&[1, 2, 3], notarize(&block));
    lone.told(notarization);
    lone.tell(Input::Proposal(block.clone()));
    assert!(lone.round.candidate(&block.block.header.digest()).is_some());
}
