//! Matching: waiting attempts move up, then ready tasks go to claims. Speculative attempts get what is left
//! (`speculation`).
//!
//! Every claim's free resources are filled before any waiting place is. Each of the two passes handles tasks in
//! order. A task that no claim can take holds up only tasks of its kind. Three things keep this cheap:
//!
//! - Besides the tasks that it places, a pass looks at only one task of each kind.
//! - A pass looks at a claim only once for each kind, unless the claim was given something.
//! - A kind that found no opening is looked at again only after a claim has changed that could take it.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    digest::Digest,
    fault::{Fault, is_planted},
    identity::PublicKey,
    invariant::known,
    ledger::{
        Applied, EndReason, Ledger,
        records::jobs::{AttemptRef, TaskRef},
    },
    schedule::{
        placement::{
            Opening,
            choose::{Cursor, Pair, Preferences, Search},
        },
        ready::{Head, Kind, KindId, Needs, QueueEntry, ReadyKey},
        recovery::{Allowed, Avoidance},
    },
    types::Redundancy,
};

/// What a pass has learned about a kind.
struct Pass {
    allowed: Allowed,
    /// Among workers that are not on trial, and among all.
    cursors: [Cursor; 2],
}

impl Ledger {
    /// Matches tasks to claims: the last step of a block.
    pub(in crate::ledger) fn match_ready_to_claims(&mut self, applied: &mut Applied) {
        while let Some((key, changed)) = self.index.take_unsettled() {
            self.settle(key, changed, applied);
        }
        if is_planted(Fault::WaitingFirst) {
            let _ = self.fill(Opening::Waiting, applied);
        }
        if is_planted(Fault::SpeculativeFirst) {
            self.lease_speculatively(applied);
        }
        loop {
            let _ = self.fill(Opening::Resources, applied);
            // Where the next replica of a task may go depends on where the last one went.
            if !self.fill(Opening::Waiting, applied) {
                break;
            }
        }
        self.lease_speculatively(applied);
        self.index.matched();
    }

    /// Moves a worker's waiting attempts up, in order. If its claim `changed`, also takes back those for which the
    /// claim has no place.
    fn settle(&mut self, key: PublicKey, changed: bool, applied: &mut Applied) {
        if changed && !is_planted(Fault::ShrinksAndKeeps) {
            let waiting = self.records.worker(&key).map(|worker| worker.leases().waiting().values().copied().collect());
            let waiting: Vec<AttemptRef> = waiting.unwrap_or_default();
            for attempt in waiting {
                if !self.could_ever_hold(key, attempt.task()) {
                    self.give_back(attempt, EndReason::TakenBack, applied);
                }
            }
        }
        while let Some(attempt) = self.waiting_at(key, |waiting| waiting.first_key_value())
            && self.has_capacity(key, attempt.task())
        {
            self.start(attempt, key, applied);
        }
        let places = self.records.worker(&key).and_then(|worker| worker.record.standing.as_ref());
        let places = places.map_or(0, |standing| standing.claim.waiting as usize);
        while !is_planted(Fault::ShrinksAndKeeps)
            && let Some(attempt) = self.waiting_at(key, |w| w.last_key_value().filter(|_| w.len() > places))
        {
            self.give_back(attempt, EndReason::TakenBack, applied);
        }
    }

    fn waiting_at<'a>(
        &'a self,
        key: PublicKey,
        which: impl FnOnce(&'a BTreeMap<u64, AttemptRef>) -> Option<(&'a u64, &'a AttemptRef)>,
    ) -> Option<AttemptRef> {
        which(self.records.worker(&key)?.leases().waiting()).map(|(_, attempt)| *attempt)
    }

    fn could_ever_hold(&self, key: PublicKey, task: TaskRef) -> bool {
        let both = self.records.worker(&key).zip(self.records.job(task.job));
        let Some((worker, job)) = known(both) else { return false };
        worker
            .record
            .standing
            .as_ref()
            .is_some_and(|standing| job.needs(task.index).is_some_and(|needs| standing.could_ever_hold(needs)))
    }

    fn has_capacity(&self, key: PublicKey, task: TaskRef) -> bool {
        let both = self.records.worker(&key).zip(self.records.job(task.job));
        let Some((worker, job)) = known(both) else { return false };
        job.needs(task.index).is_some_and(|needs| worker.has_capacity(needs))
    }

