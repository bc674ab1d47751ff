//! Scenarios made for something, where what a seed draws would come to it seldom. Each is a family: the number shifts a
//! moment or a delay, so that one of them hits.

use meshwork_core::types::{CatchUp, ConsensusParameters, OrderPolicy, Overlap, PlacementPolicy};

use crate::{
    governed,
    liar::{Forgery, Lie},
    links::{Distance, Weather},
    scenario::{Clock, Fault, Founding, Manner, Scenario, Work},
    volunteers,
};

const SECOND_US: u64 = 1_000_000;

/// A family of scenarios.
pub type Family = fn(u64) -> Scenario;

/// All families, by name.
pub const FAMILIES: &[(&str, Family)] = &[
    ("light", light),
    ("busy", busy),
    ("even-delays", even_delays),
    ("stuck-on-f", stuck_on_f),
    ("old-parent", old_parent),
    ("far-votes", far_votes),
    ("forgetful", forgetful),
    ("blackout", blackout),
    ("unheard", unheard),
    ("renewed-in-time", renewed_in_time),
    ("stalled-reports", stalled_reports),
    ("late-reports", late_reports),
    ("wavering", wavering),
    ("returned", returned),
    ("stragglers", stragglers),
    ("shares", shares),
    ("restarted", restarted),
    ("left-behind", left_behind),
    ("power-cut", power_cut),
    ("churn", churn),
    ("fast-clock", fast_clock),
    ("late-array", late_array),
    ("controlled", controlled),
    ("governed", governed::governed),
    ("ruled", governed::ruled),
    ("barred", governed::barred),
    ("usurped", governed::usurped),
    ("alone", governed::alone),
    ("in-turn", governed::in_turn),
    ("recurring", recurring),
    ("crowded", crowded),
    ("untried", untried),
    ("unholdable", unholdable),
    ("deceived", deceived),
    ("operated", operated),
    ("relied-on", relied_on),
    ("heavy", volunteers::heavy),
    ("preemption", volunteers::preemption),
    ("undelivered", volunteers::undelivered),
    ("cut-off", volunteers::cut_off),
    ("leaving", volunteers::leaving),
    ("second-process", volunteers::second_process),
    ("set-back", volunteers::set_back),
    ("deadly", volunteers::deadly),
    ("two-liars", two_liars),
];

/// The family of this name.
#[must_use]
pub fn family(name: &str) -> Option<Family> {
    FAMILIES.iter().find(|(known, _)| *known == name).map(|(_, family)| *family)
}

/// Four authorities and these workers in one room, nothing wrong, and one small job.
#[must_use]
pub fn calm(seed: u64, workers: Vec<Manner>) -> Scenario {
    let authorities = 4;
    Scenario {
        seed,
        authorities,
        clocks: vec![Clock::default(); authorities + workers.len()],
        workers,
        followers: 0,
        founding: Founding {
            delta_ms: 100,
            heartbeat_ms: 500,
            snapshot_interval: 8,
            snapshot_lag: 8,
            gate_interval: 8,
            losses_max: 16,
            order: vec![OrderPolicy::Priority],
            placement: vec![PlacementPolicy::LeastLoaded],
            is_narrow: false,
            trial_wait_ms: 0,
            unclaimed_ms_max: 0,
        },
        weather: Weather::fair(),
        liars: Vec::new(),
        faults: Vec::new(),
        work: vec![(0, job(0, 5, 1))],
        runs_once: false,
        shares_execution: seed.is_multiple_of(2),
        whole_at_us: 30 * SECOND_US,
        patience_us: 600 * SECOND_US,
    }
}

/// Five workers compute each task, and two of eight lie: alike, alone, by inventing failures, or without computing.
#[must_use]
pub fn deceived(seed: u64) -> Scenario {
    let bad = [Manner::Colludes, Manner::Lies, Manner::Fails, Manner::Copies];
    let bad = [bad[seed as usize % 4], bad[(seed / 4 + seed) as usize % 4]];
    let mut scenario = calm(seed, [vec![Manner::Honest; 6], bad.to_vec()].concat());
    for at in 0..6 {
        let work = Work::Replicated { through: at as usize % 4, tasks: 8, task_ms: 300, replicas: 5, adaptive: false };
        scenario.work.push((at * 2 * SECOND_US, work));
    }
    scenario
}

