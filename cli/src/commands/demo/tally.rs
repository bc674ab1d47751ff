//! Counts what one peer's events say about a job.

use std::time::{Duration, Instant};

use meshwork_api::{EventView, TaskState, TaskView};
use meshwork_core::{identity::PublicKey, types::JobId};

/// The counts.
#[derive(Debug)]
pub(super) struct Tally {
    job: JobId,
    tasks: Vec<Seen>,
    submitted: Option<Instant>,
    /// Time from a block's own time until it is final, for each block with transactions, in milliseconds.
    pub finality_ms: Vec<f64>,
    /// The newest final height.
    pub height: u64,
    /// Events that were lost on the way here. If there are any, [`Tally::ended_twice`] says nothing.
    pub missed: u64,
}

/// What the events said about one task.
#[derive(Clone, Debug, Default)]
struct Seen {
    state: Option<TaskState>,
    worker: Option<PublicKey>,
    attempt: u32,
    /// How many outcomes were accepted. One is right.
    outcomes: u32,
    /// When the current attempt was given to its worker.
    leased: Option<Instant>,
    /// How long the accepted attempt was leased.
    took: Option<Duration>,
    ended_after: Option<Duration>,
}

/// How many tasks are in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// No worker holds them.
    pub ready: usize,
    /// A worker holds them.
    pub leased: usize,
    /// They have an outcome.
    pub ended: usize,
}

/// A lease: a task and the number of its attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Lease {
    /// The task's index in the job.
    pub index: u32,
    /// Which attempt.
    pub attempt: u32,
    /// Whether the attempt has resources, rather than a waiting place.
    pub running: bool,
}

impl Tally {
    /// Counts for a job of `tasks` tasks, before any event.
    pub(super) fn new(job: JobId, tasks: usize) -> Self {
        let tasks = vec![Seen::default(); tasks];
        Self { job, tasks, submitted: None, finality_ms: Vec::new(), height: 0, missed: 0 }
    }

    /// Notes that the job is being submitted now.
    pub(super) fn submit(&mut self, now: Instant) {
        self.submitted = Some(now);
    }

    /// Counts an event that arrived now.
    pub(super) fn take(&mut self, now: Instant, event: &EventView) {
        match event {
            EventView::Block { height, transactions, finality_ms, .. } => {
                self.height = self.height.max(height.0);
                if *transactions > 0 {
                    self.finality_ms.push(*finality_ms);
                }
            }
            EventView::Task { job, index, attempt, state, worker, .. } if *job == self.job => {
                let after = self.submitted.map(|submitted| now - submitted);
                let Some(seen) = self.tasks.get_mut(*index as usize) else { return };
                if matches!(state, TaskState::Running | TaskState::Waiting)
                    && (seen.leased.is_none() || seen.attempt != *attempt)
                {
                    seen.leased = Some(now);
                }
                seen.state = Some(*state);
                seen.worker = Some(*worker);
                seen.attempt = *attempt;
                if is_end(*state) {
                    seen.outcomes += 1;
                    seen.took = seen.leased.map(|leased| now - leased);
                    seen.ended_after = seen.ended_after.or(after);
                }
            }
            EventView::Missed { events } => self.missed += events,
            _ => {}
        }
    }

    /// Corrects the counts with tasks' present states, after events were missed.
    pub(super) fn correct(&mut self, now: Instant, views: &[TaskView]) {
        for view in views {
            let Some(seen) = self.tasks.get_mut(view.index as usize) else { continue };
            seen.state = Some(view.state);
            seen.worker = view.worker;
            seen.attempt = view.attempts.last().map_or(0, |attempt| attempt.number);
            if is_end(view.state) && seen.ended_after.is_none() {
                seen.ended_after = self.submitted.map(|submitted| now - submitted);
            }
        }
    }

    /// How many tasks are in which state.
    pub(super) fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for seen in &self.tasks {
            match seen.state {
                Some(state) if is_end(state) => counts.ended += 1,
                Some(TaskState::Running | TaskState::Waiting) => counts.leased += 1,
                _ => counts.ready += 1,
            }
        }
        counts
    }

    /// The leases that a worker holds.
    pub(super) fn held_by(&self, worker: PublicKey) -> Vec<Lease> {
        let held = |(index, seen): (usize, &Seen)| match seen.state {
            Some(state @ (TaskState::Running | TaskState::Waiting)) if seen.worker == Some(worker) => {
                Some(Lease { index: index as u32, attempt: seen.attempt, running: state == TaskState::Running })
            }
            _ => None,
        };
        self.tasks.iter().enumerate().filter_map(held).collect()
    }

    /// How long ago a worker got its newest lease.
    pub(super) fn freshest(&self, worker: PublicKey, now: Instant) -> Option<Duration> {
        let held = |seen: &&Seen| {
            seen.worker == Some(worker) && matches!(seen.state, Some(TaskState::Running | TaskState::Waiting))
        };
        self.tasks.iter().filter(held).filter_map(|seen| Some(now - seen.leased?)).min()
    }

    /// The median time from a lease to its accepted outcome.
    pub(super) fn usual(&self) -> Option<Duration> {
        let mut took: Vec<Duration> = self.tasks.iter().filter_map(|seen| seen.took).collect();
        took.sort_unstable();
        took.get(took.len() / 2).copied()
    }

    /// Whether a lease is over.
    pub(super) fn is_over(&self, lease: &Lease) -> bool {
        self.tasks.get(lease.index as usize).is_none_or(|seen| {
            seen.attempt > lease.attempt || !matches!(seen.state, Some(TaskState::Running | TaskState::Waiting))
        })
    }

    /// How many tasks a worker has ended.
    pub(super) fn ended_by(&self, worker: PublicKey) -> usize {
        self.tasks.iter().filter(|seen| seen.worker == Some(worker) && seen.state.is_some_and(is_end)).count()
    }

    /// The tasks with more than one outcome.
    pub(super) fn ended_twice(&self) -> impl Iterator<Item = u32> + '_ {
        self.tasks.iter().enumerate().filter(|(_, seen)| seen.outcomes > 1).map(|(index, _)| index as u32)
    }

    /// The time from the submission until this observer knew each task's outcome.
    pub(super) fn latencies(&self) -> impl Iterator<Item = Duration> + '_ {
        self.tasks.iter().filter_map(|seen| seen.ended_after)
    }
}

