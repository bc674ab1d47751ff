//! Tests, rule by rule, how an epoch ends and the next begins. The node is authority 0 of four, at the first
//! gate, with an approved change that replaces authority 3 by authority 4.

use std::sync::Arc;

use super::{
    super::*,
    config, genesis, key,
    lone::{Lone, finalize, notarize},
    node::App,
};
use crate::{
    identity::SecretKey,
    types::{Authority, AuthoritySet, Block, Closing, Epoch, Genesis, Height, Proposal, Role, Statement, View},
};

fn gated() -> Arc<Genesis> {
    let mut genesis = Genesis::clone(&genesis(4));
    genesis.consensus.gate_interval = 1;
    Arc::new(genesis)
}

fn changed(genesis: &Genesis) -> Arc<AuthoritySet> {
    let joins = Authority { name: "a4".into(), key: key(4).public(), addresses: Vec::new() };
    Arc::new(genesis.authority_set().without(&key(3).public()).with(joins))
}

/// An authority for which a change is approved at the genesis already, so that the first block is the last.
fn lone_with(own: SecretKey, journal: Vec<Record>) -> Lone {
    let genesis = gated();
    let tip = FinalTip::genesis(&genesis);
    let round =
        Consensus::new(config(&genesis, Some(own)), tip, None, journal.clone(), Vec::new(), VotingStatus::Voting);
    let app = App { approved: Some((Height(0), changed(&genesis))), ..App::default() };
    Lone::of(genesis, round, app, journal)
}

fn lone() -> Lone {
    lone_with(key(0), Vec::new())
}

fn last(lone: &Lone, view: u64) -> Proposal {
    lone.proposal(view, None, |block| block.header.role = Role::Last)
}

/// A closing block that names nobody, unless `edit` changes that.
fn closing(lone: &Lone, view: u64, parent: &Proposal, edit: impl FnOnce(&mut Block)) -> Proposal {
    lone.proposal(view, Some(parent), |block| {
        let (below, header) = (&parent.block.header, &mut block.header);
        header.role = Role::Closing(None);
        (header.height, header.time, header.final_height) = (below.height, below.time, below.final_height);
        (header.result_height, header.result) = (Height(0), Digest::ZERO);
        edit(block);
    })
}

/// A closing block that names the next authorities.
fn handover(lone: &Lone, view: u64, parent: &Proposal) -> Proposal {
    let result = lone.app.results.first().copied().unwrap_or(Digest::ZERO);
    let next = changed(&lone.genesis).digest();
    closing(lone, view, parent, |block| {
        let header = &mut block.header;
        header.role = Role::Closing(Some(next));
        (header.final_height, header.result_height, header.result) = (header.height, header.height, result);
    })
}

/// Makes the last block final, and executes it.
fn end(lone: &mut Lone) -> Proposal {
    let block = last(lone, 1);
    lone.tell(Input::Proposal(block.clone()));
    lone.votes(&[1, 2, 3], notarize(&block));
    lone.votes(&[1, 2, 3], finalize(&block));
    execute(lone, &block);
    block
}

fn execute(lone: &mut Lone, block: &Proposal) {
    lone.app.execute(&block.block);
    lone.tell(Input::Executed(block.block.header.height));
}

fn voted(lone: &Lone, block: &Proposal) -> bool {
    lone.said().contains(&notarize(block))
}

#[test]
fn a_block_at_a_gate_is_the_last_exactly_if_its_result_holds_an_approved_change() {
    let mut lone = lone();
    let inner = lone.proposal(1, None, |_| {});
    lone.tell(Input::Proposal(inner.clone()));
    assert!(!voted(&lone, &inner));
    let right = last(&lone, 1);
    lone.tell(Input::Proposal(right.clone()));
    assert!(voted(&lone, &right));
    let mut other = self::lone();
    other.app.approved = None;
    other.tell(Input::Proposal(right.clone()));
    assert!(!voted(&other, &right), "nothing is approved there");
    other.tell(Input::Proposal(inner.clone()));
    assert!(voted(&other, &inner));
}

