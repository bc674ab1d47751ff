//! Draws a scenario from a seed. Small networks come often and large ones seldom, because they cost the most to
//! simulate.

use meshwork_core::types::{CatchUp, OrderPolicy, Overlap, PlacementPolicy};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

use super::{Clock, Fault, Founding, Manner, Rule, Scenario, Work};
use crate::{
    liar::{Forgery, Lie},
    links::{Distance, Weather},
};

const SECOND_US: u64 = 1_000_000;
/// How long a whole network has for its outstanding work: longer than any lease, back-off and grown timer.
const PATIENCE_US: u64 = 40 * 60 * SECOND_US;

struct Draw(Pcg64Mcg);

impl Draw {
    fn below(&mut self, most: usize) -> usize {
        self.0.random_range(0..most.max(1))
    }

    fn between(&mut self, from: u64, to: u64) -> u64 {
        self.0.random_range(from..=to.max(from))
    }

    fn percent(&mut self, share: u32) -> bool {
        self.0.random_range(0..100) < share
    }

    fn one<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())].clone()
    }
}

impl Scenario {
    /// What this seed draws.
    #[must_use]
    pub fn of_seed(seed: u64) -> Self {
        let mut draw = Draw(Pcg64Mcg::seed_from_u64(seed));
        let authorities = draw.one(&[4, 4, 4, 4, 4, 4, 7, 7, 10, 13]);
        let workers = match draw.below(1000) {
            0..80 => 0,
            80..850 => draw.between(1, 5),
            850..985 => draw.between(6, 20),
            985..998 => draw.between(21, 60),
            _ => draw.between(61, 200),
        };
        let mut workers: Vec<Manner> = (0..workers).map(|_| draw_manner(&mut draw)).collect();
        if let Some(first) = workers.first_mut() {
            // Some worker has to do the outstanding work.
            *first = Manner::Honest;
        }
        let followers = draw.below(2);
        let peers = authorities + workers.len() + followers;
        let distance =
            draw.one(&[Distance::Lan, Distance::Lan, Distance::Lan, Distance::Wan, Distance::Wan, Distance::Satellite]);
        let longest = match peers {
            61.. => 30,
            16..=60 => 60,
            _ if draw.percent(5) => 600,
            _ => 90,
        };
        let whole_at_us = draw.between(30, longest) * SECOND_US;
        let mut scenario = Self {
            seed,
            authorities,
            followers,
            founding: draw_founding(&mut draw, distance),
            weather: draw_weather(&mut draw, distance),
            clocks: vec![Clock::default(); peers],
            liars: Vec::new(),
            faults: Vec::new(),
            work: Vec::new(),
            runs_once: draw.percent(5),
            shares_execution: !draw.percent(10),
            whole_at_us,
            patience_us: PATIENCE_US,
            workers,
        };
        scenario.draw_clocks(&mut draw);
        if scenario.runs_once {
            scenario.draw_stalls(&mut draw);
        } else {
            scenario.draw_lies(&mut draw);
            for _ in 0..draw.below(12) {
                scenario.draw_fault(&mut draw);
            }
        }
        scenario.faults.sort_by_key(|(at, _)| *at);
        scenario.draw_work(&mut draw);
        if !scenario.runs_once && draw.percent(30) {
            scenario.draw_governance(&mut draw);
        }
        if !scenario.runs_once && !scenario.workers.is_empty() {
            scenario.draw_workers(&mut draw);
        }
        scenario
    }

    /// Workers rest, leave, are started a second time, and are not believed.
    fn draw_workers(&mut self, draw: &mut Draw) {
        for worker in self.workers.iter_mut().skip(1).filter(|worker| **worker == Manner::Honest) {
            if draw.percent(5) {
                *worker = Manner::Undelivered;
            }
        }
        for _ in 0..draw.below(4) {
            let peer = self.authorities + draw.below(self.workers.len());
            let at = draw.between(SECOND_US, self.whole_at_us);
            match draw.below(3) {
                0 => self.faults.push((at, Fault::Rest(peer, draw.between(SECOND_US / 10, 20 * SECOND_US)))),
                1 => self.faults.push((at, Fault::Leave(peer))),
                _ => {
                    let through = draw.below(self.peers());
                    self.work.push((at, Work::SecondProcess { through, of: peer }));
                }
            }
        }
        self.faults.sort_by_key(|(at, _)| *at);
        self.work.sort_by_key(|(at, _)| *at);
    }

