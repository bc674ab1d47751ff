//! What a seed draws: a network, what happens to it, and what it is to do. Plain data: a failing scenario can be cut down, and
//! what is left says what the failure needs.

use std::sync::Arc;

use meshwork_core::{
    identity::SecretKey,
    types::{
        Access, Authority, BlockTime, ConsensusParameters, Genesis, LedgerLimits, OrderPolicy, PlacementPolicy,
        ScheduleParameters,
    },
};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use serde::Serialize;

use crate::links::{Distance, Weather};

/// The wall clock's time at the start of every run, in microseconds since the Unix epoch.
pub const START_US: u64 = 1_700_000_000_000_000;

const SECOND_US: u64 = 1_000_000;

/// How long a whole network has to do what is owed: longer than any lease, back-off and grown timer.
const PATIENCE_US: u64 = 40 * 60 * SECOND_US;

/// A whole run before it begins. Peers are numbered: authorities, then workers, then those who only follow.
#[derive(Clone, Debug, Serialize)]
pub struct Scenario {
    /// What it was drawn from, and what the links' chances are drawn from.
    pub seed: u64,
    /// How many authorities there are.
    pub authorities: usize,
    /// How each worker behaves.
    pub workers: Vec<Manner>,
    /// How many peers only follow.
    pub followers: usize,
    /// Δ, in milliseconds.
    pub delta_ms: u64,
    /// The heartbeat, in milliseconds.
    pub heartbeat_ms: u64,
    /// How many heights apart the state is digested.
    pub snapshot_interval: u64,
    /// What the links do until the end.
    pub weather: Weather,
    /// Each peer's clock.
    pub clocks: Vec<Clock>,
    /// Authorities whose key votes in two places: a second instance runs as one peer more, with a disk of its own.
    pub twins: Vec<usize>,
    /// Authorities that keep most of what they should say to themselves.
    pub withholding: Vec<usize>,
    /// When what goes wrong.
    pub faults: Vec<(u64, Fault)>,
    /// When what is submitted.
    pub work: Vec<(u64, Work)>,
    /// When all faults end: everyone is up, the links are fair, and what is owed must be done.
    pub whole_at_us: u64,
    /// How long it then has to do what is owed, in microseconds.
    pub patience_us: u64,
}

/// A peer's clock.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Clock {
    /// How far ahead it is, in microseconds.
    pub ahead_us: i64,
    /// How much too fast it goes, in millionths.
    pub drift_ppm: i64,
}

/// How a worker behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Manner {
    /// As it should.
    Honest,
    /// Takes tasks and never reports.
    Silent,
    /// Reports everything twice, and what it never held.
    Twice,
    /// Gives everything back.
    Returns,
    /// Says of everything that the program failed.
    Fails,
    /// Lets its claims run out, and says of what was taken from it that the program failed.
    Late,
    /// Claims far more than it has, and waiting places without end.
    Greedy,
}

/// What goes wrong.
#[derive(Clone, Debug, Serialize)]
pub enum Fault {
    /// A process is killed; what was not synced is lost.
    Crash(usize),
    /// A killed process is started from its disk.
    Start(usize),
    /// A killed process has lost its disk, and its journal with it.
    LoseDisk(usize),
    /// A process stands still for so long, in microseconds.
    Pause(usize, u64),
    /// The network falls apart: which side each peer is on.
    Split(Vec<u8>),
    /// Nobody hears a peer any more, though it hears them.
    Mute(usize),
    /// All cuts are mended.
    Heal,
    /// Each sync of a peer's disk takes so long from now on, in microseconds.
    SlowDisk(usize, u64),
    /// A peer's clock jumps by so much, in microseconds.
    ClockJump(usize, i64),
}

impl Fault {
    /// Its kind, in a word.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Crash(_) => "crash",
            Self::Start(_) => "start",
            Self::LoseDisk(_) => "disk lost",
            Self::Pause(..) => "pause",
            Self::Split(_) => "partition",
            Self::Mute(_) => "one-way partition",
            Self::Heal => "heal",
            Self::SlowDisk(..) => "slow disk",
            Self::ClockJump(..) => "clock jump",
        }
    }
}

/// What is submitted, by whom.
#[derive(Clone, Debug, Serialize)]
pub enum Work {
    /// A job through a peer.
    Job {
        /// Which peer.
        through: usize,
        /// How many tasks.
        tasks: u32,
        /// How long each takes, in milliseconds.
        task_ms: u64,
        /// Its priority.
        priority: i16,
        /// Whether its program fails, always.
        fails: bool,
    },
    /// The job that was submitted so many jobs before is cancelled.
    Cancel {
        /// Through which peer.
        through: usize,
        /// How many jobs ago.
        ago: usize,
    },
    /// A transaction that was submitted before comes once more, through another peer.
    Replay {
        /// Through which peer.
        through: usize,
    },
    /// So many jobs at once, of a key's own.
    Burst {
        /// Through which peer.
        through: usize,
        /// How many.
        jobs: u32,
    },
}

