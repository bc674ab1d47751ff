//! A scenario: a network, its faults and its work. It is plain data, so a failing scenario can be shrunk, and
//! the rest shows what the failure needs.

mod draw;

use std::{collections::BTreeSet, sync::Arc};

use meshwork_core::{
    identity::SecretKey,
    types::{
        Access, Authority, BlockTime, CatchUp, ConsensusParameters, Genesis, KeyLimit, LedgerLimits, OrderPolicy,
        Overlap, PlacementPolicy, ScheduleParameters,
    },
};
use serde::Serialize;

use crate::{liar::Lie, links::Weather};

/// The wall clock's time at the start of every run, in microseconds since the Unix epoch.
pub const START_US: u64 = 1_700_000_000_000_000;

/// How many unfinished tasks, and how many workers, there may be in a narrow network.
const NARROW_TASKS: u64 = 400;
const NARROW_WORKERS: usize = 16;
const NARROW_DAILY_STORED_BYTES: u64 = 160_000;

/// A whole run before it begins. Peers are numbered: authorities, then workers, then followers.
#[derive(Clone, Debug, Serialize)]
pub struct Scenario {
    /// The seed that it was drawn from, and that the links draw from.
    pub seed: u64,
    /// How many authorities there are.
    pub authorities: usize,
    /// How each worker behaves.
    pub workers: Vec<Manner>,
    /// How many peers only follow.
    pub followers: usize,
    /// The founders' settings in the genesis.
    pub founding: Founding,
    /// What the links do to messages until the end.
    pub weather: Weather,
    /// Each peer's clock.
    pub clocks: Vec<Clock>,
    /// Authorities that break the rules, and how. They do so to the end.
    pub liars: Vec<(usize, Lie)>,
    /// The faults, each with its time.
    pub faults: Vec<(u64, Fault)>,
    /// The submissions, each with its time.
    pub work: Vec<(u64, Work)>,
    /// Whether nothing that a worker holds may be taken from it, because whatever goes wrong leaves no quorum
    /// anywhere.
    pub runs_once: bool,
    /// Whether peers in the same state share the execution of a block.
    pub shares_execution: bool,
    /// When all faults end: everyone is up, the links are fair, and outstanding work must get done.
    pub whole_at_us: u64,
    /// How long the outstanding work may then take, in microseconds.
    pub patience_us: u64,
}

/// The settings of the genesis that differ between scenarios.
#[derive(Clone, Debug, Serialize)]
pub struct Founding {
    /// Δ, in milliseconds.
    pub delta_ms: u64,
    /// The heartbeat, in milliseconds.
    pub heartbeat_ms: u64,
    /// Heights between two state digests.
    pub snapshot_interval: u64,
    /// How many heights after a snapshot its digest is due.
    pub snapshot_lag: u64,
    /// Heights between two gates, at which an epoch may end.
    pub gate_interval: u64,
    /// How many losses of one task are forgiven.
    pub losses_max: u32,
    /// Which ready task goes next.
    pub order: Vec<OrderPolicy>,
    /// Which claim it goes to.
    pub placement: Vec<PlacementPolicy>,
    /// Whether there is so little room in all that a few keys could fill it. Each peer then has a quota.
    pub is_narrow: bool,
    /// How long a worker on trial waits after it lost its attempt, in milliseconds; 0 if no worker is on trial.
    pub trial_wait_ms: u64,
    /// How long a task waits that no claim could ever hold, in milliseconds; 0 if it waits for ever.
    pub unclaimed_ms_max: u64,
}

/// A peer's clock.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Clock {
    /// How far ahead it is, in microseconds.
    pub ahead_us: i64,
    /// How much too fast it goes, in parts per million.
    pub drift_ppm: i64,
}

/// How a worker behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Manner {
    /// Correctly.
    Honest,
    /// Takes tasks and never reports, but always renews its claim.
    Silent,
    /// Reports everything twice, and also attempts that it never held.
    Twice,
    /// Returns every task.
    Returns,
    /// Reports that every program failed.
    Fails,
    /// Reports of every program that it died of it.
    Dies,
    /// Lets its claims run out, and then reports that the programs of the lost attempts failed.
    Late,
    /// Lets its claims run out, and still reports the success of the lost attempts.
    Overdue,
    /// Claims far more than it has, and endless waiting places.
    Greedy,
    /// Offers less and more from claim to claim.
    Wavers,
    /// Renews its claim at the last moment.
    LastMinute,
    /// Has its outputs held by nobody whom the ledger believes.
    Undelivered,
    /// Says what is not so of a task that several workers compute, like all others of this manner.
    Colludes,
    /// The same, and all of this manner have one operator.
    Mob,
    /// Says what is not so of such a task, by itself.
    Lies,
    /// Answers such tasks rightly until it is relied on, and says what is not so from then on.
    Turns,
    /// Computes no such task, and reveals what others have revealed.
    Copies,
}

