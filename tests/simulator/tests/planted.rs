//! The checks can fail: each fault that can be planted in core is caught, by a seed or by a scenario made for it. Whatever a
//! debug assertion of core's own says first counts too.
#![cfg(debug_assertions)]

use std::panic::{self, AssertUnwindSafe};

use meshwork_core::fault::{self, Fault as Planted};
use meshwork_simulator::{
    Scenario,
    links::{Distance, Weather},
    run,
    scenario::{Fault, Manner, Work},
};

const SEEDS_MAX: u64 = 200;

/// Whether a rule is broken, or an assertion, in this scenario with this fault.
fn catches(fault: Planted, scenario: &Scenario) -> Option<String> {
    fault::plant(Some(fault));
    let ran = panic::catch_unwind(AssertUnwindSafe(|| run(scenario, None)));
    fault::plant(None);
    match ran {
        Ok(outcome) => outcome.violation.map(|violation| violation.what),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            Some(text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default())
        }
    }
}

/// Four authorities whose messages take four times the Δ that the founders hoped for, and nothing else wrong.
fn hopeful_founders() -> Scenario {
    Scenario {
        authorities: 4,
        workers: vec![Manner::Honest],
        delta_ms: 150,
        heartbeat_ms: 100,
        weather: Weather { distance: Distance::Satellite, ..Weather::fair() },
        patience_us: 200_000_000,
        work: vec![(0, Work::Job { through: 0, tasks: 5, task_ms: 1, priority: 0, fails: false })],
        ..calm(1)
    }
}

/// A small network with nothing wrong in it, and the work of a seed.
fn calm(seed: u64) -> Scenario {
    let mut scenario = Scenario::of_seed(seed);
    scenario.faults.clear();
    scenario.twins.clear();
    scenario.withholding.clear();
    scenario.weather = Weather::fair();
    scenario
}

/// An authority loses its disk and is back at once, at a moment of its own for each try.
fn forgetful(seed: u64) -> Scenario {
    let at = 5_000_000 + seed * 97_000;
    let faults = vec![(at, Fault::Crash(3)), (at + 1, Fault::LoseDisk(3)), (at + 2, Fault::Start(3))];
    Scenario { faults, ..hopeful_founders() }
}

fn seeds_until_caught(fault: Planted) -> Option<(u64, String)> {
    let scenario = |seed| match fault {
        Planted::LostJournalVotes => forgetful(seed),
        _ => Scenario::of_seed(seed),
    };
    (0..SEEDS_MAX).find_map(|seed| Some((seed + 1, catches(fault, &scenario(seed))?)))
}

#[test]
fn what_is_made_for_a_fault_breaks_no_rule_without_it() {
    for scenario in [hopeful_founders(), forgetful(0), forgetful(4)] {
        let outcome = run(&scenario, None);
        assert!(outcome.violation.is_none() && outcome.outcomes == 5, "{outcome:?}");
    }
}

#[test]
fn every_planted_fault_is_caught() {
    panic::set_hook(Box::new(|_| {}));
    let mut missed = Vec::new();
    for fault in Planted::ALL {
        match seeds_until_caught(fault) {
            Some((seeds, what)) => println!("{fault:?}: {seeds} seeds: {what}"),
            None => missed.push(fault),
        }
    }
    let _ = panic::take_hook();
    assert!(missed.is_empty(), "not caught: {missed:?}");
}
