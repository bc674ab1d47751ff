//! Matching: waiting attempts move up, then ready tasks go to claims.
//!
//! Every claim's free resources are filled before any waiting place is. Within each of the two passes the tasks go in
//! order; a task that no claim can take holds up only those that need the same. No task is looked at that is not placed, but
//! for one of each group; no claim is looked at twice for one group unless it was given something; and a group that found
//! no place looks again only once a claim has changed that could take it.

use std::collections::BTreeMap;

use super::{Applied, EndReason, Ledger, jobs::TaskRef};
use crate::{
    fault::{Fault, is_planted},
    identity::PublicKey,
    schedule::{
        placement::{Place, Score},
        ready::GroupId,
        recovery::Allowed,
    },
};

/// What one pass has learned of a group.
struct Search {
    allowed: Allowed,
    /// No claim before this one can take a task of the group: claims only fill and fall back during matching.
    from: Option<(Score, PublicKey)>,
}

impl Ledger {
    /// The last step of a block.
    pub(super) fn match_ready_to_claims(&mut self, applied: &mut Applied) {
        while let Some((key, changed)) = self.unsettled.pop_first() {
            self.settle(key, changed, applied);
        }
        if is_planted(Fault::WaitingFirst) {
            self.fill(Place::Waiting, applied);
        }
        self.fill(Place::Resources, applied);
        self.fill(Place::Waiting, applied);
        self.changed.clear();
    }

    /// Moves a worker's waiting attempts up, in their order, and takes back those for which its claim (if it was `changed`)
    /// has no place.
    fn settle(&mut self, key: PublicKey, changed: bool, applied: &mut Applied) {
        if changed && !is_planted(Fault::ShrinksAndKeeps) {
            let waiting = self.workers.get(&key).map(|worker| worker.held.waiting.values().copied().collect());
            let waiting: Vec<TaskRef> = waiting.unwrap_or_default();
            for task in waiting {
                if !self.could_ever_hold(key, task) {
                    self.give_back(task, EndReason::TakenBack, applied);
                }
            }
        }
        while let Some(task) = self.waiting_at(key, |waiting| waiting.first_key_value())
            && self.has_room(key, task)
        {
            self.start(task, key, applied);
        }
        let places = self.workers.get(&key).and_then(|worker| worker.record.standing.as_ref());
        let places = places.map_or(0, |standing| standing.claim.waiting as usize);
        while !is_planted(Fault::ShrinksAndKeeps)
            && let Some(task) = self.waiting_at(key, |w| w.last_key_value().filter(|_| w.len() > places))
        {
            self.give_back(task, EndReason::TakenBack, applied);
        }
    }

    fn waiting_at<'a>(
        &'a self,
        key: PublicKey,
        which: impl FnOnce(&'a BTreeMap<u64, TaskRef>) -> Option<(&'a u64, &'a TaskRef)>,
    ) -> Option<TaskRef> {
        which(&self.workers.get(&key)?.held.waiting).map(|(_, task)| *task)
    }

    fn could_ever_hold(&self, key: PublicKey, task: TaskRef) -> bool {
        let (Some(worker), Some(job)) = (self.workers.get(&key), self.jobs.get(&task.job)) else { return false };
        worker.record.standing.as_ref().is_some_and(|standing| standing.could_ever_hold(&job.needs))
    }

    fn has_room(&self, key: PublicKey, task: TaskRef) -> bool {
        let (Some(worker), Some(job)) = (self.workers.get(&key), self.jobs.get(&task.job)) else { return false };
        worker.has_room(&job.needs)
    }

    /// Gives ready tasks to the claims that have such a place, in order, until no more fit.
    fn fill(&mut self, place: Place, applied: &mut Applied) {
        let mut searches: BTreeMap<GroupId, Search> = BTreeMap::new();
        let mut passed = None;
        while !self.open.is_empty(place)
            && let Some((key, group)) = self.ready.head_after(passed)
        {
            if !searches.contains_key(&group) && self.stays_parked(place, group) {
                passed = Some((key, group));
                continue;
            }
            let search = searches.entry(group).or_insert_with(|| Search { allowed: self.allowed(group), from: None });
            let Some(found) = self.find_claim(place, group, search) else {
                self.ready.park(group, place, self.offers);
                passed = Some((key, group));
                continue;
            };
            search.from = Some(found);
            let task = TaskRef { job: key.job, index: key.index };
            let successor = self.jobs.get(&task.job).and_then(|job| {
                let next = task.index.checked_add(1)?;
                (task.index == job.record.fresh && next < job.count).then(|| job.ready_key(next))
            });
            if !is_planted(Fault::LeasedTwice) {
                self.ready.take(key, group, successor);
            }
            self.lease(task, found.1, place, applied);
        }
    }

    /// Whether a group found no place before, and no claim that changed since has one for what it needs.
    fn stays_parked(&self, place: Place, group: GroupId) -> bool {
        let Some(kind) = self.ready.kind(group) else { return true };
        self.ready.is_parked(group, place, self.offers)
            && !self.changed.iter().any(|key| {
                let worker = self.workers.get(key);
                worker
                    .is_some_and(|worker| worker.indexed[place as usize].is_some() && worker.takes(&kind.needs, place))
            })
    }

    /// The best claim that has such a place for the tasks of a group.
    fn find_claim(&self, place: Place, group: GroupId, search: &Search) -> Option<(Score, PublicKey)> {
        let kind = self.ready.kind(group)?;
        if is_planted(Fault::HashOrder) {
            let open: std::collections::HashMap<_, _> =
                self.open.from(place, None).map(|(score, key)| (key, score)).collect();
            let takes = |key: &PublicKey| self.workers.get(key).is_some_and(|worker| worker.takes(&kind.needs, place));
            return open.into_iter().find(|(key, _)| takes(key)).map(|(key, score)| (score, key));
        }
        self.open.from(place, search.from).find(|(_, key)| {
            self.workers.get(key).is_some_and(|worker| worker.takes(&kind.needs, place))
                && kind.avoidance.permits(search.allowed, key)
        })
    }

    /// Where the tasks of a group may go, of all the claims that stand, whether or not they have room now.
    fn allowed(&self, group: GroupId) -> Allowed {
        let Some(kind) = self.ready.kind(group) else { return Allowed::Anyone };
        let capable = self.workers.iter().filter(|(_, worker)| {
            if is_planted(Fault::BackWhereLost) {
                return worker.takes(&kind.needs, Place::Resources);
            }
            worker.record.standing.as_ref().is_some_and(|standing| standing.could_ever_hold(&kind.needs))
        });
        kind.avoidance.among(capable.map(|(key, _)| key))
    }
}