    /// Authorities join, and the last of the founders leave. Only founders may be faulty; an authority that
    /// joins is honest, and keeps its disk and its clock.
    fn draw_governance(&mut self, draw: &mut Draw) {
        self.founding.gate_interval = draw.one(&[1, 2, 5, 16]);
        let mut joiners: Vec<usize> = (self.authorities..self.peers()).collect();
        let mut leavers: Vec<usize> = (1..self.authorities).collect();
        let mut at = draw.between(1, self.whole_at_us / 2);
        for _ in 0..draw.between(1, 3) {
            let add: Vec<usize> = joiners.pop().filter(|_| draw.percent(70)).into_iter().collect();
            let leaves = !leavers.is_empty() && (add.is_empty() || draw.percent(50));
            let remove: Vec<usize> = leavers.pop_if(|_| leaves).into_iter().collect();
            self.work.push((at, Work::Govern { add, remove }));
            at += draw.between(1, self.whole_at_us / 4);
        }
        for (liar, _) in self.liars.clone() {
            self.work.push((draw.between(0, self.whole_at_us), Work::Mutiny { peer: liar }));
        }
        self.work.sort_by_key(|(at, _)| *at);
    }

    fn draw_clocks(&mut self, draw: &mut Draw) {
        let bound_us = self.clock_bound_ms() as i64 * 1000;
        for clock in &mut self.clocks {
            clock.ahead_us = draw.0.random_range(-bound_us / 3..=bound_us / 3);
            clock.drift_ppm = draw.0.random_range(-50..=50);
        }
    }

    /// Twins, forgers, withholders, lost journals and clocks beyond the bound all count towards the f that the
    /// protocol tolerates.
    fn draw_lies(&mut self, draw: &mut Draw) {
        for liar in 0..self.faulty_max() {
            let which = self.authorities - 1 - liar;
            match draw.below(8) {
                0 => self.liars.push((which, Lie::Twin)),
                1 => self.liars.push((which, Lie::Withholds)),
                2 => self.liars.push((which, Lie::Selective)),
                3 => self.liars.push((which, Lie::Forges(Forgery::ALL.to_vec()))),
                4 => self.clocks[which].ahead_us = draw.one(&[-600, -20, 20, 600]) * SECOND_US as i64,
                5 => {
                    let at = draw.between(1, self.whole_at_us / 2);
                    self.faults.push((at, Fault::Crash(which)));
                    self.faults.push((at + 1, Fault::LoseDisk(which)));
                    self.faults.push((at + SECOND_US, Fault::Start(which)));
                }
                _ => {}
            }
        }
    }

    /// Nothing goes wrong, except that every authority is alone for a while, again and again.
    fn draw_stalls(&mut self, draw: &mut Draw) {
        self.workers.fill(Manner::Honest);
        self.weather = Weather { distance: self.weather.distance, ..Weather::fair() };
        let mut at = 5 * SECOND_US;
        while at < self.whole_at_us {
            at += draw.between(SECOND_US, 30 * SECOND_US);
            let side = (0..self.peers()).map(|peer| {
                let own = peer % self.authorities;
                own as u8 + 1
            });
            self.faults.push((at, Fault::Split(side.collect())));
            at += draw.between(SECOND_US / 2, 120 * SECOND_US);
            self.faults.push((at, Fault::Heal));
            at += 10 * SECOND_US;
        }
    }

