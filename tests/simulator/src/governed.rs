//! Networks whose authorities change while there is work. One joins, one leaves, one replaces another, twice in
//! a row. Meanwhile present, leaving and joining authorities crash, pause, are partitioned and lie.

use meshwork_core::types::{CatchUp, OrderPolicy, Overlap, PlacementPolicy};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

use crate::{
    directed::{calm, job},
    liar::{Forgery, Lie},
    scenario::{Clock, Fault, Manner, Rule, Scenario, Work},
};

const SECOND_US: u64 = 1_000_000;
/// Four authorities come first, then two workers.
const FIRST_JOINER: usize = 6;

/// When authorities change, and how: who joins, who leaves.
type Change = (u64, &'static [usize], &'static [usize]);

const CHANGES: &[&[Change]] = &[
    &[(4, &[6], &[])],
    &[(4, &[], &[3])],
    &[(4, &[6], &[3])],
    &[(4, &[6], &[3]), (9, &[7], &[2])],
    &[(4, &[6], &[3]), (9, &[3], &[6])],
    &[(3, &[6], &[]), (6, &[7], &[]), (9, &[8], &[])],
    &[(3, &[6, 7, 8], &[0]), (10, &[0], &[1, 2])],
    &[(3, &[6, 7], &[2, 3]), (8, &[8], &[]), (13, &[2], &[6])],
];

/// A scenario in which authorities change in one of these ways while something goes wrong.
#[must_use]
pub fn governed(seed: u64) -> Scenario {
    let mut random = Pcg64Mcg::seed_from_u64(seed);
    let mut scenario = calm(seed, vec![Manner::Honest, Manner::Honest]);
    let changes = CHANGES[(seed % CHANGES.len() as u64) as usize];
    scenario.followers = 3;
    scenario.clocks.resize(FIRST_JOINER + 3, Clock::default());
    scenario.founding.gate_interval = [1, 3, 8, 20][random.random_range(0..4)];
    scenario.founding.snapshot_interval = [4, 8][random.random_range(0..2)];
    scenario.weather.loss_permille = [0, 0, 20, 100][random.random_range(0..4)];
    for (at, add, remove) in changes {
        let at = at * SECOND_US + random.random_range(0..SECOND_US);
        scenario.work.push((at, Work::Govern { add: add.to_vec(), remove: remove.to_vec() }));
    }
    for at in 0..20 {
        scenario.work.push((at * SECOND_US, job(random.random_range(0..9), 3, 20)));
    }
    scenario.work.sort_by_key(|(at, _)| *at);
    // Not an authority yet, if ever.
    scenario.work.insert(0, (SECOND_US, Work::Mutiny { peer: 6 }));
    match random.random_range(0..8) {
        0 => {}
        1 => lie(&mut scenario, &mut random, 3),
        // Authorities join first, so that four of then five or more are honest.
        2 if !changes.iter().any(|(_, _, remove)| !remove.is_empty()) => lie(&mut scenario, &mut random, 6),
        3 => away(&mut scenario, &mut random),
        _ => mishaps(&mut scenario, &mut random),
    }
    scenario.faults.sort_by_key(|(at, _)| *at);
    scenario
}