/// Three workers compute each task, and three of eight, who have one operator, lie alike.
#[must_use]
pub fn operated(seed: u64) -> Scenario {
    let mut scenario = calm(seed, [vec![Manner::Honest; 5], vec![Manner::Mob; 3]].concat());
    for at in 0..6 {
        let work = Work::Replicated { through: at as usize % 4, tasks: 8, task_ms: 300, replicas: 3, adaptive: false };
        scenario.work.push((at * 2 * SECOND_US, work));
    }
    scenario
}

/// Two workers compute each task at first, and one alone once it is relied on. Of six workers one lies from then on. Two
/// people submit the tasks.
#[must_use]
pub fn relied_on(seed: u64) -> Scenario {
    let mut scenario = calm(seed, [vec![Manner::Honest; 5], vec![Manner::Turns]].concat());
    for at in 0..8 {
        let work = Work::Replicated { through: at as usize % 2, tasks: 70, task_ms: 20, replicas: 2, adaptive: true };
        scenario.work.push((at * SECOND_US, work));
    }
    scenario.faults.push((5 * SECOND_US, Fault::Crash(2)));
    scenario.faults.push((8 * SECOND_US, Fault::LoseDisk(2)));
    scenario.faults.push((9 * SECOND_US, Fault::Start(2)));
    scenario
}

pub(crate) const fn job(through: usize, tasks: u32, task_ms: u64) -> Work {
    Work::Job { through, tasks, task_ms, priority: 0, fails: false }
}

/// More work than there are workers, who return, lose and fail some of it, while it is held, let go, amended and
/// cancelled.
#[must_use]
pub fn controlled(seed: u64) -> Scenario {
    let mut scenario = calm(seed, vec![Manner::Honest, Manner::Honest, Manner::Returns, Manner::Overdue]);
    scenario.founding.order = vec![OrderPolicy::Priority];
    for at in 0..10 {
        let tasks = Work::Job { through: 0, tasks: 20, task_ms: 1_500, priority: 0, fails: at % 4 == 3 };
        scenario.work.push((at * 2 * SECOND_US, tasks));
        for drawn in 0..3 {
            let work = Work::Control { through: 1, ago: drawn as usize % 2, drawn: 1000 * seed + 10 * at + drawn };
            scenario.work.push((at * 2 * SECOND_US + (drawn + 1) * 600_000, work));
        }
    }
    scenario.work.sort_by_key(|(at, _)| *at);
    scenario
}

/// Twenty workers with little to do under the usual genesis, and nothing wrong, for five minutes: what the simulator's
/// speed is measured with.
#[must_use]
pub fn light(seed: u64) -> Scenario {
    let mut scenario = calm(seed, vec![Manner::Honest; 20]);
    let usual = ConsensusParameters::default();
    scenario.founding.delta_ms = usual.delta_ms;
    scenario.founding.heartbeat_ms = usual.heartbeat_ms;
    scenario.founding.snapshot_interval = usual.snapshot_interval;
    scenario.work = (0..30).map(|at| (at * 10 * SECOND_US, job((at % 4) as usize, 5, 200))).collect();
    scenario.whole_at_us = 300 * SECOND_US;
    scenario
}

/// Much to do for workers of all manners, of which some come and go.
#[must_use]
pub fn busy(seed: u64) -> Scenario {
    let manners = [
        Manner::Honest,
        Manner::Returns,
        Manner::Wavers,
        Manner::Twice,
        Manner::Overdue,
        Manner::Greedy,
        Manner::Late,
        Manner::Fails,
        Manner::LastMinute,
        Manner::Silent,
    ];
    let other = |step: u64| manners[((seed * step) % 10) as usize];
    let mut scenario = calm(seed, vec![Manner::Honest, Manner::Honest, other(1), other(3), other(7)]);
    let second = |at: u64| at * SECOND_US + seed * 37_000;
    for round in 0..12 {
        let of = |tasks, task_ms, priority| Work::Job { through: 1, tasks, task_ms, priority, fails: false };
        scenario.work.push((second(2 * round), of(9, 1500, (round % 3) as i16)));
        scenario.work.push((second(2 * round) + 300_000, of(30, 20, -(round as i16 % 2))));
        scenario.work.push((second(2 * round) + 400_000, of(2, 10_000, 1)));
    }
    scenario.work.push((second(3), Work::Job { through: 2, tasks: 3, task_ms: 5, priority: 0, fails: true }));
    scenario.work.push((second(9), Work::Cancel { through: 1, ago: 1 }));
    scenario.work.push((second(11), Work::Replay { through: 3 }));
    scenario.work.push((second(12), Work::Spam { through: 3, each: 2 }));
    scenario.work.sort_by_key(|(at, _)| *at);
    for (at, peer) in [(4, 5), (8, 6), (13, 5), (17, 4)] {
        scenario.faults.push((second(at), Fault::Crash(peer)));
        scenario.faults.push((second(at) + 900_000 * (seed % 4), Fault::Start(peer)));
    }
    scenario.faults.sort_by_key(|(at, _)| *at);
    scenario
}

