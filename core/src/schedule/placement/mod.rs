//! Placement policies: which claim a task goes to.
//!
//! First come the preferences of the task's submitter and how it wants its tasks spread, then the network's
//! policies in their sequence. [`PlacementPolicy::Locality`] prefers claims that hold the task's largest input.
//! Every other policy gives each claim a number, and the smaller goes first. Among equal claims the one with
//! the smallest key is taken. [`choose`] puts these together.

pub mod choose;
mod least_loaded;
mod open;
mod pack;
mod random;
mod round_robin;
mod trusted;

pub use least_loaded::LeastLoaded;
pub use open::{OpenClaims, Opening};
pub use pack::Pack;
pub use random::Random;
pub use round_robin::RoundRobin;
pub use trusted::Trusted;

use crate::{
    fault::{Fault, is_planted},
    types::{PlacementPolicy, ScheduleParameters},
};

/// The facts about a claim that a policy sees.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    /// How busy the machine is by the claim's word: 0 idle to 1000 full.
    pub load: u16,
    /// How many attempts may run there at once; at least 1.
    pub slots: u32,
    /// How many attempts hold resources there now.
    pub running: u32,
    /// How many attempts held resources there when the claim was executed.
    pub running_at_claim: u32,
    /// How many attempts wait there for resources.
    pub waiting: u32,
    /// When it was last given a task, as a count of all tasks that the ledger has given; 0 for never.
    pub turn: u64,
    /// Its number among the standing claims: the smallest that was free when it began.
    pub seat: u32,
    /// The share of what it computed that went wrong, in thousandths, as its track record has it; 0 if
    /// no policy looks at that.
    pub faults_permille: u16,
}

/// The numbers that all policies of a sequence give a claim: smaller is better.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Score(pub [u64; Policies::SCORED_MAX]);

/// Which claim a task goes to, by a number for each claim.
pub trait Placement: Send + Sync {
    /// The claim's number now.
    fn score(&self, candidate: &Candidate) -> u64;

    /// Whether a claim may come forward by being given a task.
    fn draws_more(&self) -> bool {
        false
    }

    /// Whether the walk through the claims begins at a place that is drawn, and not at the best one.
    fn is_drawn(&self) -> bool {
        false
    }
}

/// A network's placement policies, in sequence.
#[derive(Clone)]
pub struct Policies {
    scored: Vec<&'static dyn Placement>,
    /// Whether claims that hold a task's largest input come first.
    pub is_local: bool,
    /// Whether a policy looks at workers' track records.
    pub look_at_tracks: bool,
}

impl Policies {
    /// The most policies of one sequence that score claims.
    pub const SCORED_MAX: usize = ScheduleParameters::SCORED_MAX;

    /// The sequence that the schedule names.
    #[must_use]
    pub fn new(policies: &[PlacementPolicy]) -> Self {
        let scored = policies.iter().filter_map(|policy| -> Option<&'static dyn Placement> {
            match policy {
                PlacementPolicy::LeastLoaded => Some(&LeastLoaded),
                PlacementPolicy::RoundRobin => Some(&RoundRobin),
                PlacementPolicy::Random => Some(&Random),
                PlacementPolicy::Pack => Some(&Pack),
                PlacementPolicy::Trusted => Some(&Trusted),
                PlacementPolicy::Locality => None,
            }
        });
        Self {
            scored: scored.take(Self::SCORED_MAX).collect(),
            is_local: policies.contains(&PlacementPolicy::Locality),
            look_at_tracks: policies.contains(&PlacementPolicy::Trusted),
        }
    }

    /// The claim's score now.
    #[must_use]
    pub fn score(&self, candidate: &Candidate) -> Score {
        let mut score = Score::default();
        if is_planted(Fault::ScoresIgnored) {
            return score;
        }
        for (policy, number) in self.scored.iter().zip(&mut score.0) {
            *number = policy.score(candidate);
        }
        score
    }

    /// Whether a claim may come forward by being given a task.
    #[must_use]
    pub fn draw_more(&self) -> bool {
        self.scored.iter().any(|policy| policy.draws_more())
    }

    /// Whether the walk through the claims begins at a place that is drawn.
    #[must_use]
    pub fn are_drawn(&self) -> bool {
        self.scored.first().is_some_and(|policy| policy.is_drawn())
    }
}