/// The policies, the quotas and the permitted workers change again and again. There is more work than the
/// workers can do, and peers are killed and come back.
#[must_use]
pub fn ruled(seed: u64) -> Scenario {
    use OrderPolicy::{Deadline, Fair, Fifo, Priority, Shortest};
    use PlacementPolicy::{LeastLoaded, Locality, Pack, Random, RoundRobin};
    let mut random = Pcg64Mcg::seed_from_u64(seed);
    let mut scenario = calm(seed, vec![Manner::Honest, Manner::Wavers, Manner::Honest, Manner::Returns]);
    scenario.founding.snapshot_interval = 4;
    let orders: [&[OrderPolicy]; 6] =
        [&[Fair], &[Fifo], &[Priority, Shortest], &[Shortest], &[Deadline, Fair], &[Fair, Priority]];
    let placements: [&[PlacementPolicy]; 5] =
        [&[LeastLoaded], &[Pack], &[RoundRobin, Locality], &[Random], &[Locality, Pack]];
    for place in 0..12 {
        let at = place * 2 * SECOND_US + random.random_range(0..SECOND_US);
        let (peer, worker) = (random.random_range(0..8), random.random_range(4..8));
        let rule = match random.random_range(0..8) {
            0..3 => Rule::Schedule {
                order: orders[random.random_range(0..orders.len())].to_vec(),
                placement: placements[random.random_range(0..placements.len())].to_vec(),
            },
            3 => Rule::Running(random.random_range(1..6)),
            4 | 5 => Rule::Quota(peer, [None, Some(1), Some(3)][random.random_range(0..3)]),
            _ => {
                let until = at + random.random_range(SECOND_US..8 * SECOND_US);
                scenario.work.push((until, Work::Rule(Rule::Permit(worker))));
                Rule::Bar(worker)
            }
        };
        scenario.work.push((at, Work::Rule(rule)));
    }
    for at in 0..14 {
        let through = random.random_range(0..8);
        let task_ms = [20, 400, 1500][random.random_range(0..3)];
        let work = Work::Job { through, tasks: 12, task_ms, priority: random.random_range(-1..2), fails: at == 9 };
        scenario.work.push((at * 2 * SECOND_US, work));
    }
    // What was barred last is permitted last.
    scenario.work.extend((4..8).map(|worker| (29 * SECOND_US, Work::Rule(Rule::Permit(worker)))));
    scenario.work.sort_by_key(|(at, _)| *at);
    mishaps(&mut scenario, &mut random);
    scenario.faults.sort_by_key(|(at, _)| *at);
    scenario
}

/// One who submits more than all workers can do is barred, and permitted again some seconds later. Others submit all the
/// time.
#[must_use]
pub fn barred(seed: u64) -> Scenario {
    let mut scenario = calm(seed, vec![Manner::Honest, Manner::Honest]);
    scenario.founding.snapshot_interval = 4;
    let shift = seed * 90_000;
    scenario.work = (0..10).map(|at| (at * 2 * SECOND_US + shift, job(4, 4, 300))).collect();
    for round in 0..3 {
        let at = (1 + 7 * round) * SECOND_US + shift;
        scenario.work.push((at, job(5, 200, 900)));
        scenario.work.push((at + SECOND_US, recurring(5)));
        scenario.work.push((at + 2 * SECOND_US, Work::Rule(Rule::BarSubmitter(5))));
        scenario.work.push((at + 5 * SECOND_US, Work::Rule(Rule::PermitSubmitter(5))));
    }
    scenario.work.sort_by_key(|(at, _)| *at);
    scenario
}

/// A small job that recurs, through a peer.
const fn recurring(through: usize) -> Work {
    Work::Recurring { through, tasks: 2, task_ms: 50, catch_up: CatchUp::Once, overlap: Overlap::Skip }
}

/// Authorities come and go as fast as they may, and one of them lies about it in every view that it leads.
#[must_use]
pub fn usurped(seed: u64) -> Scenario {
    let mut scenario = calm(seed, vec![Manner::Honest, Manner::Honest]);
    scenario.followers = 1;
    scenario.clocks.resize(FIRST_JOINER + 1, Clock::default());
    scenario.founding.gate_interval = 1;
    scenario.liars = vec![(2, Lie::Forges(vec![Forgery::WrongRole, Forgery::FalseNext, Forgery::Conflicting]))];
    for round in 0..6 {
        let at = (2 + 4 * round) * SECOND_US + seed * 41_000;
        let work = match round % 2 {
            0 => Work::Govern { add: vec![FIRST_JOINER], remove: Vec::new() },
            _ => Work::Govern { add: Vec::new(), remove: vec![FIRST_JOINER] },
        };
        scenario.work.push((at, work));
    }
    scenario
}