/// Every message takes between 1.6 and 2.9 Δ: each view's block is notarized, but later than three Δ.
#[must_use]
pub fn even_delays(seed: u64) -> Scenario {
    let mut scenario = calm(seed, vec![Manner::Honest]);
    let tenths = 16 + seed * 5 % 14;
    scenario.weather.distance = Distance::Even(scenario.founding.delta_ms * tenths / 10);
    scenario.whole_at_us = 5 * SECOND_US;
    scenario.patience_us = 150 * SECOND_US;
    scenario
}

/// With such delays and always something to order, a leader that claims its own parent to be final.
#[must_use]
pub fn stuck_on_f(seed: u64) -> Scenario {
    Scenario {
        liars: vec![(seed as usize % 4, Lie::Forges(vec![Forgery::HighF]))],
        work: (0..40).map(|at| (at * SECOND_US / 4, job((at % 3) as usize, 1, 1))).collect(),
        ..even_delays(seed)
    }
}

/// A leader that proposes on its grandparent.
#[must_use]
pub fn old_parent(seed: u64) -> Scenario {
    Scenario {
        liars: vec![(3, Lie::Forges(vec![Forgery::OldParent]))],
        work: (0..20).map(|at| (at * SECOND_US, job(0, 1, 1))).collect(),
        ..calm(seed, vec![Manner::Honest])
    }
}

/// An authority that votes far ahead, again and again.
#[must_use]
pub fn far_votes(seed: u64) -> Scenario {
    Scenario {
        liars: vec![(3, Lie::Forges(vec![Forgery::FarVotes]))],
        work: (0..200).map(|at| (at * SECOND_US / 8, job(0, 1, 1))).collect(),
        ..calm(seed, vec![Manner::Honest])
    }
}

/// An authority loses its disk and is back at once.
#[must_use]
pub fn forgetful(seed: u64) -> Scenario {
    let at = 5 * SECOND_US + seed * 97_000;
    let faults = vec![(at, Fault::Crash(3)), (at + 1, Fault::LoseDisk(3)), (at + 2, Fault::Start(3))];
    let mut scenario = Scenario { faults, ..calm(seed, vec![Manner::Honest]) };
    // Much longer than the founders hoped, so that votes are under way for long.
    scenario.weather.distance = Distance::Satellite;
    scenario.founding.delta_ms = 150;
    scenario
}

/// All authorities lose power at one moment, and one of them its disk, while views are given up and notarized late.
#[must_use]
pub fn blackout(seed: u64) -> Scenario {
    let at = 4 * SECOND_US + seed * 61_000;
    let mut scenario = even_delays(seed);
    scenario.work = (0..20).map(|at| (at * SECOND_US, job(0, 1, 1))).collect();
    scenario.weather.loss_permille = 100;
    (scenario.whole_at_us, scenario.patience_us) = (20 * SECOND_US, 300 * SECOND_US);
    for peer in 0..4 {
        scenario.faults.push((at, Fault::Crash(peer)));
        scenario.faults.push((at + SECOND_US, Fault::Start(peer)));
    }
    scenario.faults.push((at + 1, Fault::LoseDisk(3)));
    scenario.faults.sort_by_key(|(at, _)| *at);
    scenario
}

