//! Shrinks a failing scenario: leaves out whatever the failure does not need, first by halves and then one by
//! one.

use crate::{Outcome, Scenario, run};

/// The smallest scenario that still fails, and how. Nothing if the scenario does not fail.
#[must_use]
pub fn shrink(scenario: &Scenario) -> Option<(Scenario, Outcome)> {
    let outcome = run(scenario, None);
    outcome.violation.as_ref()?;
    let mut least = (scenario.clone(), outcome);
    let mut smaller = true;
    while smaller {
        smaller = drop_some(&mut least, |scenario| &mut scenario.faults)
            | drop_some(&mut least, |scenario| &mut scenario.work)
            | drop_some(&mut least, |scenario| &mut scenario.liars)
            | calm(&mut least);
    }
    Some(least)
}

/// Leaves out as much of one list as the failure does not need. Returns whether anything was left out.
fn drop_some<T: Clone>(least: &mut (Scenario, Outcome), list: fn(&mut Scenario) -> &mut Vec<T>) -> bool {
    let mut smaller = false;
    let mut size = list(&mut least.0).len();
    while size > 0 {
        let mut from = 0;
        while from < list(&mut least.0).len() {
            let mut without = least.0.clone();
            let to = (from + size).min(list(&mut without).len());
            list(&mut without).drain(from..to);
            if still_fails(least, without) {
                smaller = true;
            } else {
                from += size;
            }
        }
        size /= 2;
    }
    smaller
}

/// Makes the links fairer, as far as the failure still happens.
fn calm(least: &mut (Scenario, Outcome)) -> bool {
    let mut smaller = false;
    let chances: [fn(&mut Scenario) -> &mut u32; 4] = [
        |scenario| &mut scenario.weather.loss_permille,
        |scenario| &mut scenario.weather.twice_permille,
        |scenario| &mut scenario.weather.corrupt_permille,
        |scenario| &mut scenario.weather.late_permille,
    ];
    for chance in chances {
        let mut calmer = least.0.clone();
        if std::mem::take(chance(&mut calmer)) > 0 {
            smaller |= still_fails(least, calmer);
        }
    }
    smaller
}

/// Whether a smaller scenario still fails. One with more faults than the protocol tolerates proves nothing.
fn still_fails(least: &mut (Scenario, Outcome), candidate: Scenario) -> bool {
    if least.0.is_bearable() && !candidate.is_bearable() {
        return false;
    }
    let outcome = run(&candidate, None);
    let fails = outcome.violation.is_some();
    if fails {
        *least = (candidate, outcome);
    }
    fails
}
