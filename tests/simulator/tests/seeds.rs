//! Runs a bounded number of the simulator's networks on every test run; the program runs as many as you like.

use meshwork_simulator::{Scenario, Summary, directed, governed, run, shrink};

const SEEDS: u64 = 60;

#[test]
fn no_network_breaks_a_rule() {
    let mut summary = Summary::default();
    for seed in 0..SEEDS {
        let scenario = Scenario::of_seed(seed);
        summary.add(seed, scenario.authorities, &run(&scenario, None));
    }
    println!("{summary}");
    let least = summary.failures.first().and_then(|failure| shrink::shrink(&Scenario::of_seed(failure.seed)));
    assert!(summary.violations == 0, "{:?}, the least of which is {least:?}", summary.failures);
    assert!(summary.outcomes > SEEDS && summary.faults.len() >= 10, "something went on: {summary}");
}

#[test]
fn more_liars_than_the_protocol_bears_are_noticed() {
    let outcome = run(&directed::two_liars(1), None);
    assert!(outcome.violation.is_some_and(|violation| violation.what.starts_with("two blocks are final")));
}

#[test]
fn what_was_once_mistaken_for_a_violation_is_none() {
    for family in [directed::fast_clock, directed::late_array, governed::alone, governed::in_turn] {
        for number in 0..4 {
            let outcome = run(&family(number), None);
            assert!(outcome.violation.is_none(), "{number}: {:?}", outcome.violation);
        }
    }
}

#[test]
fn each_moment_of_what_recurs_is_run_or_skipped_with_a_reason() {
    for number in 0..4 {
        let outcome = run(&directed::recurring(number), None);
        assert!(outcome.violation.is_none(), "{number}: {:?}", outcome.violation);
    }
}

#[test]
fn no_more_are_faulty_than_the_protocol_bears() {
    assert!((0..5000).all(|seed| Scenario::of_seed(seed).is_bearable()));
    for (name, family) in directed::FAMILIES.iter().filter(|(name, _)| *name != "two-liars") {
        assert!((0..50).all(|seed| family(seed).is_bearable()), "{name}");
    }
    assert!(!directed::two_liars(1).is_bearable());
}

#[test]
fn one_seed_gives_one_run() {
    for seed in [1, 2, 3, 5, 8] {
        let scenario = Scenario::of_seed(seed);
        let (first, again) = (run(&scenario, None), run(&scenario, None));
        assert_eq!((first.trace, first.blocks), (again.trace, again.blocks));
        assert_ne!(first.trace, run(&Scenario::of_seed(seed + 1), None).trace);
    }
}
