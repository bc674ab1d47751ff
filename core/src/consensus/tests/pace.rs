//! Tests of timers, quiet and silence.

use super::{
    super::{rules::Rules, *},
    config, genesis,
    lone::{Lone, finalize, notarize},
    network::Network,
    node::App,
    seeds,
};
use crate::{
    digest::Digest,
    types::{Header, Height, Statement, View},
};

#[test]
fn timeouts_are_three_delta_and_grow_by_half_up_to_the_cap() {
    let rules = Rules::new(&config(&genesis(4), None));
    let timeouts: Vec<u64> = [0, 1, 2, 3, 8, 9, 1000].map(|failed| rules.timeout_us(failed)).to_vec();
    assert_eq!(timeouts, [300_000, 450_000, 675_000, 1_012_500, 7_688_670, 10_000_000, 10_000_000]);
}

#[test]
fn a_follower_that_is_far_behind_asks_for_blocks_though_others_become_final_faster_than_it_asks() {
    let genesis = genesis(4);
    let quarter_us = genesis.consensus.delta_ms * 1000 / 4;
    let tip = FinalTip::genesis(&genesis);
    let round = Consensus::new(config(&genesis, None), tip, None, Vec::new(), Vec::new(), VotingStatus::Follower);
    let mut lone = Lone::of(genesis, round, App::default(), Vec::new());
    // Another block is missing each time, and none of them for as long as a node waits before it asks.
    let asked = (100..116u64).filter(|view| {
        lone.now_us += quarter_us;
        let newest = Statement::Finalize(View(*view), Digest::of(&view.to_le_bytes()));
        let certificate = lone.certificate(&[1, 2, 3], newest);
        lone.tell(Input::Certificate(certificate));
        lone.effects.iter().any(|effect| matches!(effect, Effect::Behind { .. }))
    });
    assert_eq!(asked.count(), 3, "once each time that it waits so long, after the first");
}

#[test]
fn a_view_nullified_here_or_by_a_quorum_makes_the_next_timer_longer_and_only_a_finalization_resets_it() {
    let mut lone = Lone::new();
    lone.hurry();
    assert_eq!(lone.round.view_state.timeout_us, 300_000);
    lone.tick_after_ms(300);
    // This node nullified the view, and the others notarized it.
    let block = lone.notarized(1, None);
    assert_eq!((lone.round.view(), lone.round.view_state.timeout_us), (View(2), 450_000));
    // The others nullify the view.
    lone.votes(&[1, 2, 3], Statement::Nullify(View(2)));
    assert_eq!((lone.round.view(), lone.round.view_state.timeout_us), (View(3), 675_000));
    lone.notarized(3, Some(&block));
    assert_eq!(lone.round.view_state.timeout_us, 675_000, "a notarization does not reset it");
    lone.votes(&[1, 2, 3], finalize(&block));
    lone.votes(&[1, 2, 3], Statement::Nullify(View(4)));
    assert_eq!(lone.round.view_state.timeout_us, 675_000, "views 2 and 4 failed above the last finalization");
    let block = lone.notarized(5, None);
    lone.votes(&[1, 2, 3], finalize(&block));
    lone.votes(&[1, 2, 3], Statement::Nullify(View(6)));
    assert_eq!(lone.round.view_state.timeout_us, 450_000);
}

#[test]
fn delays_between_half_a_timeout_and_a_whole_one_do_not_halt_the_network() {
    for (shortest_us, longest_us) in [(160_000, 170_000), (200_000, 200_000), (150_000, 290_000), (600_000, 700_000)] {
        for seed in seeds(4) {
            let mut network = Network::new(4, 0, seed);
            network.delay_us = (shortest_us, longest_us);
            network.submit();
            let until_us = network.now_us + 60_000_000;
            assert!(network.run_until(until_us, Network::all_done), "seed {seed}: halted at {longest_us} µs");
        }
    }
}

#[test]
fn an_idle_network_makes_one_block_a_heartbeat() {
    for count in [1, 4, 7] {
        let mut network = Network::new(count, 1, 3);
        network.run_ms(20_500);
        let headers: Vec<Header> = network.nodes[0].headers().cloned().collect();
        assert!((17..=20).contains(&headers.len()), "{count}: {} blocks in 20 heartbeats", headers.len());
        assert!(headers.windows(2).all(|pair| pair[1].time.micros_since(pair[0].time) >= 1_000_000));
    }
}