struct Draw(Pcg64Mcg);

impl Draw {
    fn below(&mut self, most: usize) -> usize {
        self.0.random_range(0..most.max(1))
    }

    fn between(&mut self, from: u64, to: u64) -> u64 {
        self.0.random_range(from..=to)
    }

    fn percent(&mut self, share: u32) -> bool {
        self.0.random_range(0..100) < share
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }
}

impl Scenario {
    /// What this seed draws.
    #[must_use]
    pub fn of_seed(seed: u64) -> Self {
        let mut draw = Draw(Pcg64Mcg::seed_from_u64(seed));
        let authorities = draw.one(&[4, 4, 4, 4, 4, 4, 7, 7, 10, 13]);
        let workers = match draw.below(100) {
            0..10 => 0,
            10..80 => draw.between(1, 5),
            80..97 => draw.between(6, 20),
            97..99 => draw.between(21, 60),
            _ => draw.between(61, 200),
        };
        let mut workers: Vec<Manner> = (0..workers).map(|_| draw_manner(&mut draw)).collect();
        if let Some(first) = workers.first_mut() {
            // Somebody has to do what is owed.
            *first = Manner::Honest;
        }
        let followers = draw.below(2);
        let peers = authorities + workers.len() + followers;
        let distance =
            draw.one(&[Distance::Lan, Distance::Lan, Distance::Lan, Distance::Wan, Distance::Wan, Distance::Satellite]);
        let well = match distance {
            Distance::Lan => draw.between(20, 200),
            Distance::Wan => draw.between(300, 600),
            Distance::Satellite => draw.between(700, 1200),
        };
        // Sometimes the founders were too hopeful.
        let delta_ms = if draw.percent(15) { well.div_ceil(3) } else { well };
        let mut share = |most: u64| if draw.percent(50) { 0 } else { draw.between(0, most) as u32 };
        let weather = Weather {
            distance,
            loss_permille: share(150),
            twice_permille: share(100),
            corrupt_permille: share(30),
            late_permille: share(100),
        };
        // Large networks are seldom and short, since they cost the most to simulate.
        let longest = if peers > 60 {
            30
        } else if peers > 15 {
            60
        } else if draw.percent(5) {
            600
        } else {
            90
        };
        let whole_at_us = draw.between(30.min(longest), longest) * SECOND_US;
        let mut scenario = Self {
            seed,
            authorities,
            followers,
            delta_ms,
            heartbeat_ms: (4 * delta_ms).max(draw.between(500, 2000)),
            snapshot_interval: draw.one(&[8, 32, 64]),
            weather,
            clocks: vec![Clock::default(); peers],
            twins: Vec::new(),
            withholding: Vec::new(),
            faults: Vec::new(),
            work: Vec::new(),
            whole_at_us,
            patience_us: PATIENCE_US,
            workers,
        };
        scenario.draw_lies(&mut draw);
        scenario.draw_faults(&mut draw);
        scenario.draw_work(&mut draw);
        scenario
    }

    /// How many authorities may lie.
    #[must_use]
    pub const fn faulty_max(&self) -> usize {
        (self.authorities - 1) / 3
    }

    /// How many peers there are, twins not counted.
    #[must_use]
    pub fn peers(&self) -> usize {
        self.clocks.len()
    }

    /// Twins, withholders, lost journals and clocks beyond the bound all come out of what the protocol bears.
    fn draw_lies(&mut self, draw: &mut Draw) {
        let bound_us = self.clock_bound_ms() as i64 * 1000;
        for clock in &mut self.clocks {
            clock.ahead_us = draw.0.random_range(-bound_us / 3..=bound_us / 3);
            clock.drift_ppm = draw.0.random_range(-50..=50);
        }
        for liar in 0..self.faulty_max() {
            let which = self.authorities - 1 - liar;
            match draw.below(6) {
                0 => self.twins.push(which),
                1 => self.withholding.push(which),
                2 => self.clocks[which].ahead_us = draw.one(&[-600, -20, 20, 600]) * 1_000_000,
                3 => {
                    let at = draw.between(1, self.whole_at_us / 2);
                    self.faults.push((at, Fault::Crash(which)));
                    self.faults.push((at + 1, Fault::LoseDisk(which)));
                    self.faults.push((at + SECOND_US, Fault::Start(which)));
                }
                _ => {}
            }
        }
    }

