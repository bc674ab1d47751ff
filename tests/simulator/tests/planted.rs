//! The checks can fail: each fault that can be planted in core is caught, by a seed or by a scenario made for it. Whatever a
//! debug assertion of core's own says first counts too.
#![cfg(debug_assertions)]

use std::{
    panic::{self, AssertUnwindSafe},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use meshwork_core::fault::{self, Fault as Planted};
use meshwork_simulator::{
    Scenario,
    directed::{self, FAMILIES, Family},
    run,
};

/// Whoever is not caught by then is missed.
const SEEDS_MAX: u64 = 120;

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

/// Where a fault is looked for: wherever the seeds lead, or in the family that was made for it.
fn sought(fault: Planted) -> Family {
    match fault {
        Planted::ViewsSkipped => directed::old_parent,
        Planted::FinalOnTrust => directed::stuck_on_f,
        Planted::TimersGrowBySome | Planted::TimersNeverGrow => directed::even_delays,
        Planted::NoWindow => directed::far_votes,
        Planted::NoCertificates => directed::blackout,
        Planted::LostJournalVotes => directed::forgetful,
        Planted::RetriesByGossip => directed::unheard,
        Planted::RunOutsFirst => directed::renewed_in_time,
        Planted::StallsCount | Planted::NoAllowance => directed::stalled_reports,
        Planted::LateFailureTaken | Planted::LateSuccessDropped => directed::late_reports,
        Planted::HashOrder
        | Planted::ReplayForgotten
        | Planted::SlotsNotCounted
        | Planted::FreedTwice
        | Planted::ExpiryOffByOne
        | Planted::TimeoutFromLease
        | Planted::NeverTimesOut
        | Planted::ClaimRevives
        | Planted::PastTheWaiting
        | Planted::WaitingFirst
        | Planted::BackWhereLost
        | Planted::LeasedTwice
        | Planted::RankIgnored
        | Planted::BackOffNeverEnds
        | Planted::AnyonesReport
        | Planted::EndedTaskReported => directed::busy,
        Planted::ShrinksAndKeeps => directed::wavering,
        Planted::ReturnsCount => directed::returned,
        Planted::SequenceRestarts => directed::restarted,
        Planted::NeverCatchesUp => directed::left_behind,
        Planted::DigestsForgotten => directed::power_cut,
        _ => Scenario::of_seed,
    }
}

fn seeds_until_caught(fault: Planted) -> Option<(u64, String)> {
    let scenario = sought(fault);
    (0..SEEDS_MAX).find_map(|seed| Some((seed + 1, catches(fault, &scenario(seed))?)))
}

#[test]
fn every_planted_fault_is_caught() {
    panic::set_hook(Box::new(|_| {}));
    let next = AtomicUsize::new(0);
    let look = || {
        let mut missed = Vec::new();
        while let Some(fault) = Planted::ALL.get(next.fetch_add(1, Ordering::Relaxed)) {
            match seeds_until_caught(*fault) {
                Some((seeds, what)) => println!("{fault:?}: {seeds} seeds: {what}"),
                None => missed.push(*fault),
            }
        }
        missed
    };
    let missed: Vec<Planted> = thread::scope(|scope| {
        let looking: Vec<_> = (0..2).map(|_| scope.spawn(look)).collect();
        looking.into_iter().flat_map(|thread| thread.join().unwrap_or_default()).collect()
    });
    let _ = panic::take_hook();
    assert!(missed.is_empty(), "not caught: {missed:?}");
}

#[test]
fn what_was_made_for_a_fault_breaks_no_rule_without_it() {
    for (name, family) in FAMILIES {
        for seed in [0, 3] {
            let outcome = run(&family(seed), None);
            assert!(outcome.violation.is_none() && outcome.outcomes > 0, "{name} {seed}: {outcome:?}");
        }
    }
}