    fn draw_fault(&mut self, draw: &mut Draw) {
        let at = draw.between(SECOND_US, self.whole_at_us);
        let peer = draw.below(self.peers());
        let later = at + draw.between(SECOND_US / 10, 20 * SECOND_US);
        let mut then = |at, fault| self.faults.push((at, fault));
        match draw.below(13) {
            0 | 1 => {
                then(at, Fault::Crash(peer));
                then(later, Fault::Start(peer));
            }
            2 => {
                // Everyone at once: a power cut.
                for peer in 0..self.clocks.len() {
                    then(at, Fault::Crash(peer));
                    then(later + peer as u64 * 1000, Fault::Start(peer));
                }
            }
            3 => then(at, Fault::Pause(peer, draw.between(SECOND_US / 10, 120 * SECOND_US))),
            4 => {
                let side = (0..self.clocks.len()).map(|_| draw.below(2) as u8).collect();
                then(at, Fault::Split(side));
                then(later, Fault::Heal);
            }
            5 => {
                then(at, Fault::Mute(peer));
                then(later, Fault::Heal);
            }
            6 => then(at, Fault::SlowDisk(peer, draw.between(1_000, 300_000))),
            7 => {
                let most = self.clock_bound_ms() as i64 * 1000 / 3;
                self.faults.push((at, Fault::ClockJump(peer, draw.0.random_range(-most..=most))));
            }
            8 => {
                then(at, Fault::FullDisk(peer));
                then(later, Fault::Start(peer));
            }
            9 => {
                then(at, Fault::SlowLink(peer, draw.between(2, 20) as u32));
                then(later, Fault::Heal);
            }
            10 => {
                then(at, Fault::Flap(peer, draw.between(SECOND_US / 20, 3 * SECOND_US)));
                then(later, Fault::Heal);
            }
            11 => {
                // It comes back only when the others are far ahead.
                then(SECOND_US, Fault::Crash(peer));
                then(self.whole_at_us, Fault::Start(peer));
            }
            _ => {
                // Half of them go down one after the other and stay down for a while: no quorum, and disks of
                // many ages.
                for peer in (0..self.clocks.len()).step_by(2) {
                    then(at + peer as u64 * 70_000, Fault::Crash(peer));
                    then(later + peer as u64 * 90_000, Fault::Start(peer));
                }
            }
        }
    }

    fn draw_work(&mut self, draw: &mut Draw) {
        if self.workers.is_empty() {
            return;
        }
        for _ in 0..=draw.below(8) {
            let at = draw.between(0, self.whole_at_us);
            let through = draw.below(self.peers());
            let work = match draw.below(100) {
                0..6 => Work::Cancel { through, ago: draw.below(3) },
                6..8 => Work::Control { through, ago: draw.below(2), drawn: draw.below(1 << 30) as u64 },
                8..16 => Work::Replay { through },
                16..24 => Work::Burst { through, jobs: draw.between(1, 20) as u32 },
                24..30 => Work::Spam { through, each: draw.between(1, 50) as u32 },
                30..32 if self.peers() < 12 => Work::LargeArray { through, tasks: draw.one(&[10_000, 100_000]) },
                32..36 if !self.runs_once => Work::Churn { through, keys: draw.one(&[1, 10, 100]) },
                36 if !self.runs_once && self.peers() < 10 => Work::Churn { through, keys: 2000 },
                37..52 => Work::Graph { through, drawn: draw.below(1 << 30) as u64 },
                52..55 if !self.runs_once => Work::Rule(draw_rule(draw, self.peers())),
                55..57 => Work::Recurring {
                    through,
                    tasks: draw.one(&[1, 5, 40]),
                    task_ms: draw.one(&[10, 500, 4_000]),
                    catch_up: draw.one(&[CatchUp::Skip, CatchUp::Once, CatchUp::All]),
                    overlap: draw.one(&[Overlap::Skip, Overlap::Queue, Overlap::Alongside, Overlap::Cancel]),
                },
                52..60 => Work::Control { through, ago: draw.below(2), drawn: draw.below(1 << 30) as u64 },
                _ => Work::Job {
                    through,
                    tasks: draw.one(&[1, 1, 5, 20, 50]),
                    task_ms: draw.one(&[1, 20, 200, 1500, 10_000]),
                    priority: draw.0.random_range(-2..=2),
                    fails: draw.percent(5),
                },
            };
            self.work.push((at, work));
        }
        self.work.sort_by_key(|(at, _)| *at);
    }
}

