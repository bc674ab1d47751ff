//! What is explored, and within which bound.

use std::sync::Arc;

use meshwork_core::{
    consensus::Config,
    identity::{NetworkId, SecretKey},
    types::{
        Access, Authority, AuthorityIndex, AuthoritySet, BlockTime, ConsensusParameters, Genesis, LedgerLimits,
        ScheduleParameters, View,
    },
};

/// The wall clock of every authority, which stands still: block times then hang on heights alone.
pub const CLOCK: BlockTime = BlockTime(100_000_000);

/// How large the steps are in which authorities take turns. A coarser grain leaves out only orders that make no difference
/// to what is promised; see [`super`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grain {
    /// Every vote and every block is delivered by itself, and is a step.
    Vote,
    /// A vote comes with the others that make its certificate, a block once it makes a difference; each is a step.
    Certificate,
    /// What an authority hears, it hears just before it next promises something; each promise is a step.
    Promise,
}

/// What is explored.
#[derive(Clone, Debug)]
pub struct Bound {
    /// How many authorities there are.
    pub authorities: u16,
    /// Which of them lie.
    pub byzantine: Vec<u16>,
    /// What is said of views above this is lost.
    pub views: u64,
    /// How often honest authorities crash, all together.
    pub crashes: u8,
    /// The most steps in a row.
    pub depth_max: u32,
    /// The most states.
    pub states_max: usize,
    /// How large a step is.
    pub grain: Grain,
    /// Of so many states, one is asked whether the network could go on from it. 0: none.
    pub progress_every: usize,
    /// Look for nothing but two final chains, whatever else is broken.
    pub agreement_only: bool,
    /// The first block is its epoch's last, and closing blocks stand on it.
    pub ends: bool,
    /// Off, a crash forgets one's own votes: a fault of the disk, to show that it would be noticed.
    pub votes_durable: bool,
}

impl Bound {
    /// Four authorities of which one lies, over so many views.
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

/// What all authorities have in common, and the keys of all.
pub(super) struct Setting {
    pub bound: Bound,
    pub genesis: Arc<Genesis>,
    pub network: NetworkId,
    pub keys: Vec<SecretKey>,
    /// The honest ones, in order.
    pub honest: Vec<u16>,
    /// A bit for each liar.
    pub liars: u8,
}

impl Setting {
    pub fn new(bound: &Bound) -> Self {
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
            // Nobody counts as silent: giving up a view early is the explorer's choice at any time.
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

    /// Who comes next, if the epoch ends: the same, which makes no difference to how it does.
    pub fn next(&self) -> Option<Arc<AuthoritySet>> {
        self.bound.ends.then(|| Arc::new(self.genesis.authority_set()))
    }

    pub fn views(&self) -> View {
        View(self.bound.views)
    }

    pub fn leader(&self, view: View) -> AuthorityIndex {
        AuthorityIndex((view.0 % u64::from(self.bound.authorities)) as u16)
    }

    pub fn lies(&self, authority: AuthorityIndex) -> bool {
        self.liars & 1 << authority.0 != 0
    }

    pub fn config(&self, authority: u16) -> Config {
        let key = self.keys.get(usize::from(authority)).cloned();
        let authorities = Arc::new(self.genesis.authority_set());
        Config { genesis: Arc::clone(&self.genesis), network: self.network, key, authorities }
    }

    /// Longer than any view lasts, in microseconds.
    pub fn long_us(&self) -> u64 {
        let round = &self.genesis.consensus;
        (round.heartbeat_ms + round.timer_ms_max) * 1000
    }
}