    /// Gives ready tasks to claims with this opening, in order, until no more fit. Tells whether a task of which it gave
    /// a replica wants another one.
    fn fill(&mut self, opening: Opening, applied: &mut Applied) -> bool {
        let mut wants_more = false;
        let mut passes: BTreeMap<KindId, Pass> = BTreeMap::new();
        let mut full = BTreeSet::new();
        let mut passed = None;
        while !self.index.open().is_empty(opening)
            && let Some(head) = self.index.ready().head_after(passed)
        {
            let kind = head.kind;
            if full.contains(&kind) || !passes.contains_key(&kind) && self.stays_parked(opening, kind) {
                passed = Some(head);
                continue;
            }
            let pass =
                passes.entry(kind).or_insert_with(|| Pass { allowed: self.allowed(kind), cursors: Default::default() });
            let Some((task, entry, is_last)) = known(self.first_of(&head.key)) else { return false };
            // Resources that only this replica may use may have been left.
            let is_replica = self.index.ready().kind(kind).is_some_and(|kind| kind.avoidance.has_parties());
            let mut anew = Pass { allowed: pass.allowed, cursors: Default::default() };
            let running = if is_replica && opening == Opening::Waiting {
                self.find_claim(Opening::Resources, kind, task, &mut anew)
            } else {
                None
            };
            let found = running.map(|found| (found, Opening::Resources));
            let found = found.or_else(|| self.find_claim(opening, kind, task, pass).map(|found| (found, opening)));
            let Some((found, opening)) = found else {
                self.index.park(kind, opening);
                full.insert(kind);
                passed = Some(head);
                continue;
            };
            if is_last {
                self.take_off(&entry);
            }
            self.lease(task, found, opening, applied);
            // The next replica of the task may go before what was passed.
            if let Some(next) = self.place_of(task) {
                wants_more = true;
                if passed.is_some_and(|passed: Head| next < passed.key) {
                    passed = None;
                }
            }
            if is_planted(Fault::LeasedTwice)
                && let Some(again) = self.find_claim(opening, kind, task, pass)
            {
                self.lease(task, again, opening, applied);
            }
        }
        wants_more
    }

    /// Where a task that has replicas stands in the queue, if it does.
    fn place_of(&self, task: TaskRef) -> Option<ReadyKey> {
        let job = self.records.job(task.job)?;
        let live = job.live(task.index).filter(|live| live.is_ready() && live.replicas().is_some())?;
        let entry = job.entry(task.index, live)?;
        let rank = self.sequence.at_turn(entry.rank, &entry.submitter, self.records.shares());
        Some(ReadyKey { rank, ..entry.key() })
    }

    /// The first task of a queue entry, the entry, and whether this task is its last.
    fn first_of(&self, key: &ReadyKey) -> Option<(TaskRef, QueueEntry, bool)> {
        let job = self.records.job(key.job)?;
        let at = job.segment_at(key.index)?;
        let segment = job.record.segments.get(at)?;
        if key.is_fresh && !job.graph().is_single(segment.array) {
            let is_last = segment.fresh.saturating_add(1) >= segment.end;
            return Some((TaskRef { job: key.job, index: segment.fresh }, job.run(at)?, is_last));
        }
        let entry = job.entry(key.index, job.live(key.index)?)?;
        Some((TaskRef { job: key.job, index: key.index }, entry, true))
    }

    /// Whether a kind stays parked: it found no opening before, and no claim that has changed since has one.
    fn stays_parked(&self, opening: Opening, kind: KindId) -> bool {
        let Some(Kind { needs, .. }) = known(self.index.ready().kind(kind)) else { return true };
        self.index.is_parked(kind, opening)
            && !self.index.changed().iter().any(|key| {
                let worker = self.records.worker(key);
                worker.is_some_and(|worker| worker.index.score(opening).is_some() && worker.takes(needs, opening))
            })
    }

    /// The claim that gets a task, if a claim has this opening for its kind.
    fn find_claim(&self, opening: Opening, kind: KindId, task: TaskRef, pass: &mut Pass) -> Option<PublicKey> {
        let Kind { needs, avoidance } = self.index.ready().kind(kind)?;
        if is_planted(Fault::HashOrder) {
            let open: std::collections::HashSet<_> =
                self.index.open().from(opening, None).map(|(_, key)| key).collect();
            let takes = |key: &PublicKey| self.records.worker(key).is_some_and(|worker| worker.takes(needs, opening));
            return open.into_iter().find(takes);
        }
        let allowed = pass.allowed;
        let permits = |key: &PublicKey| self.permits(avoidance, allowed, key);
        let [tested, all] = &mut pass.cursors;
        self.search(opening, needs, task, |key| permits(key) && !self.is_on_trial(key), tested)
            .or_else(|| self.search(opening, needs, task, permits, all))
    }