/// Somebody submits through a peer that nobody hears at that moment.
#[must_use]
pub fn unheard(seed: u64) -> Scenario {
    let at = 6 * SECOND_US + seed * 41_000;
    Scenario {
        faults: vec![(at, Fault::Mute(5)), (at + 3 * SECOND_US, Fault::Heal)],
        work: vec![(at + SECOND_US, job(5, 3, 1))],
        whole_at_us: at + 3 * SECOND_US,
        ..calm(seed, vec![Manner::Honest, Manner::Honest])
    }
}

/// A worker renews its claim at the last moment, in a time when only half of the authorities are up: in the block that
/// they make when all are, the claim would have run out, and is renewed.
#[must_use]
pub fn renewed_in_time(seed: u64) -> Scenario {
    let mut scenario = calm(seed, vec![Manner::LastMinute]);
    scenario.work = vec![(0, job(0, 8, 9000))];
    let threshold_us = scenario.genesis().consensus.stall_threshold_ms(1) * 1000;
    for round in 0..4 {
        let at = (3 + 6 * round) * SECOND_US + seed * 233_000;
        for peer in [2, 3] {
            scenario.faults.push((at, Fault::Crash(peer)));
            scenario.faults.push((at + 2 * threshold_us, Fault::Start(peer)));
        }
    }
    scenario.faults.sort_by_key(|(at, _)| *at);
    scenario
}

/// No quorum can meet, for longer than any claim stands, just as workers begin what they were given or are done with
/// it.
#[must_use]
pub fn stalled_reports(seed: u64) -> Scenario {
    let mut scenario = calm(seed, vec![Manner::Honest, Manner::Honest]);
    scenario.work = vec![(2 * SECOND_US, job(0, 4, 9_900))];
    scenario.runs_once = true;
    scenario.whole_at_us = 90 * SECOND_US;
    let at = 2 * SECOND_US + 9_700_000 + seed * 13_000;
    scenario.faults = vec![(at, Fault::Split(vec![1, 2, 3, 4, 1, 2])), (at + 60 * SECOND_US, Fault::Heal)];
    scenario
}

/// Workers that offer less and more while much waits at them.
#[must_use]
pub fn wavering(seed: u64) -> Scenario {
    let work = (0..5).map(|round| (round * 4 * SECOND_US + seed * 90_000, job(round as usize % 4, 30, 1500)));
    Scenario { work: work.collect(), ..calm(seed, vec![Manner::Honest, Manner::Wavers, Manner::Wavers]) }
}

/// Nobody is there at first but those who give everything back, and few losses are forgiven.
#[must_use]
pub fn returned(seed: u64) -> Scenario {
    let mut scenario = calm(seed, vec![Manner::Honest, Manner::Returns, Manner::Returns]);
    scenario.founding.losses_max = 2;
    scenario.work = vec![(SECOND_US + seed * 90_000, job(0, 5, 20))];
    scenario.faults = vec![(1, Fault::Crash(4)), (20 * SECOND_US, Fault::Start(4))];
    scenario
}

/// Among others, of whom some have no place where anything could wait, one worker never ends what it has until it is
/// killed; now little is to be done, now much.
#[must_use]
pub fn stragglers(seed: u64) -> Scenario {
    let mut scenario = calm(seed, vec![Manner::Honest, Manner::Wavers, Manner::Silent, Manner::Wavers]);
    let shift = seed * 130_000;
    scenario.work = (0..6).map(|round| (round * 7 * SECOND_US + shift, job(0, 5, 300))).collect();
    scenario.work.extend([2, 4].map(|round| (round * 7 * SECOND_US - SECOND_US + shift, job(1, 60, 400))));
    scenario.work.sort_by_key(|(at, _)| *at);
    for at in [10, 17, 24, 31, 38] {
        scenario.faults.push((at * SECOND_US + shift, Fault::Crash(6)));
        scenario.faults.push((at * SECOND_US + SECOND_US + shift, Fault::Start(6)));
    }
    scenario.whole_at_us += 30 * SECOND_US;
    scenario
}

/// Three submitters wait for the same, one after the other, where shares come first.
#[must_use]
pub fn shares(seed: u64) -> Scenario {
    let mut scenario = calm(seed, vec![Manner::Honest; 3]);
    scenario.founding.order = vec![OrderPolicy::Fair];
    scenario.work =
        (0..3).map(|through| (through as u64 * SECOND_US / 4 + seed * 70_000, job(through, 63, 900))).collect();
    scenario.whole_at_us += 20 * SECOND_US;
    scenario
}

