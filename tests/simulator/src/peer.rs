//! One peer: a process that may be down, standing still or busy with its disk, and what it has stored.

use std::{collections::VecDeque, sync::Arc};

use meshwork_core::{
    consensus::{Monotonic, Now, VotingStatus},
    identity::{PublicKey, SecretKey},
    replica::{Action, Config, Gossip, Message, Replica},
    types::{BlockTime, Genesis},
    worker::Died,
};

use crate::{
    disk::{Disk, Transaction},
    liar::{Forger, Lie},
    rumours::RumourId,
    scenario::{Clock, Manner, START_US, Scenario},
    worker::{Errand, Worker},
};

/// How long a good disk takes to sync, in microseconds.
pub const SYNC_US: u64 = 300;

/// What comes to a peer.
#[derive(Clone)]
pub enum Parcel {
    /// By gossip.
    Gossip {
        /// Who published it, or passed it on.
        from: usize,
        /// Which message it is; none of those that gossip knows if it was tampered with on the way.
        rumour: Option<RumourId>,
        /// The message.
        gossip: Arc<Gossip>,
    },
    /// Directly, from a peer.
    Message {
        /// Which.
        from: usize,
        /// Whether it is not what that one sent.
        tampered: bool,
        /// The message.
        message: Arc<Message>,
    },
    /// A peer can be reached.
    Connected(PublicKey),
    /// Time has passed.
    Wake,
    /// Something for the worker here.
    Worker(Errand),
}

/// A step whose transaction is being synced: nothing of it is sent before that is done.
pub struct Step {
    /// What is to be done once it is.
    pub actions: Vec<Action>,
    /// What is being stored.
    pub transaction: Transaction,
}

/// A peer.
pub struct Peer {
    /// Its key.
    pub key: SecretKey,
    /// Its public half.
    pub public: PublicKey,
    /// Its replica, while it runs.
    pub replica: Option<Replica>,
    /// What it has stored.
    pub disk: Disk,
    /// Which of its processes this is: what was meant for an earlier one is dropped.
    pub life: u64,
    /// A step that waits for the disk.
    pub syncing: Option<Step>,
    /// What came while it stood still or waited for the disk.
    pub inbox: VecDeque<Parcel>,
    /// Until when it stands still, in microseconds of the run.
    pub paused_until: u64,
    /// How long a sync takes, in microseconds.
    pub sync_us: u64,
    /// When its disk last synced what need not be, in microseconds of the run.
    pub synced_at: u64,
    /// Whether its disk takes nothing more.
    pub disk_full: bool,
    /// Its clock.
    pub clock: Clock,
    /// Whether its clock was ever set.
    pub has_jumped: bool,
    /// Whether its journal was lost since its key first voted.
    pub has_lost_journal: bool,
    /// How it works, if it does.
    pub manner: Option<Manner>,
    /// Its worker's process.
    pub worker: Option<Worker>,
    /// What its worker's processes died of, as far as the ledger has not heard of it.
    pub died_of: Vec<Died>,
    /// When it is due next, as far as that is posted.
    pub wakes_at: Option<u64>,
    /// How it breaks the rules, if it does.
    pub lie: Option<Lie>,
    /// What it says besides, if it forges.
    pub forger: Option<Forger>,
}

impl Peer {
    /// A peer that has never run.
    #[must_use]
    pub fn new(key: SecretKey, clock: Clock, manner: Option<Manner>) -> Self {
        Self {
            public: key.public(),
            key,
            replica: None,
            disk: Disk::default(),
            life: 0,
            syncing: None,
            inbox: VecDeque::new(),
            paused_until: 0,
            sync_us: SYNC_US,
            synced_at: 0,
            disk_full: false,
            clock,
            has_jumped: false,
            has_lost_journal: false,
            manner,
            worker: None,
            died_of: Vec::new(),
            wakes_at: None,
            lie: None,
            forger: None,
        }
    }

    /// Whether it breaks the rules, so that nothing it stores has to agree with anyone.
    #[must_use]
    pub const fn is_liar(&self) -> bool {
        self.lie.is_some()
    }

    /// Stores a step and syncs.
    pub fn write(&mut self, transaction: Transaction, now_us: u64) {
        self.disk.write(transaction, true);
        self.synced_at = now_us;
    }

    /// Stores a step, and syncs if that was not done for so long.
    pub fn write_soon(&mut self, transaction: Transaction, now_us: u64, every_us: u64) {
        let due = now_us - self.synced_at >= every_us;
        self.disk.write(transaction, due);
        if due {
            self.synced_at = now_us;
        }
    }

    /// What its clocks show at a moment of the run.
    #[must_use]
    pub fn now(&self, now_us: u64) -> Now {
        let drift = now_us as i64 * self.clock.drift_ppm / 1_000_000;
        let own = (now_us as i64 + drift).max(0) as u64;
        let wall = (START_US + own).saturating_add_signed(self.clock.ahead_us);
        Now { monotonic: Monotonic(own), clock: BlockTime(wall) }
    }

    /// The moment of the run at which its monotonic clock shows this.
    #[must_use]
    pub fn moment(&self, at: Monotonic, now_us: u64) -> u64 {
        let own = self.now(now_us).monotonic;
        // Drift is so small that what is left of it only makes a second look.
        now_us + at.0.saturating_sub(own.0).max(1)
    }

    /// Starts its process from its disk.
    ///
    /// # Errors
    /// What is stored does not fit together.
    pub fn start(&mut self, scenario: &Scenario, genesis: &Arc<Genesis>, now_us: u64) -> Result<(), String> {
        let voting_status = if self.has_lost_journal { VotingStatus::JournalLost } else { VotingStatus::Voting };
        let config = Config { genesis: Arc::clone(genesis), key: self.key.clone() };
        let replica = Replica::new(config, self.disk.recover(voting_status)).map_err(|error| error.to_string())?;
        self.life += 1;
        self.wakes_at = None;
        let now = self.now(now_us);
        let (died_of, as_whom) = (&self.died_of, (self.public, self.life));
        let begin = |manner| Worker::new(scenario, genesis, manner, died_of.clone(), as_whom, now);
        self.worker = self.manner.map(begin);
        self.replica = Some(replica);
        Ok(())
    }

    /// Kills its process: what was not synced is gone. What its worker had begun is known, because no sync is needed for
    /// that.
    pub fn crash(&mut self) {
        self.died_of.extend(self.worker.iter().flat_map(Worker::dies_of));
        self.syncing = None;
        self.disk.crash();
        self.worker = None;
        self.replica = None;
        self.life += 1;
        self.inbox.clear();
    }
}
