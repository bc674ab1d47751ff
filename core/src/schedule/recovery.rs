//! What happens to a task whose attempt ended without an outcome: two budgets, a growing wait, and workers to
//! avoid.

use serde_tuple::{Deserialize_tuple, Serialize_tuple};

use crate::{identity::PublicKey, types::Retry};

/// The longest wait after a failure, in milliseconds: one day. Doubling ends here.
pub const BACK_OFF_MS_MAX: u64 = 24 * 3_600_000;

/// What happens next to a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It is ready again at once.
    Ready,
    /// It is ready again after this many milliseconds of block time.
    BackOff {
        /// The wait, in milliseconds.
        wait_ms: u64,
    },
    /// No budget is left: it has failed.
    Fail,
}

/// What happens after a setback of this rule, for the `times`-th time (from 1). `drawn` gives the jitter.
#[must_use]
pub fn after_setback(retry: &Retry, times: u32, drawn: u64) -> Next {
    if times > retry.retries {
        return Next::Fail;
    }
    let doublings = times.saturating_sub(1).min(63);
    let wait_ms = retry.delay_ms.saturating_mul(1 << doublings).min(BACK_OFF_MS_MAX);
    let jitter_ms_max = wait_ms.saturating_mul(u64::from(retry.jitter_permille)) / 1000;
    let wait_ms = wait_ms + drawn % (jitter_ms_max + 1);
    if wait_ms == 0 { Next::Ready } else { Next::BackOff { wait_ms } }
}

/// What happens after an attempt that had taken resources was lost or drained, for the `losses`-th time (from
/// 1).
#[must_use]
pub const fn after_loss(losses_max: u32, losses: u32) -> Next {
    if losses > losses_max { Next::Fail } else { Next::Ready }
}

/// How many failures of a task that workers on trial have seen count for nothing.
pub const TRIAL_FAILURES_FREE: u32 = 3;
/// The wait after the first of them, in milliseconds. Each further one doubles it.
const TRIAL_FAILURE_MS: u64 = 1_000;

/// What happens after a failure that a worker on trial has seen, if so many failures of the task were seen by such
/// workers (from 1). A new worker may say anything, and several seconds are enough for honest ones to end their trials.
/// `None`: it counts like any other failure.
#[must_use]
pub fn after_failure_on_trial(seen: u32) -> Option<Next> {
    (seen <= TRIAL_FAILURES_FREE).then(|| Next::BackOff { wait_ms: TRIAL_FAILURE_MS << seen.saturating_sub(1) })
}

/// The wait after the second return, in milliseconds. Each further return doubles it.
const RETURN_MS: u64 = 50;
/// The longest wait after a return, in milliseconds.
const RETURN_MS_MAX: u64 = 60_000;

/// What happens after a worker returned a task, for the `returns`-th time (from 1). A return spends no budget,
/// but a task that no worker can begin must not go round at full speed.
#[must_use]
pub fn after_return(returns: u32) -> Next {
    match returns.checked_sub(2) {
        None => Next::Ready,
        Some(doublings) => {
            Next::BackOff { wait_ms: RETURN_MS.saturating_mul(1 << doublings.min(32)).min(RETURN_MS_MAX) }
        }
    }
}

/// A worker, and who operates it as far as its claim says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize_tuple, Deserialize_tuple)]
pub struct Party {
    /// The worker.
    pub worker: PublicKey,
    /// The value of its claim's label [`Redundancy::OPERATOR`](crate::types::Redundancy::OPERATOR).
    pub operator: Option<String>,
}

impl Party {
    /// Whether another worker is this one, or has the same operator.
    #[must_use]
    pub fn is_with(&self, worker: &PublicKey, operator: Option<&str>) -> bool {
        self.worker == *worker || self.operator.is_some() && self.operator.as_deref() == operator
    }
}

/// The workers that a task avoids: those that lost or returned it, each with how often, as long as there are others; and
/// those that have a part in its answer, always.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Avoidance {
    setbacks: Vec<(PublicKey, u32)>,
    /// In order, each once.
    parties: Vec<Party>,
}

