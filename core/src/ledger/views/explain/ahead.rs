//! Which tasks go before a ready task. The queue's entries are visited in order, however many tasks each stands for.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap},
};

use super::{
    LOOKS_MAX, NAMED_MAX,
    reasons::{Ahead, AheadBy, JobAhead, Precedence},
};
use crate::{
    identity::PublicKey,
    invariant::known,
    ledger::{Ledger, index::SegmentSummary, records::jobs::Job},
    schedule::{
        order::Rank,
        ready::{JobNumber, Kind, QueueEntry, ReadyKey},
    },
};

/// How many claims are compared with kinds of tasks, at most.
const CLAIM_LOOKS_MAX: usize = 1 << 20;

impl Ledger {
    /// The tasks that go before a task with this queue entry, among those that could go to one of these workers.
    /// Tasks of the same entry with a smaller index go before it too.
    pub(in crate::ledger) fn ahead_of(
        &self,
        job: &Job,
        index: u32,
        entry: &QueueEntry,
        usable: &BTreeSet<PublicKey>,
    ) -> Ahead {
        let rank = self.sequence.at_turn(entry.rank, &entry.submitter, self.records.shares());
        let place = ReadyKey { rank, ..entry.key() };
        let mut jobs: BTreeMap<JobNumber, JobAhead> = BTreeMap::new();
        let mut in_order = Vec::new();
        let mut counts: BTreeMap<Precedence, u64> = BTreeMap::new();
        let mut add = |number: JobNumber, submitter: PublicKey, tasks: u64, by: Precedence| {
            let Some(job) = self.records.job(number).filter(|_| tasks > 0) else { return };
            let one = jobs.entry(number).or_insert_with(|| {
                in_order.push(number);
                JobAhead { job: job.id, submitter, tasks: 0, by }
            });
            one.tasks += tasks;
            *counts.entry(by).or_default() += tasks;
        };
        let all = self.go_through(place, entry.submitter, usable, |submitter, key| {
            add(key.job, submitter, self.stands_for(&key), self.precedence(&key, &place));
        });
        if job.live(index).is_none()
            && let Some(segment) = job.segment(index)
            && !usable.is_empty()
        {
            add(entry.job, entry.submitter, u64::from(index.saturating_sub(segment.fresh)), Precedence::WithinJob);
        }
        let submitters: BTreeSet<PublicKey> = jobs.values().map(|job| job.submitter).collect();
        Ahead {
            tasks: jobs.values().map(|job| job.tasks).sum(),
            all,
            by: counts.into_iter().map(|(by, tasks)| AheadBy { by, tasks }).collect(),
            submitters: u32::try_from(submitters.len()).unwrap_or(u32::MAX),
            jobs: u32::try_from(jobs.len()).unwrap_or(u32::MAX),
            first: in_order.iter().take(NAMED_MAX).filter_map(|number| jobs.get(number).copied()).collect(),
        }
    }

    /// Visits, in order, the entries before a place whose tasks could go to one of these workers, each with its
    /// submitter. Returns whether it reached the end of them.
    fn go_through(
        &self,
        place: ReadyKey,
        own: PublicKey,
        usable: &BTreeSet<PublicKey>,
        mut visit: impl FnMut(PublicKey, ReadyKey),
    ) -> bool {
        let mut claim_looks = 0;
        let passes = |kind: &Kind| claim_looks < CLAIM_LOOKS_MAX && self.competes(kind, usable, &mut claim_looks);
        let lanes = self.index.ready().before(place, own, &self.sequence, self.records.shares(), passes);
        let mut lanes: Vec<_> = lanes.take(LOOKS_MAX).collect();
        // Each lane's next entry; the heap's top is the first of all.
        let mut next: BinaryHeap<Reverse<(ReadyKey, usize)>> = BinaryHeap::new();
        for (at, (_, lane)) in lanes.iter_mut().enumerate() {
            next.extend(lane.next().map(|key| Reverse((key, at))));
        }
        for _ in 0..LOOKS_MAX {
            let Some(Reverse((key, at))) = next.pop() else { break };
            let Some((submitter, lane)) = known(lanes.get_mut(at)) else { break };
            visit(*submitter, key);
            next.extend(lane.next().map(|key| Reverse((key, at))));
        }
        let are_all = lanes.len() < LOOKS_MAX;
        drop(lanes);
        are_all && next.is_empty() && claim_looks < CLAIM_LOOKS_MAX
    }

    /// Whether tasks of a kind could go to one of these workers.
    fn competes(&self, kind: &Kind, usable: &BTreeSet<PublicKey>, looks: &mut usize) -> bool {
        let allowed = self.allowed_to(kind);
        *looks += if kind.avoidance.is_empty() { 0 } else { self.records.workers().len() };
        usable.iter().any(|key| {
            *looks += 1;
            let standing = self.records.worker(key).and_then(|worker| worker.record.standing.as_ref());
            standing.is_some_and(|standing| standing.could_ever_hold(&kind.needs))
                && self.permits(&kind.avoidance, allowed, key)
        })
    }

    /// How many tasks an entry of the queue stands for.
    fn stands_for(&self, key: &ReadyKey) -> u64 {
        let run = self.records.job(key.job).filter(|_| key.is_fresh).and_then(|job| {
            let at = job.segment_at(key.index)?;
            let is_run = !job.graph().is_single(job.record.segments.get(at)?.array);
            is_run.then(|| job.index.summary(at).map_or(0, SegmentSummary::stateless))
        });
        run.map_or(1, u64::from)
    }

    /// What puts an entry before a place.
    fn precedence(&self, key: &ReadyKey, place: &ReadyKey) -> Precedence {
        let (Rank(own), Rank(other)) = (key.rank, place.rank);
        let policies = self.records.rules().schedule().order.iter().zip(own.iter().zip(other));
        let mut telling = policies.filter(|(_, (own, other))| **own != *other);
        match telling.next() {
            Some((policy, _)) => Precedence::Policy(*policy),
            None if key.admission != place.admission => Precedence::Admission,
            None => Precedence::WithinJob,
        }
    }
}
