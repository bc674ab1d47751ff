//! What time alone brings, by when it comes.

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

/// Deadlines, each with what it is for. Anyone may take out what is due; only the index puts something in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::ledger) struct Deadlines {
    pub(super) claims: BTreeSet<(LeaseTime, PublicKey)>,
    /// When attempts run out, or are looked at for being slow.
    pub(super) attempts: BTreeSet<(LeaseTime, AttemptRef)>,
    pub(super) back_offs: BTreeSet<(BlockTime, TaskRef)>,
    /// When slices end.
    pub(super) slices: BTreeSet<(LeaseTime, TaskRef)>,
    /// When somebody for whom an attempt is preempted may have another preempted.
    pub(super) preemptions: BTreeSet<(LeaseTime, TaskRef)>,
    /// When time alone changes something about a job.
    pub(super) jobs: BTreeSet<(BlockTime, JobNumber)>,
    /// When ended jobs are dropped.
    pub(super) retention: BTreeSet<(BlockTime, JobNumber)>,
    /// When workers without a claim may be forgotten.
    pub(super) workers: BTreeSet<(BlockTime, PublicKey)>,
}

/// Takes what is due at `now` out of a set.
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

    /// Attempts that run out, or are to be looked at.
    pub(in crate::ledger) fn take_attempts(&mut self, now: LeaseTime) -> Vec<AttemptRef> {
        take_due(&mut self.attempts, now)
    }

    /// Attempts whose slice is over.
    pub(in crate::ledger) fn take_slices(&mut self, now: LeaseTime) -> Vec<TaskRef> {
        take_due(&mut self.slices, now)
    }

    /// Attempts that have not made room in time.
    pub(in crate::ledger) fn take_asked(&mut self, now: LeaseTime) -> Vec<TaskRef> {
        take_due(&mut self.preemptions, now)
    }

    /// Jobs about which something changes.
    pub(in crate::ledger) fn take_jobs(&mut self, now: BlockTime) -> Vec<JobNumber> {
        take_due(&mut self.jobs, now)
    }

    /// Ended jobs that are dropped.
    pub(in crate::ledger) fn take_retention(&mut self, now: BlockTime) -> Vec<JobNumber> {
        take_due(&mut self.retention, now)
    }

    /// Workers that are forgotten.
    pub(in crate::ledger) fn take_workers(&mut self, now: BlockTime) -> Vec<PublicKey> {
        take_due(&mut self.workers, now)
    }

    /// The first task that backs off until now at the latest. It is taken out when it waits elsewhere.
    pub(in crate::ledger) fn back_off_over(&self, now: BlockTime) -> Option<TaskRef> {
        self.back_offs.first().filter(|(until, _)| *until <= now).map(|(_, task)| *task)
    }

    /// When attempts run out or are looked at, the first first.
    pub(in crate::ledger) fn attempts(&self) -> impl Iterator<Item = (LeaseTime, AttemptRef)> {
        self.attempts.iter().copied()
    }

    /// When slices end, the first first.
    pub(in crate::ledger) fn slices(&self) -> impl Iterator<Item = (LeaseTime, TaskRef)> {
        self.slices.iter().copied()
    }

    /// Until when attempts may make room that were asked to, the first first.
    pub(in crate::ledger) fn preemptions(&self) -> impl Iterator<Item = (LeaseTime, TaskRef)> {
        self.preemptions.iter().copied()
    }

    /// When the first lease runs out, of a claim or an attempt, or is looked at; or the first slice ends, if that
    /// matters.
    pub(in crate::ledger) fn first_by_lease_time(&self, slices_matter: bool) -> Option<LeaseTime> {
        let claim = self.claims.first().map(|(at, _)| *at);
        let attempt = self.attempts.first().map(|(at, _)| *at);
        let slice = self.slices.first().map(|(at, _)| *at).filter(|_| slices_matter);
        claim.into_iter().chain(attempt).chain(slice).min()
    }

    /// When the first back-off is over, or something changes about the first job.
    pub(in crate::ledger) fn first_by_block_time(&self) -> Option<BlockTime> {
        let back_off = self.back_offs.first().map(|(at, _)| *at);
        let job = self.jobs.first().map(|(at, _)| *at);
        back_off.into_iter().chain(job).min()
    }
}