#[test]
fn a_last_block_at_no_gate_is_refused() {
    let mut lone = Lone::new();
    let block = last(&lone, 1);
    assert!(matches!(lone.tell(Input::Proposal(block)), Judgement::Reject(_)));
}

#[test]
fn only_closing_blocks_stand_on_the_last_and_on_nothing_else() {
    let mut lone = lone();
    let block = last(&lone, 1);
    lone.tell(Input::Proposal(block.clone()));
    lone.votes(&[1, 2, 3], notarize(&block));
    let inner = lone.proposal(2, Some(&block), |_| {});
    lone.tell(Input::Proposal(inner.clone()));
    assert!(!voted(&lone, &inner));
    let right = closing(&lone, 2, &block, |_| {});
    lone.tell(Input::Proposal(right.clone()));
    assert!(voted(&lone, &right));
    let mut other = Lone::new();
    let first = other.notarized(1, None);
    let early = closing(&other, 2, &first, |_| {});
    other.tell(Input::Proposal(early.clone()));
    assert!(!voted(&other, &early), "its parent is not the last");
}

#[test]
fn a_closing_block_orders_nothing_and_carries_no_result_but_its_epochs() {
    let mut lone = lone();
    let block = last(&lone, 1);
    lone.tell(Input::Proposal(block.clone()));
    lone.votes(&[1, 2, 3], notarize(&block));
    let waiting = super::transaction(&lone.genesis, 1);
    let with_transaction = closing(&lone, 2, &block, |block| {
        block.transactions.push(waiting);
        block.header.transactions = Block::transactions_digest(&block.transactions);
    });
    let with_result = closing(&lone, 2, &block, |block| block.header.result = Digest([1; 32]));
    let with_f = closing(&lone, 2, &block, |block| block.header.final_height = Height(1));
    for bad in [with_transaction, with_result, with_f] {
        assert!(matches!(lone.tell(Input::Proposal(bad)), Judgement::Reject(_)));
    }
    let later = closing(&lone, 2, &block, |block| block.header.time.0 += 1);
    lone.tell(Input::Proposal(later.clone()));
    assert!(!voted(&lone, &later), "it has the last one's time");
}

#[test]
fn who_comes_next_is_voted_for_once_the_last_block_is_executed_here_and_only_if_it_is_so() {
    let mut lone = lone();
    let block = last(&lone, 1);
    lone.tell(Input::Proposal(block.clone()));
    lone.votes(&[1, 2, 3], notarize(&block));
    let mut fake = App::default();
    fake.execute(&block.block);
    lone.app.results.clone_from(&fake.results);
    let right = handover(&lone, 2, &block);
    lone.app.results.clear();
    let wrong = closing(&lone, 2, &block, |block| {
        block.header = right.block.header.clone();
        block.header.role = Role::Closing(Some(Digest([7; 32])));
    });
    lone.tell(Input::Proposal(wrong.clone()));
    lone.tell(Input::Proposal(right.clone()));
    assert_eq!(lone.said(), [], "the last block is not known to be final");
    lone.votes(&[1, 2, 3], finalize(&block));
    assert_eq!(lone.said(), [], "it is not executed");
    execute(&mut lone, &block);
    assert!(voted(&lone, &right) && !voted(&lone, &wrong));
}

#[test]
fn a_leader_closes_at_once_and_names_the_next_authorities_as_soon_as_it_knows_them() {
    let own = |lone: &Lone| {
        lone.effects.iter().find_map(|effect| match effect {
            Effect::GossipProposal(proposal) => Some(proposal.block.header.clone()),
            _ => None,
        })
    };
    let lead = |lone: &mut Lone| {
        for view in lone.round.view().0..4 {
            lone.votes(&[1, 2, 3], Statement::Nullify(View(view)));
        }
    };
    let mut lone = lone();
    let block = last(&lone, 1);
    lone.tell(Input::Proposal(block.clone()));
    lone.votes(&[1, 2, 3], notarize(&block));
    lead(&mut lone);
    let header = own(&lone).expect("there is reason enough, without a heartbeat");
    assert_eq!((header.role, header.height, header.view), (Role::Closing(None), Height(1), View(4)));
    let mut lone = self::lone();
    end(&mut lone);
    lead(&mut lone);
    let header = own(&lone).expect("it leads");
    assert_eq!(header.role, Role::Closing(Some(changed(&lone.genesis).digest())));
    assert_eq!((header.final_height, header.result_height), (Height(1), Height(1)));
}