/// The only worker is killed, and starts again at once.
#[must_use]
pub fn restarted(seed: u64) -> Scenario {
    let at = 10 * SECOND_US + seed * 110_000;
    let mut scenario = calm(seed, vec![Manner::Honest]);
    scenario.work = vec![(0, job(0, 5, 1500)), (at, job(0, 5, 1500))];
    scenario.faults = vec![(at, Fault::Crash(4)), (at + 50_000, Fault::Start(4))];
    scenario
}

/// An authority is away for so long that nobody tells it block by block what it missed.
#[must_use]
pub fn left_behind(seed: u64) -> Scenario {
    let mut scenario = calm(seed, vec![Manner::Honest]);
    scenario.work = (0..250).map(|at| (at * SECOND_US / 10, job((at % 3) as usize, 1, 1))).collect();
    scenario.faults = vec![(SECOND_US + seed * 70_000, Fault::Crash(3)), (28 * SECOND_US, Fault::Start(3))];
    scenario.patience_us = 150 * SECOND_US;
    scenario
}

/// A peer whose clock is ahead by as much as a transaction may live takes what no block may hold yet.
#[must_use]
pub fn fast_clock(seed: u64) -> Scenario {
    let mut scenario = calm(seed, vec![Manner::Honest]);
    scenario.clocks[3].ahead_us = 600 * SECOND_US as i64;
    scenario.work.push((23 * SECOND_US + seed * 70_000, Work::Spam { through: 3, each: 5 }));
    scenario
}

/// An array that is to be cancelled is admitted only when the network is whole again: its link was slow.
#[must_use]
pub fn late_array(seed: u64) -> Scenario {
    let mut scenario = calm(seed, vec![Manner::Honest]);
    scenario.work.push((25 * SECOND_US + seed * 70_000, Work::LargeArray { through: 4, tasks: 20_000 }));
    scenario.faults = vec![(SECOND_US, Fault::Split(vec![0, 0, 0, 0, 1])), (30 * SECOND_US, Fault::Heal)];
    scenario
}

/// Everyone loses power at once.
#[must_use]
pub fn power_cut(seed: u64) -> Scenario {
    let at = 9 * SECOND_US + seed * 170_000;
    let mut scenario = calm(seed, vec![Manner::Honest]);
    scenario.work = (0..60).map(|at| (at * SECOND_US / 3, job((at % 4) as usize, 2, 20))).collect();
    for peer in 0..5 {
        scenario.faults.push((at, Fault::Crash(peer)));
        scenario.faults.push((at + SECOND_US, Fault::Start(peer)));
    }
    scenario.faults.sort_by_key(|(at, _)| *at);
    scenario
}

/// Workers whose claims run out while they work, one of whom reports its successes and the other failures.
#[must_use]
pub fn late_reports(seed: u64) -> Scenario {
    Scenario {
        work: vec![(seed * 100_000, job(0, 12, 1500))],
        ..calm(seed, vec![Manner::Honest, Manner::Overdue, Manner::Late])
    }
}

/// One liar too many: two of four authorities vote on either side of a partition. Nothing can be promised then, and the
/// checks have to notice.
#[must_use]
pub fn two_liars(seed: u64) -> Scenario {
    let mut scenario = calm(seed, vec![Manner::Honest, Manner::Honest]);
    scenario.liars = vec![(2, Lie::Twin), (3, Lie::Twin)];
    // The second instances come last.
    scenario.faults = vec![(1 + seed, Fault::Split(vec![0, 1, 0, 0, 0, 1, 1, 1])), (20 * SECOND_US, Fault::Heal)];
    scenario.work = (0..10).map(|at| (at * SECOND_US, job((at % 2) as usize, 1, 1))).collect();
    scenario
}

