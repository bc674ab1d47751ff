//! What a run is made of: a network, what happens to it, and what it is to do. Plain data: a failing scenario can be cut down,
//! and what is left says what the failure needs.

mod draw;

use std::{collections::BTreeSet, sync::Arc};

use meshwork_core::{
    identity::SecretKey,
    types::{
        Access, Authority, BlockTime, CatchUp, ConsensusParameters, Genesis, LedgerLimits, OrderPolicy, Overlap,
        PlacementPolicy, ScheduleParameters,
    },
};
use serde::Serialize;

use crate::{liar::Lie, links::Weather};

/// The wall clock's time at the start of every run, in microseconds since the Unix epoch.
pub const START_US: u64 = 1_700_000_000_000_000;

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
    /// What the founders settled.
    pub founding: Founding,
    /// What the links do until the end.
    pub weather: Weather,
    /// Each peer's clock.
    pub clocks: Vec<Clock>,
    /// Authorities that break the rules, and how. They go on to the end.
    pub liars: Vec<(usize, Lie)>,
    /// When what goes wrong.
    pub faults: Vec<(u64, Fault)>,
    /// When what is submitted.
    pub work: Vec<(u64, Work)>,
    /// Whether nothing that a worker holds may be taken from it: whatever goes wrong leaves no quorum anywhere.
    pub runs_once: bool,
    /// Whether a block is executed once for all peers that stand on the same state, and not by each.
    pub shares_execution: bool,
    /// When all faults end: everyone is up, the links are fair, and what is owed must be done.
    pub whole_at_us: u64,
    /// How long it then has to do what is owed, in microseconds.
    pub patience_us: u64,
}

/// The genesis, as far as scenarios differ in it.
#[derive(Clone, Debug, Serialize)]
pub struct Founding {
    /// Δ, in milliseconds.
    pub delta_ms: u64,
    /// The heartbeat, in milliseconds.
    pub heartbeat_ms: u64,
    /// How many heights apart the state is digested.
    pub snapshot_interval: u64,
    /// How many heights after a snapshot its digest is due.
    pub snapshot_lag: u64,
    /// How many heights apart an epoch may end.
    pub gate_interval: u64,
    /// How many losses of one task are forgiven.
    pub losses_max: u32,
    /// Which ready task goes next.
    pub order: Vec<OrderPolicy>,
    /// Which claim it goes to.
    pub placement: Vec<PlacementPolicy>,
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
    /// Takes tasks and never reports, but renews its claim for ever.
    Silent,
    /// Reports everything twice, and what it never held, be it another's.
    Twice,
    /// Gives everything back.
    Returns,
    /// Says of everything that the program failed.
    Fails,
    /// Lets its claims run out, and says of what was taken from it that the program failed.
    Late,
    /// Lets its claims run out, and reports the success of what was taken from it all the same.
    Overdue,
    /// Claims far more than it has, and waiting places without end.
    Greedy,
    /// Offers less and more from claim to claim.
    Wavers,
    /// Renews its claim at the very last moment.
    LastMinute,
    /// Has its outputs held by nobody whom the ledger believes.
    Undelivered,
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
    /// A peer's disk is full: its process ends at the next write, until it is started again.
    FullDisk(usize),
    /// A process stands still for so long, in microseconds.
    Pause(usize, u64),
    /// The network falls apart: which side each peer is on.
    Split(Vec<u8>),
    /// Nobody hears a peer any more, though it hears them.
    Mute(usize),
    /// All that a peer says and hears takes so many times as long.
    SlowLink(usize, u32),
    /// A peer is cut off and back, time and again, each for so long, in microseconds.
    Flap(usize, u64),
    /// All cuts are mended.
    Heal,
    /// Each sync of a peer's disk takes so long from now on, in microseconds.
    SlowDisk(usize, u64),
    /// A peer's clock jumps by so much, in microseconds.
    ClockJump(usize, i64),
    /// A peer's worker takes no more for so long, in microseconds.
    Rest(usize, u64),
    /// A peer's worker leaves, its process ends, and is back some seconds later.
    Leave(usize),
}

