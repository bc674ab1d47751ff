//! What is explored, and within which bounds.

use std::sync::Arc;

use meshwork_core::{
    consensus::Config,
    identity::{NetworkId, SecretKey},
    types::{
        Access, Authority, AuthorityIndex, AuthoritySet, BlockTime, ConsensusParameters, Genesis, LedgerLimits,
        ScheduleParameters, View,
    },
};

/// The wall clock of every authority. It stands still, so that block times depend only on heights.
pub(super) const CLOCK: BlockTime = BlockTime(100_000_000);

/// The size of the steps in which authorities take turns. A coarser grain leaves out only orders that make no
/// difference to what is promised; see [`super`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grain {
    /// Every vote and every block is delivered separately, each as a step.
    Vote,
    /// A vote comes together with the others of its certificate, and a block once it makes a difference; each
    /// is a step.
    Certificate,
    /// An authority hears things just before it next promises something; each promise is a step.
    Promise,
}

/// An exploration.
#[derive(Clone, Debug)]
pub struct Bound {
    /// How many authorities there are.
    pub authorities: u16,
    /// Which of them lie.
    pub byzantine: Vec<u16>,
    /// The last view that is explored. Messages about later views are lost.
    pub views: u64,
    /// How often honest authorities crash, all together.
    pub crashes: u8,
    /// The most steps in a row.
    pub depth_max: u32,
    /// The most states.
    pub states_max: usize,
    /// How large a step is.
    pub grain: Grain,
    /// Try whether the network can go on from one of this many states. 0: from none.
    pub progress_every: usize,
    /// Look only for two final chains, and ignore other broken rules.
    pub agreement_only: bool,
    /// Whether the first block is its epoch's last, so that closing blocks follow it.
    pub ends: bool,
    /// If false, a crash forgets the authority's own votes: a fault of the disk, which must be noticed.
    pub votes_durable: bool,
}

impl Bound {
    /// Four authorities of which one lies, over this many views.
    #[must_use]
    pub fn new(byzantine: u16, views: u64) -> Self {
        Self {
            authorities: 4,
            byzantine: vec![byzantine],
            views,
            crashes: 0,
            depth_max: u32::MAX,
            states_max: 150_000_000,
            grain: Grain::Promise,
            progress_every: 0,
            agreement_only: false,
            ends: false,
            votes_durable: true,
        }
    }
}

/// The common settings of all authorities, and all keys.
pub(super) struct Setting {
    pub bound: Bound,
    pub genesis: Arc<Genesis>,
    pub network: NetworkId,
    pub keys: Vec<SecretKey>,
    /// The honest authorities, in order.
    pub honest: Vec<u16>,
    /// A bit for each liar.
    pub liars: u8,
}

impl Setting {
    pub(super) fn new(bound: &Bound) -> Self {
        let keys: Vec<SecretKey> =
            (0..bound.authorities).map(|index| SecretKey::from_seed([index as u8 + 1; 32])).collect();
        let authorities = keys.iter().enumerate().map(|(index, key)| Authority {
            name: format!("a{index}"),
            key: key.public(),
            addresses: Vec::new(),
        });
        let genesis = Arc::new(Genesis {
            name: "explored".into(),
            time: BlockTime(1_000_000),
            authorities: authorities.collect(),
            access: Access::default(),
            // No leader counts as silent: the explorer may time out of a view early at any time.
            consensus: ConsensusParameters {
                silent_views: u32::MAX,
                gate_interval: if bound.ends { 1 } else { 1000 },
                ..ConsensusParameters::default()
            },
            ledger: LedgerLimits::default(),
            schedule: ScheduleParameters::default(),
        });
        Self {
            network: genesis.network_id(),
            honest: (0..bound.authorities).filter(|index| !bound.byzantine.contains(index)).collect(),
            liars: bound.byzantine.iter().fold(0, |liars, index| liars | 1 << index),
            bound: bound.clone(),
            genesis,
            keys,
        }
    }

    /// The next authorities, if the epoch ends: the same ones, which makes no difference to how it ends.
    pub(super) fn next(&self) -> Option<Arc<AuthoritySet>> {
        self.bound.ends.then(|| Arc::new(self.genesis.authority_set()))
    }

    pub(super) fn views(&self) -> View {
        View(self.bound.views)
    }

    pub(super) fn leader(&self, view: View) -> AuthorityIndex {
        AuthorityIndex((view.0 % u64::from(self.bound.authorities)) as u16)
    }

    pub(super) fn lies(&self, authority: AuthorityIndex) -> bool {
        self.liars & 1 << authority.0 != 0
    }

    pub(super) fn config(&self, authority: u16) -> Config {
        let key = self.keys.get(usize::from(authority)).cloned();
        let authorities = Arc::new(self.genesis.authority_set());
        Config { genesis: Arc::clone(&self.genesis), network: self.network, key, authorities }
    }

    /// Longer than any view lasts, in microseconds.
    pub(super) fn long_us(&self) -> u64 {
        let round = &self.genesis.consensus;
        (round.heartbeat_ms + round.timer_ms_max) * 1000
    }
}