/// Jobs that run each minute, by every policy, some longer than a minute; no authority is there for two of the minutes.
#[must_use]
pub fn recurring(seed: u64) -> Scenario {
    let mut scenario = calm(seed, vec![Manner::Honest, Manner::Honest, Manner::Returns]);
    let of =
        |through, tasks, task_ms, catch_up, overlap| Work::Recurring { through, tasks, task_ms, catch_up, overlap };
    scenario.work = vec![
        (SECOND_US, of(0, 2, 50, CatchUp::Skip, Overlap::Skip)),
        (2 * SECOND_US, of(1, 3, 500, CatchUp::Once, Overlap::Alongside)),
        (3 * SECOND_US, of(2, 1, 10, CatchUp::All, Overlap::Queue)),
        (4 * SECOND_US, of(4, 40, 4_000, CatchUp::All, Overlap::Cancel)),
        (5 * SECOND_US, of(5, 40, 4_000, CatchUp::Once, Overlap::Skip)),
    ];
    let at = 130 * SECOND_US + seed * 7_300_000;
    for peer in 0..4 {
        scenario.faults.push((at, Fault::Crash(peer)));
        scenario.faults.push((at + 150 * SECOND_US, Fault::Start(peer)));
    }
    scenario.faults.sort_by_key(|(at, _)| *at);
    scenario.whole_at_us = 480 * SECOND_US;
    scenario
}

/// Where there is little room, new keys submit more than there may be in all, and new workers claim, again and again.
/// Those who have a quota submit and work all the time.
#[must_use]
pub fn crowded(seed: u64) -> Scenario {
    let mut scenario = calm(seed, vec![Manner::Honest, Manner::Honest]);
    scenario.founding.is_narrow = true;
    let shift = seed * 110_000;
    scenario.work = vec![(0, job(0, 20, 20))];
    for round in 0..8 {
        let at = SECOND_US + round * 3 * SECOND_US + shift;
        scenario.work.push((at, Work::Crowd { through: 1, keys: 12, tasks: 30 }));
        scenario.work.push((at + SECOND_US, Work::Churn { through: 2, keys: 10 }));
        scenario.work.push((at + 2 * SECOND_US, job(4, 30, 20)));
    }
    // What they store in a day adds up.
    for round in 0..20 {
        scenario
            .work
            .push((26 * SECOND_US + round * SECOND_US + shift, Work::Crowd { through: 1, keys: 6, tasks: 30 }));
    }
    scenario.whole_at_us += 30 * SECOND_US;
    scenario
}

/// Many more workers that never report, or that always fail, than honest ones; all of them are new. There is always more
/// to do than the honest ones can.
#[must_use]
pub fn untried(seed: u64) -> Scenario {
    let bad = if seed.is_multiple_of(2) { Manner::Silent } else { Manner::Fails };
    let mut workers = vec![Manner::Honest, Manner::Honest];
    workers.extend([bad; 6]);
    let mut scenario = calm(seed, workers);
    scenario.founding.trial_wait_ms = 5_000;
    scenario.work = (0..12).map(|round| (round * 4 * SECOND_US + seed * 90_000, job(0, 40, 600))).collect();
    scenario.whole_at_us += 20 * SECOND_US;
    scenario
}

/// Jobs that no worker could ever hold, beside others, and times in which no worker is there at all.
#[must_use]
pub fn unholdable(seed: u64) -> Scenario {
    let mut scenario = calm(seed, vec![Manner::Honest, Manner::Honest]);
    scenario.founding.unclaimed_ms_max = 20_000;
    let unholdable = |through, tasks| Work::Unholdable { through, tasks };
    let at = |second: u64| second * SECOND_US + seed * 110_000;
    scenario.work = vec![(0, unholdable(0, 30)), (at(1), job(0, 20, 300)), (at(9), unholdable(1, 1))];
    scenario.work.extend((3..8).map(|round| (at(3 * round), job(1, 10, 900))));
    let away = [4, 5].map(|worker| [(at(12), Fault::Crash(worker)), (at(20), Fault::Start(worker))]);
    scenario.faults = away.into_iter().flatten().collect();
    scenario.faults.sort_by_key(|(at, _)| *at);
    scenario.work.sort_by_key(|(at, _)| *at);
    scenario.whole_at_us += 10 * SECOND_US;
    scenario
}

/// Three thousand workers come, hold something for a moment, and are gone.
#[must_use]
pub fn churn(seed: u64) -> Scenario {
    let mut work: Vec<(u64, Work)> =
        (0..30).map(|at| (at * SECOND_US, Work::Churn { through: (at % 4) as usize, keys: 100 })).collect();
    work.insert(0, (0, job(0, 500, 20)));
    Scenario { work, ..calm(seed, vec![Manner::Honest, Manner::Honest]) }
}