#[test]
fn a_final_handover_begins_the_next_epoch_on_the_last_block_in_view_one_among_others() {
    let mut lone = lone();
    let block = end(&mut lone);
    let idle = closing(&lone, 2, &block, |_| {});
    lone.tell(Input::Proposal(idle.clone()));
    lone.votes(&[1, 2, 3], notarize(&idle));
    lone.votes(&[1, 2, 3], finalize(&idle));
    assert_eq!((lone.round.epoch(), lone.round.tip().view), (Epoch(0), View(2)), "it names nobody");
    let named = handover(&lone, 3, &idle);
    lone.tell(Input::Proposal(named.clone()));
    lone.votes(&[1, 2, 3], notarize(&named));
    // Votes of authorities that are in the next epoch already.
    lone.epoch = Epoch(1);
    let early = vec![lone.vote(1, Statement::Nullify(View(1)))];
    assert!(matches!(lone.tell(Input::Votes(early)), Judgement::Ignore(_)));
    lone.epoch = Epoch(0);
    lone.votes(&[1, 2, 3], finalize(&named));
    let kinds: Vec<_> = lone.effects.iter().filter(|effect| !matches!(effect, Effect::Persist(_))).collect();
    let stored = kinds
        .iter()
        .position(|effect| matches!(effect, Effect::Closed { last: Height(1), closing } if closing.blocks.len() == 2));
    let begun = kinds.iter().position(|effect| matches!(effect, Effect::Epoch { epoch: Epoch(1), .. }));
    assert!(stored.is_some() && stored < begun, "{kinds:?}");
    assert!(kinds.iter().any(|effect| matches!(effect, Effect::Prune { epoch: Epoch(1), below: View(0) })));
    assert_eq!((lone.round.epoch(), lone.round.view(), lone.round.tip().height), (Epoch(1), View(1), Height(1)));
    assert_eq!(lone.round.authorities().key(crate::types::AuthorityIndex(3)), Some(key(4).public()));
    assert!(lone.round.own(View(1), state::Kind::Notarize).is_none(), "views start again");
    assert!(matches!(lone.votes(&[1, 2, 3], Statement::Nullify(View(5))), Judgement::Ignore(_)), "of the epoch before");
    // The early vote and this authority's own are a quorum of two among three.
    lone.tick_after_ms(3_000);
    assert_eq!(lone.said(), [Statement::Nullify(View(1))]);
    lone.epoch = Epoch(1);
    lone.votes(&[2], Statement::Nullify(View(1)));
    assert_eq!(lone.round.view(), View(2));
    // The next block stands on the last one and knows it to be final.
    lone.app.approved = None;
    let first = lone.proposal(2, Some(&block), |block| block.header.final_height = Height(1));
    assert_eq!(lone.tell(Input::Proposal(first.clone())), Judgement::Accept);
    assert!(voted(&lone, &first));
}

#[test]
fn nothing_is_begun_before_the_last_block_is_executed_here() {
    let mut lone = lone();
    let block = last(&lone, 1);
    let mut ahead = App::default();
    ahead.execute(&block.block);
    lone.app.results.clone_from(&ahead.results);
    let named = handover(&lone, 2, &block);
    lone.app.results.clear();
    lone.tell(Input::Proposal(block.clone()));
    let finalization = lone.certificate(&[1, 2, 3], finalize(&named));
    let blocks = vec![Arc::clone(&block.block), Arc::clone(&named.block)];
    assert_eq!(lone.tell(Input::Blocks { blocks, finalization }), Judgement::Accept);
    assert_eq!((lone.round.epoch(), lone.round.tip().height), (Epoch(0), Height(1)));
    lone.tick_after_ms(60_000);
    assert_eq!(lone.said(), [], "this epoch is over");
    execute(&mut lone, &block);
    assert_eq!((lone.round.epoch(), lone.round.view()), (Epoch(1), View(1)));
}