/// A fault.
#[derive(Clone, Debug, Serialize)]
pub enum Fault {
    /// A process is killed; what was not synced is lost.
    Crash(usize),
    /// A killed process is started from its disk.
    Start(usize),
    /// A killed process has lost its disk, including its journal.
    LoseDisk(usize),
    /// A peer's disk is full: its process ends at the next write, and stays down until it is started again.
    FullDisk(usize),
    /// A process pauses for this long, in microseconds.
    Pause(usize, u64),
    /// The network splits: the side of each peer.
    Split(Vec<u8>),
    /// No peer hears this one any more, though it hears them.
    Mute(usize),
    /// All messages to and from a peer take this many times as long.
    SlowLink(usize, u32),
    /// A peer is cut off and back, again and again, for this long each time, in microseconds.
    Flap(usize, u64),
    /// All cuts are mended.
    Heal,
    /// Each sync of a peer's disk takes this long from now on, in microseconds.
    SlowDisk(usize, u64),
    /// A peer's clock jumps by this much, in microseconds.
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

/// A submission, and the peer that it goes through.
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
        /// Whether its program always fails.
        fails: bool,
    },
    /// A job whose program brings down every process that runs it.
    Deadly {
        /// Through which peer.
        through: usize,
        /// How many tasks.
        tasks: u32,
        /// After how long each does so, in milliseconds.
        after_ms: u64,
    },
    /// A job whose tasks several workers compute.
    Replicated {
        /// Through which peer.
        through: usize,
        /// How many tasks.
        tasks: u32,
        /// How long each takes, in milliseconds.
        task_ms: u64,
        /// How many workers compute each.
        replicas: u8,
        /// Whether a worker that is relied on computes it alone.
        adaptive: bool,
    },
    /// A job whose tasks need more than any worker offers.
    Unholdable {
        /// Through which peer.
        through: usize,
        /// How many tasks.
        tasks: u32,
    },
    /// A job of arrays and tasks that depend on each other and on the job before it, drawn from a number.
    Graph {
        /// Through which peer.
        through: usize,
        /// The number to draw from.
        drawn: u64,
    },
    /// A job that recurs each minute until the network is whole.
    Recurring {
        /// Through which peer.
        through: usize,
        /// How many tasks an occurrence has.
        tasks: u32,
        /// How long each takes, in milliseconds.
        task_ms: u64,
        /// What becomes of missed occurrences.
        catch_up: CatchUp,
        /// What becomes of an occurrence while an earlier one still runs.
        overlap: Overlap,
    },
    /// Cancels the job that was submitted this many jobs before.
    Cancel {
        /// Through which peer.
        through: usize,
        /// How many jobs ago.
        ago: usize,
    },
    /// Controls some tasks of the job that was submitted this many jobs before, drawn from a number. Held tasks
    /// are released later.
    Control {
        /// Through which peer.
        through: usize,
        /// How many jobs ago.
        ago: usize,
        /// The number to draw from.
        drawn: u64,
    },
    /// Submits an earlier transaction once more, through another peer.
    Replay {
        /// Through which peer.
        through: usize,
    },
    /// This many jobs at once.
    Burst {
        /// Through which peer.
        through: usize,
        /// How many.
        jobs: u32,
    },
    /// Transactions that are void or exceed a bound: expired, too long-lived, with too many tasks, for an
    /// unknown job, for another submitter's job.
    Spam {
        /// Through which peer.
        through: usize,
        /// How many of each kind.
        each: u32,
    },
    /// An array of this many tasks, cancelled some seconds later.
    LargeArray {
        /// Through which peer.
        through: usize,
        /// How many tasks.
        tasks: u32,
    },
    /// The operators of authorities make these peers authorities, and remove those.
    Govern {
        /// The peers to add.
        add: Vec<usize>,
        /// The peers to remove.
        remove: Vec<usize>,
    },
    /// The operators of authorities change a rule with effect at once.
    Rule(Rule),
    /// A liar's operator proposes and approves changes that nobody else wants.
    Mutiny {
        /// The liar.
        peer: usize,
    },
    /// Workers with keys of their own claim once, take what they are assigned, and vanish. Every second one
    /// drains first.
    Churn {
        /// Through which peer.
        through: usize,
        /// How many.
        keys: u32,
    },
    /// Submitters with keys of their own each submit a job.
    Crowd {
        /// Through which peer.
        through: usize,
        /// How many.
        keys: u32,
        /// How many tasks each job has.
        tasks: u32,
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
    /// The most tasks of each submitter that workers may hold.
    Running(u64),
    /// The same for one submitter, by its peer; without a number, the limit of all.
    Quota(usize, Option<u64>),
    /// This peer may not work.
    Bar(usize),
    /// This peer may work again.
    Permit(usize),
    /// This peer may not submit.
    BarSubmitter(usize),
    /// This peer may submit again.
    PermitSubmitter(usize),
}

impl Work {
    /// Whether it needs the approval of authorities.
    #[must_use]
    pub const fn is_settled(&self) -> bool {
        matches!(self, Self::Govern { .. } | Self::Rule(_))
    }

    /// Its kind, in a word, if it is meant to do harm.
    #[must_use]
    pub const fn harm(&self) -> Option<&'static str> {
        match self {
            Self::Job { .. } => None,
            Self::Deadly { .. } => Some("deadly job"),
            Self::Unholdable { .. } => Some("job that no worker could hold"),
            Self::Replicated { .. } => Some("job that several workers compute"),
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
            Self::Crowd { .. } => Some("crowd of submitters"),
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

    /// A peer's entry as an authority.
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

    /// How many of them could lie if they all were authorities at once.
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

    /// Whether the number of faulty authorities never exceeds what the protocol tolerates. Changes are settled
    /// one after the other; in each, authorities join before others leave.
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
            is_narrow,
            trial_wait_ms,
            unclaimed_ms_max,
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
            ledger: LedgerLimits { losses_max, trial_wait_ms, unclaimed_ms_max, ..LedgerLimits::default() },
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
        if is_narrow {
            (genesis.ledger.tasks_max, genesis.ledger.workers_max) = (NARROW_TASKS, NARROW_WORKERS);
            genesis.ledger.daily_stored_bytes_max = NARROW_DAILY_STORED_BYTES;
            let quota = |peer| (Self::key(peer).public(), [(KeyLimit::Running, NARROW_TASKS)].into());
            genesis.access.quotas = (0..self.peers()).map(quota).collect();
        }
        Arc::new(genesis)
    }
}
