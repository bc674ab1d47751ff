//! Networks that are made for one situation of workers.

use meshwork_core::types::OrderPolicy;

use crate::{
    directed::{calm, job},
    scenario::{Fault, Manner, Scenario, Work},
};

const SECOND_US: u64 = 1_000_000;
/// The peers of the first and the second worker.
const FIRST: usize = 4;
const SECOND: usize = 5;

/// Some tasks need so much memory that no two fit into a worker. Others fit beside them.
#[must_use]
pub fn heavy(seed: u64) -> Scenario {
    let mut scenario = calm(seed, vec![Manner::Honest, Manner::Honest]);
    let at = |round: u64| round * 4 * SECOND_US + seed * 90_000;
    let work = (0..5).flat_map(|round| [(at(round), job(0, 11, 400)), (at(round) + 1, job(1, 5, 400))]);
    scenario.work = work.collect();
    scenario
}

/// Two submitters of long tasks share by fairness. Attempts of the one that has had more are preempted for the other.
#[must_use]
pub fn preemption(seed: u64) -> Scenario {
    let mut scenario = calm(seed, vec![Manner::Honest, Manner::Honest]);
    scenario.founding.order = vec![OrderPolicy::Fair];
    let first = [(0, job(0, 12, 4_000)), (1, job(0, 3, 3_200))];
    let second = (0..3).map(|round| ((3 + 6 * round) * SECOND_US + seed * 110_000, job(1, 4, 3_200)));
    scenario.work = first.into_iter().chain(second).collect();
    scenario.whole_at_us += 30 * SECOND_US;
    scenario
}

/// One worker never has an output held by a peer that the ledger believes. Another does well.
#[must_use]
pub fn undelivered(seed: u64) -> Scenario {
    let mut scenario = calm(seed, vec![Manner::Honest, Manner::Undelivered]);
    scenario.work = (0..4).map(|round| (round * 5 * SECOND_US + seed * 70_000, job(0, 6, 300))).collect();
    scenario.whole_at_us += 30 * SECOND_US;
    scenario
}

/// A working worker is cut off for longer than its claim stands and its reports last.
#[must_use]
pub fn cut_off(seed: u64) -> Scenario {
    let mut scenario = calm(seed, vec![Manner::Honest, Manner::Honest]);
    let at = 4 * SECOND_US + seed * 130_000;
    scenario.work = vec![(0, job(0, 20, 300)), (SECOND_US, job(0, 12, 3_200)), (2 * SECOND_US, job(1, 60, 300))];
    scenario.faults = vec![(at, Fault::Mute(SECOND)), (at + 24 * SECOND_US, Fault::Heal)];
    scenario.whole_at_us += 10 * SECOND_US;
    scenario
}

/// Workers pause and leave while there is much to do. One of them leaves while all its outputs are being delivered.
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

/// Second processes begin with the keys of working workers.
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

/// Jobs whose programs bring down whoever runs them, beside honest ones. The first worker is killed again and again for
/// no reason of theirs. In every second network, one worker says of all that it runs that it died of it.
#[must_use]
pub fn deadly(seed: u64) -> Scenario {
    let mut workers = vec![Manner::Honest; 4 + (seed % 3) as usize];
    if seed.is_multiple_of(2) {
        workers.push(Manner::Dies);
    }
    let mut scenario = calm(seed, workers);
    let at = |second: u64| second * SECOND_US + seed * 70_000;
    scenario.work = vec![(0, job(0, 24, 700)), (at(6), job(1, 6, 3_200)), (at(20), job(0, 24, 400))];
    let deadly = |tasks, after_ms| Work::Deadly { through: 1, tasks, after_ms };
    scenario.work.extend([(at(2), deadly(30, 300)), (at(8), deadly(1, 40)), (at(16), deadly(200, 1_500))]);
    scenario.work.sort_by_key(|(at, _)| *at);
    let kills = (0..6).map(|round| at(3 + 4 * round));
    let kills = kills.flat_map(|at| [(at, Fault::Crash(FIRST)), (at + SECOND_US / 2, Fault::Start(FIRST))]);
    scenario.faults = kills.collect();
    scenario.whole_at_us += 30 * SECOND_US;
    scenario
}

/// The only worker is killed, and restarts at once with a clock that is set back.
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