/// No worker is barred, because there may be no other.
fn draw_rule(draw: &mut Draw, peers: usize) -> Rule {
    use OrderPolicy::{Deadline, Fair, Fifo, Priority, Shortest};
    use PlacementPolicy::{LeastLoaded, Pack, Random, RoundRobin, Trusted};
    match draw.below(4) {
        0 => Rule::Running(draw.between(1, 20)),
        1 => Rule::Quota(draw.below(peers), draw.one(&[None, Some(1), Some(4)])),
        _ => Rule::Schedule {
            order: draw.one(&[vec![Fair], vec![Fifo], vec![Priority, Fair], vec![Shortest], vec![Deadline]]),
            placement: draw.one(&[
                vec![LeastLoaded],
                vec![Pack],
                vec![RoundRobin],
                vec![Random],
                vec![Trusted, LeastLoaded],
            ]),
        },
    }
}

fn draw_founding(draw: &mut Draw, distance: Distance) -> Founding {
    let well = match distance {
        Distance::Lan => draw.between(20, 200),
        Distance::Wan => draw.between(300, 600),
        Distance::Satellite | Distance::Even(_) => draw.between(700, 1200),
    };
    // Sometimes the founders were too optimistic.
    let delta_ms = if draw.percent(15) { well.div_ceil(3) } else { well };
    Founding {
        delta_ms,
        heartbeat_ms: (4 * delta_ms).max(draw.between(500, 2000)),
        snapshot_interval: draw.one(&[8, 32, 64]),
        snapshot_lag: draw.one(&[1, 8, 8]),
        gate_interval: 8,
        losses_max: draw.one(&[2, 16, 16]),
        order: draw_order(draw),
        placement: draw_placement(draw),
        is_narrow: false,
        trial_wait_ms: draw.one(&[0, 0, 1_000, 10_000]),
        unclaimed_ms_max: 0,
    }
}

/// One policy as often as several.
fn draw_order(draw: &mut Draw) -> Vec<OrderPolicy> {
    use OrderPolicy::{Deadline, Fair, Fifo, Priority, Shortest};
    let mut rest = vec![Priority, Fair, Deadline, Shortest, Fifo];
    let count = draw.one(&[1, 1, 1, 2, 2, 3]);
    (0..count).map(|_| rest.remove(draw.below(rest.len()))).collect()
}

fn draw_placement(draw: &mut Draw) -> Vec<PlacementPolicy> {
    use PlacementPolicy::{LeastLoaded, Locality, Pack, Random, RoundRobin};
    let mut policies = vec![draw.one(&[LeastLoaded, LeastLoaded, RoundRobin, Random, Pack])];
    if draw.percent(50) {
        policies.insert(0, Locality);
    }
    policies
}

fn draw_weather(draw: &mut Draw, distance: Distance) -> Weather {
    let mut share = |most: u64| if draw.percent(50) { 0 } else { draw.between(0, most) as u32 };
    Weather {
        distance,
        loss_permille: share(150),
        twice_permille: share(100),
        corrupt_permille: share(30),
        late_permille: share(100),
    }
}

fn draw_manner(draw: &mut Draw) -> Manner {
    match draw.below(24) {
        0 => Manner::Silent,
        1 => Manner::Twice,
        2 => Manner::Returns,
        3 => Manner::Fails,
        4 => Manner::Greedy,
        5 => Manner::Late,
        6 => Manner::Overdue,
        7 => Manner::Wavers,
        8 => Manner::LastMinute,
        _ => Manner::Honest,
    }
}