impl Avoidance {
    /// The avoidance that follows from the ends of a task's attempts, given the worker of each.
    pub fn of(ends: impl Iterator<Item = PublicKey>) -> Self {
        let mut workers: Vec<(PublicKey, u32)> = Vec::new();
        for worker in ends {
            let at = workers.binary_search_by_key(&worker, |entry| entry.0).unwrap_or_else(|at| {
                workers.insert(at, (worker, 0));
                at
            });
            workers[at].1 += 1;
        }
        Self { setbacks: workers, parties: Vec::new() }
    }

    /// The same, and these never.
    #[must_use]
    pub fn and_never(self, parties: impl Iterator<Item = Party>) -> Self {
        let mut parties: Vec<Party> = parties.collect();
        parties.sort_unstable();
        parties.dedup();
        Self { parties, ..self }
    }

    /// Whether there is no worker to avoid.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.setbacks.is_empty() && self.parties.is_empty()
    }

    /// Whether anybody has a part in the task's answer.
    #[must_use]
    pub const fn has_parties(&self) -> bool {
        !self.parties.is_empty()
    }

    fn losses(&self, worker: &PublicKey) -> Option<u32> {
        self.setbacks.binary_search_by_key(worker, |entry| entry.0).ok().map(|at| self.setbacks[at].1)
    }

    /// Whether a worker has a part in the task's answer, or its operator has.
    #[must_use]
    pub fn is_party<'a>(&self, worker: &PublicKey, operator: impl FnOnce() -> Option<&'a str>) -> bool {
        if self.parties.is_empty() {
            return false;
        }
        let operator = operator();
        self.parties.iter().any(|party| party.is_with(worker, operator))
    }

    /// Where the task may go among those that have no part in its answer, given the workers of these whose standing
    /// claims could ever hold it. Each comes with whether it is on trial. If one of them is not, the task goes to no
    /// worker on trial: another setback there would say nothing of the task.
    pub fn among<'a>(&self, capable: impl Iterator<Item = (&'a PublicKey, bool)>) -> Allowed {
        if self.setbacks.is_empty() {
            return Allowed::ANYONE;
        }
        // By whether they are on trial: the fewest losses at one worker.
        let mut least: [Option<u32>; 2] = [None; 2];
        for (worker, on_trial) in capable {
            let (least, losses) = (&mut least[usize::from(on_trial)], self.losses(worker).unwrap_or(0));
            *least = Some(least.map_or(losses, |least| least.min(losses)));
        }
        let [tested, tried] = least;
        let whom = match tested.or(tried) {
            Some(0) => Whom::Newcomers,
            least => Whom::LostAtMost(least.unwrap_or(0)),
        };
        Allowed { whom, but_on_trial: tested.is_some() }
    }

    /// Whether the task may go to this worker, if it has no part in the answer.
    #[must_use]
    pub fn permits(&self, allowed: Allowed, worker: &PublicKey, on_trial: bool) -> bool {
        let has_so_few = match allowed.whom {
            Whom::Anyone => true,
            Whom::Newcomers => self.losses(worker).is_none(),
            Whom::LostAtMost(least) => self.losses(worker).is_none_or(|losses| losses <= least),
        };
        has_so_few && !(on_trial && allowed.but_on_trial)
    }
}

/// Where a task may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowed {
    whom: Whom,
    /// Whether workers on trial are left out.
    but_on_trial: bool,
}

impl Allowed {
    /// To any claim that has what it needs.
    pub const ANYONE: Self = Self { whom: Whom::Anyone, but_on_trial: false };
    /// Only to workers that neither lost nor returned it, and are not on trial.
    pub const NEWCOMERS: Self = Self { whom: Whom::Newcomers, but_on_trial: true };
}

