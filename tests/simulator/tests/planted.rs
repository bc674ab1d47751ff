//! The checks can fail: a seed, or a scenario made for it, catches each fault that can be planted in core. A
//! debug assertion of core that fails first counts too.
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
    governed, run, volunteers,
};

/// How many seeds to try before a fault counts as missed.
const SEEDS_MAX: u64 = 120;

/// Whether this scenario with this fault violates a rule or an assertion.
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

/// Where to look for a fault: in drawn seeds, or in the family that was made for it.
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
        | Planted::SpreadIgnored
        | Planted::ScoresIgnored
        | Planted::BackOffNeverEnds
        | Planted::AnyonesReport
        | Planted::EndedTaskReported
        | Planted::DebtsStay
        | Planted::LossOfNoWorker => directed::busy,
        Planted::HeldGoesOn | Planted::WaitingKeepsOldNeeds | Planted::FreedAsAmended => directed::controlled,
        Planted::RunsPastQuota | Planted::BarredWorksOn | Planted::ScheduleOfGenesis => governed::ruled,
        Planted::BarredKeepsRoom => governed::barred,
        Planted::UnprovenTakeAll | Planted::StoredUnbounded => directed::crowded,
        Planted::TrialsIgnored | Planted::TrialFailuresCount => directed::untried,
        Planted::ReplicasAtTheSame | Planted::AskedEarly | Planted::CommitmentUnchecked | Planted::FailureOfOne => {
            directed::deceived
        }
        Planted::OperatorsIgnored => directed::operated,
        Planted::DrawnAtOnce
        | Planted::NeverCompared
        | Planted::MismatchForgiven
        | Planted::UncheckedCounts
        | Planted::RecordOfAnyone
        | Planted::MismatchLostInSnapshot => directed::relied_on,
        Planted::UnclaimedWaitForEver => directed::unholdable,
        Planted::OverlapIgnored | Planted::MissedAreRun => directed::recurring,
        Planted::ShrinksAndKeeps => directed::wavering,
        Planted::ReturnsCount => directed::returned,
        Planted::SharesIgnored => directed::shares,
        Planted::SpeculativeAtTheSame | Planted::SpeculativeFirst | Planted::SpeculativeForgotten => {
            directed::stragglers
        }
        Planted::AnyoneGoverns
        | Planted::FewerApprove
        | Planted::ThresholdOfGenesis
        | Planted::ChangesEndTwice
        | Planted::EndsAnywhere
        | Planted::EndsWhateverR
        | Planted::EndsUnnamed
        | Planted::LeaverVotes
        | Planted::JournalOfAnyEpoch
        | Planted::LaterEpochsIgnored => governed::governed,
        Planted::LastOnTrust | Planted::NextOnTrust => governed::usurped,
        Planted::SequenceRestarts => directed::restarted,
        Planted::LastSequenceIgnored => volunteers::set_back,
        Planted::ClaimsPastNewer => volunteers::second_process,
        Planted::DeathsNotCounted | Planted::DeathsOfOneWorker | Planted::DeathUntold | Planted::AloneBesideOthers => {
            volunteers::deadly
        }
        Planted::PausedClaims | Planted::DrainForgetsDeliveries => volunteers::leaving,
        Planted::MemoryNotCounted => volunteers::heavy,
        Planted::PreemptedKeepsSlot | Planted::OldWordSettlesNew => volunteers::preemption,
        Planted::DeliversForEver => volunteers::undelivered,
        Planted::OutcomeBesideCheckpoint | Planted::LostReportForgotten | Planted::LateSuccessThrownAway => {
            volunteers::cut_off
        }
        Planted::StopLost | Planted::BegunTwice | Planted::PatienceIgnored | Planted::RefusedReportForgotten => {
            directed::busy
        }
        Planted::NeverCatchesUp => directed::left_behind,
        Planted::DigestsForgotten => directed::power_cut,
        _ => Scenario::of_seed,
    }
}

fn seeds_until_caught(fault: Planted) -> Option<(u64, String)> {
    let scenario = sought(fault);
    (0..SEEDS_MAX).find_map(|seed| Some((seed + 1, catches(fault, &scenario(seed))?)))
}

/// The table of docs/faults.md.
fn print_table(caught: &[(Planted, u64, String)]) {
    println!("| fault | looked for in | seeds | noticed as |\n| --- | --- | --: | --- |");
    for fault in Planted::ALL {
        let Some((_, seeds, what)) = caught.iter().find(|(found, ..)| found == fault) else { continue };
        let family = FAMILIES.iter().find(|(_, family)| std::ptr::fn_addr_eq(*family, sought(*fault)));
        let name = family.map_or("any seed", |(name, _)| name);
        println!("|{} `{fault:?}` | {name} | {seeds} | {} |", fault.meaning(), without_names(what));
    }
}

/// What was noticed, without the digests and keys that tell a reader nothing.
fn without_names(what: &str) -> String {
    let is_name = |word: &str| word.len() >= 64 && word.bytes().take(64).all(|byte| byte.is_ascii_hexdigit());
    let words = what.split(' ').map(|word| if is_name(word) { "…" } else { word });
    words.collect::<Vec<_>>().join(" ").chars().take(120).collect()
}

#[test]
fn every_planted_fault_is_caught() {
    panic::set_hook(Box::new(|_| {}));
    let next = AtomicUsize::new(0);
    let look = || {
        let (mut caught, mut missed) = (Vec::new(), Vec::new());
        while let Some(fault) = Planted::ALL.get(next.fetch_add(1, Ordering::Relaxed)) {
            match seeds_until_caught(*fault) {
                Some((seeds, what)) => caught.push((*fault, seeds, what)),
                None => missed.push(*fault),
            }
        }
        (caught, missed)
    };
    let (mut caught, mut missed) = (Vec::new(), Vec::new());
    thread::scope(|scope| {
        let looking: Vec<_> = (0..2).map(|_| scope.spawn(look)).collect();
        for thread in looking {
            let (some, others) = thread.join().expect("what panics in a run is caught there");
            caught.extend(some);
            missed.extend(others);
        }
    });
    let _ = panic::take_hook();
    print_table(&caught);
    assert!(missed.is_empty(), "not caught: {missed:?}");
}

#[test]
fn what_was_made_for_a_fault_breaks_no_rule_without_it() {
    for (name, family) in FAMILIES.iter().filter(|(name, _)| *name != "two-liars") {
        for seed in [0, 3] {
            let outcome = run(&family(seed), None);
            assert!(outcome.violation.is_none() && outcome.outcomes > 0, "{name} {seed}: {outcome:?}");
        }
    }
}
