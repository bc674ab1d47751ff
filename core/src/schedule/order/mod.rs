//! Order policies: which ready task goes next.
//!
//! A network names a sequence of policies. The first decides; where it finds two tasks equal, the next does.
//! The order of admission comes last, with the tasks that came together by index. Each policy gives a task one number,
//! and the smaller goes first. [`Fair`]'s number depends on what the submitter has had so far; all others give
//! theirs once, at admission.

mod deadline;
mod fair;
mod fifo;
mod priority;
mod shortest;

pub use deadline::Deadline;
pub use fair::{Fair, SHARES_KEPT, Share, Shares};
pub use fifo::Fifo;
pub use priority::Priority;
pub use shortest::Shortest;

use crate::{
    fault::{Fault, is_planted},
    identity::PublicKey,
    types::{BlockTime, OrderPolicy, ScheduleParameters},
};

/// The facts about a task that the policies look at.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// The place of the task's array in the order of admission. Arrays that are added to a job later, or spawned, have
    /// later ones.
    pub number: u64,
    /// When the array was admitted.
    pub admitted: BlockTime,
    /// A larger number goes first, where a policy looks at it.
    pub priority: i16,
    /// When the task should have ended, if it has a deadline.
    pub deadline: Option<BlockTime>,
    /// How long an attempt is expected to run, in milliseconds.
    pub expected_ms: u64,
}

/// The number that one policy gives a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderKey {
    /// This number, for good.
    Fixed(u64),
    /// The round of its submitter's turn: see [`Shares::turn`].
    Share,
}

/// Which ready task goes next.
pub trait Order: Send + Sync {
    /// The number that this policy gives a task.
    fn order_key(&self, facts: &Facts) -> OrderKey;
}

/// The numbers that all policies of a sequence give a task. The number by its submitter's share changes; a
/// settled rank has 0 in its place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank(pub [u64; ScheduleParameters::ORDER_MAX]);

/// A network's order policies, in sequence.
pub struct Sequence {
    policies: Vec<Box<dyn Order>>,
    fair: Option<usize>,
}

impl Sequence {
    /// The sequence that the parameters name.
    #[must_use]
    pub fn new(parameters: &ScheduleParameters) -> Self {
        let policies = parameters.order.iter().map(|policy| -> Box<dyn Order> {
            match policy {
                OrderPolicy::Fifo => Box::new(Fifo),
                OrderPolicy::Priority => Box::new(Priority { ageing_ms: parameters.ageing_ms }),
                OrderPolicy::Deadline => Box::new(Deadline),
                OrderPolicy::Shortest => Box::new(Shortest),
                OrderPolicy::Fair => Box::new(Fair),
            }
        });
        Self {
            policies: policies.take(ScheduleParameters::ORDER_MAX).collect(),
            fair: parameters.order.iter().position(|policy| *policy == OrderPolicy::Fair),
        }
    }

    /// Whether submitters' shares count.
    #[must_use]
    pub const fn is_fair(&self) -> bool {
        self.fair.is_some()
    }

    /// The settled part of a task's rank.
    #[must_use]
    pub fn rank(&self, facts: &Facts) -> Rank {
        let mut rank = Rank::default();
        for (policy, part) in self.policies.iter().zip(&mut rank.0) {
            if let OrderKey::Fixed(key) = policy.order_key(facts) {
                *part = key;
            }
        }
        rank
    }

    /// The whole rank, with the turn of its submitter.
    #[must_use]
    pub fn at_turn(&self, mut rank: Rank, submitter: &PublicKey, shares: &Shares) -> Rank {
        if let Some(part) = self.fair.and_then(|at| rank.0.get_mut(at))
            && !is_planted(Fault::SharesIgnored)
        {
            *part = shares.turn(submitter);
        }
        rank
    }
}