/// Sees an epoch end. Returns the standing of the authority with this key before and after.
fn voting_status_after(own: usize) -> (VotingStatus, VotingStatus) {
    let mut lone = lone_with(key(own), Vec::new());
    let before = lone.round.voting_status();
    let block = last(&lone, 1);
    let mut ahead = App::default();
    ahead.execute(&block.block);
    lone.app.results.clone_from(&ahead.results);
    let named = handover(&lone, 2, &block);
    lone.app.results.clear();
    let finalization = lone.certificate(&[0, 1, 2], finalize(&named));
    let blocks = vec![Arc::clone(&block.block), Arc::clone(&named.block)];
    lone.tell(Input::Blocks { blocks, finalization });
    execute(&mut lone, &block);
    assert_eq!(lone.round.epoch(), Epoch(1));
    lone.tick_after_ms(3_000);
    assert_eq!(lone.said().is_empty(), lone.round.voting_status() != VotingStatus::Voting);
    (before, lone.round.voting_status())
}

#[test]
fn one_who_leaves_follows_and_one_who_joins_votes_from_then_on() {
    // Authorities 0 to 2 sign the certificate. It would show each of them a vote of its own that it does not
    // know, so they are left out.
    assert_eq!(voting_status_after(3), (VotingStatus::Voting, VotingStatus::Follower));
    assert_eq!(voting_status_after(4), (VotingStatus::Follower, VotingStatus::Voting));
    assert_eq!(voting_status_after(7), (VotingStatus::Follower, VotingStatus::Follower));
}

#[test]
fn a_restart_while_an_epoch_closes_keeps_its_promises() {
    let mut lone = lone();
    let block = last(&lone, 1);
    lone.tell(Input::Proposal(block.clone()));
    lone.votes(&[1, 2, 3], notarize(&block));
    let one = closing(&lone, 2, &block, |_| {});
    lone.tell(Input::Proposal(one.clone()));
    assert!(voted(&lone, &one));
    let mut again = lone_with(key(0), lone.journal.clone());
    assert_eq!((again.round.epoch(), again.round.view()), (Epoch(0), View(2)));
    let other = closing(&again, 2, &block, |block| block.header.parent = Digest([1; 32]));
    again.tell(Input::Proposal(other));
    assert_eq!(again.said(), []);
    again.votes(&[2, 3], notarize(&one));
    assert_eq!((again.round.view(), again.round.tip().height), (View(3), Height(0)), "its own vote counts again");
}

#[test]
fn a_restart_with_the_handover_stored_is_in_the_next_epoch_and_knows_no_journal_of_the_one_before() {
    let mut lone = lone();
    let block = end(&mut lone);
    let named = handover(&lone, 2, &block);
    let finalization = lone.certificate(&[1, 2, 3], finalize(&named));
    let closing = Closing { blocks: vec![Arc::clone(&named.block)], finalization };
    let tip = FinalTip::stored(&block.block.header, None, Some(&closing));
    assert_eq!((tip.epoch, tip.height, tip.view), (Epoch(1), Height(1), View(0)));
    let authorities = changed(&lone.genesis);
    let start = |journal: Vec<Record>| {
        let config = Config { authorities: Arc::clone(&authorities), ..config(&lone.genesis, Some(key(0))) };
        Consensus::new(config, tip.clone(), Some(closing.clone()), journal, Vec::new(), VotingStatus::Voting)
    };
    let round = start(lone.journal.clone());
    assert_eq!((round.epoch(), round.view(), round.voting_status()), (Epoch(1), View(1), VotingStatus::Voting));
    assert_eq!(round.handover(), Some(&closing.finalization), "for those who ask");
    assert!(round.rounds.is_empty());
    let mut later = lone.vote(0, Statement::Nullify(View(3)));
    later.epoch = Epoch(2);
    let round = start(vec![Record::Voted(later)]);
    assert_eq!(round.voting_status(), VotingStatus::JournalLost, "it has promised something where it has never been");
}