/// All authorities leave but one. Its disk is slow and it crashes again and again, and nobody else has what it
/// stores.
#[must_use]
pub fn alone(seed: u64) -> Scenario {
    let mut scenario = calm(seed, vec![Manner::Honest]);
    scenario.founding.gate_interval = 1;
    for (place, leaver) in [3, 2, 1].into_iter().enumerate() {
        let at = (2 + 2 * place as u64) * SECOND_US;
        scenario.work.push((at, Work::Govern { add: Vec::new(), remove: vec![leaver] }));
    }
    scenario.faults.push((10 * SECOND_US, Fault::SlowDisk(0, 60_000)));
    for round in 0..6 {
        let at = (12 + 2 * round) * SECOND_US + (seed * 31 + round * 17) * 1_000;
        scenario.faults.push((at, Fault::Crash(0)));
        scenario.faults.push((at + SECOND_US, Fault::Start(0)));
    }
    scenario
}

/// Two of seven authorities lie and an honest one is away. A liar is to leave first and an honest authority
/// after it. If the honest one left first, the rest could neither tolerate the liars nor remove them.
#[must_use]
pub fn in_turn(seed: u64) -> Scenario {
    let mut scenario = calm(seed, vec![Manner::Honest]);
    scenario.authorities = 7;
    scenario.clocks = vec![Clock::default(); 8];
    scenario.founding.gate_interval = 5;
    scenario.liars = vec![(6, Lie::Withholds), (5, Lie::Selective)];
    scenario.faults = vec![(SECOND_US, Fault::Crash(2)), (20 * SECOND_US, Fault::Start(2))];
    let leaves = |at_us, peer| (at_us, Work::Govern { add: Vec::new(), remove: vec![peer] });
    scenario.work.extend([leaves(7 * SECOND_US, 6), leaves(7 * SECOND_US + (seed % 50) * 30_000, 4)]);
    scenario
}

/// A liar.
fn lie(scenario: &mut Scenario, random: &mut Pcg64Mcg, peer: usize) {
    let lies = [Lie::Twin, Lie::Withholds, Lie::Selective, Lie::Forges(Forgery::ALL.to_vec())];
    scenario.liars = vec![(peer, lies[random.random_range(0..lies.len())].clone())];
    let at = random.random_range(0..15 * SECOND_US);
    scenario.work.push((at, Work::Mutiny { peer }));
    scenario.work.sort_by_key(|(at, _)| *at);
}

/// One of those who stay or join is away until all changes are done.
fn away(scenario: &mut Scenario, random: &mut Pcg64Mcg) {
    let peer = [1, 1, 4, 6, 7][random.random_range(0..5)];
    scenario.faults.push((random.random_range(1..3 * SECOND_US), Fault::Crash(peer)));
    scenario.faults.push((random.random_range(20..29) * SECOND_US, Fault::Start(peer)));
}

/// Crashes, pauses and partitions while authorities change.
fn mishaps(scenario: &mut Scenario, random: &mut Pcg64Mcg) {
    for _ in 0..random.random_range(1..8) {
        let at = random.random_range(3 * SECOND_US..16 * SECOND_US);
        let later = at + random.random_range(20_000..4 * SECOND_US);
        let peer = random.random_range(0..scenario.peers());
        match random.random_range(0..5) {
            0 | 1 => {
                scenario.faults.push((at, Fault::Crash(peer)));
                scenario.faults.push((later, Fault::Start(peer)));
            }
            2 => scenario.faults.push((at, Fault::Pause(peer, later - at))),
            3 => {
                let side = (0..scenario.peers()).map(|_| random.random_range(0..2)).collect();
                scenario.faults.push((at, Fault::Split(side)));
                scenario.faults.push((later, Fault::Heal));
            }
            _ => {
                for peer in 0..scenario.peers() {
                    scenario.faults.push((at, Fault::Crash(peer)));
                    scenario.faults.push((later, Fault::Start(peer)));
                }
            }
        }
    }
}