    fn draw_faults(&mut self, draw: &mut Draw) {
        let count = draw.below(12);
        for _ in 0..count {
            let at = draw.between(SECOND_US, self.whole_at_us);
            let peer = draw.below(self.peers());
            let later = at + draw.between(SECOND_US / 10, 20 * SECOND_US);
            match draw.below(8) {
                0 | 1 => {
                    self.faults.push((at, Fault::Crash(peer)));
                    self.faults.push((later, Fault::Start(peer)));
                }
                2 => {
                    // Everyone at once: a building without power.
                    for peer in 0..self.peers() {
                        self.faults.push((at, Fault::Crash(peer)));
                        self.faults.push((later + peer as u64 * 1000, Fault::Start(peer)));
                    }
                }
                3 => self.faults.push((at, Fault::Pause(peer, draw.between(SECOND_US / 10, 120 * SECOND_US)))),
                4 => {
                    let side = (0..self.peers()).map(|_| draw.below(2) as u8).collect();
                    self.faults.push((at, Fault::Split(side)));
                    self.faults.push((later, Fault::Heal));
                }
                5 => {
                    self.faults.push((at, Fault::Mute(peer)));
                    self.faults.push((later, Fault::Heal));
                }
                6 => self.faults.push((at, Fault::SlowDisk(peer, draw.between(1_000, 300_000)))),
                _ => {
                    let most = self.clock_bound_ms() as i64 * 1000 / 3;
                    self.faults.push((at, Fault::ClockJump(peer, draw.0.random_range(-most..=most))));
                }
            }
        }
        self.faults.sort_by_key(|(at, _)| *at);
    }

    fn draw_work(&mut self, draw: &mut Draw) {
        if self.workers.is_empty() {
            return;
        }
        let count = draw.below(8) + 1;
        for _ in 0..count {
            let at = draw.between(0, self.whole_at_us);
            let through = draw.below(self.peers());
            let work = match draw.below(10) {
                0 => Work::Cancel { through, ago: draw.below(3) },
                1 => Work::Replay { through },
                2 => Work::Burst { through, jobs: draw.between(1, 20) as u32 },
                _ => Work::Job {
                    through,
                    tasks: draw.one(&[1, 1, 5, 20, 50]),
                    task_ms: draw.one(&[1, 20, 200, 1500]),
                    priority: draw.0.random_range(-2..=2),
                    fails: draw.percent(5),
                },
            };
            self.work.push((at, work));
        }
        self.work.sort_by_key(|(at, _)| *at);
    }

    const fn clock_bound_ms(&self) -> u64 {
        self.delta_ms * 2
    }

    /// The key of a peer.
    #[must_use]
    pub fn key(peer: usize) -> SecretKey {
        let mut seed = [7; 32];
        seed[..8].copy_from_slice(&(peer as u64).to_le_bytes());
        SecretKey::from_seed(seed)
    }

    /// The network's genesis.
    #[must_use]
    pub fn genesis(&self) -> Arc<Genesis> {
        let authority = |index: usize| Authority {
            name: format!("authority-{index}"),
            key: Self::key(index).public(),
            addresses: Vec::new(),
        };
        let mut genesis = Genesis {
            name: format!("seed {}", self.seed),
            time: BlockTime(START_US),
            authorities: (0..self.authorities).map(authority).collect(),
            access: Access::default(),
            consensus: ConsensusParameters {
                delta_ms: self.delta_ms,
                heartbeat_ms: self.heartbeat_ms,
                clock_bound_ms: self.clock_bound_ms(),
                timer_ms_max: 30 * self.delta_ms,
                snapshot_interval: self.snapshot_interval,
                ..ConsensusParameters::default()
            },
            ledger: LedgerLimits::default(),
            schedule: ScheduleParameters { order: OrderPolicy::Priority, placement: PlacementPolicy::LeastLoaded },
        };
        let stall_ms = genesis.stall_threshold_ms();
        genesis.ledger.claim_stands_ms_max = 3 * stall_ms;
        genesis.ledger.allowance_ms = 2 * stall_ms;
        Arc::new(genesis)
    }
}

fn draw_manner(draw: &mut Draw) -> Manner {
    match draw.below(20) {
        0 => Manner::Silent,
        1 => Manner::Twice,
        2 => Manner::Returns,
        3 => Manner::Fails,
        4 => Manner::Greedy,
        5 => Manner::Late,
        _ => Manner::Honest,
    }
}