impl Fault {
    /// Its kind, in a word.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Crash(_) => "crash",
            Self::Start(_) => "start",
            Self::LoseDisk(_) => "disk lost",
            Self::FullDisk(_) => "disk full",
            Self::Pause(..) => "pause",
            Self::Split(_) => "partition",
            Self::Mute(_) => "one-way partition",
            Self::SlowLink(..) => "slow link",
            Self::Flap(..) => "flapping link",
            Self::Heal => "heal",
            Self::SlowDisk(..) => "slow disk",
            Self::ClockJump(..) => "clock jump",
            Self::Rest(..) => "rest of a worker",
            Self::Leave(_) => "worker that leaves",
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
    /// A job of arrays and tasks that wait for each other, and for the job before it; drawn by a number.
    Graph {
        /// Through which peer.
        through: usize,
        /// What it is drawn by.
        drawn: u64,
    },
    /// A job that runs each minute until the network is whole.
    Recurring {
        /// Through which peer.
        through: usize,
        /// How many tasks a run has.
        tasks: u32,
        /// How long each takes, in milliseconds.
        task_ms: u64,
        /// What becomes of moments that were missed.
        catch_up: CatchUp,
        /// What becomes of a moment while an earlier run goes on.
        overlap: Overlap,
    },
    /// The job that was submitted so many jobs before is cancelled.
    Cancel {
        /// Through which peer.
        through: usize,
        /// How many jobs ago.
        ago: usize,
    },
    /// Something is done to some tasks of the job that was submitted so many jobs before; drawn by a number. What is held is let
    /// go later.
    Control {
        /// Through which peer.
        through: usize,
        /// How many jobs ago.
        ago: usize,
        /// What it is drawn by.
        drawn: u64,
    },
    /// A transaction that was submitted before comes once more, through another peer.
    Replay {
        /// Through which peer.
        through: usize,
    },
    /// So many jobs at once.
    Burst {
        /// Through which peer.
        through: usize,
        /// How many.
        jobs: u32,
    },
    /// Transactions that are void or exceed a bound: expired, for too long, too many tasks, an unknown job, another's.
    Spam {
        /// Through which peer.
        through: usize,
        /// How many of each kind.
        each: u32,
    },
    /// An array of so many tasks, cancelled some seconds later.
    LargeArray {
        /// Through which peer.
        through: usize,
        /// How many tasks.
        tasks: u32,
    },
    /// The operators of authorities see to it that these peers are authorities, and those are not.
    Govern {
        /// Who is to be one.
        add: Vec<usize>,
        /// Who is not.
        remove: Vec<usize>,
    },
    /// The operators of authorities change a rule that is in force at once.
    Rule(Rule),
    /// A liar's operator proposes and approves what nobody else wants.
    Mutiny {
        /// Whose.
        peer: usize,
    },
    /// Workers with keys of their own claim once, take what they are given, and are gone; every other one drains first.
    Churn {
        /// Through which peer.
        through: usize,
        /// How many.
        keys: u32,
    },
    /// A second process claims with a worker's key, once, and is gone.
    SecondProcess {
        /// Through which peer.
        through: usize,
        /// Whose.
        of: usize,
    },
}

/// A rule that operators change.
#[derive(Clone, Debug, Serialize)]
pub enum Rule {
    /// The scheduler's policies.
    Schedule {
        /// Which task goes next.
        order: Vec<OrderPolicy>,
        /// Which claim it goes to.
        placement: Vec<PlacementPolicy>,
    },
    /// How many tasks of each submitter workers may hold.
    Running(u64),
    /// The same of one, by its peer; as many as of each if there is no number.
    Quota(usize, Option<u64>),
    /// This peer may not work.
    Bar(usize),
    /// It may again.
    Permit(usize),
}

impl Work {
    /// Whether it is authorities' to settle.
    #[must_use]
    pub const fn is_settled(&self) -> bool {
        matches!(self, Self::Govern { .. } | Self::Rule(_))
    }

