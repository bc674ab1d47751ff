//! What happens to a task whose attempt ended without an outcome: two budgets, a growing wait, and workers to
//! avoid.

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

/// The workers that lost or returned a task, each with how often.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Avoidance(Vec<(PublicKey, u32)>);

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
        Self(workers)
    }

    /// Whether there is no worker to avoid.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn losses(&self, worker: &PublicKey) -> Option<u32> {
        self.0.binary_search_by_key(worker, |entry| entry.0).ok().map(|at| self.0[at].1)
    }

    /// Where the task may go, given the workers whose standing claims could ever hold it.
    pub fn among<'a>(&self, capable: impl Iterator<Item = &'a PublicKey>) -> Allowed {
        if self.is_empty() {
            return Allowed::Anyone;
        }
        let mut least = None;
        for worker in capable {
            match self.losses(worker) {
                None => return Allowed::Newcomers,
                Some(losses) => least = Some(least.map_or(losses, |least: u32| least.min(losses))),
            }
        }
        Allowed::LostAtMost(least.unwrap_or(0))
    }

    /// Whether the task may go to this worker.
    #[must_use]
    pub fn permits(&self, allowed: Allowed, worker: &PublicKey) -> bool {
        match allowed {
            Allowed::Anyone => true,
            Allowed::Newcomers => self.losses(worker).is_none(),
            Allowed::LostAtMost(least) => self.losses(worker).is_none_or(|losses| losses <= least),
        }
    }
}

/// Where a task may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowed {
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
            let allowed = avoidance.among(capable.iter());
            [a, b, c].map(|worker| avoidance.permits(allowed, &worker))
        };
        let other = PublicKey([9; 32]);
        assert_eq!(permitted(&[a, b, c, other]), [false, false, false]);
        assert_eq!(permitted(&[a, b, c]), [true, false, true]);
        assert_eq!(permitted(&[b]), [true, true, true]);
        assert_eq!(Avoidance::default().among([a].iter()), Allowed::Anyone);
    }
}