    /// The best claim for a task among those that have this opening and are permitted.
    pub(in crate::ledger) fn search(
        &self,
        opening: Opening,
        needs: &Needs,
        task: TaskRef,
        permits: impl Fn(&PublicKey) -> bool,
        cursor: &mut Cursor,
    ) -> Option<PublicKey> {
        let look = |key: &PublicKey| {
            let worker = self.records.worker(key)?;
            let score = worker.index.score(opening)?;
            (worker.takes(needs, opening) && permits(key)).then_some(score)
        };
        let has = |key: &PublicKey, (label, value): Pair<'_>| {
            let standing = self.records.worker(key).and_then(|worker| worker.record.standing.as_ref());
            standing.is_some_and(|standing| standing.claim.labels.get(label).is_some_and(|own| own == value))
        };
        let search = Search { open: self.index.open(), policies: &self.policies, opening, look, has: &has };
        search.find(&self.preferences(task), cursor)
    }

    /// The preferences of a task's submitter and of the network, besides the task's needs.
    fn preferences(&self, task: TaskRef) -> Preferences<'_> {
        let Some(job) = known(self.records.job(task.job)) else { return Preferences::default() };
        let Some((spec, (array, _))) = job.spec(task.index).zip(job.array_index(task.index)) else {
            return Preferences::default();
        };
        Preferences {
            prefers: spec.prefers.iter().map(|(label, value)| (label.as_str(), value.as_str())).collect(),
            spread: spec.spread.as_deref().map(|label| (label, job.index.spread(array))),
            blob: if self.policies.is_local { job.largest_input(task.index) } else { None },
            draw: self.policies.are_drawn().then(|| self.draw("lease", self.records.numbers().lease)),
        }
    }

    /// This block's draw for a purpose and a number.
    pub(in crate::ledger) fn draw(&self, what: &str, number: u64) -> Digest {
        Digest::of_parts("meshwork 1 draw", &[&self.block.entropy.0, what.as_bytes(), &number.to_be_bytes()])
    }

    /// Whether a worker is on trial.
    pub(in crate::ledger) fn is_on_trial(&self, key: &PublicKey) -> bool {
        self.records.worker(key).is_some_and(|worker| worker.record.trial.is_some())
    }

    /// Whether a task that avoids these workers may go to one.
    pub(in crate::ledger) fn permits(&self, avoidance: &Avoidance, allowed: Allowed, key: &PublicKey) -> bool {
        avoidance.permits(allowed, key, self.is_on_trial(key)) && !self.is_party(avoidance, key)
    }

    /// Whether a worker, or who operates it, has a part in the answer of a task that avoids these workers.
    pub(in crate::ledger) fn is_party(&self, avoidance: &Avoidance, key: &PublicKey) -> bool {
        avoidance.is_party(key, || self.operator_of(key))
    }

    /// Who operates a worker, as far as its claim says.
    pub(in crate::ledger) fn operator_of(&self, key: &PublicKey) -> Option<&str> {
        let standing = self.records.worker(key)?.record.standing.as_ref()?;
        standing.claim.labels.get(Redundancy::OPERATOR).map(String::as_str)
    }

    /// The workers to which tasks of a kind may go, among all standing claims, whether or not they have free
    /// capacity.
    fn allowed(&self, kind: KindId) -> Allowed {
        self.index.ready().kind(kind).map_or(Allowed::ANYONE, |kind| self.allowed_to(kind))
    }

    /// Like [`Self::allowed`], for a kind that need not be in the queue.
    pub(in crate::ledger) fn allowed_to(&self, Kind { needs, avoidance }: &Kind) -> Allowed {
        let capable = self.records.workers().iter().filter(|(_, worker)| {
            if is_planted(Fault::BackWhereLost) {
                return worker.takes(needs, Opening::Resources);
            }
            let standing = worker.record.standing.as_ref().filter(|_| !worker.record.waits_out());
            standing.is_some_and(|standing| standing.could_ever_hold(needs))
        });
        let capable = capable.filter(|(key, _)| !self.is_party(avoidance, key));
        avoidance.among(capable.map(|(key, worker)| (key, worker.record.trial.is_some())))
    }
}
