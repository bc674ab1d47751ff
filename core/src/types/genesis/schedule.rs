//! The scheduler's policies, by name. [`schedule`](crate::schedule) says what each does.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::identity::PublicKey;

/// The scheduler's policies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ScheduleParameters {
    /// The order of ready tasks. The first policy decides, the next where it finds two tasks equal, and finally
    /// the order of admission.
    pub order: Vec<OrderPolicy>,
    /// The placement of a task at a claim, likewise.
    pub placement: Vec<PlacementPolicy>,
    /// How long a wait makes up for one level of priority, in milliseconds.
    pub ageing_ms: u64,
    /// What a round of `fair` grants a submitter of weight 1, in milliseconds of one core. It is also how long
    /// a resumable attempt runs before it may be preempted for others that wait.
    pub slice_ms: u64,
    /// The weight of each submitter's share; 1 for submitters that are not listed.
    pub weights: BTreeMap<PublicKey, u32>,
}

impl ScheduleParameters {
    /// The most policies in one sequence.
    pub const ORDER_MAX: usize = 4;
    /// The most placement policies that score each claim.
    pub const SCORED_MAX: usize = 2;
    /// The most submitters with a weight of their own.
    pub const WEIGHTS_MAX: usize = 65_536;
    /// The largest weight.
    pub const WEIGHT_MAX: u32 = 1_000_000;

    pub(crate) fn check(&self) -> Result<(), String> {
        let rule = |holds: bool, what: &str| if holds { Ok(()) } else { Err(what.to_owned()) };
        let distinct = self.order.iter().enumerate().all(|(at, policy)| !self.order[..at].contains(policy));
        rule(distinct && self.order.len() <= Self::ORDER_MAX, "schedule.order names at most 4 policies, each once")?;
        let distinct = self.placement.iter().enumerate().all(|(at, policy)| !self.placement[..at].contains(policy));
        let scored = self.placement.iter().filter(|policy| **policy != PlacementPolicy::Locality).count();
        rule(
            distinct && (1..=Self::SCORED_MAX).contains(&scored),
            "schedule.placement names one or two policies besides locality, each once",
        )?;
        rule(
            scored == 1 || !self.placement.contains(&PlacementPolicy::Random),
            "schedule.placement takes no other policy with random, which finds no two claims equal",
        )?;
        let span = 1..=u64::from(u32::MAX);
        rule(span.contains(&self.ageing_ms), "schedule.ageing_ms must be 1 to 4294967295")?;
        rule(span.contains(&self.slice_ms), "schedule.slice_ms must be 1 to 4294967295")?;
        rule(
            self.weights.len() <= Self::WEIGHTS_MAX
                && self.weights.values().all(|weight| (1..=Self::WEIGHT_MAX).contains(weight)),
            "schedule.weights are 1 to 1000000, of at most 65536 keys",
        )
    }
}

impl Default for ScheduleParameters {
    fn default() -> Self {
        Self {
            order: vec![OrderPolicy::Priority],
            placement: vec![PlacementPolicy::Locality, PlacementPolicy::LeastLoaded],
            ageing_ms: 60_000,
            slice_ms: 10_000,
            weights: BTreeMap::new(),
        }
    }
}

/// Which ready task goes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OrderPolicy {
    /// In the order of admission.
    Fifo,
    /// The larger priority first, with ageing.
    Priority,
    /// The earliest deadline first.
    Deadline,
    /// The shortest expected duration first.
    Shortest,
    /// Time slices across submitters, by their weights.
    Fair,
}

/// Which claim a task goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlacementPolicy {
    /// The claim with the smallest load: work is spread.
    LeastLoaded,
    /// Each claim in turn.
    RoundRobin,
    /// A claim drawn at random.
    Random,
    /// The claim with the fewest free slots: work is packed.
    Pack,
    /// The claim of the worker whose track record shows the smallest share of faults.
    Trusted,
    /// A claim that holds the task's largest input, if that is large.
    Locality,
}