/// To which workers a task may go, by what became of it there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whom {
    /// To any claim that has what it needs.
    Anyone,
    /// Only to workers that neither lost nor returned it: at least one of them claims and could hold it, now or
    /// later.
    Newcomers,
    /// Every worker that could hold it has lost or returned it: only to those that did so at most this often,
    /// which is the least.
    LostAtMost(u32),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_with_each_failure_until_none_is_forgiven() {
        let retry = Retry::of(3, 10);
        let next: Vec<Next> = (1..=4).map(|failures| after_setback(&retry, failures, 7)).collect();
        let wait = |wait_ms| Next::BackOff { wait_ms };
        assert_eq!(next, [wait(10), wait(20), wait(40), Next::Fail]);
        assert_eq!(after_setback(&Retry::of(1, 0), 1, 7), Next::Ready);
        let many = Retry::of(u32::MAX, u64::MAX);
        assert_eq!(after_setback(&many, 1_000_000, 7), wait(BACK_OFF_MS_MAX));
    }

    #[test]
    fn jitter_adds_up_to_its_share_of_the_wait() {
        let retry = Retry { jitter_permille: 500, ..Retry::of(9, 1000) };
        let waits = |times| (0..5000).map(move |drawn| after_setback(&retry, times, drawn));
        let span = |times, from, to| {
            let all: Vec<Next> = waits(times).collect();
            let wait = |wait_ms| Next::BackOff { wait_ms };
            assert!(all.contains(&wait(from)) && all.contains(&wait(to)));
            assert!(!all.contains(&wait(from - 1)) && !all.contains(&wait(to + 1)));
        };
        span(1, 1000, 1500);
        span(2, 2000, 3000);
    }

    #[test]
    fn losses_have_a_bound_of_their_own() {
        assert_eq!(after_loss(2, 2), Next::Ready);
        assert_eq!(after_loss(2, 3), Next::Fail);
    }

    #[test]
    fn what_is_returned_again_and_again_waits_ever_longer() {
        let wait = |wait_ms| Next::BackOff { wait_ms };
        assert_eq!([1, 2, 3, 4].map(after_return), [Next::Ready, wait(50), wait(100), wait(200)]);
        assert_eq!(after_return(u32::MAX), wait(RETURN_MS_MAX));
    }

    #[test]
    fn a_task_goes_where_it_was_not_lost_else_where_it_was_lost_least() {
        let [a, b, c] = [1, 2, 3].map(|byte| PublicKey([byte; 32]));
        let avoidance = Avoidance::of([b, a, b, c].into_iter());
        let permitted = |capable: &[PublicKey]| {
            let allowed = avoidance.among(capable.iter().map(|worker| (worker, false)));
            [a, b, c].map(|worker| avoidance.permits(allowed, &worker, false))
        };
        let other = PublicKey([9; 32]);
        assert_eq!(permitted(&[a, b, c, other]), [false, false, false]);
        assert_eq!(permitted(&[a, b, c]), [true, false, true]);
        assert_eq!(permitted(&[b]), [true, true, true]);
        assert_eq!(Avoidance::default().among([(&a, false)].into_iter()), Allowed::ANYONE);
    }

    #[test]
    fn what_had_a_setback_goes_to_no_worker_on_trial_if_another_could_hold_it() {
        let [a, b, c] = [1, 2, 3].map(|byte| PublicKey([byte; 32]));
        let avoidance = Avoidance::of([a].into_iter());
        let permitted = |capable: &[(PublicKey, bool)]| {
            let allowed = avoidance.among(capable.iter().map(|(worker, on_trial)| (worker, *on_trial)));
            capable.iter().map(|(worker, on_trial)| avoidance.permits(allowed, worker, *on_trial)).collect::<Vec<_>>()
        };
        assert_eq!(permitted(&[(a, true), (b, true), (c, false)]), [false, false, true]);
        assert_eq!(permitted(&[(a, false), (b, true), (c, true)]), [true, false, false], "even where it was lost");
        assert_eq!(permitted(&[(a, true), (b, true), (c, true)]), [false, true, true]);
        assert_eq!(permitted(&[(a, true)]), [true]);
    }

    #[test]
    fn the_first_failures_that_workers_on_trial_have_seen_count_for_nothing() {
        let wait = |wait_ms| Some(Next::BackOff { wait_ms });
        assert_eq!([1, 2, 3, 4].map(after_failure_on_trial), [wait(1000), wait(2000), wait(4000), None]);
    }
}
