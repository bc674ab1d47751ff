//! Deadlines: what happens by the passage of time alone.

use std::collections::BTreeSet;

use crate::{
    fault::{Fault, is_planted},
    identity::PublicKey,
    ledger::records::{
        jobs::{AttemptRef, TaskRef},
        lease_time::LeaseTime,
    },
    schedule::ready::JobNumber,
    types::BlockTime,
};

/// Deadlines, each with what it is for. Other modules may take out what is due; only the index adds entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::ledger) struct Deadlines {
    pub(super) claims: BTreeSet<(LeaseTime, PublicKey)>,
    /// When attempts run out, or are checked for being slow.
    pub(super) attempts: BTreeSet<(LeaseTime, AttemptRef)>,
    /// Tasks of which it is to be drawn in the next block whether their answers are compared.
    pub(super) draws: BTreeSet<TaskRef>,
    pub(super) back_offs: BTreeSet<(BlockTime, TaskRef)>,
    /// When slices end.
    pub(super) slices: BTreeSet<(LeaseTime, TaskRef)>,
    /// When preemption requests lapse, so that their submitters may have another attempt preempted.
    pub(super) preemptions: BTreeSet<(LeaseTime, TaskRef)>,
    /// When a job changes by time alone.
    pub(super) jobs: BTreeSet<(BlockTime, JobNumber)>,
    /// When ended jobs are dropped.
    pub(super) retention: BTreeSet<(BlockTime, JobNumber)>,
    /// When workers without a claim may be forgotten.
    pub(super) workers: BTreeSet<(BlockTime, PublicKey)>,
}

/// Takes out of a set what is due at `now`.
fn take_due<T: Copy + Ord, D: Copy + Ord>(set: &mut BTreeSet<(T, D)>, now: T) -> Vec<D> {
    let mut due = Vec::new();
    while let Some((at, what)) = set.first().copied()
        && at <= now
        && !(at == now && is_planted(Fault::ExpiryOffByOne))
    {
        set.pop_first();
        due.push(what);
    }
    due
}

impl Deadlines {
    pub(super) const fn empty() -> Self {
        Self {
            claims: BTreeSet::new(),
            attempts: BTreeSet::new(),
            draws: BTreeSet::new(),
            back_offs: BTreeSet::new(),
            slices: BTreeSet::new(),
            preemptions: BTreeSet::new(),
            jobs: BTreeSet::new(),
            retention: BTreeSet::new(),
            workers: BTreeSet::new(),
        }
    }

    /// Workers whose claims run out.
    pub(in crate::ledger) fn take_claims(&mut self, now: LeaseTime) -> Vec<PublicKey> {
        take_due(&mut self.claims, now)
    }

    /// Attempts that run out, or are to be checked for being slow.
    pub(in crate::ledger) fn take_attempts(&mut self, now: LeaseTime) -> Vec<AttemptRef> {
        take_due(&mut self.attempts, now)
    }

    /// Attempts whose slice is over.
    pub(in crate::ledger) fn take_slices(&mut self, now: LeaseTime) -> Vec<TaskRef> {
        take_due(&mut self.slices, now)
    }

    /// Attempts that were asked to stop and have not done so in time.
    pub(in crate::ledger) fn take_asked(&mut self, now: LeaseTime) -> Vec<TaskRef> {
        take_due(&mut self.preemptions, now)
    }

    /// Jobs that change by time alone.
    pub(in crate::ledger) fn take_jobs(&mut self, now: BlockTime) -> Vec<JobNumber> {
        take_due(&mut self.jobs, now)
    }

    /// Ended jobs to drop.
    pub(in crate::ledger) fn take_retention(&mut self, now: BlockTime) -> Vec<JobNumber> {
        take_due(&mut self.retention, now)
    }

    /// Workers to forget.
    pub(in crate::ledger) fn take_workers(&mut self, now: BlockTime) -> Vec<PublicKey> {
        take_due(&mut self.workers, now)
    }

    /// The first task of which it is to be drawn whether its answers are compared. It stays in the set until it is
    /// attached elsewhere.
    pub(in crate::ledger) fn first_draw(&self) -> Option<TaskRef> {
        self.draws.first().copied()
    }

    /// The first task whose back-off is over at `now`. It stays in the set until it is attached elsewhere.
    pub(in crate::ledger) fn back_off_over(&self, now: BlockTime) -> Option<TaskRef> {
        self.back_offs.first().filter(|(until, _)| *until <= now).map(|(_, task)| *task)
    }

    /// When attempts run out or are checked for being slow, earliest first.
    pub(in crate::ledger) fn attempts(&self) -> impl Iterator<Item = (LeaseTime, AttemptRef)> {
        self.attempts.iter().copied()
    }

    /// When slices end, earliest first.
    pub(in crate::ledger) fn slices(&self) -> impl Iterator<Item = (LeaseTime, TaskRef)> {
        self.slices.iter().copied()
    }

    /// When preemption requests lapse, earliest first.
    pub(in crate::ledger) fn preemptions(&self) -> impl Iterator<Item = (LeaseTime, TaskRef)> {
        self.preemptions.iter().copied()
    }

    /// The first deadline by lease time: a claim or an attempt runs out, an attempt is checked for being slow, or, if
    /// slices matter, a slice ends.
    pub(in crate::ledger) fn first_by_lease_time(&self, slices_matter: bool) -> Option<LeaseTime> {
        let claim = self.claims.first().map(|(at, _)| *at);
        let attempt = self.attempts.first().map(|(at, _)| *at);
        let slice = self.slices.first().map(|(at, _)| *at).filter(|_| slices_matter);
        claim.into_iter().chain(attempt).chain(slice).min()
    }

    /// The first deadline by block time: a back-off is over, or a job changes.
    pub(in crate::ledger) fn first_by_block_time(&self) -> Option<BlockTime> {
        let back_off = self.back_offs.first().map(|(at, _)| *at);
        let job = self.jobs.first().map(|(at, _)| *at);
        back_off.into_iter().chain(job).min()
    }
}