#[test]
fn something_to_order_is_ordered_at_once_and_its_result_is_covered_soon() {
    for count in [1, 4, 7] {
        let mut network = Network::new(count, 0, 5);
        network.run_ms(3_300);
        let (began_us, blocks) = (network.now_us, network.chain.len());
        network.submit();
        assert!(network.run_until(began_us + 50_000, Network::all_done), "{count}: not final after 50 ms");
        let height =
            network.nodes[0].headers().filter(|header| header.height.0 > blocks as u64).map(|h| h.height).min();
        let height = height.expect("the transaction is in a new block");
        let covered = |network: &Network| network.nodes[0].headers().any(|header| header.result_height >= height);
        assert!(!covered(&network));
        assert!(network.run_until(began_us + 250_000, covered), "{count}: its result is not covered");
        // The empty blocks served to cover results. Then the network is quiet again.
        assert!(network.chain.len() - blocks <= 4, "{count}: {} blocks", network.chain.len() - blocks);
        let quiet = network.chain.len();
        network.run_ms(700);
        assert!(network.chain.len() <= quiet + 1, "{count}: not quiet");
    }
}

#[test]
fn a_dead_leader_is_passed_over_by_an_idle_network_too() {
    let mut network = Network::new(4, 0, 1);
    network.crash(2);
    network.run_ms(30_000);
    assert!(network.chain.len() >= 15, "{} blocks in 30 heartbeats", network.chain.len());
}

#[test]
fn silent_leaders_are_passed_over_at_once_and_lead_again_when_they_are_back() {
    let mut network = Network::new(4, 0, 2);
    network.crash(2);
    for _ in 0..30 {
        network.submit();
        network.run_ms(100);
    }
    let began_us = network.now_us;
    let view = network.nodes[0].view();
    assert_eq!(network.nodes[0].round.as_ref().map(|round| round.silent().collect()), Some(vec![AuthorityIndex(2)]));
    for _ in 0..20 {
        network.submit();
        let until_us = network.now_us + 1_000_000;
        let finished = |network: &Network| [0, 1, 3].iter().all(|node| network.nodes[*node].app.pool.is_empty());
        network.run_ms(3);
        assert!(network.run_until(until_us, finished));
    }
    assert!(network.nodes[0].view().0 - view.0 >= 20);
    let (took_us, timeout_us) = (network.now_us - began_us, 300_000);
    assert!(took_us < 3 * timeout_us, "20 blocks took {took_us} µs");
    network.restart_after(2, 0);
    network.run_ms(1_000);
    let height = network.chain.len() as u64;
    for _ in 0..10 {
        network.submit();
        network.run_ms(400);
    }
    let leads = |header: &Header| header.height.0 > height && header.view.0 % 4 == 2;
    assert!(network.nodes[0].headers().any(leads), "it never leads again");
}

#[test]
fn a_finalization_is_gossiped_by_the_next_leader_and_by_others_only_if_none_comes() {
    let mut network = Network::new(4, 3, 9);
    for _ in 0..20 {
        network.submit();
        network.run_ms(30);
    }
    assert!(network.finalizations_gossiped <= network.chain.len() + 1);

    let mut lone = Lone::new();
    let first = lone.notarized(1, None);
    let gossips = |lone: &Lone| lone.effects.iter().any(|effect| matches!(effect, Effect::GossipFinalization(_)));
    lone.votes(&[1, 2], finalize(&first));
    assert!(!gossips(&lone), "2 leads the next view");
    lone.tick_after_ms(100);
    assert!(gossips(&lone), "none has come");
    let second = lone.notarized(2, Some(&first));
    lone.votes(&[1, 2], finalize(&second));
    let other = lone.certificate(&[1, 2, 3], finalize(&second));
    assert_eq!(lone.tell(Input::Certificate(other)), Judgement::Accept, "known, but others may need it");
    lone.tick_after_ms(100);
    assert!(!gossips(&lone), "one has come");
    let third = lone.notarized(3, Some(&second));
    lone.votes(&[1, 2], finalize(&third));
    assert!(gossips(&lone), "it leads the next view");
}

#[test]
fn a_happy_view_needs_no_timer_and_few_messages() {
    let mut network = Network::new(4, 0, 4);
    let until_us = 10_000_000;
    while network.chain.len() < 50 {
        network.submit();
        let blocks = network.chain.len();
        assert!(network.run_until(until_us, |network| network.chain.len() > blocks));
    }
    assert!(network.nullified.is_empty());
    let per_block = network.messages / network.chain.len();
    assert!(per_block <= 30, "{per_block} messages a block");
}

#[test]
fn a_finalize_vote_that_does_not_become_final_is_asked_after_and_what_was_lost_comes() {
    let mut lone = Lone::new();
    let block = lone.notarized(1, None);
    lone.tick_after_ms(99);
    assert!(lone.effects.is_empty());
    lone.tick_after_ms(1);
    let told: Vec<Statement> = lone
        .effects
        .iter()
        .flat_map(|effect| match effect {
            Effect::Send { message: Message::Tell(tell), .. } => tell.votes.iter().map(|vote| vote.statement).collect(),
            _ => Vec::new(),
        })
        .collect();
    assert_eq!(told.iter().filter(|statement| **statement == finalize(&block)).count(), 3);
    assert_eq!(told.iter().filter(|statement| **statement == notarize(&block)).count(), 3);
    assert_eq!(lone.round.tip().height, Height(0));
}