const fn is_end(state: TaskState) -> bool {
    matches!(
        state,
        TaskState::Succeeded
            | TaskState::Failed
            | TaskState::Cancelled
            | TaskState::Skipped
            | TaskState::Expired
            | TaskState::Barred
            | TaskState::EndedHosts
    )
}

#[cfg(test)]
mod tests {
    use meshwork_core::{digest::Digest, types::Height};

    use super::*;

    const JOB: JobId = JobId(Digest([1; 32]));
    const ANNA: PublicKey = PublicKey([1; 32]);
    const BERT: PublicKey = PublicKey([2; 32]);

    fn event(index: u32, attempt: u32, state: TaskState, worker: PublicKey) -> EventView {
        EventView::Task { job: JOB, index, attempt, state, worker, why: None }
    }

    fn tally(events: &[EventView]) -> Tally {
        let mut tally = Tally::new(JOB, 3);
        let now = Instant::now();
        tally.submit(now);
        for event in events {
            tally.take(now + Duration::from_millis(5), event);
        }
        tally
    }

    #[test]
    fn leases_are_held_until_they_come_back_or_end() {
        let held = [event(0, 0, TaskState::Waiting, ANNA), event(1, 0, TaskState::Running, ANNA)];
        let mut tally = tally(&held);
        assert_eq!(tally.counts(), Counts { ready: 1, leased: 2, ended: 0 });
        let leases = tally.held_by(ANNA);
        assert_eq!(
            leases.iter().map(|lease| (lease.index, lease.running)).collect::<Vec<_>>(),
            [(0, false), (1, true)]
        );
        assert!(leases.iter().all(|lease| !tally.is_over(lease)));
        tally.take(Instant::now(), &event(0, 0, TaskState::Ready, ANNA));
        tally.take(Instant::now(), &event(1, 1, TaskState::Running, BERT));
        assert!(leases.iter().all(|lease| tally.is_over(lease)));
        assert!(tally.held_by(ANNA).is_empty());
        assert_eq!(tally.held_by(BERT).len(), 1);
    }

    #[test]
    fn a_lease_is_fresh_from_the_moment_it_is_given() {
        let mut tally = Tally::new(JOB, 3);
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        tally.take(at(0), &event(0, 0, TaskState::Waiting, ANNA));
        tally.take(at(10), &event(0, 0, TaskState::Running, ANNA));
        assert_eq!(tally.freshest(ANNA, at(15)), Some(Duration::from_millis(15)));
        assert_eq!((tally.freshest(BERT, at(15)), tally.usual()), (None, None));
        tally.take(at(20), &event(0, 1, TaskState::Running, BERT));
        assert_eq!(tally.freshest(BERT, at(21)), Some(Duration::from_millis(1)));
        tally.take(at(30), &event(0, 1, TaskState::Succeeded, BERT));
        assert_eq!((tally.freshest(BERT, at(31)), tally.usual()), (None, Some(Duration::from_millis(10))));
    }

    #[test]
    fn a_second_outcome_is_noticed() {
        let once = event(2, 0, TaskState::Succeeded, ANNA);
        assert_eq!(tally(std::slice::from_ref(&once)).ended_twice().count(), 0);
        let twice = tally(&[once.clone(), event(2, 1, TaskState::Succeeded, BERT)]);
        assert_eq!(twice.ended_twice().collect::<Vec<_>>(), [2]);
        assert_eq!(twice.counts().ended, 1);
        assert_eq!(twice.latencies().collect::<Vec<_>>(), [Duration::from_millis(5)]);
    }

    #[test]
    fn only_blocks_with_transactions_count_for_finality() {
        let block = |height, transactions| EventView::Block {
            height: Height(height),
            time_us: 1,
            transactions,
            finality_ms: 2.0,
        };
        let tally = tally(&[block(1, 0), block(3, 2), block(2, 1)]);
        assert_eq!((tally.height, tally.finality_ms.len()), (3, 2));
    }
}
