//! Explores all runs within a small bound on every test run, with core's own assertions; the program explores
//! larger bounds. Exploring can fail: it finds planted faults, and what too many liars can do.

#[cfg(debug_assertions)]
use std::panic;

#[cfg(debug_assertions)]
use meshwork_core::fault::{self, Fault};
use meshwork_simulator::explore::{Bound, Grain, Report, explore, promises};

fn run(bound: &Bound) -> Report {
    let report = explore(bound, &mut |_| {});
    println!("{report}");
    report
}

fn holds(bound: &Bound) {
    let report = run(bound);
    assert!(report.violation.is_none() && report.exhausted, "{report}");
    assert!(report.went_on > 0, "{report}");
}

#[test]
fn no_run_of_two_views_breaks_a_rule_whoever_lies() {
    for liar in [0, 1, 3] {
        holds(&Bound { progress_every: 500, ..Bound::new(liar, 2) });
    }
}

#[test]
fn no_crash_breaks_a_rule() {
    for liar in 0..4 {
        holds(&Bound { crashes: 2, progress_every: 20, ..Bound::new(liar, 1) });
    }
    holds(&Bound { crashes: 1, progress_every: 500, ..Bound::new(3, 2) });
}

#[test]
fn the_network_can_go_on_from_every_state_of_one_view() {
    for liar in 0..4 {
        holds(&Bound { progress_every: 1, ..Bound::new(liar, 1) });
    }
}

#[test]
fn larger_steps_lead_to_all_that_smaller_ones_lead_to() {
    let with = |grain, bound: Bound| promises(&Bound { grain, ..bound }).expect("the bound is exhausted");
    let crashing = Bound { crashes: 1, ..Bound::new(1, 1) };
    for bound in [Bound::new(1, 1), Bound::new(0, 2), crashing] {
        assert_eq!(with(Grain::Promise, bound.clone()), with(Grain::Certificate, bound));
    }
    assert_eq!(with(Grain::Promise, Bound::new(0, 1)), with(Grain::Vote, Bound::new(0, 1)));
}

#[test]
#[ignore = "takes long unless it is optimized: CI runs it so"]
fn larger_steps_lead_to_all_that_smaller_ones_lead_to_over_two_views_with_a_leader_that_lies() {
    let with = |grain| promises(&Bound { grain, ..Bound::new(1, 2) }).expect("the bound is exhausted");
    assert_eq!(with(Grain::Promise), with(Grain::Certificate));
}

#[test]
fn no_run_of_two_views_closes_an_epoch_in_two_ways() {
    for liar in 0..4 {
        let report = run(&Bound { ends: true, crashes: 1, ..Bound::new(liar, 2) });
        assert!(report.exhausted && report.violation.is_none(), "{report}");
    }
}

#[test]
fn with_two_liars_of_four_two_chains_become_final() {
    let bound = Bound { byzantine: vec![1, 2], agreement_only: true, ..Bound::new(1, 1) };
    let violation = run(&bound).violation.expect("agreement is broken");
    assert!(violation.what.starts_with("two chains are final"), "{}", violation.what);
}

#[test]
fn an_authority_that_forgets_its_votes_in_a_crash_breaks_its_promises() {
    let bound = Bound { crashes: 1, ..Bound::new(0, 1) };
    assert!(run(&bound).violation.is_none());
    assert!(run(&Bound { votes_durable: false, ..bound }).violation.is_some());
}

#[test]
#[cfg(debug_assertions)]
fn planted_faults_are_found() {
    let crashing = Bound { crashes: 1, ..Bound::new(0, 2) };
    panic::set_hook(Box::new(|_| {}));
    for (planted, bound) in [
        (Fault::QuorumTooSmall, Bound::new(1, 1)),
        (Fault::FinalizeAfterNullify, Bound::new(0, 1)),
        (Fault::SecondVote, Bound::new(1, 1)),
        (Fault::PrunedTooFar, crashing),
    ] {
        let sound = explore(&bound, &mut |_| {});
        assert!(sound.violation.is_none(), "{sound}");
        fault::plant(Some(planted));
        print!("{planted:?}: ");
        let report = run(&bound);
        fault::plant(None);
        let violation = report.violation.expect("the fault is found");
        assert!(!violation.story.is_empty(), "{violation:?}");
    }
    let _ = panic::take_hook();
}
