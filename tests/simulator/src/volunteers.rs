//! Networks made for one thing that workers do, or that befalls them.

use meshwork_core::types::OrderPolicy;

use crate::{
    directed::{calm, job},
    scenario::{Fault, Manner, Scenario, Work},
};

const SECOND_US: u64 = 1_000_000;
/// The first worker, and the second.
const FIRST: usize = 4;
const SECOND: usize = 5;

/// Tasks of which no two fit into a worker's memory, beside others that do.
#[must_use]
pub fn heavy(seed: u64) -> Scenario {
    let mut scenario = calm(seed, vec![Manner::Honest, Manner::Honest]);
    let at = |round: u64| round * 4 * SECOND_US + seed * 90_000;
    let work = (0..5).flat_map(|round| [(at(round), job(0, 11, 400)), (at(round) + 1, job(1, 5, 400))]);
    scenario.work = work.collect();
    scenario
}

/// Two submitters of long tasks, whose shares decide: who has had more makes room for who waits.
#[must_use]
pub fn making_room(seed: u64) -> Scenario {
    let mut scenario = calm(seed, vec![Manner::Honest, Manner::Honest]);
    scenario.founding.order = vec![OrderPolicy::Fair];
    let first = [(0, job(0, 12, 4_000)), (1, job(0, 3, 3_200))];
    let second = (0..3).map(|round| ((3 + 6 * round) * SECOND_US + seed * 110_000, job(1, 4, 3_200)));
    scenario.work = first.into_iter().chain(second).collect();
    scenario.whole_at_us += 30 * SECOND_US;
    scenario
}

/// A worker that nobody whom the ledger believes holds anything for, beside one that does well.
#[must_use]
pub fn undelivered(seed: u64) -> Scenario {
    let mut scenario = calm(seed, vec![Manner::Honest, Manner::Undelivered]);
    scenario.work = (0..4).map(|round| (round * 5 * SECOND_US + seed * 70_000, job(0, 6, 300))).collect();
    scenario.whole_at_us += 30 * SECOND_US;
    scenario
}

/// Nobody hears a worker for longer than its claim stands and its reports last, while it works.
#[must_use]
pub fn cut_off(seed: u64) -> Scenario {
    let mut scenario = calm(seed, vec![Manner::Honest, Manner::Honest]);
    let at = 4 * SECOND_US + seed * 130_000;
    scenario.work = vec![(0, job(0, 20, 300)), (SECOND_US, job(0, 12, 3_200)), (2 * SECOND_US, job(1, 60, 300))];
    scenario.faults = vec![(at, Fault::Mute(SECOND)), (at + 24 * SECOND_US, Fault::Heal)];
    scenario.whole_at_us += 10 * SECOND_US;
    scenario
}

/// Workers rest and leave while there is much to do, one of them with all that it did on its way to others.
#[must_use]
pub fn leaving(seed: u64) -> Scenario {
    let mut scenario = calm(seed, vec![Manner::Honest, Manner::Undelivered, Manner::Honest]);
    let at = |second: u64| second * SECOND_US + seed * 130_000;
    scenario.work = (0..8).map(|round| (at(3 * round), job(0, 20, 500))).collect();
    for (second, peer) in [(3, SECOND), (8, FIRST), (12, SECOND), (17, FIRST + 2), (22, SECOND)] {
        scenario.faults.push((at(second), Fault::Leave(peer)));
    }
    for (second, peer) in [(5, FIRST), (10, FIRST + 2), (15, FIRST), (20, SECOND)] {
        scenario.faults.push((at(second), Fault::Rest(peer, 3 * SECOND_US)));
    }
    scenario.faults.sort_by_key(|(at, _)| *at);
    scenario.whole_at_us += 30 * SECOND_US;
    scenario
}

/// Second processes begin with workers' keys while they work.
#[must_use]
pub fn second_process(seed: u64) -> Scenario {
    let mut scenario = calm(seed, vec![Manner::Honest, Manner::Honest]);
    scenario.work = (0..10).map(|round| (3 * round * SECOND_US + seed * 70_000, job(0, 8, 900))).collect();
    for (second, of) in [(4, FIRST), (9, SECOND), (16, FIRST), (18, SECOND)] {
        let at = second * SECOND_US + seed * 110_000;
        scenario.work.push((at, Work::SecondProcess { through: (second % 4) as usize, of }));
    }
    scenario.work.sort_by_key(|(at, _)| *at);
    scenario.whole_at_us += 30 * SECOND_US;
    scenario
}

/// The only worker is killed, and starts again at once with a clock that is set back.
#[must_use]
pub fn set_back(seed: u64) -> Scenario {
    let at = 10 * SECOND_US + seed * 110_000;
    let mut scenario = calm(seed, vec![Manner::Honest]);
    scenario.work = vec![(0, job(0, 5, 1500)), (at, job(0, 5, 1500))];
    scenario.faults = vec![
        (at, Fault::Crash(FIRST)),
        (at + 1, Fault::ClockJump(FIRST, -8 * SECOND_US as i64)),
        (at + 50_000, Fault::Start(FIRST)),
    ];
    scenario
}