    /// Its kind, in a word, where it is meant to hurt.
    #[must_use]
    pub const fn harm(&self) -> Option<&'static str> {
        match self {
            Self::Job { .. } => None,
            Self::Graph { .. } => Some("graph"),
            Self::Recurring { .. } => Some("recurring job"),
            Self::Govern { .. } => Some("change of authorities"),
            Self::Rule(_) => Some("change of rules"),
            Self::Mutiny { .. } => Some("mutiny"),
            Self::Cancel { .. } => Some("cancel"),
            Self::Control { .. } => Some("control"),
            Self::Replay { .. } => Some("replayed transaction"),
            Self::Burst { .. } => Some("burst"),
            Self::Spam { .. } => Some("spam"),
            Self::LargeArray { .. } => Some("large array"),
            Self::Churn { .. } => Some("churn of workers"),
            Self::SecondProcess { .. } => Some("second process of a worker"),
        }
    }
}

impl Scenario {
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

    /// How far a block's time may be ahead of a voter's clock, in milliseconds.
    #[must_use]
    pub const fn clock_bound_ms(&self) -> u64 {
        self.founding.delta_ms * 2
    }

    /// A peer as an authority.
    #[must_use]
    pub fn authority(peer: usize) -> Authority {
        Authority { name: format!("authority-{peer}"), key: Self::key(peer).public(), addresses: Vec::new() }
    }

    /// All peers that are authorities at some time.
    #[must_use]
    pub fn authorities_ever(&self) -> Vec<usize> {
        let added = self.work.iter().flat_map(|(_, work)| match work {
            Work::Govern { add, .. } => add.as_slice(),
            _ => &[],
        });
        (0..self.authorities).chain(added.copied()).collect()
    }

    /// How many of them could lie, were they all at once.
    fn faulty_max_ever(&self) -> usize {
        (self.authorities_ever().len() - 1) / 3
    }

    /// The authorities that break rules, lose their journal or have a wrong clock.
    fn faulty(&self) -> BTreeSet<usize> {
        let bound_us = self.clock_bound_ms() * 1000;
        let liars = self.liars.iter().map(|(peer, _)| *peer);
        let lost = self.faults.iter().filter_map(|(_, fault)| match fault {
            Fault::LoseDisk(peer) => Some(*peer),
            _ => None,
        });
        let clocks = self.clocks.iter().enumerate();
        let wrong = clocks.filter(|(_, clock)| clock.ahead_us.unsigned_abs() > bound_us).map(|(peer, _)| peer);
        liars.chain(lost).chain(wrong).collect()
    }

    /// Whether at no time more of the authorities are faulty than the protocol bears. Changes are settled one after the
    /// other, and of each those who come before those who go.
    #[must_use]
    pub fn is_bearable(&self) -> bool {
        let faulty = self.faulty();
        let bears = |present: &BTreeSet<usize>| present.intersection(&faulty).count() <= (present.len() - 1) / 3;
        let mut present: BTreeSet<usize> = (0..self.authorities).collect();
        let mut holds = bears(&present);
        for (_, work) in &self.work {
            let Work::Govern { add, remove } = work else { continue };
            for peer in add {
                present.insert(*peer);
                holds &= bears(&present);
            }
            for peer in remove {
                present.remove(peer);
                holds &= !present.is_empty() && bears(&present);
            }
        }
        holds
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
        let Founding {
            delta_ms,
            heartbeat_ms,
            snapshot_interval,
            snapshot_lag,
            gate_interval,
            losses_max,
            ref order,
            ref placement,
        } = self.founding;
        let mut genesis = Genesis {
            name: format!("seed {}", self.seed),
            time: BlockTime(START_US),
            authorities: (0..self.authorities).map(Self::authority).collect(),
            access: Access::default(),
            consensus: ConsensusParameters {
                delta_ms,
                heartbeat_ms,
                clock_bound_ms: self.clock_bound_ms(),
                timer_ms_max: 30 * delta_ms,
                snapshot_interval,
                snapshot_lag,
                gate_interval,
                ..ConsensusParameters::default()
            },
            ledger: LedgerLimits { losses_max, ..LedgerLimits::default() },
            schedule: ScheduleParameters {
                order: order.clone(),
                placement: placement.clone(),
                slice_ms: 2_000,
                ..ScheduleParameters::default()
            },
        };
        let stall_ms = genesis.consensus.stall_threshold_ms(self.faulty_max_ever());
        genesis.ledger.claim_stands_ms_max = 3 * stall_ms;
        genesis.ledger.allowance_ms = 2 * stall_ms;
        Arc::new(genesis)
    }
}
