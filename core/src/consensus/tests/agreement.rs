//! Tests, over many seeds, that authorities always agree, and that a network that is well makes progress.

use super::{super::VotingStatus, network::Network, seeds};

const SIZES: [usize; 4] = [1, 2, 4, 7];

/// Ends losses and crashes, and expects progress.
fn heal_and_finish(network: &mut Network) {
    (network.loss_permille, network.crash_permille) = (0, 0);
    network.delay_us = (500, 5_000);
    network.group.fill(0);
    for node in 0..network.nodes.len() {
        if network.nodes[node].round.is_none() {
            network.restart_after(node, 0);
        }
    }
    network.run_ms(100);
    for _ in 0..5 {
        network.submit();
    }
    let until_us = network.now_us + 60_000_000;
    let done = network.run_until(until_us, Network::all_done);
    let heights: Vec<_> = network.nodes.iter().map(|node| (node.view(), node.height())).collect();
    assert!(done, "seed {}: no progress: {heights:?}", network.seed);
}

#[test]
fn a_network_that_is_well_orders_everything_and_everyone_has_it() {
    for count in SIZES {
        for seed in seeds(5) {
            let mut network = Network::new(count, 2, seed);
            for _ in 0..20 {
                network.submit();
                network.run_ms(20);
            }
            heal_and_finish(&mut network);
            assert!(network.nullified.is_empty(), "seed {seed}: a view was given up without need");
        }
    }
}

#[test]
fn lost_late_and_reordered_messages_break_nothing_and_what_is_missing_is_asked_for() {
    for count in SIZES {
        for seed in seeds(12) {
            let mut network = Network::new(count, 1, seed);
            network.loss_permille = 50 + network.random.below(400);
            network.delay_us = (100, 10_000 + network.random.below(400_000));
            for _ in 0..20 {
                network.submit();
                network.run_ms(200);
            }
            // Every pooled transaction is ordered, even if messages were lost.
            heal_and_finish(&mut network);
        }
    }
}

#[test]
fn crashes_at_any_point_break_no_promise_and_lose_nothing() {
    for count in SIZES {
        for seed in seeds(12) {
            let mut network = Network::new(count, 1, seed);
            network.crash_permille = 5 + network.random.below(30);
            network.loss_permille = network.random.below(100);
            for _ in 0..20 {
                network.submit();
                network.run_ms(200);
            }
            heal_and_finish(&mut network);
        }
    }
}

#[test]
fn a_partition_stops_the_smaller_side_only_and_heals() {
    for seed in seeds(8) {
        let mut network = Network::new(7, 1, seed);
        network.submit();
        network.run_ms(1000);
        network.group = vec![0, 0, 0, 0, 0, 1, 1, 0];
        let before = network.nodes[5].height();
        for _ in 0..5 {
            network.submit();
            network.run_ms(2_000);
        }
        assert!(network.nodes[5].height().0 <= before.0 + 1, "seed {seed}: two of seven went on by themselves");
        assert!(network.nodes[0].height() > before.next(), "seed {seed}: five of seven did not go on");
        network.group = vec![0, 0, 0, 1, 1, 1, 1, 0];
        network.run_ms(5_000);
        heal_and_finish(&mut network);
    }
}

#[test]
fn authorities_that_equivocate_divide_nobody_and_are_convicted() {
    for (count, liars) in [(4, 1), (7, 1)] {
        let mut convicted = 0;
        for seed in seeds(10) {
            let mut network = Network::new(count, 1, seed);
            for liar in 0..liars {
                network.add_twin(liar);
            }
            network.delay_us = (100, 60_000);
            network.loss_permille = network.random.below(100);
            for _ in 0..15 {
                network.submit();
                network.run_ms(300);
            }
            heal_and_finish(&mut network);
            let honest = network.nodes.iter().filter(|node| !node.twin);
            for evidence in honest.flat_map(|node| &node.evidence) {
                assert!(usize::from(evidence.culprit().0) < liars, "seed {seed}: an honest one was convicted");
                convicted += 1;
            }
        }
        assert!(convicted > 0, "of {count}, nobody noticed");
    }
}

#[test]
fn everything_at_once_breaks_nothing() {
    for count in [4, 7] {
        for seed in seeds(8) {
            let mut network = Network::new(count, 1, seed);
            if network.random.permille(500) {
                network.add_twin(1);
            }
            for node in 0..network.nodes.len() {
                network.nodes[node].skew_us = network.random.below(1_400_000) as i64 - 700_000;
            }
            for _ in 0..12 {
                network.loss_permille = network.random.below(300);
                network.crash_permille = network.random.below(15);
                network.delay_us = (100, 1_000 + network.random.below(500_000));
                for node in 0..network.group.len() {
                    network.group[node] = network.random.below(10) as usize / 7;
                }
                network.submit();
                let ms = network.random.below(2_000);
                network.run_ms(ms);
            }
            for node in &mut network.nodes {
                node.skew_us /= 10;
            }
            heal_and_finish(&mut network);
        }
    }
}

#[test]
fn an_authority_without_its_journal_follows_and_does_not_vote() {
    for seed in seeds(5) {
        let mut network = Network::new(4, 0, seed);
        network.submit();
        network.run_ms(500);
        network.crash(2);
        network.nodes[2].disk.journal.clear();
        let genesis = network.genesis.clone();
        network.nodes[2].start(&genesis, VotingStatus::JournalLost);
        let proposals = network.proposals.len();
        for _ in 0..10 {
            network.submit();
            network.run_ms(500);
        }
        assert_eq!(network.nodes[2].height(), network.highest(), "seed {seed}: it does not follow");
        assert!(network.nodes[2].disk.journal.is_empty(), "seed {seed}: it voted");
        let later = &network.proposals[proposals..];
        assert!(later.iter().all(|proposal| proposal.block.header.view.0 % 4 != 2), "seed {seed}: it proposed");
    }
}

#[test]
fn a_follower_or_an_authority_that_was_away_catches_up_by_range() {
    for away in [3, 4] {
        let mut network = Network::new(4, 1, 11);
        network.crash(away);
        for _ in 0..60 {
            network.submit();
            network.run_ms(100);
        }
        assert!(network.highest().0 >= 60);
        network.restart_after(away, 0);
        network.run_ms(3_000);
        assert!(network.nodes[away].height().0 + 1 >= network.highest().0, "{:?}", network.nodes[away].height());
        heal_and_finish(&mut network);
    }
}
